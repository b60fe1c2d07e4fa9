"""The page on a batch: what it counts, links to, escapes, and says of failures."""

import json
from pathlib import Path

from ciaovideo.report.batch_page import BatchOutcome, FileOutcome, batch_html, write_batch_report

LOST = {"kind": "lost", "subject": "audio 1", "text": "no <sound>", "time": None}
GUESSED = {"kind": "guessed", "subject": "color matrix", "text": "BT709 assumed", "time": None}
CHOSEN = {"kind": "chosen", "subject": "codec", "text": "codec libx264", "time": None}


def outcome(folder: Path) -> BatchOutcome:
    good = FileOutcome(
        name="a b/one.mkv",
        source="/tapes/one.avi",
        state="done",
        frames=1200,
        size=(1440, 1152),
        seconds=3725.0,
        model="ciaosr-fast",
        restore=0.5,
        page="a b/one.mkv.report.html",
        counts={"kept": 20, "changed": 4, "lost": 1},
        psnr=(41.26, 33.0),
        findings=(LOST, GUESSED, CHOSEN),
    )
    other = FileOutcome(name="two.mkv", source="/tapes/two.mkv", state="done", findings=(GUESSED,))
    bad = FileOutcome(
        name="three.mkv",
        source="/tapes/3.mkv",
        state="failed",
        problem="is cut off",
        hint="copy it",
    )
    files = (good, other, bad)
    return BatchOutcome(folder=folder, written="2026-01-02T03:04:05Z", files=files)


def test_counts_are_those_of_the_files(tmp_path: Path) -> None:
    batch = outcome(tmp_path)
    assert batch.states == {"done": 2, "failed": 1}
    assert batch.counts == {"kept": 20, "changed": 4, "lost": 1, "added": 0}
    assert batch.graves == [("lost", "audio", 1), ("guessed", "color matrix", 2)]


def test_the_page_links_and_escapes(tmp_path: Path) -> None:
    text = batch_html(outcome(tmp_path))
    assert 'href="a%20b/one.mkv.report.html"' in text
    assert "no &lt;sound&gt;" in text
    assert "is cut off" in text
    assert "copy it" in text
    assert "codec libx264" not in text  # what was merely chosen is on the file's own page
    assert "1:02:05.0" in text
    assert "41.3" in text


def test_the_data_are_those_of_the_page(tmp_path: Path) -> None:
    write_batch_report(outcome(tmp_path))
    data = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert data["states"] == {"done": 2, "failed": 1}
    assert data["frames"] == 1200
    assert data["files"][0]["psnr"] == [41.26, 33.0]
    assert data["files"][2]["problem"] == "is cut off"
    assert (tmp_path / "report.html").is_file()


def test_a_batch_that_made_nothing_has_a_page(tmp_path: Path) -> None:
    bad = FileOutcome(name="x", source="y", state="failed", problem="no")
    text = batch_html(BatchOutcome(folder=tmp_path, written="", files=(bad,)))
    assert "0 of 1" in text
