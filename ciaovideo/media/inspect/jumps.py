"""Where the times of a file begin again, or jump ahead by hours.

Of the beginning its packets tell it. Of the rest there is a hint, which costs little: in a file
without a header the clock along its bytes, in mp4 and mov the tables of samples, in Matroska the
index. Where that shows a jump, packets are read up to it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from ciaovideo.errors import EncodeError, OpenError, TimestampError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.clock import exact
from ciaovideo.media.containers import MATROSKA, Container, read_container
from ciaovideo.media.formats.ebml import clock_along
from ciaovideo.media.inspect.truncation import packet_end
from ciaovideo.media.video_stream import (
    Opening,
    codec_name,
    main_video,
    open_source,
    packets_of,
    rejoined,
    remuxed,
    steps_back,
)

MPEG_CLOCK = 90_000  # ticks a second of the clocks of MPEG-TS and MPEG-PS
WRAP = 2**33 / MPEG_CLOCK  # seconds after which they are at zero again, which is no jump
STEP_BACK = 1.0  # seconds that a clock may go back without having begun again
HOLE = 600.0  # seconds without any frame: the clock jumped
AS_FAR = 10  # between two places: times what as many bytes take elsewhere
VP8_SHOWN = 1 << 4  # in the first byte (RFC 6386, 9.1)


class Jump(NamedTuple):
    """A place where a clock jumps: after so many seconds of play, by so many (back: negative)."""

    after: float
    step: float


@dataclass(slots=True)
class ClockWatch:
    """Looks at clock values in the order of the file, and keeps the first jump of either kind.

    ``of`` is the stream whose clock it is, where there may be several.
    """

    of: int | None = None
    again: Jump | None = None
    hole: Jump | None = None
    _last: float | None = None
    _end: int = 0  # where the last values were
    _played: float = 0.0

    def take(self, times: Iterable[float], at: int) -> None:
        """Take clock values in seconds, which lie from a byte on."""
        usual = HOLE + AS_FAR * self._played / max(self._end, 1) * max(at - self._end, 0)
        for time in times:
            step = 0.0 if self._last is None else time - self._last
            step += WRAP if step < -WRAP / 2 else 0
            if step < -STEP_BACK:
                self.again = self.again or Jump(self._played, step)
            elif step > usual:
                self.hole = self.hole or Jump(self._played, step)
            else:
                self._played += max(step, 0.0)
            self._last = time
        self._end = at


class FrameTimes:
    """The times of a video's packets as they come by, in the order of the file.

    ``pts`` are those of the pictures that are shown, up to where times begin again: ``again`` is
    when the last packet before that ends, in seconds. ``hole`` is the time of the picture before
    the first that comes HOLE later, and how much later.
    """

    def __init__(self, video: VideoStream) -> None:
        self.pts: list[int] = []
        self.again: Fraction | None = None
        self.hole: tuple[Fraction, Fraction] | None = None
        self._tick = exact(video.time_base) or Fraction(0)
        self._vp8 = codec_name(video) == "vp8"
        self._newest: int | None = None  # decoding time of the last picture
        self._last: int | None = None  # when the last of them is shown
        self._latest = Fraction(0)  # when the last packet up to now ends

    def take(self, packet: "Packet[Stream]") -> bool:
        """Take a packet of the video; whether it is a picture that counts."""
        self._latest = max(self._latest, packet_end(packet))
        if packet.pts is None or packet.is_discard or self._shows_nothing(packet):
            return False
        if packet.dts is not None:
            self._compare(packet.dts, packet.pts)
        if self.again is not None:
            return False
        self.pts.append(packet.pts)
        self._last = packet.pts if self._last is None else max(self._last, packet.pts)
        return True

    def _compare(self, dts: int, pts: int) -> None:
        """Notice where times step back, or leave a hole that no film has."""
        newest, self._newest = self._newest, dts
        if newest is None:
            return
        if self.again is None and steps_back((dts, pts), newest, self._last):
            self.again = self._latest
        step = (dts - newest) * self._tick
        if step > HOLE and self.hole is None:
            self.hole = newest * self._tick, step

    def _shows_nothing(self, packet: "Packet[Stream]") -> bool:
        """Whether its picture is only there for others to refer to, which VP8 says in one bit."""
        return self._vp8 and bool(packet.size) and not bytes(packet)[0] & VP8_SHOWN


@dataclass(frozen=True, slots=True)
class Jumps:
    """What is known of it.

    ``again`` is the file's time, in seconds, after which the video's begin again, ``frames`` how
    many come before; ``hole`` the time after which they jump ahead, and by how much.
    """

    again: Fraction | None = None
    hole: tuple[Fraction, Fraction] | None = None
    frames: int = 0

    @classmethod
    def of(cls, times: FrameTimes, first: int | None = None) -> "Jumps":
        """Those of packets that came by; ``first`` is when the first picture appears, in ticks."""
        frames = sum(first is None or pts >= first for pts in times.pts)
        return cls(times.again, times.hole, frames)

    def findings(self, path: Path) -> Iterator[Finding]:
        """What a user should know of it."""
        if self.again is not None:
            how = f"begin again after {float(self.again):.3f} s; {rejoined(path)}"
            yield _found(how, self.again)
        if self.hole is not None:
            (time, length), close = self.hole, f"close the hole first: {remuxed(path)}"
            yield _found(f"jump by {float(length):.0f} s after {float(time):.3f} s; {close}", time)

    def refuse(self, path: Path, container: Container, tick: Fraction) -> None:
        """Raise what would end a run midway, where that is known for certain.

        TimestampError where times begin again, EncodeError for a hole that is longer than what a
        container holds between two frames, on a clock of this tick.
        """
        if self.again is not None:
            raise begun_again(path, self.again, f"take the first {self.frames} frames only")
        ahead = self.hole[1] if self.hole else 0
        if container.longest_step and ahead > container.longest_step * tick:
            raise EncodeError(
                f"{path}: the video's times jump by {float(ahead):.0f} s, and {container}"
                f" holds no step of more than {float(container.longest_step * tick):.0f} s",
                f"end the output's name in .mkv, or close the hole first: {remuxed(path)}",
            )


def begun_again(path: Path, at: Fraction, otherwise: str) -> TimestampError:
    """The error for a video whose times begin again after a time in seconds, with two ways on."""
    return TimestampError(
        f"{path}: the video's times begin again after {float(at):.3f} s",
        f"{rejoined(path)}, or {otherwise}",
    )


def look_ahead(
    path: Path, opening: Opening, clock: ClockWatch, near: FrameTimes, first: int | None
) -> Jumps:
    """The jumps of a whole file, whose ``near`` packets came by when it was opened.

    ``clock`` hints at those of the rest. ``first`` is as for ``Jumps.of``.
    """
    hinted = clock.again is not None or (clock.hole is not None and near.hole is None)
    if near.again is not None or not hinted:
        return Jumps.of(near, first)
    with av_errors("reading", path, OpenError), open_source(path, opening) as container:
        video = main_video(container, path, opening)
        times = FrameTimes(video)
        for packet in packets_of(container, video):
            if packet.size:
                times.take(packet)
            done = times.hole is not None and clock.again is None
            if times.again is not None or done:
                break
        return Jumps.of(times, first)


def index_clock(container: InputContainer, video: VideoStream, path: Path) -> ClockWatch | None:
    """The clock along the index of an opened file, where it has one; None of other files."""
    clock, row = ClockWatch(), read_container(container.format.name)
    if row.iso:
        tick = float(exact(video.time_base) or 0)
        for entry in video.index_entries:
            clock.take([entry.timestamp * tick], 0)
    elif row is MATROSKA:
        for at, time in clock_along(path):
            clock.take([time], at)
    else:
        return None
    return clock


def _found(how: str, at: Fraction) -> Finding:
    text = f"the video's times {how}"
    return Finding(kind=Kind.DAMAGED, subject="times", text=text, at=at)
