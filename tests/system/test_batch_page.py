"""The page of a real batch in a real browser: its table, its links, narrow and dark."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ciaovideo.jobs.job import BatchOptions
from ciaovideo.jobs.ledger import BatchLedger
from ciaovideo.options import SizeOptions
from tests.batches import PLAIN, DirectWorkers, carry_out, make_sources, tree
from tests.browser import CHROMIUM, chromium


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a batch of two clips and a file that is none."""
    place = tmp_path_factory.mktemp("batch")
    source = make_sources(place / "in", one=6, two=9)
    (source / "broken.mkv").write_bytes(b"no video")
    code, _ = carry_out(source, place / "out 1", options=BatchOptions(retries=0, report=True))
    assert code == 7
    return place / "out 1"


def test_the_data_tell_what_became_of_each(folder: Path) -> None:
    data = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert data["states"] == {"done": 2, "failed": 1}
    files = {one["name"]: one for one in data["files"]}
    assert files["one.mkv"]["frames"] == 6
    assert files["one.mkv"]["page"] == "one.mkv.report.html"
    assert files["two.mkv"]["counts"]["kept"] > 10
    assert files["two.mkv"]["psnr"][0] >= files["two.mkv"]["psnr"][1] > 20
    assert "broken.mkv" in files["broken.mkv"]["problem"]
    assert data["counts"]["kept"] == sum(one["counts"].get("kept", 0) for one in data["files"])


def test_finished_outputs_get_the_reports_that_they_lack(tmp_path: Path) -> None:
    """Asked for later, or where a command died between an output and its report."""
    given = replace(PLAIN, size=SizeOptions(scale=2, pad="100x80"))
    source = make_sources(tmp_path / "in", one=6, two=9)
    output = tmp_path / "out"
    assert carry_out(source, output, given=given)[0] == 0
    made, page = tree(output), output / "one.mkv.report.html"
    assert not page.exists()
    with BatchLedger(output) as ledger:
        died = {"state": "working", "output_stamp": "", "result": {}}
        ledger.update("two.mkv", **died)
    wished = BatchOptions(report=True)
    code, told = carry_out(source, output, given=given, options=wished)
    assert (code, told.kinds("done", "skip")) == (0, [("skip", "one.mkv"), ("skip", "two.mkv")])
    assert tree(output) == made
    data = json.loads((output / "report.json").read_text(encoding="utf-8"))
    for one in data["files"]:
        assert (output / one["page"]).is_file()
        assert one["model"] == "bicubic"
        assert one["counts"]["kept"] > 10
        assert "wrong" not in one["counts"]
    before = page.stat().st_mtime_ns
    workers = DirectWorkers()
    assert carry_out(source, output, workers, given=given, options=wished)[0] == 0
    assert workers.given == []
    assert page.stat().st_mtime_ns == before


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
def test_the_page_shows_them_and_leads_on(folder: Path, tmp_path: Path) -> None:
    with chromium(tmp_path / "profile") as page:
        page.open(folder / "report.html", width=1240, height=900)
        assert page.value("document.querySelectorAll('#files tbody tr').length") == 3
        assert page.value("document.querySelectorAll('#failed tbody tr').length") == 1
        assert page.value("document.querySelector('#failed td').innerText") == "broken.mkv"
        states = "[...document.querySelectorAll('.state')].map(each => each.innerText).sort()"
        assert page.value(states) == ["done", "done", "failed"]
        links = page.value("[...document.querySelectorAll('#files a')].map(each => each.href)")
        assert len(links) == 2
        page.open(folder / "one.mkv.report.html", width=1240, height=900)
        assert links[0] == page.value("location.href")
        page.open(folder / "report.html", width=400, height=800, dark=True)
        assert page.value("document.documentElement.scrollWidth") == 400
