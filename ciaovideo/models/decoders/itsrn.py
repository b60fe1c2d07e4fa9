"""The decoder of ITSRN: matrices that are predicted from offset and scale alone."""

from collections.abc import Sequence
from itertools import product
from typing import Self

import torch
from torch import Tensor

from ciaovideo.errors import OptionError
from ciaovideo.grid import placed
from ciaovideo.models.decoders.ciaosr import corner_codes
from ciaovideo.models.parts.blocks import QUERY_BLOCK, blocks, queries_at_once
from ciaovideo.models.parts.matrices import COLORS, MatrixDecoder, times_hidden, times_matrices
from ciaovideo.models.parts.mlp import MLP
from ciaovideo.models.parts.points import Grid, Points, take
from ciaovideo.models.protocols import Footprint, Latent
from ciaovideo.ops.linear import Layer

CORNERS = 4


def corners(coord: Tensor, count: int, cell: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The codes before and behind a query, as CiaoSR (which has them from ITSRN) finds them."""
    return corner_codes(coord, count, cell, (-1, 1))


class ITSRN(MatrixDecoder):
    """Implicit transformer for continuous screen content (Yang et al., NeurIPS 2021, 2112.06174).

    For each of the four codes V around a query an MLP makes a matrix M from the offset and the
    scale token, which is the cell; a small MLP adds a score of the offset: V M + score (section
    3.2). A third one blends the four predictions of each colour (section 3.4). All have GELU. With
    64 features all of it has 645 314 weights.

    Matrices and scores depend on no features: they are made once for each distinct offset and
    cell, or not at all (``parts/matrices.py``).
    """

    def __init__(
        self,
        latent_dim: int,
        *,
        hidden: Sequence[int] = (256, 256, 256, 256),
        score: int = 256,
        blend: int = 256,
    ) -> None:
        super().__init__()
        if not hidden:
            raise OptionError("the MLP of ITSRN has no hidden layer", "give at least one width")
        self.along = corners
        self.matrix = MLP(4, hidden, 9 * latent_dim * COLORS, gelu=True)
        self.score = MLP(2, (score,), 1, gelu=True)
        self.blend = MLP(CORNERS, (blend,), 1, gelu=True)
        wide = COLORS * (hidden[-1] + 1)
        queries = CORNERS * wide + 4 * max(hidden) + 2 * COLORS * blend
        lr_pixel = max(2 * wide, 19 * latent_dim)
        self._footprint = Footprint(lr_pixel, 36, QUERY_BLOCK["cuda"] * queries)

    @classmethod
    def small(cls, latent_dim: int = 8) -> Self:
        """One for tests."""
        return cls(latent_dim, hidden=(10, 12), score=8, blend=8)

    def last(self) -> Layer:
        """That of the MLP ``matrix``."""
        return self.matrix.linears()[-1]

    def by_matrices(self, grid: Grid) -> Tensor:
        """Colour on a grid of few phases: -> (B, 3, rows, columns)."""
        features = grid.codes
        size = (len(grid.rows.phases), len(grid.columns.phases))
        offset = torch.cartesian_prod(grid.rows.phases, grid.columns.phases)
        matrices = self.matrix(self._place(offset, grid.cell[0])).view(*size, -1, COLORS)
        score = self.score(offset.to(features.dtype)).view(size)
        made = times_matrices(features, grid.axes, matrices)
        phases = (placed(reads.phase, score.device) for reads in grid.axes)
        for corner, (y, x) in enumerate(product(*phases)):
            made[:, corner] += score[y[:, None], x]
        return self._blended(made)

    def colors(self, latent: Latent, points: Points) -> Tensor:
        """Colour at queries: (B, Q, 3)."""
        codes = latent["codes"]
        made = []
        for index, offset in zip(points.index, points.offset, strict=True):
            hidden = self.matrix.layers[:-1](self._place(offset, points.cell))
            color = times_hidden(take(codes, index), hidden)
            made.append(color + self.score(offset.to(codes.dtype)))
        blended: Tensor = self.blend(torch.stack(made, dim=-1)).squeeze(-1)
        return blended

    def _place(self, offset: Tensor, cell: Tensor) -> Tensor:
        """Offsets (..., Q, 2) and cells: (..., Q, 4)."""
        where = torch.cat([offset, cell.expand(*offset.shape[:-1], 2)], dim=-1)
        return where.to(self.matrix.linears()[0][0].dtype)

    def _blended(self, made: Tensor) -> Tensor:
        """One prediction of the four, block by block: (B, 4, 3, H, W) -> (B, 3, H, W)."""
        picture = made.new_empty(len(made), COLORS, *made.shape[-2:])
        most = queries_at_once(made.device, len(made))
        for y, x in product(*blocks(made.shape[-2], made.shape[-1], most)):
            picture[..., y, x] = self.blend(made[..., y, x].movedim(1, -1)).squeeze(-1)
        return picture
