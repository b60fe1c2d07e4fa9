"""Files whose names are no UTF-8, as old archives have them: they are made like all others."""

import csv
import json
import os
from pathlib import Path

import pytest

from ciaovideo.cli.main import run
from ciaovideo.jobs.job import BatchOptions
from ciaovideo.jobs.ledger import BatchLedger, given_names
from ciaovideo.pages.page import write_page
from tests.batches import carry_out, make_sources, tree

NAME = os.fsdecode(b"f\xfcr.mkv")  # in Latin-1


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = make_sources(tmp_path / "in", plain=3)
    try:
        (folder / NAME).write_bytes((folder / "plain.mkv").read_bytes())
    except OSError:
        pytest.skip("this file system has no such names")
    (folder / os.fsdecode(b"\xe9.mkv")).write_bytes(b"no video at all" * 99)
    return folder


@pytest.mark.heavy
def test_a_batch_makes_and_records_them(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    options = BatchOptions(retries=0, report=True)
    code, told = carry_out(source, output, options=options)
    assert code == 7
    assert {name for _, name in told.kinds("done")} == {NAME, "plain.mkv"}
    assert set(tree(output)) == {NAME, "plain.mkv"}
    assert given_names(output)[NAME] == source / NAME
    with BatchLedger(output, look=True) as ledger:
        assert [row.name for row in ledger.rows("done")] == [NAME, "plain.mkv"]
        (failed,) = ledger.rows("failed")
        assert str(failed.source) in failed.problem
        assert ledger.machines(NAME)
    files = json.loads((output / "manifest.json").read_text(encoding="utf-8"))["files"]
    assert str(output / NAME) in {one["output"] for one in files}
    with (output / "manifest.csv").open(encoding="utf-8", newline="") as table:
        assert {"f\\udcfcr.mkv", "plain.mkv"} < {row["file"] for row in csv.DictReader(table)}
    assert 'href="f%FCr.mkv.report.html"' in (output / "report.html").read_text(encoding="utf-8")
    code, told = carry_out(source, output, options=options)
    assert {name for _, name in told.kinds("skip")} == {NAME, "plain.mkv"}
    assert run(["batch", "status", str(output), "--json"]) == 0
    assert NAME in {one["file"] for one in json.loads(capsys.readouterr().out)["list"]}


def test_a_page_shows_their_bytes_as_escapes(tmp_path: Path) -> None:
    write_page(page := tmp_path / "page.html", f"<p>{NAME}</p>")
    assert page.read_text(encoding="utf-8") == "<p>f\\udcfcr.mkv</p>"
