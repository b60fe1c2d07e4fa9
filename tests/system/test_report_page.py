"""The page that ``evaluate`` writes, in a real browser."""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ciaovideo.cli.evaluate.command import build_parser, run
from ciaovideo.errors import OptionError
from tests.browser import CHROMIUM, chromium

METHODS = ("lanczos", "bicubic")


class Links(HTMLParser):
    """Collects what a page fetches from elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "srcset", "href", "action", "data") and value:
                self.fetched.append(value)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on three pictures at two scales."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "set5").mkdir()
    rng = np.random.default_rng(0)
    for index in range(3):
        coarse = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
        coarse[:, :, index] //= 4
        picture = Image.fromarray(coarse).resize((300, 240), Image.Resampling.BICUBIC)
        picture.save(folder / "set5" / f"picture {index} & more.png")
    made = folder / "report.html"
    words = (*METHODS, "--on", str(folder / "set5"), "--scales", "2,4", "--ssim", "--published")
    assert run(build_parser("").parse_args([*words, "--html", str(made)])) == 0
    return made


def test_it_needs_nothing_from_elsewhere(page_file: Path) -> None:
    text = page_file.read_text(encoding="utf-8")
    fetched = Links(text).fetched
    assert sum(link.startswith("data:image/webp;base64,") for link in fetched) == 3 * 4
    assert all(link.startswith(("data:", "#")) for link in fetched)
    assert not re.search(r"url\(|@import|https?:|fetch\(", re.sub(r"base64,[^\"]+", "", text))
    assert "picture 0 &amp; more" in text
    assert "RDN-CiaoSR" in text
    assert not list(page_file.parent.glob(".*"))


def test_a_place_that_cannot_be_written_is_refused_at_once(page_file: Path) -> None:
    for place in (page_file.parent, page_file.parent / "none" / "report.html"):
        words = ("bicubic", "--on", str(page_file.parent / "set5"), "--html", str(place))
        with pytest.raises(OptionError, match="cannot be written"):
            run(build_parser("").parse_args(words))


def test_without_matplotlib_a_page_is_refused_at_once(
    page_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    words = ("bicubic", "--on", str(page_file.parent / "set5"), "--html", str(page_file))
    with pytest.raises(OptionError, match=r"ciaovideo\[plots\]"):
        run(build_parser("").parse_args(words))


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
def test_the_slider_is_dragged(page_file: Path, tmp_path: Path) -> None:
    with chromium(tmp_path / "profile") as page:
        page.open(page_file, width=1240, height=900)
        assert page.value("document.querySelectorAll('.compare').length") == 3
        assert page.value("[...document.images].every(each => each.naturalWidth === 192)")
        page.value("document.querySelector('.stage').scrollIntoView({block: 'center'})")
        box = page.value("document.querySelector('.stage').getBoundingClientRect().toJSON()")
        middle = box["y"] + box["height"] / 3

        def shown() -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
            page.screenshot(tmp_path / "shot.png")
            whole = Image.open(tmp_path / "shot.png").convert("RGB")
            corners = (box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"])
            return np.asarray(whole.crop(tuple(map(round, corners))), dtype=np.int16)

        before = shown()
        start, end = (box["x"] + box["width"] * part for part in (0.5, 0.85))
        page.drag((start, middle), (end, middle))
        at = page.value("document.querySelector('.stage').style.getPropertyValue('--at')")
        assert float(at.rstrip("%")) == pytest.approx(85, abs=1)
        after = shown()
        changed = np.abs(after - before).max(axis=(0, 2))  # by column
        width = len(changed)
        assert changed[: round(width * 0.4)].max() == 0
        assert (changed[round(width * 0.6) : round(width * 0.75)] > 8).mean() > 0.9
        assert changed[round(width * 0.97) :].max() == 0
        choose = "document.querySelectorAll('select')[0]"
        page.value(f"{choose}.value = 'truth'; {choose}.dispatchEvent(new Event('change'))")
        assert np.abs(shown() - after)[:, : width // 2].max() > 20


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
def test_it_fits_small_and_dark_screens(page_file: Path, tmp_path: Path) -> None:
    with chromium(tmp_path / "profile") as page:
        brightness = []
        for dark in (False, True):
            page.open(page_file, width=400, height=800, dark=dark)
            assert page.value("document.documentElement.scrollWidth") == 400
            page.screenshot(tmp_path / "shot.png")
            brightness.append(np.asarray(Image.open(tmp_path / "shot.png").convert("L")).mean())
        assert brightness[0] > 200
        assert brightness[1] < 60
