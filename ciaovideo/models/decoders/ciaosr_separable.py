"""A CiaoSR decoder whose work per output pixel is a handful of multiplications."""

from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ciaovideo.errors import OptionError
from ciaovideo.grid import Axis, View, constant, gaps, placed
from ciaovideo.models.parts.corners import CORNERS, below, pick
from ciaovideo.models.protocols import Decoder, Footprint, Latent, Reach
from ciaovideo.ops.attention.separable import GapTaps, separable_attention
from ciaovideo.ops.convolution import activated

WAVES = 4  # sines and cosines per axis that weights are made of, up to one period per LR pixel


class OffsetBasis(nn.Module):
    """Functions of one coordinate: offset (...,) LR px in [-1, 1], cell (...,) -> (..., count).

    The weight of a key or value at a point is a sum of products of these, one function of y
    times one of x. Each is a short Fourier sum in the offset, whose coefficients are quadratic
    in the cell (2 / scale): smooth in both, so that any scale and any point can be asked for.
    """

    keep_fp32 = True  # a few hundred values a frame, and every pixel depends on them

    def __init__(self, count: int) -> None:
        super().__init__()
        self.mix = nn.Linear(3 * (2 * WAVES + 2), count, bias=False)

    def forward(self, offset: Tensor, cell: Tensor) -> Tensor:
        """The value of each function."""
        waves = torch.arange(1, WAVES + 1, dtype=offset.dtype, device=offset.device)
        angle = (torch.pi / 2) * offset[..., None] * waves
        one = torch.ones_like(offset)
        curve = torch.cat([torch.stack([one, offset], -1), angle.sin(), angle.cos()], dim=-1)
        powers = torch.stack([one, cell, cell * cell], dim=-1)
        terms = (curve[..., None, :] * powers[..., None]).flatten(-2)
        value: Tensor = self.mix(terms.to(self.mix.weight.dtype))
        return value.to(offset.dtype)


class SeparableCiaoSR(Decoder):
    """Attention over the four codes around a query, with coordinate weights that factor by axis.

    As in CiaoSR (Cao et al., arXiv 2212.04362, equations 4 and 5) the ensemble weights are
    softmax(Q . K_j) of a query code and four keys, and keys and values are scaled by weights that
    depend on offset and cell. Three things differ. The weights depend on coordinates only and are
    sums of products f(y) g(x), so Q . K_j and V_j become short sums over products of two small
    tables. The query code is that of the gap between the four codes, instead of the nearest
    code, so the picture has no seam half-way. All layers that see features run per LR pixel, as
    in latent modulation (arXiv 2404.16451), and so the map from value to colour is linear.

    ``slope`` is what the one ReLU lets through of negative values.

    features (B, C, h, w) -> latent maps; per output pixel: 4 * 4 * rank^2 multiplications at most.
    """

    def __init__(
        self,
        latent_dim: int,
        hidden: int = 64,
        key_dim: int = 32,
        rank: int = 4,
        slope: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 <= slope <= 1:
            raise OptionError(f"ciaosr-separable: slope {slope} is outside 0 to 1")
        self.slope = slope
        self._footprint = Footprint(14 * rank * rank + 2 * hidden + 6 * key_dim, 6)
        self.rank = rank
        self.trunk = nn.Conv2d(latent_dim, hidden, 3, padding=1)
        self.scale = nn.Linear(2, hidden)
        self.value = nn.Conv2d(hidden, 3 * rank * rank, 1)
        self.key = nn.Conv2d(hidden, key_dim, 1)
        self.gap_query = nn.Conv2d(hidden, key_dim, 2)
        self.logit = nn.Conv2d(key_dim, rank * rank, 1)
        self.basis = OffsetBasis(2 * rank)

    @classmethod
    def small(cls, latent_dim: int = 8) -> Self:
        """One for tests."""
        return cls(latent_dim, hidden=8, key_dim=4, rank=3)

    def reach(self, view: View) -> Reach:
        """One code for the 3x3 convolution, one for the codes around a gap."""
        return Reach(2)

    def footprint(self, view: View) -> Footprint:
        """The same at every scale."""
        return self._footprint

    def prepare(self, features: Tensor, cell: Tensor, view: View) -> Latent:
        """Values per code and logits per gap.

        value (B, 3 * r * r, h + 2, w + 2), borders repeated; logit (B, 4 * r * r, h + 1, w + 1);
        cell (B, 2) in LR pixels.
        """
        relative = cell * constant(view.lr_size, cell)  # (B, 2): 2 / scale
        scale = self.scale(relative.to(features.dtype))
        trunk = activated(self.trunk, features, self.slope, scale)
        trunk = F.pad(trunk, (1, 1, 1, 1), mode="replicate")
        query, key = self.gap_query(trunk), self.key(trunk)
        height, width = query.shape[-2:]
        logits = [self.logit(query * key[..., y : y + height, x : x + width]) for y, x in CORNERS]
        tables = {"value": self.value(trunk), "logit": torch.cat(logits, dim=1)}
        if features.device.type != "cpu":  # there they become fp32 as they are read, in a cache
            tables = {name: table.float() for name, table in tables.items()}
        return tables | {"cell": relative}

    def query(self, latent: Latent, coord: Tensor, cell: Tensor) -> Tensor:
        """Colour at scattered points, by the definition: coord (B, Q, 2) -> (B, Q, 3)."""
        value, logit = latent["value"], latent["logit"]
        lower, into = below(coord, (logit.shape[-2] - 1, logit.shape[-1] - 1))
        offset = into[..., None, :] - constant([[0.0], [1.0]], coord)
        basis = self.basis(offset, latent["cell"][:, None, None, :].expand_as(offset))
        gap = lower.long() + 1  # gap i lies between codes i - 1 and i
        keys = pick(logit, gap).unflatten(-1, (4, -1))  # (B, Q, 4, rank^2)
        logits, colors = [], []
        for index, (y, x) in enumerate(CORNERS):
            f, g = basis[:, :, y, 0], basis[:, :, x, 1]  # (B, Q, 2 * rank) each
            of_key, of_value = (
                (a[..., :, None] * b[..., None, :]).flatten(-2)
                for a, b in zip(f.split(self.rank, -1), g.split(self.rank, -1), strict=True)
            )
            logits.append((keys[:, :, index] * of_key).sum(dim=-1))
            code = pick(value, gap + constant([y, x], gap)).unflatten(-1, (3, -1))
            colors.append((code * of_value[..., None, :]).sum(dim=-1))
        weights = torch.stack(logits).softmax(dim=0).unsqueeze(-1)
        return (torch.stack(colors) * weights).sum(dim=0)

    def decode(self, latent: Latent, rows: Axis, columns: Axis) -> Tensor:
        """Colour on a grid; equals ``query`` up to rounding."""
        taps = (
            self._taps(axis, latent["cell"][0, place]) for place, axis in enumerate((rows, columns))
        )
        return separable_attention(latent["value"], latent["logit"], *taps)

    def _taps(self, axis: Axis, cell: Tensor) -> GapTaps:
        """Gap of each query, and basis values for keys and values."""
        gap, into = gaps(axis)
        offset = placed(torch.stack([into, into - 1]), cell.device)
        basis = self.basis(offset, cell.expand_as(offset))
        return GapTaps(gap, *basis.split(self.rank, dim=-1))
