"""One fixed scale behind any encoder: a convolution and a pixel shuffle."""

from collections.abc import Mapping, Sequence
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ciaovideo.errors import OptionError
from ciaovideo.grid import Axis, View, bilinear_grid
from ciaovideo.models.encoders import ENCODERS
from ciaovideo.models.networks.implicit import RGB_MEAN
from ciaovideo.models.parts.fixed_scale import taken
from ciaovideo.models.protocols import (
    NOTHING,
    Encoder,
    Footprint,
    Latent,
    Network,
    Reach,
    Scales,
    Statistics,
)

INIT_STD = 1e-3


class PixelShuffleSR(Network):
    """An encoder, a 3x3 convolution to 3 scale^2 channels, and a pixel shuffle.

    The second, discrete stage of C2D-ISR (Jiang et al., arXiv 2503.13740): ``encoder`` begins with
    the weights of the first stage, an implicit network of the same encoder at continuous scales.
    Its bilinear residual is kept, so that both stages learn the same difference. The upsampler is
    SwinIR's for small networks (arXiv 2108.10257).
    """

    mean: Tensor

    def __init__(
        self,
        scale: int,
        encoder: str,
        encoder_options: Mapping[str, Any] | None = None,
        *,
        mean: Sequence[float] = RGB_MEAN,
    ) -> None:
        super().__init__()
        if scale < 2:
            raise OptionError(f"pixel-shuffle: a scale of {scale}", "a whole number from 2 on")
        self.scale = scale
        self.scales = Scales(only=(float(scale),))
        make: Any = ENCODERS[encoder]
        self.encoder = cast(Encoder, make(**(encoder_options or {})))
        self.colors = nn.Conv2d(self.encoder.out_channels, 3 * scale**2, 3, padding=1)
        # Features of a first stage are large: it begins close to the residual, not with noise.
        nn.init.normal_(self.colors.weight, std=INIT_STD)
        assert self.colors.bias is not None
        nn.init.zeros_(self.colors.bias)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)

    @classmethod
    def small(cls) -> Self:
        """One for tests."""
        return cls(2, "edsr", {"channels": 8, "blocks": 1})

    def reach(self, view: View) -> Reach:
        """The encoder's, the convolution, and a pixel for an output not quite of the scale."""
        return Reach(self.encoder.halo, self.encoder.alignment) + Reach(2)

    def footprint(self, view: View) -> Footprint:
        """The encoder's, or the picture at its size twice and the residual."""
        made = 9 * self.scale**2 + self.encoder.out_channels + 6
        return Footprint(max(self.encoder.floats, made), 3)

    def encode(self, lr: Tensor, view: View, statistics: Statistics = NOTHING) -> Latent:
        """The residual over the bilinear enlargement, at the scale."""
        features = self.encoder((lr - self.mean).to(self.colors.weight.dtype))
        change = F.pixel_shuffle(self.colors(features), self.scale)
        return {"change": change.float(), "lr": lr.float()}

    def decode(self, latent: Latent, rows: Axis, columns: Axis) -> Tensor:
        """The sum of both: (B, 3, rows, columns)."""
        change = taken(latent["change"], rows, columns, self.scale)
        return bilinear_grid(latent["lr"], rows, columns) + change
