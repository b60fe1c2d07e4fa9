"""The learning rate."""

import pytest

from ciaovideo.train.recipe import OptimOptions
from ciaovideo.train.schedule import learning_rate


def test_warm_up_and_cosine() -> None:
    options = OptimOptions(steps=1010, learning_rate=1.0, warmup=10)
    assert [learning_rate(step, options) for step in (0, 4, 9)] == [0.1, 0.5, 1.0]
    assert learning_rate(10, options) == 1.0
    assert learning_rate(510, options) == pytest.approx(0.505)  # half-way between 1 and 0.01
    assert learning_rate(1010, options) == pytest.approx(0.01)
    assert learning_rate(2000, options) == pytest.approx(0.01)


def test_halvings_as_published() -> None:
    options = OptimOptions(schedule="halving")
    steps = (0, 199_999, 200_000, 399_999, 400_000, 600_000, 800_000, 999_999)
    rates = [learning_rate(step, options) / 1e-4 for step in steps]
    assert rates == pytest.approx([1, 1, 1 / 2, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 16])
