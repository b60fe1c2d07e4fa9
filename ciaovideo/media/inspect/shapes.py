"""Pictures whose size, layout or sample aspect ratio (SAR) changes midway.

The sample of a probe shows most changes before the work starts, as it decodes at some places of the
file anyway. Only where it does is the place looked for.
"""

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import av.error
from av.container import InputContainer
from av.video.stream import VideoStream

from ciaovideo.errors import DecodeError, OpenError
from ciaovideo.findings import Finding
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.clock import exact
from ciaovideo.media.ffmpeg.remedies import remuxed
from ciaovideo.media.interlacing.fields import LONG_S
from ciaovideo.media.read.aspects import Aspects, other_sar, same_sar
from ciaovideo.media.sequence.numbered import is_sequence
from ciaovideo.media.source.opening import Opening, main_video, open_source
from ciaovideo.media.source.packets import packets_of
from ciaovideo.media.source.pictures import decoded

CLOSE = 2  # seconds: a change between two such places is looked for picture by picture
LAST = 1  # second before the end, where a longer file is looked at


class Shape(NamedTuple):
    """What the pictures of one output share: size, layout, and SAR (None if unset)."""

    height: int
    width: int
    pix_fmt: str
    sar: Fraction | None

    @classmethod
    def of(cls, picture: av.VideoFrame, sar: Fraction | None) -> "Shape":
        """The shape of a decoded picture; yuvj differs from yuv in range only."""
        name = picture.format.name.replace("yuvj", "yuv")
        return cls(picture.height, picture.width, name, sar)

    def fits(self, other: "Shape") -> bool:
        """Whether size and layout are the same."""
        return self[:3] == other[:3]

    def same(self, other: "Shape") -> bool:
        """Whether the SAR is the same, too."""
        return self.fits(other) and same_sar(self.sar, other.sar)

    def __str__(self) -> str:
        return f"{self.width}x{self.height} {self.pix_fmt}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeChange:
    """The first change of a file's pictures.

    ``at`` is the file's time of the first picture ``after`` it, ``played`` counts from the first
    frame, both in seconds; ``begins`` is FFmpeg's start time of the file, in microseconds.
    """

    before: Shape
    after: Shape
    at: Fraction
    played: Fraction
    begins: int

    def findings(self) -> Iterator[Finding]:
        """The loss of a SAR; a change of size or layout is refused."""
        if self.before.fits(self.after):
            yield other_sar(self.before.sar, self.after.sar, self.played, self.at)

    def refuse(self, path: Path) -> None:
        """Raise DecodeError for a change of size or layout, which would end a run midway."""
        if not self.before.fits(self.after):
            where = f"{path} at {microseconds(self.played):.6f} s"
            hint = parts_hint(path, self.played, self.at, self.begins)
            raise changed_shape(where, str(self.before), str(self.after), hint)


def microseconds(time: Fraction) -> float:
    """Whole microseconds, in seconds: a part that ends then ends before this time."""
    return math.floor(time * 10**6) / 10**6


def parts_hint(path: Path, played: Fraction, at: Fraction, begins: int) -> str:
    """How to process a file in two parts; the times are as in ``ShapeChange``."""
    if is_sequence(path):
        return "number the pictures of each size and pixel format separately"
    seek = math.ceil(microseconds(played) * 10**6 + (at - played) * 10**6 - begins) / 10**6
    rest = remuxed(path, "-ss", f"{seek:.6f}", then=["-copypriorss", "0"])
    return f"end the run there, and make a second file of the rest: {rest}"


def changed_shape(where: str, before: str, after: str, hint: str) -> DecodeError:
    """The error for a picture of another size or layout."""
    return DecodeError(f"{where}: the picture changes from {before} to {after}", hint)


class ShapeSample:
    """Looks at the pictures of a sample, and finds where their shape changes."""

    def __init__(self, container: InputContainer, av_stream: VideoStream) -> None:
        self._container, self._av_stream = container, av_stream
        self._aspects = Aspects(container, av_stream)
        self._first: tuple[int, Shape] | None = None
        self._near = 0  # ticks of the last picture before any other shape was met
        self._far: int | None = None  # ticks of the first picture of another shape

    def look(self, picture: av.VideoFrame) -> None:
        """Look at a picture; those of a sample come in order, with gaps."""
        if picture.pts is None or self._far is not None:
            return
        self._aspects.seen(picture)
        shape = Shape.of(picture, self._aspects.of(picture))
        self._first = self._first or (picture.pts, shape)
        if shape.same(self._first[1]):
            self._near = picture.pts
        else:
            self._far = picture.pts

    def look_at_end(self) -> None:
        """Look at a picture near the end of a longer file."""
        start, duration = self._container.start_time or 0, self._container.duration or 0
        if duration >= LONG_S * av.time_base:
            with suppress(av.error.FFmpegError, ValueError):
                self._container.seek(start + duration - LAST * av.time_base)
                packets = packets_of(self._container, self._av_stream)
                if picture := next(decoded(self._container, packets), None):
                    self.look(picture)

    def change(self, path: Path, opening: Opening) -> ShapeChange | None:
        """The first change that the sample shows, to the picture; None if it shows none."""
        if self._first is None or self._far is None:
            return None
        first, before = self._first
        with av_errors("reading", path, OpenError), open_source(path, opening) as container:
            video = main_video(container, path, opening)
            tick = exact(video.time_base) or Fraction(0)
            with suppress(av.error.FFmpegError, ValueError):
                close = round(CLOSE / tick)
                near = self._nearest(container, video, close)
                for pts, shape in _shapes(container, video, near - close):  # in step by then
                    if pts > near and not shape.same(before):
                        return ShapeChange(
                            before=before,
                            after=shape,
                            at=pts * tick,
                            played=(pts - first) * tick,
                            begins=container.start_time or 0,
                        )
        return None

    def _nearest(self, container: InputContainer, video: VideoStream, close: int) -> int:
        """A time before the change, at most ``close`` ticks or some key frames earlier."""
        assert self._first is not None
        assert self._far is not None
        near, far = self._near, self._far
        while far - near > close:
            pts, shape = next(_shapes(container, video, (near + far) // 2), (near, None))
            if not near < pts < far or shape is None:
                return near
            near, far = (pts, far) if shape.same(self._first[1]) else (near, pts)
        return near


def _shapes(container: InputContainer, video: VideoStream, pts: int) -> Iterator[tuple[int, Shape]]:
    """The pictures from the key frame before a time on: their times and shapes."""
    container.seek(pts, stream=video)
    aspects = Aspects(container, video)
    packets = aspects.packets(packets_of(container, video))
    for picture in decoded(container, packets, aspects.seen):
        if picture.pts is not None:
            yield picture.pts, Shape.of(picture, aspects.of(picture))
