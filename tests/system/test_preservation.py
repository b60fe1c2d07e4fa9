"""The preservation report, as a user gets it: beside a run, and on a file made earlier."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import ciaovideo
from ciaovideo.cli.main import run
from tests.browser import CHROMIUM, chromium
from tests.media import make_clip

QUICK = ("--model", "bicubic", "-q")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A source, its output, and the page on both."""
    folder = tmp_path_factory.mktemp("preserved")
    source, output, page = folder / "in <1>.mkv", folder / "out.webm", folder / "report.html"
    make_clip(
        source, width=64, height=48, seconds=1, subtitle="words", cover=True, chapters=2,
        color=(2, 0, 1, 1, 0), tags={"title": "A & B"},
    )  # fmt: skip
    words = [str(source), str(output), *QUICK, "--codec", "libsvtav1", "--report", str(page)]
    assert run(words) == 0
    return source, output, page


def facts_of(report: ciaovideo.Preservation) -> dict[str, Any]:
    return {fact.name: fact for fact in report.facts}


def test_each_thing_is_kept_changed_or_lost_with_the_reason(
    files: tuple[Path, Path, Path],
) -> None:
    source, output, _ = files
    report = ciaovideo.preservation_report(source, output)
    facts = facts_of(report)
    assert (facts["size"].source, facts["size"].output) == ("64x48", "128x96")
    assert facts["size"].outcome == "changed"
    assert facts["frames"].outcome == facts["crop"].outcome == "kept"
    assert facts["chapters"].source == facts["chapters"].output == "2"
    lost = [fact for fact in report.facts if fact.part == "streams" and fact.outcome == "lost"]
    assert [fact.name for fact in lost] == ["video 2"]
    assert "cannot hold" in lost[0].why
    becomes = [fact for fact in report.facts if fact.name.startswith("subtitle")]
    assert becomes[0].outcome == "changed"
    assert "webvtt" in becomes[0].output
    assert facts["metadata: title"].outcome == "kept"
    assert report.verification.wrong == ()
    assert len(report.fidelity.psnr) == 24


def test_the_data_are_those_of_the_page(
    files: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output, page = files
    place = tmp_path / "report.json"
    assert run(["verify", str(output), "--against", str(source), "--report", str(place)]) == 0
    data = json.loads(place.read_text(encoding="utf-8"))
    assert len(data["consistency"]["psnr"]) == len(data["consistency"]["times"]) == 24
    assert data["counts"]["lost"] == 1
    text = page.read_text(encoding="utf-8")
    assert "in &lt;1&gt;.mkv" in text
    assert f"{data['consistency']['mean_psnr']:.1f} dB" in text
    assert not re.search(r"url\(|@import|https?:|fetch\(", re.sub(r"base64,[^\"]+", "", text))


@pytest.mark.parametrize(
    ("output", "report", "told"),
    [("out.mkv", "report.txt", "neither HTML nor JSON"), ("-", "report.json", "pipe")],
)
def test_a_report_that_cannot_be_is_refused_before_the_work(
    files: tuple[Path, Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    output: str,
    report: str,
    told: str,
) -> None:
    place = output if output == "-" else str(tmp_path / output)
    assert run([str(files[0]), place, *QUICK, "--report", str(tmp_path / report)]) == 2
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
def test_the_page_shows_its_pictures(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    with chromium(tmp_path / "profile") as page:
        page.open(files[2], width=1240, height=900)
        assert page.value("[...document.images].every(each => each.naturalWidth > 0)")
        assert page.value("document.querySelectorAll('#sheet img').length") == 20
        assert page.value("document.querySelectorAll('.compare').length") == 10
        assert page.value("document.querySelectorAll('#pictures svg').length") >= 1
        choose = "document.querySelectorAll('select')[0]"
        page.value(f"{choose}.value = 'source'; {choose}.dispatchEvent(new Event('change'))")
        assert page.value("document.querySelector('.before').alt") == "source"
        page.open(files[2], width=400, height=800, dark=True)
        assert page.value("document.documentElement.scrollWidth") == 400
