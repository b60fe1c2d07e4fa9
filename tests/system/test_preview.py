"""``ciaovideo preview``: a page on a film that is still to be enlarged."""

import re
from pathlib import Path

import pytest

import ciaovideo
from ciaovideo.cli.main import run
from ciaovideo.errors import OptionError
from tests.browser import CHROMIUM, chromium
from tests.commands import error_of
from tests.media import make_clip

SETTINGS = ciaovideo.UpscaleOptions(
    size=ciaovideo.SizeOptions(scale=2), model=ciaovideo.ModelOptions(model="lanczos")
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of two seconds with sound."""
    path = tmp_path_factory.mktemp("preview") / "film <1>.mkv"
    make_clip(path, width=64, height=48, seconds=2, sound=True)
    return path


@pytest.fixture(scope="module")
def page_file(source: Path) -> Path:
    """The page that the command makes."""
    page = source.with_name("page.html")
    words = ["preview", str(source), "out.mp4", "-o", str(page), "--model", "lanczos", "-q"]
    assert run(words) == 0
    return page


def test_the_page_needs_nothing_else_and_leaves_nothing(source: Path, page_file: Path) -> None:
    text = page_file.read_text(encoding="utf-8")
    assert "film &lt;1&gt;.mkv" in text
    assert text.count('class="compare"') == 10
    assert not re.search(r"url\(|@import|https?:|fetch\(", re.sub(r"base64,[^\"]+", "", text))
    assert sorted(path.name for path in page_file.parent.iterdir()) == [source.name, page_file.name]


def test_places_times_and_size_are_those_of_the_film(source: Path, tmp_path: Path) -> None:
    found = ciaovideo.preview(source, options=SETTINGS, places=3)
    times = [place.time for place in found.places]
    # The next frame is a frame away, and the file rounds times to milliseconds.
    assert times == pytest.approx([47 / 144, 47 / 48, 235 / 144], abs=1 / 24 + 1e-3)
    assert all(place.size == (96, 128) for place in found.places)
    assert list(found.places[0].views) == ["source", "bicubic", "chosen settings"]
    assert found.plan.frames == 48
    output = tmp_path / "out.mkv"
    ciaovideo.upscale(source, output, options=SETTINGS)
    # Six of 48 frames are coded, and a container's own bytes weigh in a file of two seconds.
    assert 0.4 < found.bytes / output.stat().st_size < 2.5
    assert found.seconds == pytest.approx(48 * found.seconds_per_frame)
    assert found.seconds > 0


def test_a_film_of_fewer_frames_than_places_is_shown(tmp_path: Path) -> None:
    make_clip(path := tmp_path / "short.mkv", width=64, height=48, seconds=1 / 6)
    assert len(ciaovideo.preview(path, options=SETTINGS, places=6).places) == 6


def test_what_cannot_be_previewed_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="pipe"):
        ciaovideo.preview("-")
    page = tmp_path / "page.pdf"
    assert str(page) in error_of(OptionError, "preview", source, "-o", page).problem


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
def test_the_sliders_are_there(page_file: Path, tmp_path: Path) -> None:
    with chromium(tmp_path / "profile") as page:
        page.open(page_file, width=1240, height=900)
        widths = "[...document.querySelectorAll('.stage img')].map(each => each.naturalWidth)"
        assert page.value(widths) == [128] * 30
        choose = "document.querySelectorAll('select')[0]"
        page.value(f"{choose}.value = 'source'; {choose}.dispatchEvent(new Event('change'))")
        assert page.value("document.querySelector('.before').alt") == "source"
        page.screenshot(tmp_path / "shot.png")
