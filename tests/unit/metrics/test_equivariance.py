"""The error between reducing before and after a network."""

import math

import pytest
import torch

from ciaovideo.errors import OptionError
from ciaovideo.metrics.equivariance import equivariance_error


def test_it_is_ten_log_ten_of_the_mean_squared_difference() -> None:
    before = torch.zeros(2, 3, 10, 12)
    after = before.clone()
    after[0, 0] = 0.3
    after[1] = 2.0  # beyond white counts too
    found = equivariance_error(before, after, border=2)
    expected = [10 * math.log10(0.09 / 3), 10 * math.log10(4)]
    assert found.tolist() == pytest.approx(expected, abs=1e-6)  # 0.3 is rounded to fp32


def test_no_difference_and_the_border() -> None:
    before = torch.rand(1, 3, 9, 9)
    after = before.clone()
    after[..., :2, :] += 1
    assert equivariance_error(before, after, border=2).tolist() == [-math.inf]
    assert equivariance_error(before, after, border=1).item() > -10
    with pytest.raises(OptionError, match="cannot be compared"):
        equivariance_error(before, after[..., 1:], border=0)
