"""Opens the writer of a plan.

An encoder of PyAV writes a file together with the source's other streams, and so does a system
ffmpeg. YUV4MPEG2 goes into a file or a pipe without other streams; numbered pictures are one file
each.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from ciaovideo.media.codecs.table import Y4M
from ciaovideo.media.ffmpeg.streams import other_streams
from ciaovideo.media.ffmpeg.writer import ExternalWriter
from ciaovideo.media.frame import Frame
from ciaovideo.media.sequence.numbered import Numbered
from ciaovideo.media.sequence.writer import PictureWriter, atomic_pictures
from ciaovideo.media.streams.source import StreamSource
from ciaovideo.media.write.encoder import VideoTarget
from ciaovideo.media.write.writer import SegmentWriter, VideoWriter
from ciaovideo.media.write.y4m import Y4MWriter
from ciaovideo.pipeline.plan import UpscalePlan
from ciaovideo.storage.atomic import atomic_output
from ciaovideo.storage.ledger import Ledger
from ciaovideo.storage.segments import Tally


class FrameWriter(Protocol):
    """Writes the frames of a run, in order."""

    def write(self, frame: Frame) -> None:
        """Write one frame; its planes may be reused afterwards."""
        ...


def whole_output(plan: UpscalePlan, *, overwrite: bool) -> AbstractContextManager[Path]:
    """A temporary path, so that the output appears complete or not at all."""
    if plan.destination.pictures:
        return atomic_pictures(plan.destination.pictures, overwrite=overwrite)
    return atomic_output(plan.output, overwrite=overwrite)


def first_number(plan: UpscalePlan) -> int:
    """The number of the first picture: the source's if that is numbered too, else 1."""
    numbered = Numbered.of(plan.source)
    if numbered is None:
        return 1
    start = plan.streams.selection.start or 0
    return numbered.first + int(start / plan.info.time_base)


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
    """The writer of a plan for a ``target``; leaving it finishes the output.

    ``others`` are the streams to copy; a pipe has none. With a ledger, the writer expects the
    frames that are missing there. ``done`` returns the work counted so far, including the frame
    that is being written; it is called at the end of each segment.
    """
    if ledger and others:
        with (
            others.copier(plan.streams) as copier,
            ledger.open(),
            SegmentWriter(path, target, ledger, copier, done=done) as kept,
        ):
            yield kept
    elif plan.destination.pictures:
        streams = plan.streams
        with PictureWriter(
            plan.destination.pictures.inside(path.parent),
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
