"""Charts: what is drawn where, in which form, and what is said where matplotlib is absent."""

import math
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image

from ciaovideo.charts import COLORS, Line, Panel, check_format, draw_panels, drawing
from ciaovideo.errors import OptionError
from ciaovideo.pages.inline import VARIABLES, inline_svg
from ciaovideo.train.report.curves import draw_run


def inline(lines: list[Line], **facts: Any) -> ElementTree.Element:
    return ElementTree.fromstring(inline_svg(Panel("A & B", lines, names=False, **facts)))


def told(svg: ElementTree.Element) -> dict[str, tuple[float, float]]:
    """What hovering over each point tells, and the place of the point."""
    marks = (each for each in svg.iter("use") if each.find("title") is not None)
    return {
        mark.findtext("title") or "": (float(mark.attrib["x"]), float(mark.attrib["y"]))
        for mark in marks
    }


@pytest.mark.heavy
def test_points_lie_where_their_values_are() -> None:
    lines = [
        Line(((2, 30.0), (4, 20.0), (3, 25.0)), "a <b>"),
        Line(((4, 30.0),), "paper", index=None),
    ]
    svg = inline(lines, x_label="scale", x_ticks=(2, 3, 4))  # well formed: names are escaped
    places = told(svg)
    (x2, y30), (x4, y20) = places["a <b>, 2: 30.00"], places["a <b>, 4: 20.00"]
    x3, y25 = places["a <b>, 3: 25.00"]
    assert places["paper, 4: 30.00"] == (x4, y30)
    assert x3 == pytest.approx((x2 + x4) / 2, abs=0.1)
    assert y25 == pytest.approx((y30 + y20) / 2, abs=0.1)
    assert x2 < x4
    assert y30 < y20  # y grows downwards
    texts = [text.text for text in svg.iter("text")]
    assert {"2", "3", "4", "scale"} <= set(texts)


def test_a_chart_in_a_page_leaves_colours_and_fonts_to_it() -> None:
    lines = [Line([(0, index), (1, index + 1.5)], str(index), index=index) for index in range(7)]
    svg = inline([*lines, Line([(0, 3), (1, 4)], "paper", index=None)])
    styles = [each.get("style", "") for each in svg.iter()]
    assert not any(value in style for value in VARIABLES for style in styles)
    for name in ("soft", "rule", "paper", *(f"s{index}" for index in range(len(COLORS)))):
        assert any(f"var(--{name})" in style for style in styles), name
    assert sum("stroke-dasharray" in style for style in styles) == 1  # the seventh of six colours
    assert not any("font-family" in style for style in styles)
    assert not list(svg.iter("clipPath")) + list(svg.iter("style"))


def test_equal_charts_have_equal_text() -> None:
    panel = Panel("x", [Line([(0, 1.0), (1, 2.0)])])
    assert inline_svg(panel) == inline_svg(panel)


def test_infinite_points_are_dropped() -> None:
    assert len(told(inline([Line([(0, math.inf), (1, 1.0), (2, 2.0)])]))) == 2
    assert inline_svg(Panel("", [Line([(0, math.inf)])])) == ""


@pytest.mark.parametrize("span", [3e-4, 0.003, 0.02, 0.5, 7.0, 40_000.0])
def test_ticks_have_numbers_that_differ(span: float) -> None:
    with drawing():
        figure = draw_panels("", [Panel("", [Line([(0, 32.17), (1, 32.17 + span)])])])
        figure.canvas.draw()
        texts = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(set(texts)) == len(texts) >= 3


@pytest.mark.heavy
def test_a_run_is_drawn_with_its_crops(tmp_path: Path) -> None:
    red = torch.tensor([1.0, 0.0, 0.0])[:, None, None].expand(3, 8, 16)
    losses, psnrs = [(1.0, 0.5), (2.0, 0.25)], {"x2": [(1.0, 30.0)], "x3": [(1.0, 28.0)]}
    draw_run(tmp_path / "run.png", "a run", losses, psnrs, [{"LR": red, "truth": red}])
    with Image.open(tmp_path / "run.png") as picture:
        width, height = picture.size
        pixels = picture.convert("RGB")
    assert pixels.getpixel((width // 4, height - 60)) == (255, 0, 0)
    assert pixels.getpixel((3 * width // 4, height - 60)) == (255, 0, 0)
    assert pixels.getpixel((width // 2, height - 60)) == (255, 255, 255)
    draw_run(tmp_path / "run.svg", "a run", losses, psnrs, [])
    text = (tmp_path / "run.svg").read_text(encoding="utf-8")
    assert "PSNR of validation at x3, dB on Y: best 28.00" in text


def test_without_matplotlib_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(OptionError, match=r"ciaovideo\[plots\]"), drawing():
        pass
    draw_run(tmp_path / "run.png", "a run", [(1.0, 0.5)], {}, [])  # a training goes on without
    assert not list(tmp_path.iterdir())
    assert "no run.png" in caplog.text


def test_charts_are_png_or_svg() -> None:
    check_format(Path("a.PNG"))
    check_format(Path("a.svg"))
    with pytest.raises(OptionError, match=r"\.png or \.svg"):
        check_format(Path("a.jpg"))
