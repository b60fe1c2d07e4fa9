"""The decoder of LTE: waves whose amplitudes and frequencies follow from the features."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from ciaovideo.errors import OptionError
from ciaovideo.grid import View
from ciaovideo.models.parts.blocks import QUERY_BLOCK
from ciaovideo.models.parts.mlp import MLP
from ciaovideo.models.parts.points import LEAST_CELL, PointDecoder, Points, take
from ciaovideo.models.protocols import Footprint, Latent, Reach
from ciaovideo.ops.linear import perceptron


class LTE(PointDecoder):
    """Local texture estimator (Lee and Jin, arXiv 2111.08918).

    From each of the four codes around a query come ``waves`` amplitudes A and frequencies F, from
    the cell c as many phases, and with offset d a perceptron makes colour of
    A * [cos(pi (<F, d> + phase)), sin(pi (<F, d> + phase))] (equations 5 and 7); A has a value for
    each cosine and each sine. Colours are blended by area as in LIIF (arXiv 2012.09161). Beyond
    scale 4 the cell is that of 4, as in the paper's tests. With 64 features all of it has 493 827
    weights.

    Amplitudes and frequencies are convolutions, once per LR pixel. Frequencies are stored as in the
    grid form of the authors' program: first those along y, then those along x.
    """

    def __init__(
        self,
        latent_dim: int,
        *,
        waves: int = 128,
        hidden: Sequence[int] = (256, 256, 256),
    ) -> None:
        super().__init__()
        if not hidden:
            raise OptionError("the MLP of LTE has no hidden layer", "give at least one width")
        self.amplitude = nn.Conv2d(latent_dim, 2 * waves, 3, padding=1)
        self.frequency = nn.Conv2d(latent_dim, 2 * waves, 3, padding=1)
        self.phase = nn.Linear(2, waves, bias=False)
        self.mlp = MLP(2 * waves, hidden, 3)
        block = QUERY_BLOCK["cuda"] * (10 * waves + 3 * max(hidden) + 32)
        self._footprint = Footprint(8 * waves, 3, block)

    @classmethod
    def small(cls, latent_dim: int = 8) -> Self:
        """One for tests."""
        return cls(latent_dim, waves=6, hidden=(16, 12))

    def reach(self, view: View) -> Reach:
        """The four codes, and what the convolutions read."""
        return Reach(2)

    def footprint(self, view: View) -> Footprint:
        """The same at every scale."""
        return self._footprint

    def prepare(self, features: Tensor, cell: Tensor, view: View) -> Latent:
        """Amplitudes, then frequencies: (B, 4 * waves, h, w)."""
        codes = torch.cat([self.amplitude(features), self.frequency(features)], dim=1)
        return {"codes": codes.contiguous(memory_format=torch.channels_last)}

    def colors(self, latent: Latent, points: Points) -> Tensor:
        """Colour at queries: (B, Q, 3)."""
        codes = latent["codes"]
        cell = points.cell.clamp(min=LEAST_CELL)
        phase = self.phase(cell.to(codes.dtype)).float()  # (b, 1, waves)
        waves = phase.shape[-1]
        total: Tensor | None = None
        for index, offset, share in zip(points.index, points.offset, points.areas, strict=True):
            amplitude, down, across = take(codes, index).split([2 * waves, waves, waves], dim=-1)
            # Fractions of a turn: they want more digits than half precision has.
            angle = down.float() * offset[..., :1] + across.float() * offset[..., 1:] + phase
            angle = angle * torch.pi
            basis = torch.cat([angle.cos(), angle.sin()], dim=-1).to(codes.dtype)
            color = perceptron(amplitude * basis, self.mlp.linears()) * share.to(codes.dtype)
            total = color if total is None else total + color
        assert total is not None
        return total
