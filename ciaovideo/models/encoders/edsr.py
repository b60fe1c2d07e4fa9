"""EDSR without batch normalisation, as a feature extractor."""

from typing import Self

import torch
from torch import Tensor, nn

from ciaovideo.errors import OptionError
from ciaovideo.models.protocols import Encoder
from ciaovideo.ops.convolution import activated, added


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a ReLU between them, added to the input.

    ``slope``: what the ReLU lets through of negative values.
    """

    def __init__(self, channels: int, slope: float = 0.0) -> None:
        super().__init__()
        self.slope = slope
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, latent: Tensor) -> Tensor:
        """Latent (B, C, h, w) -> latent (B, C, h, w); without gradients it may be written to."""
        return added(self.conv2, activated(self.conv1, latent, self.slope), latent)


class EDSR(Encoder):
    """Enhanced deep residual network, its body only (Lim et al., arXiv 1707.02921, figure 3).

    lr (B, 3, h, w), mean subtracted -> latent (B, channels, h, w). The paper's ReLU has ``slope``
    0; at high learning rates most of its units fall silent for good (of 32 in a block, up to 32
    after 40 000 steps at 2e-3), which a slope of 0.1 prevents.
    """

    def __init__(self, channels: int = 64, blocks: int = 16, slope: float = 0.0) -> None:
        super().__init__()
        if not 0 <= slope <= 1:
            raise OptionError(f"edsr: slope {slope} is outside 0 to 1")
        self.out_channels = channels
        self.halo = 2 * blocks + 2  # LR pixels: every 3x3 convolution reads one further
        self.alignment = 1
        self.floats = 5 * channels
        self.conv_first = nn.Conv2d(3, channels, 3, padding=1)
        self.body = nn.Sequential(*(ResidualBlock(channels, slope) for _ in range(blocks)))
        self.conv_after_body = nn.Conv2d(channels, channels, 3, padding=1)

    @classmethod
    def small(cls) -> Self:
        """One for tests."""
        return cls(channels=8, blocks=2)

    def forward(self, lr: Tensor) -> Tensor:
        """Features at the same height and width."""
        first: Tensor = self.conv_first(lr)
        body = self.body(first if torch.is_grad_enabled() else first.clone())
        return added(self.conv_after_body, body, first)
