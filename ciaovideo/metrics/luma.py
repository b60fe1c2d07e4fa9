"""Y, the usual channel for measuring super-resolution."""

from torch import Tensor

from ciaovideo.errors import OptionError

WEIGHTS = (65.738 / 256, 129.057 / 256, 25.064 / 256)  # ITU-R BT.601, studio range


def luma(rgb: Tensor) -> Tensor:
    """Y of BT.601 without its offset of 16/255: rgb (B, 3, H, W) in [0, 1] -> (B, H, W) float64.

    White is 0.859 and black 0, the range that the published figures of this family use.
    """
    red, green, blue = rgb.double().clamp(0, 1).unbind(dim=1)
    return WEIGHTS[0] * red + WEIGHTS[1] * green + WEIGHTS[2] * blue


def luma_pair(sr: Tensor, hr: Tensor, border: int) -> tuple[Tensor, Tensor]:
    """Y of both pictures without ``border`` pixels on each side: (B, H - 2b, W - 2b) each.

    Raises OptionError for pictures of different sizes, and where nothing is left.
    """
    ours, true = without_border(sr, hr, border)
    return luma(ours), luma(true)


def without_border(sr: Tensor, hr: Tensor, border: int) -> tuple[Tensor, Tensor]:
    """Both pictures without ``border`` pixels on each side: (B, 3, H - 2b, W - 2b) each.

    Raises OptionError for pictures of different sizes, and where nothing is left.
    """
    if sr.shape != hr.shape:
        raise OptionError(
            f"pictures of {tuple(sr.shape)} and {tuple(hr.shape)} cannot be compared",
            "make both the same size",
        )
    height, width = hr.shape[-2:]
    if min(height, width) <= 2 * border:
        raise OptionError(
            f"a border of {border} px leaves nothing of {width}x{height}", "use larger pictures"
        )
    inside = (..., slice(border, height - border), slice(border, width - border))
    return sr[inside], hr[inside]
