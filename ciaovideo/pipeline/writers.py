"""The writer that a plan asks for.

An encoder of PyAV's writes a file together with the source's other streams; so does a system
ffmpeg; YUV4MPEG2 goes into a file or a pipe alone, and numbered pictures into a file each.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from ciaovideo.media.codecs.table import Y4M
from ciaovideo.media.ffmpeg.streams import other_streams
from ciaovideo.media.ffmpeg.writer import ExternalWriter
from ciaovideo.media.frame import Frame
from ciaovideo.media.sequence.numbered import Numbered, is_sequence
from ciaovideo.media.sequence.output import atomic_pictures
from ciaovideo.media.sequence.writer import PictureWriter
from ciaovideo.media.streams.source import StreamSource
from ciaovideo.media.write.encoder import VideoTarget
from ciaovideo.media.write.writer import SegmentWriter, VideoWriter
from ciaovideo.media.write.y4m import Y4MWriter
from ciaovideo.pipeline.plan import UpscalePlan
from ciaovideo.storage.atomic import atomic_output
from ciaovideo.storage.ledger import Ledger
from ciaovideo.storage.segments import Tally


class FrameWriter(Protocol):
    """What takes the frames of a run, in order."""

    def write(self, frame: Frame) -> None:
        """Take one frame, whose planes are free again afterwards."""
        ...


def whole_output(plan: UpscalePlan, *, overwrite: bool) -> AbstractContextManager[Path]:
    """Where to write so that the output appears whole or not at all."""
    if plan.streams.container.numbered_pictures:
        return atomic_pictures(plan.output, overwrite=overwrite)
    return atomic_output(plan.output, overwrite=overwrite)


def first_number(plan: UpscalePlan) -> int:
    """The number of the first picture: its source's, where that is numbered as well; else 1."""
    if not is_sequence(plan.source):
        return 1
    start = plan.streams.selection.start or 0
    return Numbered.find(plan.source).first + int(start / plan.info.time_base)


@contextmanager
def open_writer(
    path: Path,
    plan: UpscalePlan,
    target: VideoTarget,
    others: StreamSource | None,
    *,
    ledger: Ledger | None = None,
    done: Callable[[], Tally] = Tally,
) -> Iterator[FrameWriter]:
    """The writer that a plan asks for, of a ``target``; leaving it finishes the output.

    ``others`` are the streams that are copied; a pipe has none. With a ledger the writer takes the
    frames that are missing there. ``done`` tells what was computed, the frame included that is
    written; it is asked at the end of each segment.
    """
    if ledger and others:
        with (
            others.copier(plan.streams) as copier,
            ledger.open(),
            SegmentWriter(path, target, ledger, copier, done=done) as kept,
        ):
            yield kept
    elif plan.streams.container.numbered_pictures:
        streams = plan.streams
        with PictureWriter(
            path,
            target,
            first=first_number(plan),
            timecode=streams.timecode,
            reel=streams.reel,
        ) as pictures:
            yield pictures
    elif plan.encoding.codec is Y4M:
        with Y4MWriter(path, target) as bare:
            yield bare
    elif plan.external:
        with (
            other_streams(plan.streams if others else None, path.parent) as carried,
            ExternalWriter(path, target, plan.external, carried) as external,
        ):
            yield external
    elif others is None:
        with VideoWriter(path, target) as alone:
            yield alone
    else:
        with (
            others.copier(plan.streams) as copier,
            VideoWriter(path, target, copier) as writer,
        ):
            yield writer
