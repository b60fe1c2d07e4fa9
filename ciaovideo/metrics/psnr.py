"""Peak signal-to-noise ratio."""

from torch import Tensor

from ciaovideo.metrics.luma import luma_pair, without_border


def psnr(sr: Tensor, hr: Tensor, *, border: int) -> Tensor:
    """PSNR in dB on Y against a peak of 1, without ``border`` pixels: (B,), infinite if equal.

    The benchmark protocol of LIIF (Chen et al., arXiv 2012.09161): no rounding to 8 bit.
    """
    ours, true = luma_pair(sr, hr, border)
    error = (ours - true).square().mean(dim=(-2, -1))
    return -10 * error.log10()


def psnr_rgb(sr: Tensor, hr: Tensor, *, border: int) -> Tensor:
    """PSNR in dB over R, G and B together, without ``border`` pixels: (B,), infinite if equal.

    What LIIF (Chen et al., arXiv 2012.09161) measures on DIV2K: no rounding to 8 bit.
    """
    ours, true = (rgb.double().clamp(0, 1) for rgb in without_border(sr, hr, border))
    error = (ours - true).square().mean(dim=(-3, -2, -1))
    return -10 * error.log10()
