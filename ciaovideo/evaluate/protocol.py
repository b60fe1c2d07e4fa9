"""Protocols of published tables: how HR is cropped, LR made, and what is compared."""

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from torch import Tensor

from ciaovideo.data.images import list_pictures, read_picture, resize
from ciaovideo.errors import OptionError, UnsupportedScaleError
from ciaovideo.metrics import METRICS
from ciaovideo.options import MAX_SCALE

Upscale = Callable[[Tensor, tuple[int, int]], Tensor]
"""lr (1, 3, h, w) in [0, 1] and (height, width) -> sr (1, 3, height, width)."""

COMMON_STEP = 12  # HR sides are multiples of it, so that x2, x3, x4 and x6 see the same pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Means over a set: PSNR in dB, SSIM where asked for; 0 pictures where nobody counted."""

    psnr: float
    ssim: float | None = None
    pictures: int = 0


def benchmark(
    upscale: Upscale,
    folder: Path,
    scale: float,
    *,
    ssim: bool = False,
    on_picture: Callable[[Path], None] = lambda _: None,
) -> Score:
    """Set5, Set14, B100 and their like: Y of BT.601, ceil(scale) pixels of border left out.

    HR is cropped so that LR has whole sides (``crop_step``), LR is Pillow's bicubic of it in 8 bit,
    and the result is clamped but not rounded (LIIF, arXiv 2012.09161). Published tables made LR
    with Matlab, whose bicubic differs in the last bit: 0.02 dB for bicubic itself on Set5.
    """
    border = math.ceil(scale)
    names = ("psnr", "ssim") if ssim else ("psnr",)
    values: dict[str, list[float]] = {name: [] for name in names}
    for path in list_pictures(folder):
        hr, lr = pair(read_picture(path), scale)
        sr = upscale(lr.float() / 255, (hr.shape[-2], hr.shape[-1])).cpu()
        for name in names:
            value = METRICS[name](sr, hr.float() / 255, border=border)
            values[name].append(value.item())
        on_picture(path)
    means = {name: statistics.fmean(each) for name, each in values.items()}
    return Score(**means, pictures=len(values["psnr"]))


def pair(picture: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """HR as it is measured and the LR made from it, both uint8, from (1, 3, H, W) uint8.

    HR loses rows and columns at the bottom and right. Raises UnsupportedScaleError for scales that
    are not above 1, OptionError for a picture with nothing left.
    """
    step = crop_step(scale)
    height, width = (side - side % step for side in picture.shape[-2:])
    if not height or not width:
        raise OptionError(
            f"x{scale:g} needs sides of a multiple of {step} px, "
            f"{picture.shape[-1]}x{picture.shape[-2]} has none",
            "choose a scale that is a simpler fraction, or larger pictures",
        )
    hr = picture[..., :height, :width]
    factor = _fraction(scale)
    return hr, resize(hr, (int(height / factor), int(width / factor)), "bicubic")


def crop_step(scale: float) -> int:
    """What HR sides are a multiple of: 12 where LR is whole with it, else the least that does.

    At x2.5 = 5/2 it is 5.
    """
    if not 1 < scale <= MAX_SCALE:
        raise UnsupportedScaleError(
            f"x{scale:g} cannot be measured", f"scales are above 1 and at most {MAX_SCALE:g}"
        )
    numerator = _fraction(scale).numerator
    return COMMON_STEP if COMMON_STEP % numerator == 0 else numerator


def _fraction(scale: float) -> Fraction:
    return Fraction(scale).limit_denominator(1000)
