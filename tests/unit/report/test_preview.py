"""Which ways to make a picture a preview compares."""

import pytest

from ciaovideo.options import ModelOptions
from ciaovideo.report.preview import columns


@pytest.mark.parametrize(
    ("restore", "others"), [(0.0, [0.5, 1]), (0.3, [0, 1]), (0.5, [0, 1]), (0.95, [0, 0.5])]
)
def test_two_other_strengths_are_shown(restore: float, others: list[float]) -> None:
    found = columns(ModelOptions(model="ciaosr-fast"), "cpu", restore)
    assert [column.name for column in found] == ["bicubic", *(f"restore {v:g}" for v in others)]
    assert [column.model.restore for column in found[1:]] == others


def test_a_network_of_one_strength_is_shown_alone() -> None:
    assert [c.name for c in columns(ModelOptions(model="lanczos"), "cpu", 0.0)] == ["bicubic"]
