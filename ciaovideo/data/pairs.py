"""Pairs of HR and LR for measuring: HR cropped so that LR is whole, LR by Pillow's bicubic."""

from fractions import Fraction

from torch import Tensor

from ciaovideo.data.images import resize
from ciaovideo.errors import OptionError, UnsupportedScaleError
from ciaovideo.options import MAX_SCALE

COMMON_STEP = 12  # HR sides are multiples of it, so that x2, x3, x4 and x6 see the same pictures


def pair(picture: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """The measured HR and its LR, both uint8, of a picture (1, 3, H, W) uint8.

    HR loses rows and columns at the bottom and right. Raises UnsupportedScaleError for scales that
    are not above 1, OptionError for a picture with nothing left.
    """
    height, width = crop_size((picture.shape[-2], picture.shape[-1]), scale)
    hr = picture[..., :height, :width]
    return hr, resize(hr, lr_size((height, width), scale), "bicubic")


def crop_size(size: tuple[int, int], scale: float, *, even: bool = False) -> tuple[int, int]:
    """A picture's cropped (height, width): multiples of ``crop_step``. Raises OptionError for 0.

    With ``even`` the sides of LR are even, too, for 4:2:0.
    """
    step = crop_step(scale) * (2 if even else 1)
    height, width = (side - side % step for side in size)
    if not height or not width:
        raise OptionError(
            f"x{scale:g} needs sides of a multiple of {step} px, {size[1]}x{size[0]} has none",
            "choose a scale that is a simpler fraction, or larger pictures",
        )
    return height, width


def lr_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """(height, width) of LR for an HR of whole steps."""
    factor = _fraction(scale)
    return int(size[0] / factor), int(size[1] / factor)


def crop_step(scale: float) -> int:
    """The divisor of HR's sides: 12 if LR's are whole then, else the smallest that makes them so.

    At x2.5 = 5/2 it is 5.
    """
    if not 1 < scale <= MAX_SCALE or _fraction(scale) == 1:
        raise UnsupportedScaleError(
            f"x{scale:g} cannot be measured", f"scales are above 1 and at most {MAX_SCALE:g}"
        )
    numerator = _fraction(scale).numerator
    return COMMON_STEP if COMMON_STEP % numerator == 0 else numerator


def _fraction(scale: float) -> Fraction:
    return Fraction(scale).limit_denominator(1000)
