"""``ciaovideo bench`` prints a figure for every stage and for the whole."""

import functools
import json
import re
import sys
from pathlib import Path

import pytest
from PIL import Image

from ciaovideo.bench import growth
from ciaovideo.bench.cases import run_bench
from ciaovideo.cli.main import run
from ciaovideo.errors import OptionError
from tests.commands import error_of
from tests.media import make_clip


@pytest.fixture(autouse=True)
def _figures_need_not_be_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """One repetition takes no longer than it has to."""
    measure = {"least_s": 0.01, "device": None}
    monkeypatch.setattr("ciaovideo.bench.harness.measure.__kwdefaults__", measure)
    monkeypatch.setattr("ciaovideo.bench.floor.QUIET_S", 0.01)


def test_bench(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = functools.cache(run_bench)  # one run is printed in each way
    monkeypatch.setattr("ciaovideo.bench.cases.run_bench", measured)
    source = tmp_path / "in.mp4"
    make_clip(source, width=64, height=48, seconds=0.5)
    words = ["bench", str(source), "--scale", "2", "--frames", "4"]
    assert run(words) == 0
    table = capsys.readouterr().out
    cases = [
        "decode only",
        "network only",
        "bicubic only",
        "lanczos only",
        "encode only",
        "end to end",
        "end to end, bicubic",
        "end to end, lanczos",
    ]
    for case in cases:
        assert f"| {case} |" in table
    assert "64x48 to 128x96" in table
    assert run([*words, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [result["case"] for result in report["results"]] == cases
    assert all(result["wall_s"] > 0 for result in report["results"])
    assert report["overlap"] >= 0.9
    floor = report["floor"]
    assert min(floor["flop"] / floor["flop_rate"], floor["bytes"] / floor["byte_rate"]) > 0
    stored = tmp_path / "stored.json"
    stored.write_text(json.dumps(report))
    assert run([*words, "--against", str(stored)]) == 0
    table = capsys.readouterr().out
    assert table.count("(x") == len(cases)
    lines = len(table.splitlines())
    stored.write_text(json.dumps(report | {"out_size": [192, 256]}))
    assert run([*words, "--against", str(stored)]) == 0
    table = capsys.readouterr().out
    assert len(table.splitlines()) == lines + 1  # that the stored run is another case
    assert "256x192" in table.splitlines()[-1]
    assert measured.cache_info().misses == 1


@pytest.mark.parametrize("name", ["in.ts", "in.MPG"])
def test_a_source_in_a_container_that_is_only_read(tmp_path: Path, name: str) -> None:
    source = tmp_path / "in.mkv"
    make_clip(source, width=64, height=48, seconds=0.1)
    words = ["bench", str(source.rename(tmp_path / name)), "--frames", "2", "--model", "bicubic"]
    assert run(words) == 0


def test_growth_is_fitted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "in.mp4"
    make_clip(source, width=64, height=48, seconds=0.5)
    monkeypatch.setattr(growth, "LR_SIZES", ((24, 32), (48, 64)))
    monkeypatch.setattr(growth, "SCALES", (1.5, 3.0))
    monkeypatch.setattr(growth, "LENGTHS", (2, 6))
    words = ["bench", str(source), "--scale", "2", "--frames", "2", "--growth"]
    assert run([*words, str(tmp_path / "growth.png")]) == 0
    with Image.open(tmp_path / "growth.png") as picture:
        assert len(picture.getcolors(1 << 20) or ()) > 50  # text, grid, and lines in colours
    text = capsys.readouterr().out
    assert re.search(r"[1-9]\d* ns a pixel", text)
    assert re.search(r"\b4 sizes", text)


@pytest.mark.parametrize("text", ["", "{}", '{"results": 3}'])
def test_what_is_no_stored_run_is_refused(tmp_path: Path, text: str) -> None:
    stored = tmp_path / "stored.json"
    stored.write_text(text)
    for file in (stored, tmp_path / "other.json"):
        error = error_of(OptionError, "bench", "in.mp4", "--against", file)
        assert str(file) in error.problem


def test_what_can_be_read_only_once_is_refused() -> None:
    assert error_of(OptionError, "bench", "-", "--scale", "2").problem.startswith("-")


def test_a_picture_that_cannot_be_written_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ciaovideo.bench.cases.run_bench", None)
    words = ("bench", "in.mp4", "--growth")
    folder = tmp_path / "absent"
    assert str(folder) in error_of(OptionError, *words, folder / "growth.png").problem
    assert "growth.jpg" in error_of(OptionError, *words, tmp_path / "growth.jpg").problem
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "ciaovideo[plots]" in error_of(OptionError, *words, tmp_path / "growth.png").hint
