"""Equivariance of a method over scales, added to another measure."""

import math
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from ciaovideo.data.pairs import crop_size, crop_step, lr_size
from ciaovideo.data.sampling import bicubic_matrix
from ciaovideo.evaluate.protocol import OnSample, Sample, Score, Upscale, naming
from ciaovideo.metrics.equivariance import equivariance_error

type Measuring = Callable[[Path, float, Upscale, OnSample], Score]
"""Folder or video, scale, method, and a callback for each picture -> means."""


def with_equivariance(measure: Measuring, *, skip_small: bool = False) -> Measuring:
    """The same measure with the mean equivariance error of its LR pictures.

    The method is called twice more for each picture: on LR, and on LR reduced once more. Raises
    OptionError for a picture that is too small; with ``skip_small`` there is no mean at its scale.
    """

    def measured(path: Path, scale: float, upscale: Upscale, seen: OnSample) -> Score:
        errors: list[float] = []
        small = False

        def look(sample: Sample) -> None:
            nonlocal small
            small = small or (skip_small and not _leaves_any(sample.lr, scale))
            if not small:
                with naming(sample.name):
                    errors.append(equivariance(upscale, sample.lr, scale))
            seen(sample)

        score = measure(path, scale, upscale, look)
        return replace(score, equivariance=None if small else statistics.fmean(errors))

    return measured


def equivariance(upscale: Upscale, picture: Tensor, scale: float) -> float:
    """The equivariance error in dB of a method at a scale r, of x (1, 3, h, w) in [0, 1].

    x is cropped so that x / r is whole, f is anti-aliased bicubic (of floats, not rounded), and
    ceil(r) px of border are cropped. Raises OptionError for a picture that is too small.
    """
    size = crop_size((picture.shape[-2], picture.shape[-1]), scale)
    x = picture[..., : size[0], : size[1]]
    small = lr_size(size, scale)
    large = round(size[0] * scale), round(size[1] * scale)
    before = upscale(_resampled(x, small), size).cpu()
    after = _resampled(upscale(x, large).cpu(), size)
    return equivariance_error(before, after, border=math.ceil(scale)).item()


def _leaves_any(picture: Tensor, scale: float) -> bool:
    """Whether the crop and the border leave anything of a picture."""
    step, border = crop_step(scale), math.ceil(scale)
    return min(side - side % step for side in picture.shape[-2:]) > 2 * border


def _resampled(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """f: anti-aliased bicubic reduction to a size, (B, 3, H, W) -> (B, 3, *size)."""
    down = bicubic_matrix(picture.shape[-2], size[0])
    across = bicubic_matrix(picture.shape[-1], size[1])
    return down @ picture.cpu() @ across.T
