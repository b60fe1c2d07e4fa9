"""Timestamps of a file that restart, or jump ahead by hours.

At the start of the file the packets show a jump. The rest is checked by a cheap hint: the clock
along the file (``clocks``). Where that shows a jump, packets are read up to it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from ciaovideo.errors import EncodeError, OpenError, TimestampError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.clock import exact
from ciaovideo.media.containers import Container
from ciaovideo.media.ffmpeg.remedies import rejoined, remuxed
from ciaovideo.media.inspect.truncation import packet_end
from ciaovideo.media.source.header import codec_name
from ciaovideo.media.source.opening import Opening, main_video, open_source
from ciaovideo.media.source.packets import packets_of, steps_back

MPEG_CLOCK = 90_000  # ticks a second of the clocks of MPEG-TS and MPEG-PS
WRAP = 2**33 / MPEG_CLOCK  # seconds after which they wrap around to zero, which is no jump
STEP_BACK = 1.0  # seconds that a clock may step back without a restart
HOLE = 600.0  # seconds without any frame: the clock jumped
AS_FAR = 10  # a step between two places may be this many times the file's usual one
VP8_SHOWN = 1 << 4  # in the first byte (RFC 6386, 9.1)


class Jump(NamedTuple):
    """A jump of the clock: after how many seconds of play, and by how many (back: negative)."""

    after: float
    step: float


@dataclass(slots=True)
class ClockWatch:
    """Reads clock values in the order of the file, and keeps the first jump of either kind.

    ``of`` is the index of the stream that has the clock, if there may be several.
    """

    of: int | None = None
    again: Jump | None = None
    hole: Jump | None = None
    _last: float | None = None
    _end: int = 0  # byte position of the last values
    _played: float = 0.0

    def take(self, times: Iterable[float], at: int) -> None:
        """Take clock values in seconds, found from byte ``at`` on."""
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
    """The timestamps of a video's packets, taken in the order of the file.

    ``pts`` are those of the displayed pictures, up to a restart of the timestamps; ``again`` is the
    end of the last packet before it, in seconds. ``hole`` is the first gap longer than HOLE: the
    time of the picture before it, and its length.
    """

    def __init__(self, video: VideoStream) -> None:
        self.pts: list[int] = []
        self.again: Fraction | None = None
        self.hole: tuple[Fraction, Fraction] | None = None
        self._tick = exact(video.time_base) or Fraction(0)
        self._vp8 = codec_name(video) == "vp8"
        self._newest: int | None = None  # decoding time of the last picture
        self._last: int | None = None  # the latest of them, in display order
        self._latest = Fraction(0)  # the latest end of a packet so far

    def take(self, packet: "Packet[Stream]") -> bool:
        """Take a packet of the video; True if it is a displayed picture before any restart."""
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
        """Detect a step back in time, or a gap too long for any film."""
        newest, self._newest = self._newest, dts
        if newest is None:
            return
        if self.again is None and steps_back((dts, pts), newest, self._last):
            self.again = self._latest
        step = (dts - newest) * self._tick
        if step > HOLE and self.hole is None:
            self.hole = newest * self._tick, step

    def _shows_nothing(self, packet: "Packet[Stream]") -> bool:
        """Whether its picture is only a reference for others; VP8 has a bit for that."""
        return self._vp8 and bool(packet.size) and not bytes(packet)[0] & VP8_SHOWN


@dataclass(frozen=True, slots=True)
class Jumps:
    """The first restart and the first gap of a video's timestamps.

    ``again`` is the file's time, in seconds, after which the timestamps restart, ``frames`` the
    number of frames before it. ``hole`` is the time before a jump ahead, and its length.
    """

    again: Fraction | None = None
    hole: tuple[Fraction, Fraction] | None = None
    frames: int = 0

    @classmethod
    def of(cls, times: FrameTimes, first: int | None = None) -> "Jumps":
        """Those of packets that were taken; ``first`` is the first picture's time in ticks."""
        frames = sum(first is None or pts >= first for pts in times.pts)
        return cls(times.again, times.hole, frames)

    def findings(self, path: Path) -> Iterator[Finding]:
        """A finding for each."""
        if self.again is not None:
            how = f"restart after {float(self.again):.3f} s; {rejoined(path)}"
            yield _found(how, self.again)
        if self.hole is not None:
            (time, length), close = self.hole, f"close the gap first: {remuxed(path)}"
            yield _found(f"jump by {float(length):.0f} s after {float(time):.3f} s; {close}", time)

    def refuse(self, path: Path, container: Container, tick: Fraction) -> None:
        """Raise what would end a run midway.

        TimestampError for a restart; EncodeError for a gap that is longer than the container can
        store between two frames, on a clock of this tick.
        """
        if self.again is not None:
            raise begun_again(path, self.again, f"process the first {self.frames} frames only")
        ahead = self.hole[1] if self.hole else 0
        if container.longest_step and ahead > container.longest_step * tick:
            raise EncodeError(
                f"{path}: the video's times jump by {float(ahead):.0f} s, and {container}"
                f" stores steps of at most {float(container.longest_step * tick):.0f} s",
                f"end the output's name in .mkv, or close the gap first: {remuxed(path)}",
            )


def begun_again(path: Path, at: Fraction, otherwise: str) -> TimestampError:
    """The error for timestamps that restart after ``at`` seconds, with two ways to go on."""
    return TimestampError(
        f"{path}: the video's timestamps restart after {float(at):.3f} s",
        f"{rejoined(path)}, or {otherwise}",
    )


def look_ahead(
    path: Path, opening: Opening, clock: ClockWatch, near: FrameTimes, first: int | None
) -> Jumps:
    """The jumps of a whole file; ``near`` has the packets that were read when it was opened.

    ``clock`` hints at jumps in the rest. ``first`` is as for ``Jumps.of``.
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


def _found(how: str, at: Fraction) -> Finding:
    text = f"the video's timestamps {how}"
    return Finding(kind=Kind.DAMAGED, subject="times", text=text, at=at)
