"""Peak signal-to-noise ratio."""

from torch import Tensor

from ciaovideo.metrics.luma import luma_pair


def psnr(sr: Tensor, hr: Tensor, *, border: int) -> Tensor:
    """PSNR in dB on Y against a peak of 1, without ``border`` pixels: (B,), infinite if equal.

    The benchmark protocol of LIIF (Chen et al., arXiv 2012.09161): no rounding to 8 bit.
    """
    ours, true = luma_pair(sr, hr, border)
    error = (ours - true).square().mean(dim=(-2, -1))
    return -10 * error.log10()
