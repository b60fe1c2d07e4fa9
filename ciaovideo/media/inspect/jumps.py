"""Where the times of a file begin again, or jump ahead by hours.

Of the beginning its packets tell it, of a file without a header the clock along its bytes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from ciaovideo.errors import EncodeError, TimestampError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.containers import Container
from ciaovideo.media.video_stream import remuxed, retimed

MPEG_CLOCK = 90_000  # ticks a second of the clocks of MPEG-TS and MPEG-PS
WRAP = 2**33 / MPEG_CLOCK  # seconds after which they are at zero again, which is no jump
STEP_BACK = 1.0  # seconds that a clock may go back without having begun again
HOLE = 600.0  # seconds without any frame: the clock jumped
AS_FAR = 10  # between two places: times what as many bytes take elsewhere


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


@dataclass(frozen=True, slots=True)
class Jumps:
    """What is known of it: of the beginning by its packets, of all by the clock of its bytes.

    ``again`` is the file's time, in seconds, after which the video's begin again, ``frames`` how
    many come before; ``hole`` the time after which they jump ahead, and by how much. ``clock`` is
    that of a file without a header; those with one are not read through before a run.
    """

    again: Fraction | None = None
    hole: tuple[Fraction, Fraction] | None = None
    clock: ClockWatch = field(default_factory=ClockWatch)
    frames: int = 0

    @property
    def ahead(self) -> Fraction:
        """How far times jump ahead, in seconds; zero where they do not."""
        if self.hole is not None:
            return self.hole[1]
        return Fraction(self.clock.hole.step) if self.clock.hole is not None else Fraction(0)

    def findings(self, path: Path) -> Iterator[Finding]:
        """What a user should know of it."""
        clock, again = self.clock, retimed(path)
        if self.again is not None:
            yield _found(f"begin again after {float(self.again):.3f} s; {again}", self.again)
        elif clock.again is not None:
            yield _found(f"begin again after about {clock.again.after:.0f} s of play; {again}")
        close = f"close the hole first: {remuxed(path)}"
        if self.hole is not None:
            time, length = self.hole
            yield _found(f"jump by {float(length):.0f} s after {float(time):.3f} s; {close}", time)
        elif clock.hole is not None:
            after, step = clock.hole
            yield _found(f"jump by {step:.0f} s after about {after:.0f} s of play; {close}")

    def refuse(self, path: Path, container: Container, tick: Fraction) -> None:
        """Raise what would end a run midway, where that is known for certain.

        TimestampError where times begin again, EncodeError for a hole that is longer than what a
        container holds between two frames, on a clock of this tick.
        """
        if self.again is not None:
            raise TimestampError(
                f"{path}: the video's times begin again after {float(self.again):.3f} s",
                f"{retimed(path)}, or take the first {self.frames} frames only",
            )
        if container.longest_step and self.ahead > container.longest_step * tick:
            raise EncodeError(
                f"{path}: the video's times jump by {float(self.ahead):.0f} s, and {container}"
                f" holds no step of more than {float(container.longest_step * tick):.0f} s",
                f"end the output's name in .mkv, or close the hole first: {remuxed(path)}",
            )


def _found(how: str, at: Fraction | None = None) -> Finding:
    text = f"the video's times {how}"
    return Finding(kind=Kind.DAMAGED, subject="times", text=text, at=at)
