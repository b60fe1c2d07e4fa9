"""Decoders whose colour at a point comes from a few codes around it, read one by one.

They differ in the codes that they read and in their use of them. Their shared parts are here:
finding the codes, at scattered points or on a grid, weighting them by area, and going through a
grid in blocks.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from ciaovideo.grid import (
    Axis,
    code_centre,
    constant,
    nearest_index,
    once_per_axis,
    placed,
    shifted,
)
from ciaovideo.models.parts.blocks import blocks, queries_at_once
from ciaovideo.models.parts.corners import gather
from ciaovideo.models.protocols import Decoder, Latent

LEAST_CELL = 0.5  # in half LR pixels: beyond scale 4 the cell is that of 4 (LTE, arXiv 2111.08918)
LEAST_AREA = 1e-9  # keeps the weights of a query on a code from being zero by zero

Along = Callable[[Tensor, int, Tensor], list[tuple[Tensor, Tensor]]]
"""coord (...,), codes, cell (...,) of one axis -> for each code that is read its index (...,), and
the offset (...,) of the query from it. In half LR px, but where a decoder says otherwise."""


def around(coord: Tensor, count: int, cell: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The codes half an LR pixel before and behind a query (LIIF, arXiv 2012.09161, section 3).

    Beyond the border both are the outermost. The cell plays no part.
    """
    found = []
    for direction in (-1, 1):
        index = nearest_index(shifted(coord, direction / count), count)
        found.append((index, (coord - code_centre(index, count)) * count))
    return found


def nearest(coord: Tensor, count: int, cell: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The nearest code alone."""
    index = nearest_index(coord, count)
    return [(index, (coord - code_centre(index, count)) * count)]


@dataclass(frozen=True, slots=True, eq=False)
class AxisReads:
    """What the queries of an axis read: ``index`` and ``offset`` (K, N), K codes for each query.

    ``index`` counts from the first code of the map at hand. ``phases`` (P,) are the distinct
    offsets of queries from the centres of codes, in half LR px, ``phase`` (K, N) which of them
    each is. They follow from whole numbers: two queries with one phase lie equally, although
    their offsets differ by rounding.
    """

    index: Tensor
    offset: Tensor
    phase: Tensor
    phases: Tensor

    def part(self, part: slice) -> "AxisReads":
        """Those of some of the queries."""
        return AxisReads(
            self.index[:, part], self.offset[:, part], self.phase[:, part], self.phases
        )

    def to(self, device: torch.device) -> "AxisReads":
        """On the device of a map; phases stay on the CPU, so that no GPU is waited for."""
        index, offset, phases = (
            placed(tensor, device) for tensor in (self.index, self.offset, self.phases)
        )
        return AxisReads(index, offset, self.phase, phases)


@once_per_axis
def axis_reads(axis: Axis, along: Along) -> AxisReads:
    """What the queries of an axis read, on the CPU."""
    found = along(axis.coord, axis.count, torch.tensor(axis.cell))
    index = torch.stack([index for index, _ in found])
    offset = torch.stack([offset for _, offset in found])
    query = 2 * torch.arange(axis.start, axis.stop) + 1
    # ((2 i + 1) n - (2 j + 1) N) / N is the offset of query i of N from code j of n.
    steps = query * axis.count - (2 * index + 1) * axis.out_count
    distinct, phase = steps.unique(return_inverse=True)
    phases = (distinct.double() / axis.out_count).float()
    return AxisReads(index - axis.origin, offset, phase, phases)


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Queries, the codes that each reads, and how they lie to them; b is B, or 1 for all pictures.

    ``index`` (K, b, Q) into the codes of the map, row by row; ``offset`` (K, b, Q, 2); ``cell``
    (b, 1, 2) in half LR px, which is 2 / scale. Of four codes the upper two come first, and of
    these the left one.
    """

    index: Tensor
    offset: Tensor
    cell: Tensor

    @property
    def areas(self) -> Tensor:
        """Weights of the K codes, which add up to one: (K, b, Q, 1).

        The nearer a code, the larger the rectangle opposite to it: so weights run backwards.
        """
        areas = self.offset.prod(dim=-1, keepdim=True).abs() + LEAST_AREA
        return areas.flip(0) / areas.sum(dim=0)


def points_at(coord: Tensor, cell: Tensor, size: tuple[int, int], along: Along) -> Points:
    """At scattered queries of a whole map: coord (B, Q, 2), cell (B, 2)."""
    rows = along(coord[..., 0], size[0], cell[:, :1])
    columns = along(coord[..., 1], size[1], cell[:, 1:])
    pairs = list(product(rows, columns))
    return Points(
        torch.stack([y * size[1] + x for (y, _), (x, _) in pairs]),
        torch.stack([torch.stack([y, x], dim=-1) for (_, y), (_, x) in pairs]),
        cell.unsqueeze(1) * constant(size, cell),
    )


def points_on(rows: AxisReads, columns: AxisReads, width: int, cell: Tensor) -> Points:
    """Where rows and columns cross over a map of ``width`` codes, row by row."""
    index, offset = [], []
    for y, x in product(range(len(rows.index)), range(len(columns.index))):
        index.append((rows.index[y][:, None] * width + columns.index[x]).flatten())
        pair = torch.broadcast_tensors(rows.offset[y][:, None], columns.offset[x])
        offset.append(torch.stack(pair, dim=-1).flatten(0, 1))
    return Points(torch.stack(index).unsqueeze(1), torch.stack(offset).unsqueeze(1), cell)


def take(codes: Tensor, index: Tensor) -> Tensor:
    """Codes of a map (B, D, h, w), its channels last in memory, at index (b, Q) -> (B, Q, D)."""
    rows = codes.permute(0, 2, 3, 1).flatten(1, 2)
    return gather(rows, index.expand(len(codes), -1))


class PointDecoder(Decoder):
    """A decoder that reads codes one by one: what it makes of them is its ``colors``.

    The latent's ``codes`` (B, D, h, w) say the size of the map. Their channels are last in memory.
    """

    along: Along = staticmethod(around)

    @abstractmethod
    def colors(self, latent: Latent, points: Points) -> Tensor:
        """Colour at queries: (B, Q, 3)."""

    def query(self, latent: Latent, coord: Tensor, cell: Tensor) -> Tensor:
        """Colour at scattered points: coord (B, Q, 2), cell (B, 2) -> (B, Q, 3)."""
        return self.colors(latent, points_at(coord, cell, map_size(latent), self.along))

    def decode(self, latent: Latent, rows: Axis, columns: Axis) -> Tensor:
        """Colour on a grid, block by block: -> (B, 3, rows, columns)."""
        codes = latent["codes"]
        grid = Grid.of(rows, columns, self.along, codes)
        picture = codes.new_empty(len(codes), 3, len(rows), len(columns))
        for place, points in grid.blocks():
            made = self.colors(latent, points).mT
            picture[(..., *place)] = made.unflatten(-1, picture[(..., *place)].shape[-2:])
        return picture


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Rows and columns of queries over a map of codes."""

    rows: AxisReads
    columns: AxisReads
    cell: Tensor  # (1, 1, 2), half LR px
    codes: Tensor

    @classmethod
    def of(cls, rows: Axis, columns: Axis, along: Along, codes: Tensor) -> "Grid":
        """On the device of the codes."""
        cell = torch.tensor([[[rows.cell, columns.cell]]])
        cell = cell * torch.tensor([rows.count, columns.count])
        down, across = (axis_reads(axis, along).to(codes.device) for axis in (rows, columns))
        return cls(down, across, placed(cell, codes.device), codes)

    @property
    def axes(self) -> tuple[AxisReads, AxisReads]:
        """What rows and what columns read."""
        return self.rows, self.columns

    def blocks(self) -> Iterator[tuple[tuple[slice, slice], Points]]:
        """Parts of the grid, and the queries in them, few enough to be held at once."""
        most = queries_at_once(self.codes.device, len(self.codes))
        size, width = (self.rows.index.shape[1], self.columns.index.shape[1]), self.codes.shape[-1]
        for y, x in product(*blocks(*size, most)):
            yield (y, x), points_on(self.rows.part(y), self.columns.part(x), width, self.cell)


def map_size(latent: Latent) -> tuple[int, int]:
    """Height and width of the map of codes."""
    height, width = latent["codes"].shape[-2:]
    return height, width
