"""The error of a network's equivariance over scales."""

from torch import Tensor

from ciaovideo.metrics.luma import without_border


def equivariance_error(before: Tensor, after: Tensor, *, border: int) -> Tensor:
    """EQ_S(phi, r) of EQSR (Wang et al., CVPR 2023, equation 6) in dB: (B,), less is better.

    10 log10 of the mean squared difference over R, G and B, without ``border`` pixels, of
    ``before``, phi(f(x; r); r): x reduced, then enlarged by the network, and ``after``,
    f(phi(x; r); r): enlarged, then reduced, both (B, 3, H, W). -infinity where both are equal. The
    values are not clamped. (No entry of ``METRICS``, because nothing is compared with a truth.)
    """
    first, second = (rgb.double() for rgb in without_border(before, after, border))
    return 10 * (first - second).square().mean(dim=(-3, -2, -1)).log10()
