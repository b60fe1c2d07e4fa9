"""SPAN's gated blocks of dense convolutions, as a feature extractor."""

import torch.nn.functional as F
from torch import Tensor, nn

from ciaovideo.errors import OptionError


class GatedBlock(nn.Module):
    """Three 3x3 convolutions; what they made is added to the input and decides what passes.

    out = (x + f) * 2 sigmoid(1x1(f)). The gate's weights begin at zero and so the gate at one: a
    fresh block is a residual one.
    """

    def __init__(self, channels: int, layers: int, slope: float) -> None:
        super().__init__()
        self.slope = slope
        self.convs = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1) for _ in range(layers)
        )
        self.gate = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def forward(self, latent: Tensor) -> Tensor:
        """Latent (B, C, h, w) -> latent (B, C, h, w)."""
        change = latent
        for conv in self.convs[:-1]:
            change = F.leaky_relu(conv(change), self.slope, inplace=True)
        change = self.convs[-1](change)
        return (latent + change) * (2 * self.gate(change).sigmoid())


class SPAN(nn.Module):
    def __init__(
        self, channels: int = 32, blocks: int = 5, layers: int = 3, slope: float = 0.1
    ) -> None:
        super().__init__()
        if not 0 <= slope <= 1:
            raise OptionError(f"span: slope {slope} is outside 0 to 1")
        self.out_channels = channels
        self.halo = layers * blocks + 2
        self.alignment = 1
        self.floats = 6 * channels
        self.conv_first = nn.Conv2d(3, channels, 3, padding=1)
        self.body = nn.Sequential(*(GatedBlock(channels, layers, slope) for _ in range(blocks)))
        self.conv_after_body = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, lr: Tensor) -> Tensor:
        first: Tensor = self.conv_first(lr)
        after: Tensor = self.conv_after_body(self.body(first))
        return first + after
