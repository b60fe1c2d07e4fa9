"""FSDN: the features of ASDN at LR, and one scale by a transposed convolution."""

from typing import Self

from torch import Tensor, nn

from ciaovideo.errors import OptionError
from ciaovideo.grid import Axis, View
from ciaovideo.models.networks.interpolation import Bicubic
from ciaovideo.models.parts.bi_dense import BiDense, Reconstruction
from ciaovideo.models.parts.fixed_scale import exact, taken
from ciaovideo.models.parts.frame_means import WANTED, FrameMeans, summed
from ciaovideo.models.protocols import (
    NOTHING,
    Core,
    Footprint,
    Latent,
    Network,
    Reach,
    Scales,
    Statistics,
)


class FSDN(Network):
    """Fixed-scale deep network (Shen, Wang and Zhang, arXiv 2010.02414, section 3.5).

    ASDN's features, computed from the LR picture itself, a transposed convolution to ``scale``
    times its size before the reconstruction, and bicubic as the global skip. It is fine-tuned from
    an ASDN of the same sizes: ``features`` are the same module. The paper does not print the
    transposed convolution; here it has the width of the features, and a kernel of twice the scale
    (5 at x3, since only odd kernels lie evenly there).
    """

    sums_at_hand = True

    def __init__(
        self,
        scale: int = 2,
        features: int = 64,
        *,
        blocks: int = 16,
        layers: int = 8,
        reduction: int = 16,
    ) -> None:
        super().__init__()
        if scale < 2:
            raise OptionError(f"fsdn: a scale of {scale}", "a whole number from 2 on")
        self.scale = scale
        self.scales = Scales(only=(float(scale),))
        self.features = BiDense(features, blocks, layers, reduction)
        kernel = 2 * scale - scale % 2
        self.enlarge = nn.ConvTranspose2d(
            self.features.out_channels, features, kernel, scale, (kernel - scale) // 2
        )
        self.reconstruction = Reconstruction(features)
        self.passes = blocks

    @classmethod
    def small(cls) -> Self:
        """One for tests."""
        return cls(3, 4, blocks=2, layers=2, reduction=2)

    def reach(self, view: View) -> Reach:
        """The features', the kernel's, and a pixel for an output that is not quite the scale."""
        return Reach(self.features.radius + 2)

    def footprint(self, view: View) -> Footprint:
        """The features at LR, then the enlarged ones."""
        features = self.enlarge.out_channels
        return Footprint(self.features.floats + self.scale**2 * (features + 21), 3)

    def encode(self, lr: Tensor, view: View, statistics: Statistics = NOTHING) -> Latent:
        """The picture of the tile at the scale; or the map whose mean is wanted."""
        means = FrameMeans(statistics)
        kind = self.features.conv_first.weight.dtype
        count = view.lr_size[0] * view.lr_size[1]
        features = self.features(lr.to(kind), means, count)
        if features is None:
            assert means.wanted is not None
            return {WANTED: means.wanted, **statistics}
        rows = exact(view.rows, self.scale, lr.shape[-2])
        columns = exact(view.columns, self.scale, lr.shape[-1])
        large = Bicubic().decode({"lr": lr.float()}, rows, columns)
        return {"sr": large + self.reconstruction(self.enlarge(features)).float(), **statistics}

    def summarize(self, latent: Latent, core: Core) -> Statistics:
        """The sum of the map that is wanted, over the pixels that a tile owns."""
        return summed(latent, core.pixels)

    def decode(self, latent: Latent, rows: Axis, columns: Axis) -> Tensor:
        """Cut out of the tile's picture."""
        return taken(latent["sr"], rows, columns, self.scale)
