"""Pictures that agree with their source: reduced again, they are the source.

The reduction D is the one that LR is made with in training, anti-aliased bicubic. A network's
picture y is corrected by back-projection (Irani and Peleg, CVGIP 53, 1991),

    y + U (x - D y),

whose U is usually bicubic and needs many rounds. Here it is D's right inverse of least norm,
U = D' (D D')^-1, and one round does: D U = 1. What is added is the smallest change, in the sum of
squares, that makes y agree with the source x; so y gets no further from any picture that agrees
with it, the true one among them. D is one matrix for rows and one for columns, and so is U.

(D D')^-1 decays by a factor of 3 from one LR pixel to the next, since the eigenvalues of D D' lie
within a factor of 2.2 from x1.2 on. It is cut off after REACH pixels, which leaves ``BOUND``.
Towards x1 that factor grows without bound (6 at x1.04): some LR pixels there lie between two HR
pixels, whose mean cannot have much contrast. At exactly x1 a side is the source's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Self, override

import torch
from torch import Tensor

from ciaovideo.grid import KEPT, Axis, View, once_per_axis, placed
from ciaovideo.models.networks.interpolation import KERNELS, Bicubic
from ciaovideo.models.protocols import (
    NOTHING,
    Core,
    Footprint,
    Latent,
    Network,
    Reach,
    Scales,
    Statistics,
)

BOUND = 1e-4  # of the range from black to white: a fortieth of a step of 8 bits
LEAST = 1.05  # the smallest scale above 1 at which the bound holds
REACH = 12  # LR px that a correction reaches beyond the kernel
KERNEL = KERNELS["bicubic"][1]  # LR px on each side that the reduction's kernel reads
BLOCK = 64  # rows of a matrix that are multiplied at once
PICTURES = 12  # floats an output pixel: the picture, the correction in parts and whole, their sum


@dataclass(frozen=True, slots=True)
class _Scales(Scales):
    """Those of a network, but for the ones between 1 and LEAST."""

    @override
    def hold(self, lr_size: tuple[int, int], out_size: tuple[int, int]) -> bool:
        sides = zip(lr_size, out_size, strict=True)
        clear = all(new == old or new >= old * LEAST for old, new in sides)
        return clear and Scales.hold(self, lr_size, out_size)

    @override
    def __str__(self) -> str:
        return f"{Scales.__str__(self)} (of 1 or at least {LEAST:g} for consistent pictures)"


class Consistent(Network):
    """A network whose pictures, reduced again, equal their LR within ``BOUND``, before rounding.

    Values outside [0, 1] are left as they are: the bound holds before anything is clamped.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.passes, self.sums_at_hand = network.passes, network.sums_at_hand
        known = network.scales
        self.scales = _Scales(known.least, known.most, known.only)

    @classmethod
    def small(cls) -> Self:
        """One of an interpolation."""
        return cls(Bicubic())

    def passes_at(self, view: View) -> int:
        """The network's."""
        return self.network.passes_at(view)

    def reach(self, view: View) -> Reach:
        """The network's, and that of the correction, which asks for colours around a tile's own."""
        return self.network.reach(view) + Reach(REACH + 3 * KERNEL)

    def footprint(self, view: View) -> Footprint:
        """The network's, or what is alive once its picture is there, if that is more."""
        own = self.network.footprint(view)
        return Footprint(own.lr_pixel + 3, max(own.out_pixel, PICTURES), own.fixed)

    def encode(self, lr: Tensor, view: View, statistics: Statistics = NOTHING) -> Latent:
        """The network's latent, and the source: lr (B, 3, h, w)."""
        return {**self.network.encode(lr, view, statistics), "source": lr.float()}

    def summarize(self, latent: Latent, core: Core) -> Statistics:
        """The network's."""
        return self.network.summarize(latent, core)

    def decode(self, latent: Latent, rows: Axis, columns: Axis) -> Tensor:
        """The network's picture, corrected: (B, 3, rows, columns)."""
        y, x = _lines(rows), _lines(columns)
        made = self.network.decode(latent, y.asked, x.asked).float()
        reduced = x.reduction.across(y.reduction.down(made))
        missing = latent["source"][..., y.source, x.source] - reduced
        return made[..., y.own, x.own] + x.increase.across(y.increase.down(missing))


@dataclass(frozen=True, slots=True, eq=False)
class _Band:
    """A matrix whose rows have few columns that are not zero, as blocks of rows.

    Each block: the columns [start, stop) that it reads, and what it multiplies them with.
    """

    blocks: tuple[tuple[slice, Tensor], ...]

    def down(self, picture: Tensor) -> Tensor:
        """Times the rows of a picture: (B, 3, columns, W) -> (B, 3, rows, W)."""
        made = [
            placed(weights, picture.device) @ picture[..., read, :] for read, weights in self.blocks
        ]
        return torch.cat(made, dim=-2)

    def across(self, picture: Tensor) -> Tensor:
        """Times the columns of a picture: (B, 3, H, columns) -> (B, 3, H, rows)."""
        made = [
            picture[..., read] @ placed(weights, picture.device).mT for read, weights in self.blocks
        ]
        return torch.cat(made, dim=-1)


@dataclass(frozen=True, slots=True, eq=False)
class _Lines:
    """One axis of a tile: the queries to the network, and their correction.

    ``asked`` are more queries than the tile's ``own``; ``source`` the LR samples, of those at hand,
    that they are compared with. ``reduction`` is D from the one to the other, ``increase`` U back.
    """

    asked: Axis
    own: slice
    source: slice
    reduction: _Band
    increase: _Band


@once_per_axis
def _lines(axis: Axis) -> _Lines:
    """All of it for the queries of an axis."""
    count, out_count, (start, stop) = axis.count, axis.out_count, (axis.start, axis.stop)
    first, last = _corrections(count, out_count, start, stop)
    low, high = _reads(count, out_count, first, last)
    reduction = []
    for begin, end in _cut(first, last):
        read, weights = _reduction(count, out_count, begin, end)
        reduction.append((slice(read.start - low, read.stop - low), weights.float()))
    increase = []
    for begin, end in _cut(start, stop):
        read, weights = _increase(count, out_count, begin, end)
        increase.append((slice(read.start - first, read.stop - first), weights.float()))
    return _Lines(
        asked=Axis(count, out_count, low, high, axis.origin),
        own=slice(start - low, stop - low),
        source=slice(first - axis.origin, last - axis.origin),
        reduction=_Band(tuple(reduction)),
        increase=_Band(tuple(increase)),
    )


def _cut(start: int, stop: int) -> Iterator[tuple[int, int]]:
    for begin in range(start, stop, BLOCK):
        yield begin, min(begin + BLOCK, stop)


def _touched(count: int, out_count: int, start: int, stop: int) -> tuple[int, int]:
    """The LR samples whose kernel reads any of the HR samples [start, stop)."""
    scale = out_count / count
    first = int((start + 0.5) / scale - 0.5) - KERNEL
    return max(0, first), min(count, int((stop - 0.5) / scale + 0.5) + KERNEL + 1)


def _corrections(count: int, out_count: int, start: int, stop: int) -> tuple[int, int]:
    """The LR samples whose differences change any of the HR samples [start, stop)."""
    first, last = _touched(count, out_count, start, stop)
    return max(0, first - REACH), min(count, last + REACH)


def _reads(count: int, out_count: int, first: int, last: int) -> tuple[int, int]:
    """The HR samples that the kernels of the LR samples [first, last) read."""
    scale = out_count / count
    low = int((first + 0.5 - KERNEL) * scale - 0.5)
    return max(0, low), min(out_count, int((last - 0.5 + KERNEL) * scale + 0.5) + 1)


def _reduction(count: int, out_count: int, first: int, last: int) -> tuple[slice, Tensor]:
    """Rows [first, last) of D: the HR samples that they read, and their weights, float64.

    Keys' kernel, widened by the scale, normalised at the borders, as in ``data.sampling``.
    """
    low, high = _reads(count, out_count, first, last)
    scale = out_count / count
    centre = (torch.arange(first, last, dtype=torch.float64) + 0.5) * scale
    sample = torch.arange(low, high, dtype=torch.float64) + 0.5
    weights = KERNELS["bicubic"][0]((sample - centre[:, None]) / scale)
    return slice(low, high), weights / weights.sum(dim=1, keepdim=True)


def _increase(count: int, out_count: int, start: int, stop: int) -> tuple[slice, Tensor]:
    """Rows [start, stop) of U: the LR samples that they read, and their weights, float64."""
    first, last = _touched(count, out_count, start, stop)
    begin, end = _corrections(count, out_count, start, stop)
    read, reduction = _reduction(count, out_count, first, last)
    kernel = reduction[:, start - read.start : stop - read.start]  # (last - first, stop - start)
    inverse = _inverse(count, out_count)[first:last]  # (last - first, 2 * REACH + 1)
    spread = torch.zeros(last - first, end - begin, dtype=torch.float64)
    column = torch.arange(first, last)[:, None] + torch.arange(-REACH, REACH + 1) - begin
    inside = (column >= 0) & (column < end - begin)
    spread.scatter_add_(1, column.clamp(0, end - begin - 1), inverse * inside)
    return slice(begin, end), kernel.T @ spread


@lru_cache(KEPT)
def _inverse(count: int, out_count: int) -> Tensor:
    """(D D')^-1 near its diagonal: row i holds columns i - REACH to i + REACH, float64.

    Made of the inverses of parts of D D' that go on for as long as the result does, twice.
    """
    near = torch.zeros(count, 2 * REACH + 1, dtype=torch.float64)
    for begin, end in _cut(0, count):
        first, last = max(0, begin - 2 * REACH), min(count, end + 2 * REACH)
        _, rows = _reduction(count, out_count, first, last)
        part = torch.linalg.inv(rows @ rows.T)
        for row in range(begin, end):
            low, high = max(first, row - REACH), min(last, row + REACH + 1)
            near[row, low - row + REACH : high - row + REACH] = part[
                row - first, low - first : high - first
            ]
    return near
