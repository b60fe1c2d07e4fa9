"""The network as a whole: normalise, encode, decode, add the bilinear residual."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from ciaovideo.grid import Axis, View, bilinear_at, bilinear_grid, placed
from ciaovideo.models.decoders.ciaosr_separable import SeparableCiaoSR
from ciaovideo.models.encoders.edsr import EDSR
from ciaovideo.models.protocols import (
    NOTHING,
    Core,
    Decoder,
    Encoder,
    Footprint,
    Latent,
    Network,
    Reach,
    Statistics,
)

RGB_MEAN = (0.4488, 0.4371, 0.4040)  # of DIV2K, in [0, 1]: what the published networks subtract

RESIDUAL_FLOATS = 9  # the picture, its bilinear residual, and rows of that on the way


class ImplicitSR(Network):
    """An encoder and a decoder joined (Chen et al., arXiv 2012.09161, section 3).

    The residual and the last sum stay fp32 whatever the precision of the halves, so that 10 and
    12 bit pass through. ``lr`` is (B, 3, h, w) in [0, 1]; what comes out is not clamped. Without
    ``residual``, as published for real-world pictures, the decoder's colour alone is the picture.
    """

    mean: Tensor

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        *,
        mean: Sequence[float] = RGB_MEAN,
        residual: bool = True,
    ) -> None:
        super().__init__()
        self.residual = residual
        self.encoder = encoder
        self.decoder = decoder
        self.passes, self.sums_at_hand = decoder.passes, decoder.sums_at_hand
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)

    @classmethod
    def small(cls) -> Self:
        """One for tests."""
        return cls(EDSR.small(), SeparableCiaoSR.small())

    def reach(self, view: View) -> Reach:
        """That of the encoder, and that of the decoder behind it."""
        return Reach(self.encoder.halo, self.encoder.alignment) + self.decoder.reach(view)

    def footprint(self, view: View) -> Footprint:
        """Encoder or decoder, whichever is larger, and the residual."""
        own = self.decoder.footprint(view)
        lr_pixel = max(self.encoder.floats, own.lr_pixel + self.encoder.out_channels)
        return Footprint(lr_pixel, own.out_pixel + RESIDUAL_FLOATS, own.fixed)

    def encode(self, lr: Tensor, view: View, statistics: Statistics = NOTHING) -> Latent:
        """All work per LR pixel, for one output size."""
        cell = placed(torch.tensor(view.cell, dtype=torch.float32), lr.device)
        return {**self._encode(lr, cell.expand(len(lr), 2), view), **statistics}

    def summarize(self, latent: Latent, core: Core) -> Statistics:
        """The sums over the whole frame that the decoder needs."""
        return self.decoder.summarize(latent, core)

    def decode(self, latent: Latent, rows: Axis, columns: Axis) -> Tensor:
        """The picture at these rows and columns: (B, 3, rows, columns) fp32."""
        picture = self.decoder.decode(latent, rows, columns).float()
        if not self.residual:
            return picture.add_(self.mean)
        return picture.add_(bilinear_grid(latent["lr"], rows, columns))

    def forward(self, lr: Tensor, coord: Tensor, cell: Tensor) -> Tensor:
        """Colour at points, for training: coord (B, Q, 2), cell (B, 2) -> (B, Q, 3)."""
        size = (lr.shape[-2], lr.shape[-1])
        latent = self._encode(lr, cell, View(size, size))
        color = self.decoder.query(latent, coord, cell).float()
        if not self.residual:
            return color + self.mean.flatten().float()
        return color + bilinear_at(latent["lr"], coord)

    def _encode(self, lr: Tensor, cell: Tensor, view: View) -> Latent:
        kind = next(self.parameters()).dtype
        features = self.encoder((lr - self.mean).to(kind))
        return {**self.decoder.prepare(features, cell, view), "lr": lr.float()}
