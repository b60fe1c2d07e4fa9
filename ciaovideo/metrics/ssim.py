"""Structural similarity."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ciaovideo.errors import OptionError
from ciaovideo.metrics.luma import luma_pair

TAPS = 11
SIGMA = 1.5  # px
OFFSET = 16 / 255  # of black in Y: the means that enter SSIM are those of coded luma
LUMINANCE = 0.01**2  # the stabilising constants K1 and K2, squared; the peak is 1
CONTRAST = 0.03**2


def ssim(sr: Tensor, hr: Tensor, *, border: int) -> Tensor:
    """Mean SSIM on Y without ``border`` pixels (Wang et al., 2004, IEEE TIP 13(4)): (B,).

    Means and variances under an 11x11 Gaussian of sigma 1.5, where it lies inside the picture.
    """
    ours, true = (plane + OFFSET for plane in luma_pair(sr, hr, border))
    if min(ours.shape[-2:]) < TAPS:
        raise OptionError(
            f"SSIM needs {TAPS} px on each side, {tuple(ours.shape[-2:])} are left",
            "use larger pictures",
        )
    mean_a, mean_b, square_a, square_b, product = _blurred(
        torch.stack([ours, true, ours * ours, true * true, ours * true])
    )
    variance_a = square_a - mean_a * mean_a
    variance_b = square_b - mean_b * mean_b
    covariance = product - mean_a * mean_b
    near = (2 * mean_a * mean_b + LUMINANCE) / (mean_a * mean_a + mean_b * mean_b + LUMINANCE)
    alike = (2 * covariance + CONTRAST) / (variance_a + variance_b + CONTRAST)
    score: Tensor = (near * alike).mean(dim=(-2, -1))
    return score


def _blurred(planes: Tensor) -> Tensor:
    """Gaussian means: (N, B, H, W) -> (N, B, H - 10, W - 10)."""
    place = torch.arange(TAPS, dtype=planes.dtype, device=planes.device) - TAPS // 2
    bell = (-place.square() / (2 * SIGMA**2)).exp()
    bell /= bell.sum()
    flat = planes.flatten(0, 1).unsqueeze(1)
    flat = F.conv2d(F.conv2d(flat, bell.view(1, 1, -1, 1)), bell.view(1, 1, 1, -1))
    means: Tensor = flat.squeeze(1).unflatten(0, planes.shape[:2])
    return means
