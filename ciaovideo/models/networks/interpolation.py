"""Enlarging without a network: bicubic and Lanczos, the zero line that networks have to beat."""

from collections.abc import Callable, Mapping
from typing import Self

import torch
from torch import Tensor

from ciaovideo.grid import Axis, View, once_per_axis, placed
from ciaovideo.models.protocols import NOTHING, Footprint, Latent, Network, Reach, Statistics


def _cubic(x: Tensor) -> Tensor:
    """Keys' kernel with a = -1/2 (IEEE Trans. ASSP 29, 1981, equation 15)."""
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0))


def _lanczos(x: Tensor) -> Tensor:
    """A sinc under the main lobe of one three times as wide."""
    return torch.where(x.abs() < 3, torch.sinc(x) * torch.sinc(x / 3), 0)


KERNELS: Mapping[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "bicubic": (_cubic, 2),
    "lanczos": (_lanczos, 3),
}


class Interpolation(Network):
    """One of KERNELS in place of a network, so that both are compared on the same way.

    Equal to Pillow's filter of that name where it enlarges, but for Pillow's rounding to 8 bit.
    It has no weights, and works in fp32 whatever the precision.
    """

    kind: str

    @classmethod
    def small(cls) -> Self:
        """It has no size."""
        return cls()

    def reach(self, view: View) -> Reach:
        """The kernel's."""
        return Reach(KERNELS[self.kind][1])

    def footprint(self, view: View) -> Footprint:
        """The same at every scale."""
        return Footprint(6, 9)

    def encode(self, lr: Tensor, view: View, statistics: Statistics = NOTHING) -> Latent:
        """The picture itself: lr (B, 3, h, w)."""
        return {"lr": lr.float()}

    def decode(self, latent: Latent, rows: Axis, columns: Axis) -> Tensor:
        """Colour at these rows and columns: (B, 3, rows, columns)."""
        return self._along(self._along(latent["lr"], rows, -2), columns, -1)

    def _along(self, lr: Tensor, axis: Axis, dim: int) -> Tensor:
        index, weight = _taps(axis, self.kind)
        index = (index - axis.origin).clamp_(0, lr.shape[dim] - 1)
        weight, index = placed(weight, lr.device), placed(index, lr.device)
        shape = (-1, 1) if dim == -2 else (-1,)
        out = lr.index_select(dim, index[0]).mul_(weight[0].view(shape))
        for tap in range(1, len(index)):
            out.addcmul_(lr.index_select(dim, index[tap]), weight[tap].view(shape))
        return out


class Bicubic(Interpolation):
    """Keys' cubic, four samples wide."""

    kind = "bicubic"


class Lanczos(Interpolation):
    """A windowed sinc, six samples wide."""

    kind = "lanczos"


@once_per_axis
def _taps(axis: Axis, kind: str) -> tuple[Tensor, Tensor]:
    """Which samples of the frame each query reads, and their weights: (taps, N) both."""
    kernel, reach = KERNELS[kind]
    position = (axis.coord.double() + 1) * (axis.count / 2) - 0.5
    first = position.floor().long() - (reach - 1)
    index = first + torch.arange(2 * reach)[:, None]
    weight = kernel(position - index) * ((index >= 0) & (index < axis.count))
    return index, (weight / weight.sum(dim=0)).float()
