"""Ordered dither: a pattern that is added to codes before rounding, by place in the frame.

Rounding turns a slow gradient into bands; an offset between -1/2 and 1/2 first, another for each
sample, turns it into codes whose mean is the gradient. The offsets stand still from frame to frame,
so that a codec has nothing new to encode, and form no visible lines: they are a matrix made by the
void-and-cluster method (Ulichney, "The void-and-cluster method for dither array generation", Proc.
SPIE 1913, 1993), repeated over the frame. It is made in whole numbers, so it is the same on every
machine.
"""

import math
import random
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

SIDE = 64  # of the matrix, in samples
COUNT = SIDE * SIDE
SIGMA = 1.5  # of the filter that finds clusters and voids, in samples: Ulichney's
UNIT = 1 << 20  # the filter's weights are whole numbers of this fraction
FIRST = COUNT // 10  # points that the pattern begins with: Ulichney takes a tenth


@dataclass(frozen=True, slots=True)
class Dither:
    """Ordered dither, for a picture whose first sample is at ``origin`` (y, x) of its frame, px."""

    origin: tuple[int, int] = (0, 0)

    def offsets(
        self, rows: slice, width: int, log2: tuple[int, int], device: torch.device
    ) -> Tensor:
        """For rows of a plane, halved so many times along (y, x): (rows, width) in (-1/2, 1/2)."""
        top, left = self.start(log2)
        y = (torch.arange(rows.start, rows.stop) + top) % SIDE
        x = (torch.arange(width) + left) % SIDE
        return dither_matrix()[y[:, None], x].to(device)

    def start(self, log2: tuple[int, int]) -> tuple[int, int]:
        """The first sample (y, x) in a plane of the frame."""
        return self.origin[0] >> log2[0], self.origin[1] >> log2[1]


@cache
def dither_matrix() -> Tensor:
    """Offsets (SIDE, SIDE) fp32: each of (rank + 1/2) / COUNT - 1/2 once, so their sum is zero."""
    return ((_ranks().double() + 0.5) / COUNT - 0.5).float().view(SIDE, SIDE)


def _ranks() -> Tensor:
    """Place after place in the order in which they become points, the most even order: (COUNT,)."""
    draw = random.Random(0)
    points = _Points(sorted(range(COUNT), key=lambda _: draw.random())[:FIRST])
    for _ in range(COUNT):  # it ends long before: each move spreads the points
        cluster = points.tightest()
        points.flip(cluster)
        void = points.emptiest()
        points.flip(void)
        if void == cluster:
            break
    ranks = torch.zeros(COUNT, dtype=torch.int64)
    start = points.copy()
    for rank in reversed(range(FIRST)):
        cluster = points.tightest()
        points.flip(cluster)
        ranks[cluster] = rank
    for rank in range(FIRST, COUNT):
        void = start.emptiest()
        start.flip(void)
        ranks[void] = rank
    return ranks


class _Points:
    """Points on a torus, and how crowded each place of it is."""

    def __init__(self, places: list[int]) -> None:
        far = [min(at, SIDE - at) ** 2 for at in range(SIDE)]
        weights = [[round(UNIT * math.exp(-(y + x) / (2 * SIGMA**2))) for x in far] for y in far]
        self._filter = torch.tensor(weights)
        self._there = torch.zeros(COUNT, dtype=torch.bool)
        self._crowd = torch.zeros(COUNT, dtype=torch.int64)
        for place in places:
            self.flip(place)

    def copy(self) -> "_Points":
        """An independent copy."""
        other = _Points([])
        other._there, other._crowd = self._there.clone(), self._crowd.clone()
        return other

    def flip(self, place: int) -> None:
        """Add or remove the point at a place."""
        crowd = self._filter.roll(divmod(place, SIDE), (0, 1)).flatten()
        self._crowd.add_(crowd, alpha=-1 if self._there[place] else 1)
        self._there[place] = ~self._there[place]

    def tightest(self) -> int:
        """The point in the densest crowd; the first where several are."""
        return int(self._crowd.masked_fill(~self._there, -1).argmax())

    def emptiest(self) -> int:
        """The place without a point that is furthest from any; the first where several are."""
        return int(self._crowd.masked_fill(self._there, COUNT * UNIT).argmin())
