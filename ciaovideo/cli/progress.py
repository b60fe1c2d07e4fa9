"""Progress on standard error: a bar on a terminal, elsewhere a line a minute."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

from tqdm import tqdm

LINE_EVERY_S = 60.0  # for logs: a whole day is 1440 lines, and a short run has none


class Counts(Protocol):
    """Counts of finished and expected frames."""

    @property
    def frames(self) -> int:
        """Done."""
        ...

    @property
    def total(self) -> int:
        """Expected, 0 if unknown."""
        ...


@contextmanager
def frame_bar(
    total: int, *, done: int = 0, quiet: bool, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[Counts], None]]:
    """A bar of frames with rate and time left; yields a function that takes each new count.

    ``done`` frames come from an earlier run. The rate excludes them.

    Without a terminal, or on one without a width, it is a ``FrameLog`` that uses ``clock``.
    """
    if not quiet and not has_width():
        yield FrameLog(clock, done)
        return
    with tqdm(
        total=total or None,
        initial=done,
        unit=" frames",
        disable=quiet,
        file=sys.stderr,
        dynamic_ncols=True,
    ) as bar:
        yield lambda progress: _move(bar, progress.frames)


class FrameLog:
    """Prints a line for each ``LINE_EVERY_S`` that went by, at the first frame after it."""

    def __init__(self, clock: Callable[[], float], done: int = 0) -> None:
        self._clock = clock
        self._done = done
        self._started = clock()
        self._next = self._started + LINE_EVERY_S

    def __call__(self, progress: Counts) -> None:
        now = self._clock()
        if progress.frames == self._done:
            self._started = now
            return
        if now < self._next or progress.frames == progress.total:
            return
        while self._next <= now:
            self._next += LINE_EVERY_S
        rate = (progress.frames - self._done) / (now - self._started)
        line = f"{progress.frames} frames, {rate:.2f} frames/s"
        if progress.total:
            share = progress.frames / progress.total
            left = timedelta(seconds=round(max(0, progress.total - progress.frames) / rate))
            line = f"{share:.1%}, {progress.frames} of {progress.total} frames,"
            line += f" {rate:.2f} frames/s, {left} left"
        print(line, file=sys.stderr, flush=True)


def has_width() -> bool:
    """Whether standard error is a terminal with a width; in a container it may be 0."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except OSError:
        return False


def _move(bar: "tqdm[object]", frames: int) -> None:
    if frames == bar.n:
        bar.unpause()
    bar.update(frames - bar.n)
