"""Attention of windows to larger windows around them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ciaovideo.models.encoders.swinir import INIT_STD, Perceptron


class OverlappingAttention(nn.Module):
    """Queries of a window, keys and values of a larger one around it (Chen et al., HAT, eq. 5).

    pixels (B, h, w, C), h and w multiples of ``window`` -> the same. Keys and values beyond the map
    are zero. ``overlap`` is the side of the larger windows.
    """

    index: Tensor

    def __init__(self, channels: int, heads: int, window: int, overlap: int) -> None:
        super().__init__()
        self.heads, self.window, self.overlap = heads, window, overlap
        steps = window + overlap - 1
        self.relative_position_bias_table = nn.Parameter(torch.empty(steps * steps, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=INIT_STD, a=-2, b=2)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        step = torch.arange(overlap)[None] - torch.arange(window)[:, None] + window - 1
        index = step[:, None, :, None] * steps + step[None, :, None, :]
        index = index.reshape(window * window, overlap * overlap)
        self.register_buffer("index", index, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """What each pixel gathers from around its window."""
        batch, height, width, channels = pixels.shape
        rows, columns, side = height // self.window, width // self.window, self.window
        query, key, value = self.qkv(pixels).split(channels, dim=-1)
        query = query.view(batch, rows, side, columns, side, self.heads, -1)
        query = query.permute(0, 1, 3, 5, 2, 4, 6).flatten(4, 5)  # (B, rows, columns, heads, n, d)
        key, value = self._around(key), self._around(value)
        bias = self.relative_position_bias_table[self.index].permute(2, 0, 1).to(query.dtype)
        seen = F.scaled_dot_product_attention(query, key, value, bias)
        seen = seen.unflatten(4, (side, side)).permute(0, 1, 4, 2, 5, 3, 6)
        out: Tensor = self.proj(seen.reshape(pixels.shape))
        return out

    def _around(self, codes: Tensor) -> Tensor:
        """Codes (B, h, w, C) of the larger windows: (B, rows, columns, heads, keys, d)."""
        margin = (self.overlap - self.window) // 2
        codes = F.pad(codes, (0, 0, margin, margin, margin, margin))
        cut = codes.unfold(1, self.overlap, self.window).unfold(2, self.overlap, self.window)
        cut = cut.unflatten(3, (self.heads, -1))  # (B, rows, columns, heads, d, y, x)
        around: Tensor = cut.flatten(5, 6).mT
        return around


class OverlappingBlock(nn.Module):
    """Overlapping attention, then a perceptron, each behind a layer norm and added to its input."""

    def __init__(
        self, channels: int, heads: int, window: int, *, overlap: int, hidden: int
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn = OverlappingAttention(channels, heads, window, overlap)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = Perceptron(channels, hidden)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels (B, h, w, C) -> the same."""
        pixels = pixels + self.attn(self.norm1(pixels))
        out: Tensor = pixels + self.mlp(self.norm2(pixels))
        return out
