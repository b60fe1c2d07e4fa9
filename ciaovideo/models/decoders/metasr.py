"""The upscaling module of Meta-SR: filters that are predicted from where a pixel lies."""

from typing import Self

import torch
from torch import Tensor

from ciaovideo.grid import code_centre, nearest_index, shifted
from ciaovideo.models.parts.blocks import QUERY_BLOCK
from ciaovideo.models.parts.matrices import COLORS, MatrixDecoder, times_hidden, times_matrices
from ciaovideo.models.parts.mlp import MLP
from ciaovideo.models.parts.points import AxisReads, Grid, Points, take
from ciaovideo.models.protocols import Footprint, Latent
from ciaovideo.ops.linear import Layer, perceptron


def projected(coord: Tensor, count: int, cell: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The code in which the upper left corner of the query's pixel lies (equation 3).

    Its offset is that of the corner from the code's own, in LR px: [0, 1), up to rounding.
    """
    index = nearest_index(shifted(coord, -cell / 2), count)
    corner = code_centre(index, count) - 1 / count
    return [(index, (coord - cell / 2 - corner) * (count / 2))]


class MetaSR(MatrixDecoder):
    """Magnification-arbitrary upscaling (Hu et al., arXiv 1903.00875, section 3).

    A pixel (i, j) of the picture belongs to LR pixel (floor(i / s), floor(j / s)) (equation 3). An
    MLP makes a matrix from its place v = (i / s - floor(i / s), j / s - floor(j / s), 1 / s)
    (equations 4 and 5), which turns the 3x3 features around that pixel into colour. As in LIIF's
    program the corner of any cell may be asked for, and s is the scale along y where the two
    differ. With 64 features all of it has 445 120 weights.

    Matrices are made once for each distinct place, or not at all (``parts/matrices.py``).
    """

    def __init__(self, latent_dim: int, *, hidden: int = 256) -> None:
        super().__init__()
        self.along = projected
        self.mlp = MLP(3, (hidden,), 9 * latent_dim * COLORS)
        wide = COLORS * (hidden + 1)
        lr_pixel = max(2 * wide, 19 * latent_dim)
        self._footprint = Footprint(lr_pixel, 6, QUERY_BLOCK["cuda"] * (wide + 3 * hidden))

    @classmethod
    def small(cls, latent_dim: int = 8) -> Self:
        """One for tests."""
        return cls(latent_dim, hidden=12)

    def last(self) -> Layer:
        """That of the only MLP."""
        return self.mlp.linears()[-1]

    def by_matrices(self, grid: Grid) -> Tensor:
        """Colour on a grid of few phases: -> (B, 3, rows, columns)."""
        places = (_places(reads, grid.cell[0, 0, k]) for k, reads in enumerate(grid.axes))
        pairs = torch.cartesian_prod(*places)
        matrices = self.mlp(self._with_scale(pairs, grid.cell[0]))
        matrices = matrices.view(*(len(reads.phases) for reads in grid.axes), -1, COLORS)
        return times_matrices(grid.codes, grid.axes, matrices)[:, 0]

    def colors(self, latent: Latent, points: Points) -> Tensor:
        """Colour at queries: (B, Q, 3)."""
        first, _ = self.mlp.linears()
        place = self._with_scale(points.offset[0], points.cell)
        hidden = perceptron(place, [first], relu_last=True)
        return times_hidden(take(latent["codes"], points.index[0]), hidden)

    def _with_scale(self, places: Tensor, cell: Tensor) -> Tensor:
        """Places (..., Q, 2) and 1 / s: (..., Q, 3)."""
        inverse = cell[..., :1].expand(*places.shape[:-1], 1) / 2
        return torch.cat([places, inverse], dim=-1).to(self.mlp.linears()[0][0].dtype)


def _places(reads: AxisReads, cell: Tensor) -> Tensor:
    """Where the corner of a pixel lies in an LR pixel, [0, 1), of each phase of an axis."""
    return (reads.phases + 1 - cell / 2) / 2
