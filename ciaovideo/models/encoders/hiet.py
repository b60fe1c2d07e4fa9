"""HiET: attention in windows of one size on maps of several, in a small U-Net."""

from typing import Self

import torch.nn.functional as F
from torch import Tensor, nn

from ciaovideo.errors import OptionError
from ciaovideo.models.encoders.swinir import INIT_STD, SwinBlock, convolve, mirrored
from ciaovideo.models.parts.receptive import Step, convolution, farthest, grown, shrunk, windows
from ciaovideo.models.protocols import Encoder


class HierarchicalBlock(nn.Module):
    """Window attention down through maps of half the sides each, and up again.

    On the way down four pixels become one by a linear layer, on the way up one becomes four, to
    which the map of that size from the way down is added. Windows have the same side at all sizes,
    so that each size sees twice as far as the one before it, at a quarter of the cost. Those of the
    way up are shifted by half a window. A convolution follows, and all is added to the input.
    """

    def __init__(self, channels: int, heads: int, window: int, *, levels: int, hidden: int) -> None:
        super().__init__()

        def layer(shift: int) -> SwinBlock:
            return SwinBlock(channels, heads, window, shift=shift, hidden=hidden, drop=0.0)

        self.down = nn.ModuleList(layer(0) for _ in range(levels))
        self.up = nn.ModuleList(layer(window // 2) for _ in range(levels - 1))
        self.shrink = nn.ModuleList(nn.Linear(4 * channels, channels) for _ in range(levels - 1))
        self.grow = nn.ModuleList(nn.Linear(channels, 4 * channels) for _ in range(levels - 1))
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels (B, h, w, C) -> the same; h and w are multiples of window * 2^(levels - 1)."""
        made, before = pixels, []
        for layer, shrink in zip(self.down, self.shrink, strict=False):
            before.append(layer(made))
            made = shrink(_folded(before[-1]))
        made = self.down[-1](made)
        for layer, grow in zip(reversed(self.up), reversed(self.grow), strict=True):
            made = layer(before.pop() + _unfolded(grow(made)))
        return pixels + convolve(self.conv, made)


class HiET(Encoder):
    """A hierarchical encoding transformer (after Jiang et al., C2D-ISR, arXiv 2503.13740).

    lr (B, 3, h, w), mean subtracted -> latent (B, channels, h, w). Only the abstract and the
    figures' captions were at hand: attention layers of a backbone (here SwinIR's), rearranged in a
    modified U-Net that works from coarse to fine, a number of blocks of it in the deep feature
    extractor. Sizes and the inside of a block are our own design.
    """

    def __init__(
        self,
        channels: int = 60,
        *,
        blocks: int = 4,
        levels: int = 3,
        heads: int = 6,
        window: int = 8,
        mlp_ratio: float = 2.0,
    ) -> None:
        super().__init__()
        if levels < 1 or window % 2:
            raise OptionError(
                f"hiet: {levels} levels of windows of {window}", "1 level or more, an even window"
            )
        self.out_channels = channels
        self.alignment = window << (levels - 1)
        hidden = int(channels * mlp_ratio)
        self.floats = 12 * channels + hidden + 2 * window**2 * heads
        self.conv_first = nn.Conv2d(3, channels, 3, padding=1)
        self.embed_norm = nn.LayerNorm(channels)
        self.blocks = nn.Sequential(
            *(
                HierarchicalBlock(channels, heads, window, levels=levels, hidden=hidden)
                for _ in range(blocks)
            )
        )
        self.norm = nn.LayerNorm(channels)
        self.conv_after_body = nn.Conv2d(channels, channels, 3, padding=1)
        self.halo = farthest(_steps(window, levels, blocks), self.alignment)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=INIT_STD, a=-2, b=2)
                nn.init.zeros_(module.bias)

    @classmethod
    def small(cls) -> Self:
        """One for tests."""
        return cls(8, blocks=1, levels=2, heads=2, window=4)

    def forward(self, lr: Tensor) -> Tensor:
        """Features at the same height and width."""
        height, width = lr.shape[-2:]
        first: Tensor = self.conv_first(mirrored(lr, self.alignment))
        pixels = self.blocks(self.embed_norm(first.permute(0, 2, 3, 1)))
        after = convolve(self.conv_after_body, self.norm(pixels))
        return (first + after.permute(0, 3, 1, 2))[..., :height, :width]


def _folded(pixels: Tensor) -> Tensor:
    """Four pixels as one: (B, h, w, C) -> (B, h / 2, w / 2, 4 C)."""
    return F.pixel_unshuffle(pixels.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)


def _unfolded(pixels: Tensor) -> Tensor:
    """One pixel as four: (B, h, w, 4 C) -> (B, 2 h, 2 w, C)."""
    return F.pixel_shuffle(pixels.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)


def _steps(window: int, levels: int, blocks: int) -> list[Step]:
    """What features are followed back through; the way through all sizes sees the farthest."""
    down: list[Step] = []
    up: list[Step] = []
    for _ in range(levels - 1):
        down += [windows(window), shrunk]
        up += [grown, windows(window, shift=window // 2)]
    block = [*down, windows(window), *up, convolution()]
    return [convolution(), *block * blocks, convolution()]
