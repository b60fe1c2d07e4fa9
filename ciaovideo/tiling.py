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
    def slices(self) -> tuple[slice, slice]:
        """The box as an index of the last two dimensions."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

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
    height: int, width: int, *, side: int, halo: int, alignment: int = 1
) -> Iterator[Tile]:
    """Cut a frame into tiles whose cores cover every pixel once.

    ``side`` bounds the core's sides (0: the frame whole); ``halo`` is read around a core where
    the frame goes on, and what is read begins at multiples of ``alignment``.
    """
    if side < 0 or halo < 0 or alignment < 1:
        raise OptionError(f"tile side {side}, halo {halo}, alignment {alignment}", "none below 0")
    for top, bottom in pairwise(_cuts(height, side)):
        for left, right in pairwise(_cuts(width, side)):
            read = Rect(
                max(0, top - halo) // alignment * alignment,
                max(0, left - halo) // alignment * alignment,
                min(height, bottom + halo),
                min(width, right + halo),
            )
            yield Tile(Rect(top, left, bottom, right), read)


def _cuts(length: int, side: int) -> list[int]:
    """Where to cut an axis into the fewest parts of at most ``side``, as equal as can be."""
    parts = -(-length // side) if side else 1
    return [length * part // parts for part in range(parts + 1)]
