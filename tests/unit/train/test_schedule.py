"""The learning rate."""

from dataclasses import replace

import pytest

from ciaovideo.train.options import OptimOptions
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


def test_a_constant_rate_falls_to_zero_in_its_last_steps() -> None:
    options = OptimOptions(
        schedule="constant", steps=10, decay_steps=4, warmup=2, learning_rate=1.0
    )
    rates = [learning_rate(step, options) for step in range(10)]
    assert rates == [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
    longer = replace(options, steps=20)  # a run may be prolonged until it falls
    assert [learning_rate(step, longer) for step in range(7)] == rates[:7]


def test_a_constant_rate_may_stay() -> None:
    options = OptimOptions(schedule="constant", steps=3, learning_rate=1.0)
    assert [learning_rate(step, options) for step in range(3)] == [1.0, 1.0, 1.0]
