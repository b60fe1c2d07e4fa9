"""SSIM against its definition, window by window."""

import numpy as np
import pytest
import torch

from ciaovideo.errors import OptionError
from ciaovideo.metrics.ssim import ssim

SAME = 1e-12  # both in float64


def by_definition(a: np.ndarray, b: np.ndarray) -> float:
    """Wang et al., 2004, equation 13, on planes in [0, 255]: one window after the other."""
    place = np.arange(11) - 5
    weight = np.exp(-(place[:, None] ** 2 + place[None, :] ** 2) / (2 * 1.5**2))
    weight /= weight.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for y in range(a.shape[0] - 10):
        for x in range(a.shape[1] - 10):
            p, q = a[y : y + 11, x : x + 11], b[y : y + 11, x : x + 11]
            mean_p, mean_q = (weight * p).sum(), (weight * q).sum()
            var_p = (weight * (p - mean_p) ** 2).sum()
            var_q = (weight * (q - mean_q) ** 2).sum()
            cov = (weight * (p - mean_p) * (q - mean_q)).sum()
            values.append(
                (2 * mean_p * mean_q + c1)
                * (2 * cov + c2)
                / ((mean_p**2 + mean_q**2 + c1) * (var_p + var_q + c2))
            )
    return float(np.mean(values))


def coded_luma(rgb: np.ndarray) -> np.ndarray:
    """Y of BT.601 in [16, 235] from (3, H, W) in [0, 1]."""
    red, green, blue = rgb.astype(np.float64)
    return np.asarray(16 + 255 * (65.738 * red + 129.057 * green + 25.064 * blue) / 256)


def test_equals_the_definition() -> None:
    rng = np.random.default_rng(3)
    hr = rng.random((3, 20, 17), dtype=np.float32)
    sr = np.clip(hr + 0.2 * rng.standard_normal(hr.shape, dtype=np.float32), 0, 1)
    measured = ssim(torch.from_numpy(sr)[None], torch.from_numpy(hr)[None], border=2)
    inside = (slice(2, -2), slice(2, -2))
    expected = by_definition(coded_luma(sr)[inside], coded_luma(hr)[inside])
    assert measured.item() == pytest.approx(expected, abs=SAME)


def test_flat_pictures_by_hand() -> None:
    # Without variance only the means are left: Y = 16 and 235 (219.0 above black).
    black, white = torch.zeros(1, 3, 12, 12), torch.ones(1, 3, 12, 12)
    a, b, c1 = 16.0, 16 + 255 * 219.859 / 256, 2.55**2
    expected = (2 * a * b + c1) / (a * a + b * b + c1)
    assert ssim(black, white, border=0).item() == pytest.approx(expected, abs=SAME)


def test_a_picture_smaller_than_the_window_is_refused() -> None:
    small = torch.zeros(1, 3, 14, 14)
    with pytest.raises(OptionError, match="11 px"):
        ssim(small, small, border=2)
