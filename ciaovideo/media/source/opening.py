"""How a source is opened, and which of its streams is the main video."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from ciaovideo.color import Transfer
from ciaovideo.errors import OpenError
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.clock import FALLBACK_RATE
from ciaovideo.media.sequence.dpx import read_head
from ciaovideo.media.sequence.numbered import Numbered, demuxer_name

STILL = Disposition.attached_pic | Disposition.timed_thumbnails
SEQUENCE = "image2"  # FFmpeg's name of numbered pictures
PROBED = 5_000_000  # bytes that FFmpeg probes by default
NO_TIME_LIMIT = str(10**12)  # microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How to open a source, so that all readers find the same streams.

    ``options`` are FFmpeg's, ``main`` is the index of the main video, None for the first one.
    ``rate`` is the frame rate of numbered pictures, which have no clock. ``transfer`` overrides the
    pictures' tag.
    """

    options: Mapping[str, str] = field(default_factory=dict)
    main: int | None = None
    rate: Fraction | None = None
    transfer: Transfer | None = None


USUAL = Opening()


def open_source(path: Path, opening: Opening = USUAL) -> InputContainer:
    """Open a file or numbered pictures for reading; raises OpenError, and as ``Numbered.of``.

    A colon in a name is not taken as a protocol.
    """
    if numbered := Numbered.of(path):
        return _open_sequence(numbered, opening)
    with av_errors("opening", path, OpenError):
        return av.open(path.absolute(), options=dict(opening.options))


def _open_sequence(numbered: Numbered, opening: Opening) -> InputContainer:
    """Numbered pictures as a container, with tags from the first one's header."""
    options = {
        "pattern_type": "sequence",
        "framerate": str(opening.rate or FALLBACK_RATE),
        "start_number": str(numbered.first),
        "start_number_range": "1",
    }
    metadata = read_head(numbered.file(numbered.first)).metadata
    path = numbered.name.path
    with av_errors("opening", path, OpenError):
        name = demuxer_name(path)
        container = av.open(name, format=SEQUENCE, options={**opening.options, **options})
    container.metadata.update(metadata)
    return container


def main_video(container: InputContainer, path: Path, opening: Opening = USUAL) -> VideoStream:
    """The main video of an opened file; raises OpenError if there is none.

    Without a choice in ``opening`` it is the first that is not a cover picture.
    """
    videos = container.streams.video
    moving = [av_stream for av_stream in videos if not av_stream.disposition & STILL]
    moving = [video for video in moving if opening.main in (None, video.index)]
    if not moving:
        found = "only a cover picture" if videos else "no video"
        raise OpenError(f"{path} contains {found}", "name a video file")
    if moving[0].codec_context is None:
        raise OpenError(f"{path}: FFmpeg has no decoder for the video", "convert it first")
    return moving[0]


def no_picture(path: Path) -> OpenError:
    """The error for a video of which no picture can be decoded."""
    return OpenError(
        f"no picture of {path} can be decoded", "it is damaged or cut off: use another copy"
    )
