"""Metrics: how close a picture is to the true one.

A metric takes ``sr`` and ``hr``, both (B, 3, H, W) in [0, 1], and ``border``, the number of pixels
that are cropped on each side. It returns one float64 for each picture, (B,). Values outside [0, 1]
are clamped in both pictures, and nothing is rounded to 8 bits. Each metric names its colour space.
"""

from typing import Protocol

from torch import Tensor

from ciaovideo.registry import Registry


class Metric(Protocol):
    """The interface of the entries of ``METRICS``."""

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
