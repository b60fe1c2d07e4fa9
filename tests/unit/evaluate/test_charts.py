"""Line charts as SVG."""

import itertools
import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciaovideo.evaluate.charts import Line, color_class, line_chart, round_ticks


def circles(svg: str) -> list[tuple[float, float]]:
    return [
        (float(each.attrib["cx"]), float(each.attrib["cy"]))
        for each in ET.fromstring(svg).iter("circle")
        if each.attrib["class"] == "hit"
    ]


def test_points_lie_where_their_values_are() -> None:
    lines = [Line("a <b>", ((2, 30.0), (4, 20.0), (3, 25.0)), 0), Line("paper", ((4, 30.0),), None)]
    svg = line_chart(lines, title="A & B", x_label="scale", x_ticks=(2, 3, 4))
    drawn = ET.fromstring(svg)  # well formed, names escaped
    assert drawn.findtext("figcaption") == "A & B"
    paper, (x2, y30), (x4, y20), (x3, y25) = circles(svg)
    assert paper == (x4, y30)
    assert x3 == pytest.approx((x2 + x4) / 2, abs=0.1)
    assert y25 == pytest.approx((y30 + y20) / 2, abs=0.1)
    assert x2 < x4
    assert y30 < y20
    assert "a &lt;b&gt;, 3: 25.00" in svg


def test_what_is_infinite_is_left_out() -> None:
    lines = [Line("a", ((0, math.inf), (1, 1.0), (2, 2.0)), 0)]
    assert len(circles(line_chart(lines, title="", x_label="", x_ticks=(0, 1, 2)))) == 2
    assert line_chart([Line("a", ((0, math.inf),), 0)], title="", x_label="", x_ticks=()) == ""


@given(low=st.floats(-50, 50), span=st.floats(0, 100))
def test_ticks_span_the_values_evenly(low: float, span: float) -> None:
    ticks = round_ticks(low, low + span)
    step = ticks[1] - ticks[0]
    assert 2 <= len(ticks) <= 8
    assert ticks[0] - step * 1e-6 <= low
    assert low + span <= ticks[-1] + step * 1e-6 + 1e-9
    assert [b - a for a, b in itertools.pairwise(ticks)] == pytest.approx([step] * (len(ticks) - 1))


def test_more_lines_than_colours_begin_again_dashed() -> None:
    assert color_class(5) == "s5"
    assert color_class(6) == "s0 again"
    assert color_class(None) == "paper"
