"""EDSR without batch normalisation, as a feature extractor."""

from typing import Self

from torch import Tensor, nn

from ciaovideo.models.encoders.residual_body import ResidualBody
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


class EDSR(ResidualBody):
    """Enhanced deep residual network, its body only (Lim et al., arXiv 1707.02921, figure 3).

    lr (B, 3, h, w), mean subtracted -> latent (B, channels, h, w). The paper's ReLU has ``slope``
    0; at high learning rates most of its units die (of 32 in a block, up to 32 after 40 000
    steps at 2e-3), which a slope of 0.1 prevents.
    """

    def __init__(self, channels: int = 64, blocks: int = 16, slope: float = 0.0) -> None:
        super().__init__(
            channels, lambda: ResidualBlock(channels, slope), blocks, depth=2, slope=slope
        )

    @classmethod
    def small(cls) -> Self:
        """One for tests."""
        return cls(channels=8, blocks=2)
