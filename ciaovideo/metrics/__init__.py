"""How near a picture is to the true one; each metric states its colour and what border it ignores.

A metric is a function of ``sr`` and ``hr``, both (B, 3, H, W) in [0, 1], and of ``border``, the
pixels that are left out on each side; it returns one float64 for each picture, (B,). What lies
outside [0, 1] is clamped first, nothing is rounded to 8 bit, and both pictures are treated alike.
"""

from typing import Protocol

from torch import Tensor

from ciaovideo.registry import Registry


class Metric(Protocol):
    """What every entry of ``METRICS`` is."""

    def __call__(self, sr: Tensor, hr: Tensor, *, border: int) -> Tensor:
        """One value for each picture: (B,) float64."""
        ...


METRICS: Registry[Metric] = Registry(
    "metric",
    {
        "psnr": "ciaovideo.metrics.psnr:psnr",
        "psnr_rgb": "ciaovideo.metrics.psnr:psnr_rgb",
        "ssim": "ciaovideo.metrics.ssim:ssim",
    },
)
