"""Outputs of twice the size, right or wrong in one respect, with what was promised of them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import torch

from ciaovideo.media.codecs.choice import choose_codec
from ciaovideo.media.frame import Frame
from ciaovideo.media.read.probe import probe
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.selection import Selection
from ciaovideo.media.streams.copier import StreamCopier
from ciaovideo.media.streams.plan import StreamPlan, plan_streams
from ciaovideo.media.write.writer import VideoTarget, VideoWriter
from ciaovideo.options import EncodeOptions
from ciaovideo.pipeline.verification.contract import Contract
from ciaovideo.pipeline.verification.verify import (
    verify_contract,
)
from tests.places import container_of

FACTOR = 2
type Change = Callable[[Iterable[Frame]], Iterable[Frame]]


def enlarge(
    source: Path,
    output: Path,
    *,
    frames: int | None = None,
    change: Change = lambda made: made,
    look: Callable[[VideoTarget], VideoTarget] = lambda target: target,
    streams: Callable[[StreamPlan], StreamPlan] = lambda plan: plan,
) -> Contract:
    """Double a clip without a network; the changes make something else of it than promised."""
    facts = probe(source)
    with VideoReader(facts) as reader:
        info = reader.info
        size = (info.height * FACTOR, info.width * FACTOR)
        choice = choose_codec(
            EncodeOptions(preset="ultrafast"), container_of(output), info.pix_fmt, *size
        )
        plan = plan_streams(facts, container_of(output), Selection(count=frames))
        target = VideoTarget.of(info, choice, size)
        with (
            StreamCopier(streams(plan)) as copier,
            VideoWriter(output, look(target), copier) as writer,
        ):
            for frame in change(doubled(reader.frames(frames))):
                writer.write(frame)
    return Contract(
        streams=plan,
        selection=Selection(count=frames),
        size=size,
        pix_fmt=choice.coded_pix_fmt,
        color=target.color,
    )


def doubled(frames: Iterable[Frame]) -> Iterator[Frame]:
    for frame in frames:
        planes = [
            plane.to(torch.int32).repeat_interleave(FACTOR, 0).repeat_interleave(FACTOR, 1)
            for plane in frame.planes
        ]
        kind = frame.planes[0].dtype
        yield replace(frame, planes=tuple(plane.to(kind) for plane in planes))


def remux(
    path: Path,
    output: Path,
    keep: Callable[[Any, int], bool] = lambda packet, number: True,
    moved: tuple[str, int] = ("", 0),
    retold: Callable[[list[Any]], list[Any]] = lambda chapters: chapters,
) -> None:
    """The same file without some packets of the streams that are neither kept whole nor at all.

    ``keep`` is asked for each packet, with its number in its stream; packets of the kind in
    ``moved`` are shifted by so many ticks; ``retold`` makes other chapters of those there are.
    """
    counts: dict[int, int] = {}
    with av.open(path) as before, av.open(output, "w") as after:
        targets = {
            s.index: after.add_stream_from_template(s, opaque=True)
            for s in before.streams
            if s.type != "data"  # the titles of the chapters
        }
        after.set_chapters(retold(before.chapters()))
        for packet in before.demux():
            if packet.dts is None or packet.pts is None:
                continue
            counts[packet.stream_index] = counts.get(packet.stream_index, -1) + 1
            kind, ticks = moved
            if kind and packet.stream.type == kind and counts[packet.stream_index] > 3:
                packet.pts += ticks
                packet.dts += ticks
            if packet.stream_index in targets and keep(packet, counts[packet.stream_index]):
                packet.stream = targets[packet.stream_index]
                after.mux(packet)


def findings(output: Path, contract: Contract) -> str:
    return " | ".join(map(str, verify_contract(output, contract).findings))
