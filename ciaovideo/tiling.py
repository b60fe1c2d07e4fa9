"""Tile geometry: what each tile reads and what it owns. Lengths in LR pixels, pairs (y, x)."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from ciaovideo.errors import OptionError


@dataclass(frozen=True, slots=True)
class Rect:
    """A half-open box: rows [top, bottom), columns [left, right)."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        """Rows in the box."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Columns in the box."""
        return self.right - self.left

    @property
    def area(self) -> int:
        """Samples in the box."""
        return self.height * self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """The box as an index of the last two dimensions."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def union(self, other: "Rect") -> "Rect":
        """The smallest box that holds both."""
        return Rect(
            min(self.top, other.top),
            min(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
        )

    def grown(self, by: int, within: "Rect") -> "Rect":
        """The box with ``by`` more samples on each side, as far as it stays ``within`` another."""
        return Rect(
            max(within.top, self.top - by),
            max(within.left, self.left - by),
            min(within.bottom, self.bottom + by),
            min(within.right, self.right + by),
        )

    def halved(self, log2: tuple[int, int]) -> "Rect":
        """The same box in a plane whose sides (y, x) are halved so many times, rounded up."""
        y, x = log2
        return Rect(self.top >> y, self.left >> x, -(-self.bottom >> y), -(-self.right >> x))

    def moved(self, down: int, right: int) -> "Rect":
        """The box counted from another origin, which lies that much up and left."""
        return Rect(self.top + down, self.left + right, self.bottom + down, self.right + right)

    def __contains__(self, other: "Rect") -> bool:
        return (
            self.top <= other.top
            and self.left <= other.left
            and other.bottom <= self.bottom
            and other.right <= self.right
        )


@dataclass(frozen=True, slots=True)
class Tile:
    """One piece of a frame: ``read`` is what the network sees, ``core`` what is kept of it."""

    core: Rect
    read: Rect


def plan_tiles(
    height: int,
    width: int,
    *,
    side: int,
    halo: int,
    alignment: int = 1,
    part: Rect | None = None,
) -> Iterator[Tile]:
    """Cut a frame, or a ``part`` of it, into tiles whose cores cover every pixel of it once.

    ``side`` bounds the core's sides (0: in one piece); ``halo`` is read around a core where the
    frame goes on, and what is read begins at multiples of ``alignment``.
    """
    if side < 0 or halo < 0 or alignment < 1:
        raise OptionError(f"tile side {side}, halo {halo}, alignment {alignment}", "none below 0")
    part = part or Rect(0, 0, height, width)
    for top, bottom in pairwise(_cuts(part.top, part.bottom, side)):
        for left, right in pairwise(_cuts(part.left, part.right, side)):
            read = Rect(
                max(0, top - halo) // alignment * alignment,
                max(0, left - halo) // alignment * alignment,
                min(height, bottom + halo),
                min(width, right + halo),
            )
            yield Tile(Rect(top, left, bottom, right), read)


def _cuts(start: int, stop: int, side: int) -> list[int]:
    """Where to cut [start, stop) into the fewest parts of at most ``side``, as equal as can be."""
    length = stop - start
    parts = -(-length // side) if side else 1
    return [start + length * part // parts for part in range(parts + 1)]
