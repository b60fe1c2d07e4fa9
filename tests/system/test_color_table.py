"""The command that prints the table of colour errors; what it must show of our own path."""

import pytest

from ciaovideo.color import Range
from tests.color_table import CASES, markdown, rows

pytestmark = pytest.mark.vapoursynth


def test_luma_is_exact_and_chroma_where_it_is_not_subsampled() -> None:
    table = list(rows([CASES[0], CASES[9], CASES[-3]]))
    assert len(table) == 6
    for row in table:
        ours = row.errors["ours"]
        assert ours.luma == (0, 0)
        assert (ours.chroma == (0, 0)) == row.pix_fmt.startswith("yuv444p")
        assert row.color.color_range == Range.LIMITED
    text = markdown(table)
    assert text.count("\n") == 7
    assert "| yuv420p | BT709 | LIMITED | LEFT | street | 0.00 / 0; " in text
