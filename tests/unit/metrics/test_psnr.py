"""PSNR by hand."""

import pytest
import torch

from ciaovideo.metrics.luma import luma
from ciaovideo.metrics.psnr import psnr


def test_luma_of_the_primaries() -> None:
    rgb = torch.eye(3).view(1, 3, 1, 3)  # red, green, blue side by side
    expected = [65.738 / 256, 129.057 / 256, 25.064 / 256]
    assert luma(rgb).flatten().tolist() == pytest.approx(expected)


def test_a_gray_step_by_hand() -> None:
    # Gray differs by 0.1 everywhere, so Y by 0.1 * 219.859 / 256: 20 + 1.3219 dB.
    dark, light = torch.full((1, 3, 8, 8), 0.4), torch.full((1, 3, 8, 8), 0.5)
    assert psnr(dark, light, border=2).item() == pytest.approx(21.3219, abs=1e-4)


def test_one_wrong_pixel_by_hand() -> None:
    # One of 16 pixels differs by one in green: MSE = (129.057 / 256)^2 / 16.
    hr = torch.zeros(1, 3, 4, 4)
    sr = hr.clone()
    sr[0, 1, 2, 3] = 1
    assert psnr(sr, hr, border=0).item() == pytest.approx(17.9904, abs=1e-4)
