"""Plots: what the numbers at their axes say."""

import pytest

from ciaovideo.plot import TICKS, enough_digits


@pytest.mark.parametrize("span", [3e-4, 0.003, 0.02, 0.5, 7.0, 40_000.0])
def test_ticks_have_numbers_that_differ(span: float) -> None:
    for least in (0, 2):
        digits = enough_digits(least, span)
        told = {f"{32.17 + span * tick / (TICKS - 1):.{digits}f}" for tick in range(TICKS)}
        assert len(told) == TICKS
        assert digits >= least
    assert enough_digits(2, 7.0) == 2
