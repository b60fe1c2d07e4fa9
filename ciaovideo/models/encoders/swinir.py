"""SwinIR: attention in shifted windows, as a feature extractor."""

from collections.abc import Iterator, Sequence
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ciaovideo.models.parts.receptive import Step, convolution, farthest, windows
from ciaovideo.models.protocols import Encoder

INIT_STD = 0.02  # of linear layers and position tables, cut off at two


class WindowAttention(nn.Module):
    """Multi-head attention of the pixels of a window among themselves, with a bias by position.

    pixels (B, h, w, C), cut into windows of ``shape`` (at most ``window`` on a side) -> the same.
    """

    index: Tensor

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        steps = 2 * window - 1
        self.relative_position_bias_table = nn.Parameter(torch.empty(steps * steps, heads))
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=INIT_STD, a=-2, b=2)
        step = torch.arange(window)
        step = step[:, None] - step + window - 1  # (window, window), from 0 to 2 window - 2
        index = step[:, None, :, None] * steps + step[None, :, None, :]
        self.register_buffer("index", index, persistent=False)  # (y, x, y of key, x of key)

    def forward(self, pixels: Tensor, shape: tuple[int, int]) -> Tensor:
        """What each pixel gathers from its window."""
        batch, height, width, channels = pixels.shape
        rows, columns, size = height // shape[0], width // shape[1], shape[0] * shape[1]
        qkv = self.qkv(pixels).view(batch, rows, shape[0], columns, shape[1], 3, self.heads, -1)
        qkv = qkv.permute(5, 0, 1, 3, 6, 2, 4, 7)  # (3, B, rows, columns, heads, y, x, C / heads)
        query, key, value = qkv.reshape(3, -1, self.heads, size, channels // self.heads)
        near = self.index[: shape[0], : shape[1], : shape[0], : shape[1]].reshape(size, size)
        bias = self.relative_position_bias_table[near].permute(2, 0, 1).to(query.dtype)
        seen = F.scaled_dot_product_attention(query, key, value, bias[None])
        seen = seen.view(batch, rows, columns, self.heads, *shape, -1)
        seen = seen.permute(0, 1, 4, 2, 5, 3, 6).reshape(pixels.shape)
        out: Tensor = self.proj(seen)
        return out


class Perceptron(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixel by pixel: (..., C) -> (..., C)."""
        out: Tensor = self.fc2(F.gelu(self.fc1(pixels)))
        return out


class SwinBlock(nn.Module):
    """Window attention, then a perceptron, each behind a layer norm and added to its input.

    With a ``shift``, windows begin that far from the frame's corner, and what is left of them at
    the frame's borders are smaller windows. (Published as a roll of the frame with a mask over
    pixels that are no neighbours: the same sums.)
    """

    def __init__(
        self, channels: int, heads: int, window: int, *, shift: int, hidden: int, drop: float
    ) -> None:
        super().__init__()
        self.window, self.shift, self.drop = window, shift, drop
        self.norm1 = nn.LayerNorm(channels)
        self.attn = WindowAttention(channels, heads, window)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = Perceptron(channels, hidden)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels (B, h, w, C) -> the same; h and w are multiples of the window."""
        pixels = pixels + self._drop(self._attend(self.norm1(pixels)))
        return pixels + self._drop(self.mlp(self.norm2(pixels)))

    def _attend(self, pixels: Tensor) -> Tensor:
        rows = []
        for top, bottom, height in self._bands(pixels.shape[1]):
            band = [
                self.attn(pixels[:, top:bottom, left:right], (height, width))
                for left, right, width in self._bands(pixels.shape[2])
            ]
            rows.append(torch.cat(band, dim=2) if len(band) > 1 else band[0])
        return torch.cat(rows, dim=1) if len(rows) > 1 else rows[0]

    def _bands(self, length: int) -> Iterator[tuple[int, int, int]]:
        """Along one axis: first, end, and the side of the windows between them."""
        last = length - (self.window - self.shift if self.shift else 0)
        bounds = ((0, self.shift), (self.shift, last), (last, length))
        for (start, stop), side in zip(
            bounds, (self.shift, self.window, self.window - self.shift), strict=True
        ):
            if start < stop:
                yield start, stop, side

    def _drop(self, change: Tensor) -> Tensor:
        """Stochastic depth: in training, leave a change out for some samples of the batch."""
        if not (self.training and self.drop):
            return change
        kept = torch.rand(len(change), 1, 1, 1) >= self.drop  # drawn alike for every device
        return change * (kept / (1 - self.drop)).to(change)


class SwinGroup(nn.Module):
    """Blocks of which every second one is shifted, and a 3x3 convolution, added to the input."""

    def __init__(self, channels: int, blocks: Sequence[SwinBlock]) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels (B, h, w, C) -> the same."""
        return pixels + convolve(self.conv, self.blocks(pixels))


class SwinIR(Encoder):
    """SwinIR, its body only (Liang et al., arXiv 2108.10257, section 3).

    lr (B, 3, h, w), mean subtracted -> latent (B, channels, h, w). The picture is mirrored below
    and to the right to whole windows. Windows lie at multiples of ``window`` from the frame's
    corner, which is why a tile has to begin at such a multiple. ``projection`` is the width of a
    last convolution with a leaky ReLU, which LTE's program has (arXiv 2111.08918): latent
    (B, projection, h, w). 0 has none.
    """

    def __init__(
        self,
        channels: int = 180,
        *,
        depths: Sequence[int] = (6, 6, 6, 6, 6, 6),
        heads: int = 6,
        window: int = 8,
        mlp_ratio: float = 2.0,
        drop_path: float = 0.1,
        projection: int = 0,
    ) -> None:
        super().__init__()
        self.out_channels = projection or channels
        self.alignment = window
        hidden = int(channels * mlp_ratio)
        self.floats = 10 * channels + hidden  # measured in a shifted block
        self.conv_first = nn.Conv2d(3, channels, 3, padding=1)
        self.embed_norm = nn.LayerNorm(channels)
        last = max(sum(depths) - 1, 1)
        drops = iter([drop_path * index / last for index in range(sum(depths))])
        groups, reach = [], []
        for depth in depths:
            shifts = [window // 2 * (index % 2) for index in range(depth)]
            blocks = [
                SwinBlock(channels, heads, window, shift=shift, hidden=hidden, drop=next(drops))
                for shift in shifts
            ]
            groups.append(SwinGroup(channels, blocks))
            reach.append(shifts)
        self.layers = nn.Sequential(*groups)
        self.norm = nn.LayerNorm(channels)
        self.conv_after_body = nn.Conv2d(channels, channels, 3, padding=1)
        self.projection = nn.Conv2d(channels, projection, 3, padding=1) if projection else None
        self.halo = _reach(window, reach) + bool(projection)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=INIT_STD, a=-2, b=2)
                nn.init.zeros_(module.bias)

    @classmethod
    def small(cls) -> Self:
        """One for tests."""
        return cls(channels=8, depths=[2, 1], heads=2, window=4, drop_path=0.0)

    def forward(self, lr: Tensor) -> Tensor:
        """Features at the same height and width."""
        height, width = lr.shape[-2:]
        first: Tensor = self.conv_first(mirrored(lr, self.alignment))
        pixels = self.layers(self.embed_norm(first.permute(0, 2, 3, 1)))
        after = convolve(self.conv_after_body, self.norm(pixels))
        features = first + after.permute(0, 3, 1, 2)
        if self.projection is not None:
            features = F.leaky_relu(self.projection(features))
        return features[..., :height, :width]


def convolve(conv: nn.Conv2d, pixels: Tensor) -> Tensor:
    """A convolution over pixels (B, h, w, C)."""
    out: Tensor = conv(pixels.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    return out


def mirrored(lr: Tensor, window: int) -> Tensor:
    """Mirror the picture below and to the right; a side too short to mirror repeats its border."""
    height, width = lr.shape[-2:]
    down, right = -height % window, -width % window
    for sides, room in (((0, 0, 0, down), down < height), ((0, right, 0, 0), right < width)):
        if any(sides):
            lr = F.pad(lr, sides, mode="reflect" if room else "replicate")
    return lr


def _reach(window: int, shifts: Sequence[Sequence[int]]) -> int:
    """How far the features of a pixel see, in LR pixels."""
    steps: list[Step] = [convolution()]
    for group in shifts:
        steps += [windows(window, shift=shift) for shift in group]
        steps.append(convolution())  # after the blocks
    return farthest([*steps, convolution()], window)
