"""Codes times matrices that an MLP predicts from where a query lies, without making the matrices.

The colour is U M(p), with a code U of D = 9 C unfolded features and a matrix M(p) (D, 3) that is
linear in the last hidden layer h(p) of the MLP. Two ways are cheaper than a matrix per query, and
equal to it up to rounding. Where queries are few phases (x2 has two on each axis, x2.5 five), a
matrix for each pair is made once. Otherwise U goes through the last layer before h does: that is
a convolution, once per LR pixel, and a short product is left for each query.
"""

from abc import abstractmethod
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from ciaovideo.grid import Axis, View, placed
from ciaovideo.models.parts.points import AxisReads, Grid, PointDecoder
from ciaovideo.models.protocols import Footprint, Latent, Reach
from ciaovideo.ops.linear import Layer

COLORS = 3
LEAST_ALIKE = 64  # queries of a phase, on average, that make a product of their own worth it


def through_last(features: Tensor, last: Layer) -> Tensor:
    """Codes that are left to be multiplied by (h(p), 1): (B, C, h, w) -> (B, 3 (M + 1), h, w).

    ``last``: weight (9 C * 3, M) and bias of the MLP's last layer, whose outputs are the rows of
    the matrix, one after another.
    """
    layer = torch.cat([last[0], last[1].unsqueeze(1)], dim=1)  # (D * 3, M + 1)
    kernel = layer.view(-1, 3, 3, COLORS, layer.shape[1]).permute(3, 4, 0, 1, 2)
    codes = F.conv2d(features, kernel.flatten(0, 1), padding=1)
    return codes.contiguous(memory_format=torch.channels_last)


def times_hidden(codes: Tensor, hidden: Tensor) -> Tensor:
    """Codes from ``through_last`` (B, Q, 3 (M + 1)) and h (b, Q, M) -> colour (B, Q, 3)."""
    codes = codes.unflatten(-1, (COLORS, -1))
    colors = (codes[..., :-1] @ hidden.to(codes.dtype).unsqueeze(-1)).squeeze(-1)
    return colors + codes[..., -1]


def few_phases(rows: AxisReads, columns: AxisReads) -> bool:
    """Whether so many queries of a grid lie alike that matrices are worth their making."""
    queries = rows.index.shape[1] * columns.index.shape[1]
    return len(rows.phases) * len(columns.phases) * LEAST_ALIKE <= queries


def times_matrices(
    features: Tensor, reads: tuple[AxisReads, AxisReads], matrices: Tensor
) -> Tensor:
    """Each code that a grid reads, times the matrix of its phases: (B, K, 3, rows, columns).

    ``matrices`` (phases of rows, phases of columns, D, 3). K codes, as ``points_on`` has them.
    """
    rows, columns = reads
    unfolded = F.unfold(features, 3, padding=1).unflatten(-1, features.shape[-2:])
    unfolded = unfolded.permute(0, 2, 3, 1).contiguous()  # (B, h, w, D)
    corners = [(y, x) for y in range(len(rows.index)) for x in range(len(columns.index))]
    size = (rows.index.shape[1], columns.index.shape[1])
    made = features.new_empty(len(features), len(corners), *size, COLORS)
    for corner, (y, x) in enumerate(corners):
        for y_phase, down in alike(rows.phase[y], features.device):
            lines = unfolded.index_select(1, rows.index[y, down])
            for x_phase, across in alike(columns.phase[x], features.device):
                codes = lines.index_select(2, columns.index[x, across])
                at = (slice(None), corner, down[:, None], across)
                made[at] = codes @ matrices[y_phase, x_phase]
    return made.permute(0, 1, 4, 2, 3)


def alike(phase: Tensor, device: torch.device) -> Iterator[tuple[int, Tensor]]:
    """Each phase that occurs in (N,), on the CPU, and the queries that have it, on a device."""
    for value in phase.unique().tolist():
        yield int(value), placed((phase == value).nonzero().squeeze(1), device)


class MatrixDecoder(PointDecoder):
    """A decoder whose colour is the features around a code times a matrix that an MLP predicts.

    ``colors`` gets codes from ``through_last``. A subclass says which MLP it is, what it needs of
    memory, and what becomes of a grid of few phases.
    """

    _footprint: Footprint

    @abstractmethod
    def last(self) -> Layer:
        """The last layer of the MLP that predicts the matrix."""

    @abstractmethod
    def by_matrices(self, grid: Grid) -> Tensor:
        """Colour on a grid of few phases, whose codes are the features: (B, 3, rows, columns)."""

    def reach(self, view: View) -> Reach:
        """The codes next to a query, and what a code is made of."""
        return Reach(2)

    def footprint(self, view: View) -> Footprint:
        """The same at every scale."""
        return self._footprint

    def prepare(self, features: Tensor, cell: Tensor, view: View) -> Latent:
        """The features themselves: (B, C, h, w)."""
        return {"codes": features}

    def query(self, latent: Latent, coord: Tensor, cell: Tensor) -> Tensor:
        """Colour at scattered points: coord (B, Q, 2), cell (B, 2) -> (B, Q, 3)."""
        return super().query(self._through_last(latent), coord, cell)

    def decode(self, latent: Latent, rows: Axis, columns: Axis) -> Tensor:
        """Colour on a grid: -> (B, 3, rows, columns)."""
        grid = Grid.of(rows, columns, self.along, latent["codes"])
        if few_phases(grid.rows, grid.columns):
            return self.by_matrices(grid)
        return super().decode(self._through_last(latent), rows, columns)

    def _through_last(self, latent: Latent) -> Latent:
        return {"codes": through_last(latent["codes"], self.last())}
