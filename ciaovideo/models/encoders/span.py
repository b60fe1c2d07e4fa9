"""Gated blocks of three dense convolutions, as a feature extractor."""

from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ciaovideo.models.encoders.residual_body import ResidualBody
from ciaovideo.ops.convolution import activated, added


class GatedBlock(nn.Module):
    """Three 3x3 convolutions added to the input; the sum decides how much of itself passes.

    out = s * clamp(1 + g(s), 0, 2) with s = x + f(x) and g of 1x1. The weights of g begin at zero,
    so that a fresh block is a residual one, and the clamp keeps a stack of products from growing
    past what half precision holds.
    """

    def __init__(self, channels: int, slope: float) -> None:
        super().__init__()
        self.slope = slope
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv3 = nn.Conv2d(channels, channels, 3, padding=1)
        self.gate = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.gate.weight)
        assert self.gate.bias is not None
        nn.init.ones_(self.gate.bias)

    def forward(self, latent: Tensor) -> Tensor:
        """Latent (B, C, h, w) -> latent (B, C, h, w); without gradients it may be written to."""
        change = activated(self.conv1, latent, self.slope)
        change = activated(self.conv2, change, self.slope)
        total = added(self.conv3, change, latent)
        gate = F.hardtanh(self.gate(total), 0.0, 2.0, inplace=True)
        return total * gate if torch.is_grad_enabled() else gate.mul_(total)


class SPAN(ResidualBody):
    """A plain network whose blocks gate themselves (after Wan et al., arXiv 2311.12770, SPAN).

    Dense 3x3 convolutions are what a processor does fastest, and three of them to a block leave
    less to be added and activated than EDSR's two. SPAN's own gate has no weights, a sigmoid of
    what the convolutions made; here a 1x1 convolution learns it.

    lr (B, 3, h, w), mean subtracted -> latent (B, channels, h, w). ``slope`` is what the ReLUs let
    through of negative values.
    """

    def __init__(self, channels: int = 32, blocks: int = 6, slope: float = 0.1) -> None:
        super().__init__(
            channels, lambda: GatedBlock(channels, slope), blocks, depth=3, slope=slope
        )

    @classmethod
    def small(cls) -> Self:
        """One for tests."""
        return cls(channels=8, blocks=2)
