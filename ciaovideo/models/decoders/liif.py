"""The decoder of LIIF: a perceptron over a code and a place, blended over four codes."""

from collections.abc import Sequence
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from ciaovideo.errors import OptionError
from ciaovideo.grid import View
from ciaovideo.models.parts.blocks import QUERY_BLOCK
from ciaovideo.models.parts.mlp import MLP
from ciaovideo.models.parts.points import PointDecoder, Points, around, nearest, take
from ciaovideo.models.protocols import Footprint, Latent, Reach
from ciaovideo.ops.linear import perceptron


class LIIF(PointDecoder):
    """Local implicit image function (Chen et al., arXiv 2012.09161).

    A query is predicted from each of the four codes around it, s = f(z, x - v, c) with offset
    x - v and cell c (equations 1 and 7), and the predictions are blended by the areas of the
    rectangles opposite to their codes (equation 4). ``unfold``: a code is the 3x3 features around
    its pixel (equation 3). Without ``local_ensemble`` the nearest code alone is read, without
    ``cell_decode`` the network gets no cell: the ablations of the paper's table 3. With
    64 features all of it has 346 883 weights.

    The first layer is a sum of a term per code, which is a convolution, and one per query: the
    convolution runs once per LR pixel. The rest is the published formula.
    """

    def __init__(
        self,
        latent_dim: int,
        *,
        hidden: Sequence[int] = (256, 256, 256, 256),
        unfold: bool = True,
        local_ensemble: bool = True,
        cell_decode: bool = True,
    ) -> None:
        super().__init__()
        if not hidden:
            raise OptionError("the MLP of LIIF has no hidden layer", "give at least one width")
        self.side = 3 if unfold else 1
        self.along = around if local_ensemble else nearest
        self.cell_decode = cell_decode
        self.code_dim = latent_dim * self.side**2
        self.mlp = MLP(self.code_dim + (4 if cell_decode else 2), hidden, 3)
        block = QUERY_BLOCK["cuda"] * (3 * max(hidden) + 32)
        self._footprint = Footprint(2 * hidden[0], 3, block)

    @classmethod
    def small(cls, latent_dim: int = 8) -> Self:
        """One for tests."""
        return cls(latent_dim, hidden=(16, 12))

    def reach(self, view: View) -> Reach:
        """The four codes, and what a code is made of."""
        return Reach(1 + self.side // 2)

    def footprint(self, view: View) -> Footprint:
        """The same at every scale."""
        return self._footprint

    def prepare(self, features: Tensor, cell: Tensor, view: View) -> Latent:
        """The first layer's output for each code: (B, hidden, h, w)."""
        (weight, bias), *_ = self.mlp.linears()
        kernel = weight[:, : self.code_dim].unflatten(1, (-1, self.side, self.side))
        codes = F.conv2d(features, kernel, bias, padding=self.side // 2)
        return {"codes": codes.contiguous(memory_format=torch.channels_last)}

    def colors(self, latent: Latent, points: Points) -> Tensor:
        """Colour at queries: (B, Q, 3)."""
        codes = latent["codes"]
        (weight, _), *layers = self.mlp.linears()
        total: Tensor | None = None
        for index, offset, share in zip(points.index, points.offset, points.areas, strict=True):
            where = offset
            if self.cell_decode:
                where = torch.cat([offset, points.cell.expand(-1, offset.shape[1], -1)], dim=-1)
            place = F.linear(where.to(codes.dtype), weight[:, self.code_dim :])
            hidden = (take(codes, index) + place).relu_()
            color = perceptron(hidden, layers) * share.to(codes.dtype)
            total = color if total is None else total + color
        assert total is not None
        return total
