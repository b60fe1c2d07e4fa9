"""Progress on standard error, drawn only on a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from tqdm import tqdm


class Counts(Protocol):
    """Anything that says how many frames are done of how many."""

    @property
    def frames(self) -> int:
        """Done."""
        ...

    @property
    def total(self) -> int:
        """Expected, 0 if unknown."""
        ...


@contextmanager
def frame_bar(total: int, *, quiet: bool) -> Iterator[Callable[[Counts], None]]:
    """A bar of frames with rate and time left; what it yields takes each new count."""
    hidden = quiet or not sys.stderr.isatty()
    with tqdm(
        total=total or None, unit=" frames", disable=hidden, file=sys.stderr, dynamic_ncols=True
    ) as bar:
        yield lambda progress: _move(bar, progress.frames)


def _move(bar: "tqdm[object]", frames: int) -> None:
    bar.update(frames - bar.n)
