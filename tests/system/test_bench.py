"""``ciaovideo bench`` prints a figure for every stage and for the whole."""

import json
from pathlib import Path

import pytest

from ciaovideo.cli.main import run
from tests.media import make_clip


def test_bench(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "in.mp4"
    make_clip(source, width=64, height=48, seconds=0.5)
    monkeypatch.setattr(
        "ciaovideo.bench.harness.measure.__kwdefaults__", {"least_s": 0.01, "device": None}
    )
    words = ["bench", str(source), "--scale", "2", "--frames", "4"]
    assert run(words) == 0
    table = capsys.readouterr().out
    cases = ["decode only", "network only", "bicubic instead", "encode only", "end to end"]
    for case in cases:
        assert f"| {case} |" in table
    assert "64x48 to 128x96" in table
    assert run([*words, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [result["case"] for result in report["results"]] == cases
    assert all(result["wall_s"] > 0 for result in report["results"])
    assert report["overlap"] >= 0.9
