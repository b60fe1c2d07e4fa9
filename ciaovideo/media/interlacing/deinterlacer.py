"""FFmpeg's deinterlacer, with the timestamps of its output checked against those of its input.

``bwdif`` predicts the rows of the missing field from neighbours in space and time. It halves the
time base. It guesses the time of the very last field from the step before, and has no time for it
after a single frame. Here that field is shown after half its frame's duration.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error

from ciaovideo.color import PixelLayout
from ciaovideo.errors import DecodeError, InterlacedError, TimestampError
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.frame import VideoInfo
from ciaovideo.media.layouts import repacked

LEAST_SIDES = 4, 3  # (rows, columns) of the smallest plane that bwdif accepts
# The planar layouts that bwdif supports; FFmpeg would silently convert any other.
DEPTHS = {
    "yuv410p": (8,),
    "yuv411p": (8,),
    "yuv420p": (8, 9, 10, 12, 14, 16),
    "yuv422p": (8, 9, 10, 12, 14, 16),
    "yuv440p": (8,),
    "yuv444p": (8, 9, 10, 12, 14, 16),
    "gbrp": (8, 9, 10, 12, 14, 16),
    "gray": (8, 16),
    "yuva420p": (8, 9, 10, 16),
    "yuva422p": (8, 9, 10, 16),
    "yuva444p": (8, 9, 10, 16),
    "gbrap": (8, 16),
}
TAKEN = frozenset(
    name if depth == 8 else f"{name}{depth}le"
    for name, depths in DEPTHS.items()
    for depth in depths
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture with its time and duration in ticks; ``progressive`` if it is not two fields."""

    picture: av.VideoFrame
    pts: int
    duration: int
    progressive: bool = False


class FieldFilter:
    """Deinterlaces frames: one progressive picture for each frame or for each field.

    One for each frame: at exactly the frame's time, which is its first field's; ``progressive``
    frames pass unchanged. One for each field (``every_field``): at the frame's time and halfway to
    the next, in ticks of half the length, for every frame. ``order`` is "tff", "bff" or "auto",
    which uses each frame's flag.
    """

    def __init__(
        self, info: VideoInfo, tick: Fraction, *, order: str = "auto", every_field: bool = False
    ) -> None:
        self._path = Path(info.path)
        full = info.coded_pix_fmt.replace("yuvj", "yuv") == info.pix_fmt  # yuvj is not repacked
        self._pix_fmt = info.coded_pix_fmt if full else info.pix_fmt
        self._every_field = every_field
        self._waiting: deque[Shown] = deque()
        self._second = False  # whether the second field of the oldest waiting frame is next
        self._step = 0  # between the two newest frames
        _check(info)
        mode = "send_field" if every_field else "send_frame"
        self._graph = av.filter.Graph()
        source = self._graph.add_buffer(
            width=info.stored_size[1],
            height=info.stored_size[0],
            format=av.VideoFormat(self._pix_fmt),
            time_base=tick,
        )
        bwdif = self._graph.add("bwdif", f"mode={mode}:parity={order}:deint=all")
        self._graph.link_nodes(source, bwdif, self._graph.add("buffersink")).configure()
        self._tick = tick

    def push(self, frame: Shown) -> Iterator[Shown]:
        """Add a frame, later than the one before; yields the pictures that are ready."""
        picture = frame.picture
        if picture.format.name != self._pix_fmt:
            picture = repacked(picture, self._pix_fmt)
        picture.pts, picture.time_base = frame.pts, self._tick
        if self._waiting:
            self._step = frame.pts - self._waiting[-1].pts
        self._waiting.append(frame)
        return self._run(picture)

    def flush(self) -> Iterator[Shown]:
        """End the input; yields the last pictures. Raises TimestampError if a frame is missing."""
        yield from self._run(None)
        if self._waiting:
            raise TimestampError(f"{self._path}: the deinterlacer lost {len(self._waiting)} frames")

    def _run(self, picture: av.VideoFrame | None) -> Iterator[Shown]:
        with av_errors("deinterlacing", self._path, DecodeError):
            self._graph.push(picture)
        while (made := self._pull()) is not None:
            yield self._field(made) if self._every_field else self._frame(made)

    def _pull(self) -> av.VideoFrame | None:
        with av_errors("deinterlacing", self._path, DecodeError):
            try:
                made = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return None
        assert isinstance(made, av.VideoFrame)
        return made

    def _frame(self, made: av.VideoFrame) -> Shown:
        """The picture of the oldest waiting frame."""
        frame = self._waiting.popleft() if self._waiting else None
        self._check_time(made, None if frame is None else 2 * frame.pts)
        assert frame is not None
        return frame if frame.progressive else Shown(made, frame.pts, frame.duration, True)

    def _field(self, made: av.VideoFrame) -> Shown:
        """A picture of one field of the oldest waiting frame, in ticks of half the length."""
        frame = self._waiting[0] if self._waiting else None
        if frame is None or not self._second:
            self._check_time(made, None if frame is None else 2 * frame.pts)
        last = len(self._waiting) < 2
        assert frame is not None
        step = (frame.duration or self._step or 1) if last else self._waiting[1].pts - frame.pts
        pts = 2 * frame.pts
        if self._second:
            pts += step
            if not last:
                self._check_time(made, pts)
            self._waiting.popleft()
        self._second = not self._second
        return Shown(made, pts, step, True)

    def _check_time(self, made: av.VideoFrame, expected: int | None) -> None:
        """Raise TimestampError unless a picture has the expected time, in halved ticks."""
        if expected is None or made.pts != expected:
            raise TimestampError(
                f"{self._path}: the deinterlacer moved a picture from"
                f" {'nowhere' if expected is None else expected} to {made.pts}"
                f" (ticks of {self._tick / 2} s)"
            )


def _check(info: VideoInfo) -> None:
    """Refuse what bwdif does not accept unconverted."""
    if info.pix_fmt not in TAKEN:
        raise InterlacedError(
            f"{info.path} is interlaced, and pixel format {info.pix_fmt} cannot be deinterlaced",
            "convert it first, for example to 16 bits a sample",
        )
    rows, columns = LEAST_SIDES
    shapes = PixelLayout.of(info.pix_fmt).plane_shapes(*info.stored_size)
    if any(height < rows or width < columns for height, width in shapes):
        raise InterlacedError(
            f"{info.path} is interlaced, and {info.stored_size[1]}x{info.stored_size[0]} is"
            " too small to deinterlace",
            "crop or pad it first",
        )
