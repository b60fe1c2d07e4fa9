"""EQSR: features that know the scale, attention in windows, and neural Kriging."""

import math
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from ciaovideo.grid import Axis, View, bilinear_grid, constant
from ciaovideo.models.encoders.swinir import INIT_STD, SwinBlock, convolve, mirrored
from ciaovideo.models.networks.eqsr.adaptive_features import AdaptiveFeatures, waves
from ciaovideo.models.networks.eqsr.kriging import MARGIN, NeuralKriging
from ciaovideo.models.networks.eqsr.overlapping_attention import OverlappingBlock
from ciaovideo.models.networks.implicit import RGB_MEAN
from ciaovideo.models.parts.frame_means import WANTED, FrameMeans, next_sum, summed, sums_in
from ciaovideo.models.parts.receptive import Step, convolution, farthest, windows
from ciaovideo.models.protocols import NOTHING, Core, Footprint, Latent, Network, Reach, Statistics


class Group(nn.Module):
    """Adaptive features, windows, overlapping windows and a convolution, added to the input."""

    def __init__(
        self,
        channels: int,
        embedded: int,
        *,
        blocks: int,
        heads: int,
        window: int,
        overlap: int,
        hidden: int,
    ) -> None:
        super().__init__()
        self.adaptive = AdaptiveFeatures(channels, embedded, reduction=4)
        self.blocks = nn.Sequential(
            *(
                SwinBlock(
                    channels,
                    heads,
                    window,
                    shift=window // 2 * (index % 2),
                    hidden=hidden,
                    drop=0.0,
                )
                for index in range(blocks)
            )
        )
        self.overlapping = OverlappingBlock(channels, heads, window, overlap=overlap, hidden=hidden)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(
        self, pixels: Tensor, scale: Tensor, means: FrameMeans, size: tuple[int, int], count: int
    ) -> Tensor | None:
        """Pixels (B, h, w, C) -> the same; None where a mean is to be summed."""
        made = self.adaptive(pixels, scale, means, size, count)
        if made is None:
            return None
        return pixels + convolve(self.conv, self.overlapping(self.blocks(made)))


class EQSR(Network):
    """Scale-equivariance pursuit (Wang, Chen, Ni et al., CVPR 2023).

    A group is an adaptive feature extractor (convolutions scaled by waves of the scale, squeeze and
    excitation), attention in windows and in overlapping windows; the upsampler is neural Kriging on
    the output's grid. Published: 180 channels, 6 groups of 4 blocks, windows of 16 and 24, 40
    frequencies; 13.62 million weights (13 619 510 by instantiation).

    Differing from the published program: the scale is embedded as 2 / s, the cell in LR units (the
    geometric mean of both axes), where that takes 2 / output height, which changes with the size
    of the frame; squeezed means are of the frame without the padding of its windows.
    ``residual`` adds the bilinear enlargement, which the published network lacks, and begins with
    exactly that: a short training needs it.

    Means over the whole frame: one for each group, and two over the output's pixels. A frame in
    tiles is read that many times before it is made; windows reach far, so that tiles pay only on
    large frames.
    """

    sums_at_hand = True
    mean: Tensor

    def __init__(
        self,
        channels: int = 180,
        *,
        groups: int = 6,
        blocks: int = 4,
        heads: int = 6,
        window: int = 16,
        overlap: int = 24,
        mlp_ratio: float = 2.0,
        frequencies: int = 40,
        hidden: int = 256,
        residual: bool = False,
        mean: Sequence[float] = RGB_MEAN,
    ) -> None:
        super().__init__()
        self.frequencies, self.window, self.residual = frequencies, window, residual
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.conv_first = nn.Conv2d(3, channels, 3, padding=1)
        self.embed_norm = nn.LayerNorm(channels)
        self.groups = nn.ModuleList(
            Group(
                channels,
                1 + 2 * frequencies,
                blocks=blocks,
                heads=heads,
                window=window,
                overlap=overlap,
                hidden=int(channels * mlp_ratio),
            )
            for _ in range(groups)
        )
        self.norm = nn.LayerNorm(channels)
        self.conv_after_body = nn.Conv2d(channels, channels, 3, padding=1)
        self.kriging = NeuralKriging(channels, hidden, frequencies)
        self.passes = groups + MARGIN
        self._halo = _halo(window, overlap, groups, blocks)
        keys = (overlap / window) ** 2 * 2 * channels
        weights = 2 * overlap**2 * heads  # of all pairs, before and after the softmax
        self._floats = math.ceil(20 * channels + 4 * keys + weights), 15 * hidden  # measured
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=INIT_STD, a=-2, b=2)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if residual:
            nn.init.zeros_(self.kriging.color.weight)
            assert self.kriging.color.bias is not None
            nn.init.zeros_(self.kriging.color.bias)

    @classmethod
    def small(cls) -> Self:
        """One for tests."""
        return cls(8, groups=2, blocks=2, heads=2, window=4, overlap=6, frequencies=3, hidden=16)

    def reach(self, view: View) -> Reach:
        """That of the windows, and of the queries around a query."""
        shrink = max(old / new for old, new in zip(view.lr_size, view.out_size, strict=True))
        return Reach(self._halo + math.ceil(MARGIN * shrink) + 1, self.window)

    def footprint(self, view: View) -> Footprint:
        """The same at every scale."""
        return Footprint(*self._floats)

    def encode(self, lr: Tensor, view: View, statistics: Statistics = NOTHING) -> Latent:
        """The codes of the tile; or the map whose mean is wanted."""
        means = FrameMeans(statistics)
        kind = self.conv_first.weight.dtype
        size = lr.shape[-2], lr.shape[-1]
        first = self.conv_first(mirrored((lr - self.mean).to(kind), self.window))
        pixels = self.embed_norm(first.permute(0, 2, 3, 1))
        scale = math.sqrt(math.prod(view.lr_size) / math.prod(view.out_size))
        embedded = waves(constant([2 * scale], first.float()), self.frequencies)[0]
        for group in self.groups:
            made = group(pixels, embedded, means, size, view.lr_size[0] * view.lr_size[1])
            if made is None:
                assert means.wanted is not None
                return {WANTED: means.wanted, **statistics}
            pixels = made
        after = convolve(self.conv_after_body, self.norm(pixels)).permute(0, 3, 1, 2)
        codes = (first + after)[..., : size[0], : size[1]]
        return {"codes": codes, "lr": lr.float(), **statistics}

    def summarize(self, latent: Latent, core: Core) -> Statistics:
        """The sum of the map that is wanted: over LR pixels, then over queries."""
        if WANTED in latent:
            return summed(latent, core.pixels)
        means = FrameMeans(sums_in(latent), len(self.groups))
        self.kriging(latent["codes"], core.rows, core.columns, means)
        assert means.wanted is not None
        return next_sum(latent, means.wanted)

    def decode(self, latent: Latent, rows: Axis, columns: Axis) -> Tensor:
        """Colour on a grid: (B, 3, rows, columns) fp32."""
        means = FrameMeans(sums_in(latent), len(self.groups))
        color = self.kriging(latent["codes"], rows, columns, means)
        assert color is not None, "sums of earlier passes are missing"
        picture: Tensor = color.float()
        if self.residual:
            return picture + bilinear_grid(latent["lr"], rows, columns)
        return picture + self.mean


def _halo(window: int, overlap: int, groups: int, blocks: int) -> int:
    """How far the codes see, in LR pixels."""
    steps: list[Step] = [convolution()]
    for _ in range(groups):
        steps.append(convolution())  # the modulated one
        steps += [windows(window, shift=window // 2 * (index % 2)) for index in range(blocks)]
        steps += [windows(window, margin=(overlap - window) // 2), convolution()]
    return farthest([*steps, convolution()], window)
