"""Checks consecutive pictures: one size and pixel format, and increasing timestamps."""

from fractions import Fraction
from pathlib import Path

import av

from ciaovideo.errors import DecodeError, TimestampError
from ciaovideo.media.ffmpeg.remedies import rejoined, retimed
from ciaovideo.media.frame import VideoInfo
from ciaovideo.media.inspect.shapes import changed_shape, microseconds, parts_hint
from ciaovideo.media.selection import Selection

CUT_THERE = "cut the file there and process the parts one by one"


class Continuity:
    """Checks each picture of a video against those before it.

    ``tick`` is the clock of the timestamps, None if the container stores none; ``origin`` is the
    first frame's time in seconds, ``asked`` the part that is read. ``last`` is the newest
    timestamp, ``following`` the next one at the same step.
    """

    def __init__(
        self, path: Path, tick: Fraction | None, origin: Fraction, asked: Selection
    ) -> None:
        self._path, self._tick, self._origin, self._asked = path, tick, origin, asked
        self.last: int | None = None
        self.following = 0

    def fits(self, picture: av.VideoFrame, info: VideoInfo, *, any_range: bool) -> bool:
        """Whether it has the video's size and layout; ``any_range`` ignores the colour range."""
        names = {picture.format.name, info.coded_pix_fmt}
        if any_range:
            names = {name.replace("yuvj", "yuv") for name in names}  # yuvj differs in range only
        return len(names) == 1 and (picture.height, picture.width) == info.stored_size

    def changed(
        self, picture: av.VideoFrame, info: VideoInfo, number: int, begins: int
    ) -> DecodeError:
        """The error for a picture of another size or layout, with a command for the rest.

        ``begins`` is the file's start time in microseconds, from which ffmpeg seeks.
        """
        where, hint = f"{self._path}: frame {number}", CUT_THERE
        if picture.pts is not None and self._tick is not None:
            at = picture.pts * self._tick
            played = at - self._origin
            where += f" at {microseconds(played):.6f} s"
            hint = parts_hint(self._path, played, at, begins)
        height, width = info.stored_size
        return changed_shape(
            where,
            f"{width}x{height} {info.coded_pix_fmt}",
            f"{picture.width}x{picture.height} {picture.format.name}",
            hint,
        )

    def later(self, pts: int | None, number: int) -> int:
        """The timestamp, if it is later than the one before; raises TimestampError otherwise."""
        place = f"{self._path}: frame {number}"
        if pts is None:
            raise TimestampError(f"{place} has no timestamp", retimed(self._path))
        if self.last is not None and pts <= self.last:
            raise TimestampError(
                f"{place}: its timestamp {pts} is not after {self.last} (ticks of {self._tick} s)",
                f"{rejoined(self._path)}{self._or_fewer(number)}",
            )
        self.following, self.last = 2 * pts - (self.last or pts), pts
        return pts

    def _or_fewer(self, count: int) -> str:
        """The hint to process only the frames before; empty with a start, which shifts counts."""
        if self._asked.start is not None or not count:
            return ""
        return f", or process the first {count * self._asked.per_frame} frames only"
