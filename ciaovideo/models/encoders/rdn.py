"""The residual dense network, as a feature extractor."""

from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ciaovideo.models.protocols import Encoder


class DenseLayer(nn.Module):
    """A 3x3 convolution with a ReLU, its result joined to what it read."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, growth, 3, padding=1)

    def forward(self, latent: Tensor) -> Tensor:
        """Latent (B, C, h, w) -> (B, C + growth, h, w)."""
        return torch.cat([latent, self.conv(latent).relu_()], dim=1)


class ResidualDenseBlock(nn.Module):
    """Layers that each read all before them, and a 1x1 convolution over all, added to the input."""

    def __init__(self, channels: int, growth: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(DenseLayer(channels + index * growth, growth) for index in range(layers))
        )
        self.lff = nn.Conv2d(channels + layers * growth, channels, 1)

    def forward(self, latent: Tensor) -> Tensor:
        """Latent (B, C, h, w) -> latent (B, C, h, w)."""
        change: Tensor = self.lff(self.layers(latent))
        return latent + change


class RDN(Encoder):
    """Residual dense network, its body only (Zhang et al., arXiv 1802.08797, figure 2).

    lr (B, 3, h, w), mean subtracted -> latent (B, channels, h, w).
    """

    def __init__(
        self, channels: int = 64, blocks: int = 16, layers: int = 8, growth: int = 64
    ) -> None:
        super().__init__()
        self.out_channels = channels
        self.halo = blocks * layers + 3  # LR pixels: every 3x3 convolution reads one further
        self.alignment = 1
        # The last dense layer holds its input, its result and both joined, beside six maps.
        self.floats = 2 * (channels + layers * growth) + 6 * channels
        self.sfe1 = nn.Conv2d(3, channels, 3, padding=1)
        self.sfe2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.rdbs = nn.ModuleList(
            ResidualDenseBlock(channels, growth, layers) for _ in range(blocks)
        )
        self.fuse = nn.Conv2d(channels * blocks, channels, 1)
        self.gather = nn.Conv2d(channels, channels, 3, padding=1)

    @classmethod
    def small(cls) -> Self:
        """One for tests."""
        return cls(channels=8, blocks=2, layers=2, growth=8)

    def forward(self, lr: Tensor) -> Tensor:
        """Features at the same height and width.

        The 1x1 convolution over the results of all blocks is summed block by block, so that they
        are not all held at once.
        """
        first: Tensor = self.sfe1(lr)
        latent: Tensor = self.sfe2(first)
        fused: Tensor | None = None
        for block, weight in zip(
            self.rdbs, self.fuse.weight.split(latent.shape[1], 1), strict=True
        ):
            latent = block(latent)
            if fused is None:
                fused = F.conv2d(latent, weight, self.fuse.bias)
            else:
                fused = fused + F.conv2d(latent, weight)
        gathered: Tensor = self.gather(fused)
        return first + gathered
