"""ASDN: any scale as a mix of levels between one and two, and larger ones step by step."""

import math
from itertools import pairwise
from typing import Self

from torch import Tensor, nn

from ciaovideo.errors import OptionError
from ciaovideo.grid import Axis, View
from ciaovideo.models.networks.interpolation import Bicubic
from ciaovideo.models.parts.bi_dense import BiDense, Reconstruction
from ciaovideo.models.parts.frame_means import WANTED, FrameMeans, summed, sums_in
from ciaovideo.models.protocols import NOTHING, Core, Footprint, Latent, Network, Reach, Statistics
from ciaovideo.tiling import Rect

BICUBIC = 3  # LR px that interpolation reads around a pixel, and the rounding of its place
ROUNDED = 1e-6  # of a level: 10 * (1.3 - 1) is not 3 in binary

Size = tuple[int, int]


class ASDN(Network):
    """Arbitrary-scale deep network (Shen, Wang and Zhang, arXiv 2010.02414).

    The picture is enlarged by bicubic first; shared features of that (``BiDense``) go to one
    reconstruction for each of ``levels`` levels of a Laplacian frequency representation, at scales
    r_l = 1 + l / (levels - 1). Between two levels lies a phase P_i = O_(i-1) - O_i, and a scale
    r in (1, 2] is O_r = O_(r_i) + w_r P_i with i = ceil((levels - 1)(r - 1)) and
    w_r = (levels - 1)(r_i - r). Each O is the enlarged picture (global skip) plus what its
    reconstruction adds. Scales R above 2 are N = ceil(log2 R) passes of the whole, of factor 2
    first and R / 2^(N-1) at last; the picture between them is not clamped.

    Paper: 64 features, 16 blocks of 8 convolutions, 22.4 million weights. Chosen here: average
    pooling in the channel attention (as RCAN), the geometric mean of both axes' factors where they
    differ, and no subtraction of a mean.

    Channel attention takes means over the whole frame, one for each block of each pass: a frame in
    tiles is read that many times before it is made.
    """

    sums_at_hand = True

    def __init__(
        self,
        features: int = 64,
        *,
        blocks: int = 16,
        layers: int = 8,
        levels: int = 11,
        reduction: int = 16,
    ) -> None:
        super().__init__()
        if levels < 2:
            raise OptionError(f"asdn: {levels} levels have nothing between them", "2 or more")
        self.features = BiDense(features, blocks, layers, reduction)
        self.branches = nn.ModuleList(
            Reconstruction(self.features.out_channels) for _ in range(levels)
        )
        self.passes = blocks  # of one pass over the network; see passes_at

    @classmethod
    def small(cls) -> Self:
        """One for tests."""
        return cls(4, blocks=2, layers=2, levels=3, reduction=2)

    def passes_at(self, view: View) -> int:
        """One for each block, in each pass of the recursion."""
        return self.passes * len(sizes(view.lr_size, view.out_size))

    def reach(self, view: View) -> Reach:
        """The features' radius in each pass, in px of that pass, brought back to LR."""
        steps = pairwise([view.lr_size, *sizes(view.lr_size, view.out_size)])
        halo = 0
        for before, after in reversed(list(steps)):
            shrink = max(old / new for old, new in zip(before, after, strict=True))
            halo = math.ceil((halo + self.features.radius) * shrink) + BICUBIC
        return Reach(halo)

    def footprint(self, view: View) -> Footprint:
        """All features, at the size of the output."""
        area = math.prod(view.out_size) / math.prod(view.lr_size)
        return Footprint(math.ceil(area * self.features.floats), 3)

    def encode(self, lr: Tensor, view: View, statistics: Statistics = NOTHING) -> Latent:
        """The picture of the tile, at the output's size; or the map whose mean is wanted."""
        means = FrameMeans(statistics)
        picture, before = lr.float(), view
        for size in sizes(view.lr_size, view.out_size):
            grid = View(before.lr_size, size, before.origin)
            large, before = _interpolated(picture, grid)
            made = self._levels(large, grid, means)
            if made is None:
                assert means.wanted is not None
                return {WANTED: means.wanted, **statistics}
            picture = large + made
        return {"sr": picture, **statistics}

    def summarize(self, latent: Latent, core: Core) -> Statistics:
        """The sum of the map that is wanted, over the pixels of its pass that a tile owns."""
        rows, columns = core.rows, core.columns
        whole = (rows.count, columns.count), (rows.out_count, columns.out_count)
        size = sizes(*whole)[len(sums_in(latent)) // self.passes]
        top, bottom = _owned(core.pixels.top, core.pixels.bottom, rows, size[0])
        left, right = _owned(core.pixels.left, core.pixels.right, columns, size[1])
        return summed(latent, Rect(top, left, bottom, right))

    def decode(self, latent: Latent, rows: Axis, columns: Axis) -> Tensor:
        """Cut out of the tile's picture."""
        picture = latent["sr"]
        for axis, dim in ((rows, -2), (columns, -1)):
            first = axis.start - axis.origin * axis.out_count // axis.count
            picture = picture.narrow(dim, first, len(axis))
        return picture

    def _levels(self, large: Tensor, grid: View, means: FrameMeans) -> Tensor | None:
        """The mixed residuals of the two levels around a factor."""
        kind = self.features.conv_first.weight.dtype
        features = self.features(large.to(kind), means, math.prod(grid.out_size))
        if features is None:
            return None
        level, weight = self.mix(grid)
        made: Tensor = self.branches[level](features).float()
        if weight:
            made = made + weight * (self.branches[level - 1](features).float() - made)
        return made

    def mix(self, grid: View) -> tuple[int, float]:
        """The upper level i of a pass from one size to another, and the weight w_r of its phase."""
        factor = math.sqrt(math.prod(grid.out_size) / math.prod(grid.lr_size))
        place = (len(self.branches) - 1) * (min(max(factor, 1.0), 2.0) - 1)
        level = math.ceil(place - ROUNDED)
        return level, max(level - place, 0.0)


def sizes(lr_size: Size, out_size: Size) -> list[Size]:
    """The size after each pass: twice the last until less is left, then the output's.

    A finished axis keeps its length. A pixel of rounding adds no pass.
    """
    passes = 1
    while any(out - 1 > old << passes for old, out in zip(lr_size, out_size, strict=True)):
        passes += 1
    between = [
        (min(lr_size[0] << n, out_size[0]), min(lr_size[1] << n, out_size[1]))
        for n in range(1, passes)
    ]
    return [*between, out_size]


def _interpolated(picture: Tensor, grid: View) -> tuple[Tensor, View]:
    """A tile's picture by bicubic at the next size, and the view of that."""
    axes = []
    for axis, samples in ((grid.rows, picture.shape[-2]), (grid.columns, picture.shape[-1])):
        first = axis.origin * axis.out_count // axis.count
        last = -(-(axis.origin + samples) * axis.out_count // axis.count)
        axes.append(Axis(axis.count, axis.out_count, first, last, axis.origin))
    large = Bicubic().decode({"lr": picture}, *axes)
    return large, View(grid.out_size, grid.out_size, (axes[0].start, axes[1].start))


def _owned(first: int, last: int, axis: Axis, count: int) -> Size:
    """Codes [first, last) of a tile's LR, as samples of its map in an axis of ``count``."""
    begin = axis.origin * count // axis.count
    start, stop = ((axis.origin + at) * count // axis.count - begin for at in (first, last))
    return start, stop
