"""Non-local attention between a feature map and its own smaller copies."""

from collections.abc import Iterator, Sequence
from itertools import batched, product
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ciaovideo.grid import View
from ciaovideo.models.protocols import WHOLE, Reach
from ciaovideo.ops.attention.patch import GPU_PAIRS, PAIRS, paste

SHARPNESS = 10.0  # the softmax over places multiplies similarities by this
LEAST_NORM = 1e-4  # keys shorter than this are not scaled up to length one
OVERLAP = 6.0  # published constant that stands for how often patches overlap


class Span(NamedTuple):
    """One axis of a window: reads [start, stop) of a tensor, owns ``own`` pixels after ``skip``."""

    start: int
    stop: int
    skip: int
    own: int


class CrossScaleAttention(nn.Module):
    """Repetitions of a pattern at another scale, found by attention.

    The non-local module of CiaoSR (Cao et al., arXiv 2212.04362, section 3.3), after Mei et al.
    (arXiv 2006.01424). For each scale s: every 3x3 patch of a map is compared with all 3x3 patches
    of the map made s times smaller; what stands at the places alike, s times larger, is pasted at
    the pixel, and a convolution of stride s brings the sum back to the size of the map.

    features (B, C, h, w) -> (B, C * len(scales), h, w). The frame is cut into ``window`` x
    ``window`` pixels from its own corner, and each is computed with ``margin`` pixels around it;
    the window is a property of the network, so tiles do not change what a pixel attends to.
    ``window=None`` lets every pixel attend to the whole map, as published.
    """

    pairs = PAIRS  # held at once

    def __init__(
        self, channels: int, *, scales: Sequence[int], window: int | None, margin: int
    ) -> None:
        super().__init__()
        self.scales = tuple(scales)
        self.window = window
        self.margin = margin
        self.reach = WHOLE if window is None else Reach(window - 1 + margin)
        # Per pixel of a tensor, beside one window: windows, rows of them, all of it. Without
        # windows there is the pasted map, made scale times larger, and as much again for patches.
        self.floats = 3 * channels * len(self.scales)
        if window is None:
            self.floats += channels * (2 * max(self.scales) ** 2 + 11)
        self.query = _projection(channels, channels // 2)
        self.key = _projection(channels, channels // 2)
        self.value = _projection(channels, channels)
        self.down = nn.ModuleDict(
            {str(s): nn.Conv2d(channels, channels, 3, stride=s, padding=1) for s in self.scales}
        )

    def forward(self, features: Tensor, view: View) -> Tensor:
        """Attention window by window; ``view`` is the map's place in its frame."""
        if self.window is None:
            return self._attend_all(features)
        batch, channels, height, width = features.shape
        rows = self._spans(view.origin[0], height, self.window)
        columns = self._spans(view.origin[1], width, self.window)
        alike: dict[tuple[int, int], list[tuple[Span, Span]]] = {}
        for y, x in product(rows, columns):
            alike.setdefault((y.stop - y.start, x.stop - x.start), []).append((y, x))
        out = features.new_empty(batch, channels * len(self.scales), height, width)
        for size, windows in alike.items():
            for group in batched(windows, self._at_once(features, size)):
                cut = [features[..., y.start : y.stop, x.start : x.stop] for y, x in group]
                made = self._attend_all(torch.cat(cut)).split(batch)
                for (y, x), seen in zip(group, made, strict=True):
                    own = seen[..., y.skip : y.skip + y.own, x.skip : x.skip + x.own]
                    top, left = y.start + y.skip, x.start + x.skip
                    out[..., top : top + y.own, left : left + x.own] = own
        return out

    def _at_once(self, features: Tensor, size: tuple[int, int]) -> int:
        """How many windows of a size to compute as one batch: on a CPU, what a cache holds."""
        if features.device.type == "cpu":
            return 1
        pairs = len(features) * (size[0] * size[1] // min(self.scales)) ** 2
        return max(1, GPU_PAIRS // pairs)

    def _spans(self, origin: int, size: int, window: int) -> Iterator[Span]:
        """The windows that meet a tensor of ``size`` pixels whose first is pixel ``origin``."""
        for corner in range(origin // window * window - origin, size, window):
            first, last = max(corner, 0), min(corner + window, size)
            start, stop = max(corner - self.margin, 0), min(corner + window + self.margin, size)
            yield Span(start, stop, first - start, last - first)

    def _attend_all(self, features: Tensor) -> Tensor:
        return torch.cat([self.attend(features, scale) for scale in self.scales], dim=1)

    def attend(self, features: Tensor, scale: int) -> Tensor:
        """Every pixel to the whole of one smaller copy: (B, C, h, w) -> (B, C, h, w)."""
        height, width = features.shape[-2:]
        whole = _pad_to_multiple(features, scale)
        size = (whole.shape[-2] // scale, whole.shape[-1] // scale)
        small = F.interpolate(whole, size=size, mode="bilinear", align_corners=False)
        key = F.unfold(self.key(small), 3, padding=1)  # (B, 9 C / 2, places)
        key = key * (SHARPNESS / key.norm(dim=1, keepdim=True).clamp(min=LEAST_NORM))
        value = F.pixel_unshuffle(self.value(whole), scale)  # (B, scale^2 C, *size)
        pasted = paste(self.query(whole), key, value, pairs=self.pairs)  # (B, scale^2 C, h, w)
        large = F.pixel_shuffle(pasted, scale)  # (B, C, scale * h, scale * w)
        out: Tensor = self.down[str(scale)](large) / OVERLAP
        return out[..., :height, :width]


def non_local_branch(
    channels: int, scales: Sequence[int], window: int | None, margin: int
) -> CrossScaleAttention | None:
    """The non-local features of a decoder; None where it has no scales for them."""
    if not scales:
        return None
    return CrossScaleAttention(channels, scales=scales, window=window, margin=margin)


def _projection(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.PReLU())


def _pad_to_multiple(features: Tensor, scale: int) -> Tensor:
    """Mirror the map below and to the right; a side too short to mirror repeats its border."""
    height, width = features.shape[-2:]
    down, right = -height % scale, -width % scale
    if not (down or right):
        return features
    mode = "reflect" if down < height and right < width else "replicate"
    return F.pad(features, (0, right, 0, down), mode=mode)
