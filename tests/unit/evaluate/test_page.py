"""The page: well formed whatever names hold, and with every part that it should have."""

import re
from html.parser import HTMLParser

from ciaovideo.evaluate.cost import Cost
from ciaovideo.evaluate.crops import Crop
from ciaovideo.evaluate.page import as_html, mark
from ciaovideo.evaluate.protocol import FrameScore, Score
from ciaovideo.evaluate.report import Report, Row

NAME = """<b>&"'{{ 7 * 7 }}"""  # for HTML and for the template, a name is text
VOID = {"meta", "img", "input"}


class Outline(HTMLParser):
    """The tags and texts of a page; fails where one is closed that was not open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.titles: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.titles += [value for name, value in attrs if name in ("title", "alt") and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())


def video(psnr: float) -> Score:
    frames = (FrameScore(psnr=psnr), FrameScore(psnr=psnr + 1, temporal=1.25))
    return Score(psnr=psnr, pictures=2, temporal=1.25, frames=frames)


def page(*rows: Row, costs: tuple[Cost, ...] = (), crops: tuple[Crop, ...] = ()) -> str:
    report = Report(scales=(2.0, 4.0), rows=rows, costs=costs)
    return as_html(report, crops, ["said & done"], 4.0)


def test_a_name_is_text_wherever_it_stands() -> None:
    rows = [
        Row(method=NAME, dataset=NAME, scores={2.0: Score(psnr=30), 4.0: Score(psnr=25)}),
        Row(method="paper", dataset=NAME, scores={2.0: Score(psnr=38)}, source=NAME),
    ]
    views = {"LR": b"1", NAME: b"2", "truth": b"3"}
    cost = Cost(method=NAME, decoder=1, milliseconds=2, device=NAME, source=NAME)
    text = page(*rows, costs=(cost,), crops=(Crop(NAME, NAME, 4.0, (8, 16), views),))
    outline = Outline(text)
    assert outline.texts.count(NAME) >= 8
    assert outline.titles.count(NAME) == 2  # the source of a row, the alternative of a picture
    assert "49" not in re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)
    assert "aspect-ratio:16/8" in text


def test_the_best_figure_is_marked_and_published_ones_have_their_distance() -> None:
    rows = [
        Row(method="good", dataset="set", scores={2.0: Score(psnr=31, ssim=0.9)}),
        Row(method="bicubic", dataset="set", scores={2.0: Score(psnr=30), 4.0: Score(psnr=20)}),
        Row(method="paper", dataset="set", scores={2.0: Score(psnr=32.5)}, source="a paper"),
    ]
    text = page(*rows)
    assert '<td class="best">31.00<small>0.9000</small></td>' in text
    assert "<td>30.00</td>" in text
    assert '<td class="best">20.00</td>' in text
    assert "<td>32.50<small>+1.50</small></td>" in text
    assert "1 published methods, and how far they are from good" in text
    assert text.count("<svg") == 2  # over scale, and the gain over bicubic
    assert "<li>a paper</li>" in text


def test_a_video_has_charts_over_time_those_of_other_scales_folded() -> None:
    text = page(Row(method="net", dataset="clip", scores={2.0: video(30), 4.0: video(25)}))
    shown, _, folded = text.partition("Other scales over time")
    assert "PSNR over time at x4, dB on Y" in shown
    assert "PSNR over time at x2, dB on Y" in folded
    assert "25.00<small>1.25</small>" in shown
    assert "Published figures" not in text


def test_more_methods_than_colours_begin_again() -> None:
    assert mark(5) == "s5"
    assert mark(6) == "s0"
    assert mark(None) == "paper"
