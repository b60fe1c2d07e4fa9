"""Errors that come and go."""

import pytest
import torch

from ciaovideo.metrics.temporal import temporal_error


def test_an_error_that_stands_still_costs_nothing() -> None:
    truth = torch.rand(4, 3, 12, 14, generator=torch.Generator().manual_seed(1)) * 0.5
    still = truth + torch.linspace(0, 0.4, 14)
    assert temporal_error(still, truth, border=1).tolist() == pytest.approx([0, 0, 0], abs=1e-4)


def test_an_error_of_one_frame_counts_twice() -> None:
    truth = torch.full((4, 3, 8, 8), 0.5)
    flash = truth.clone()
    flash[1] += 0.1
    step = 0.1 * (65.738 + 129.057 + 25.064) / 256 * 255
    errors = temporal_error(flash, truth, border=0)
    assert errors.tolist() == pytest.approx([step, step, 0], abs=1e-4)
    flash[1, :, 2:-2, 2:-2] = 0.5
    assert temporal_error(flash, truth, border=2).tolist() == [0, 0, 0]
