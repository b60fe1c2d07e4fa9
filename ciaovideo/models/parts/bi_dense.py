"""Bi-dense blocks: convolutions that read all before them, in blocks that read all before them."""

import torch
from torch import Tensor, nn

from ciaovideo.models.parts.frame_means import FrameMeans


class ChannelAttention(nn.Module):
    """A factor for each channel, by what its mean over the frame is (Zhang et al., RCAN, eq. 8)."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, channels // reduction)
        self.expand = nn.Linear(channels // reduction, channels)

    def forward(self, mean: Tensor) -> Tensor:
        """Means (B, C) -> factors (B, C) in (0, 1)."""
        factor: Tensor = self.expand(self.reduce(mean).relu()).sigmoid()
        return factor


class DenseBlock(nn.Module):
    """Dense 3x3 convolutions between two of 1x1, added to what the first one made."""

    def __init__(self, inputs: int, features: int, layers: int, reduction: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(inputs, features, 1)
        self.layers = nn.ModuleList(
            nn.Conv2d(features * (1 + index), features, 3, padding=1) for index in range(layers)
        )
        self.leave = nn.Conv2d(features * (1 + layers), features, 1)
        self.attention = ChannelAttention(features, reduction)

    def forward(self, before: Tensor) -> Tensor:
        """All features before (B, inputs, h, w) -> new ones (B, features, h, w), no attention."""
        entered: Tensor = self.enter(before)
        made = entered
        for layer in self.layers:
            made = torch.cat([made, layer(made).relu()], dim=1)
        left: Tensor = self.leave(made)
        return left + entered

    def factors(self, mean: Tensor) -> Tensor:
        """The features' factors, from their mean: (B, features)."""
        factor: Tensor = self.attention(mean)
        return factor


class BiDense(nn.Module):
    """The feature mapping branch of ASDN (Shen et al., arXiv 2010.02414, section 3.2).

    picture (B, 3, h, w) -> features (B, out_channels, h, w): those of a 3x3 convolution and of each
    block. A block reads all features before it and scales what it makes by channel attention, a
    mean over the whole frame for each block (``blocks`` in all).
    """

    def __init__(self, features: int, blocks: int, layers: int, reduction: int) -> None:
        super().__init__()
        self.conv_first = nn.Conv2d(3, features, 3, padding=1)
        self.blocks = nn.ModuleList(
            DenseBlock(features * (1 + index), features, layers, reduction)
            for index in range(blocks)
        )
        self.out_channels = features * (1 + blocks)
        self.radius = 1 + blocks * layers  # px: every 3x3 convolution reads one further
        self.floats = 2 * self.out_channels + 3 * features * (1 + layers) + 9  # measured in a block

    def forward(self, picture: Tensor, means: FrameMeans, count: int) -> Tensor | None:
        """The features; None where a mean over the frame (of ``count`` px) is to be summed."""
        features: Tensor = self.conv_first(picture)
        for block in self.blocks:
            assert isinstance(block, DenseBlock)
            made = block(features)
            mean = means.of(made, count)
            if mean is None:
                return None
            made = made * block.factors(mean)[..., None, None]
            features = torch.cat([features, made], dim=1)
        return features


class Reconstruction(nn.Module):
    """Features to colour, and spatial attention on it (Hu et al., CSFM): 1x1 convolutions."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.color = nn.Conv2d(inputs, 3, 1)
        self.expand = nn.Conv2d(3, 6, 1)
        self.reduce = nn.Conv2d(6, 3, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C, h, w) -> what is added to the interpolated picture, (B, 3, h, w)."""
        color: Tensor = self.color(features)
        attention: Tensor = self.reduce(self.expand(color).relu()).sigmoid()
        return color * attention
