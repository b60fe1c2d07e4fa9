"""The receptive field of a pixel's features, followed back through the layers of a network.

A step takes an interval of samples of its output, first and last, to that of its input.
"""

from collections.abc import Callable, Sequence

type Interval = tuple[int, int]
type Step = Callable[[Interval], Interval]


def convolution(radius: int = 1) -> Step:
    """Samples up to ``radius`` away."""
    return lambda seen: (seen[0] - radius, seen[1] + radius)


def windows(side: int, *, shift: int = 0, margin: int = 0) -> Step:
    """All of the windows of ``side`` that begin at ``shift``, and ``margin`` around them."""

    def back(seen: Interval) -> Interval:
        first, last = ((at - shift) // side * side + shift for at in seen)
        return first - margin, last + side - 1 + margin

    return back


def grown(seen: Interval) -> Interval:
    """From a map back to one of half its sides, each sample of which made two."""
    return seen[0] // 2, seen[1] // 2


def shrunk(seen: Interval) -> Interval:
    """From a map back to one of twice its sides, two samples of which made each."""
    return 2 * seen[0], 2 * seen[1] + 1


def farthest(steps: Sequence[Step], period: int) -> int:
    """The farthest that any sample sees, on either side; ``steps`` in the order of computing.

    What a sample sees depends on its place in the windows: these repeat after ``period``.
    """
    found = 0
    for place in range(period):
        seen = (place, place)
        for step in reversed(steps):
            seen = step(seen)
        found = max(found, place - seen[0], seen[1] - place)
    return found
