"""What networks take, counted where the answer is known, and the comparison as one command."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ciaovideo.cli.evaluate.command import build_parser, run
from ciaovideo.cli.evaluate.suites import SUITES as NAMES
from ciaovideo.engine.engine import Engine
from ciaovideo.errors import OptionError, UnsupportedScaleError
from ciaovideo.evaluate.baselines import BASELINES
from ciaovideo.evaluate.protocol import Score
from ciaovideo.evaluate.report import Row
from ciaovideo.evaluate.suites import SUITES
from ciaovideo.evaluate.suites.drawing import draw_comparison
from ciaovideo.evaluate.suites.load import measure_load, peak_bytes
from ciaovideo.models.weights import list_models, load_bundled
from ciaovideo.options import EngineOptions

CPU = ("--device", "cpu", "--precision", "fp32")


def evaluate(*words: str) -> int:
    return run(build_parser("ciaovideo evaluate").parse_args(words))


def test_memory_is_the_most_that_was_held_at_once() -> None:
    def work() -> None:
        first = torch.zeros(1000)
        second = first + 1
        del first
        third = torch.cat([second, second])
        third.add_(1)  # takes nothing

    assert peak_bytes(work) == 4 * 3000


@pytest.mark.heavy
def test_a_network_that_does_few_scales_is_measured_at_one_of_them() -> None:
    network = load_bundled("ciaosr-fast")
    options = EngineOptions(device="cpu", precision="fp32")
    load = measure_load("fast", network, Engine(network, options))
    assert load.weights == 227_984
    assert load.scale == 4
    # The encoder's ten blocks and two more layers alone, once for 16 output pixels.
    assert load.macs > (20 * 32 * 32 * 9 + 3 * 32 * 9 + 32 * 32 * 9) / 16
    assert load.cpu_s > 0
    assert load.memory_mb > 4e-6 * 3 * 384 * 384


def test_suites_name_what_can_be_measured() -> None:
    assert set(NAMES) == set(SUITES)
    for suite in SUITES.values():
        there = suite.models()
        assert "bicubic" in there
        assert "ciaosr-fast" in there
        assert set(there) <= {*list_models(), *BASELINES}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "set5").mkdir()
    coarse = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((96, 96)).save(tmp_path / "set5" / "a.png")
    return tmp_path / "set5"


@pytest.mark.heavy
def test_the_comparison_is_one_command(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "plot.svg"
    words = ("bicubic", "ciaosr-fast", "--suite", "neighbours", "--on", str(folder), *CPU)
    assert evaluate(*words, "--json", "--plot", str(plot)) == 0
    found = json.loads(capsys.readouterr().out)
    scales = {entry["scale"] for entry in found if entry["method"] == "bicubic"}
    assert scales == set(SUITES["neighbours"].scales)
    [load] = [entry for entry in found if "macs" in entry]
    assert load["method"] == "ciaosr-fast"
    drawn = plot.read_text(encoding="utf-8")
    assert "CPU seconds a megapixel" in drawn
    assert "ciaosr-fast" in drawn
    assert "Equivariance" not in drawn


@pytest.mark.heavy
def test_a_suite_leaves_out_scales_that_a_network_lacks(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "plot.svg"
    words = ("bicubic", "c2d-x2", "--on", str(folder), "--scales", "2,3", *CPU)
    with pytest.raises(UnsupportedScaleError, match="ask for a scale of 2"):
        evaluate(*words)
    more = ("--suite", "neighbours", "--equivariance", "--plot", str(plot))
    assert evaluate(*words, *more, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    measured = {(entry["method"], entry["scale"]) for entry in found if "psnr" in entry}
    assert measured == {("bicubic", 2), ("bicubic", 3), ("c2d-x2", 2)}
    [load] = [entry for entry in found if "macs" in entry]
    assert load["scale"] == 2
    over_scale = plot.read_text(encoding="utf-8").partition("Equivariance error in dB on set5")[2]
    assert "bicubic" in over_scale
    assert "c2d-x2" in over_scale


def test_neither_a_method_nor_a_suite(folder: Path) -> None:
    with pytest.raises(OptionError, match="model"):
        evaluate("--on", str(folder))


def test_a_plot_of_another_kind_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="PNG"):
        evaluate("bicubic", "--on", str(folder), "--plot", str(tmp_path / "plot.gif"))
    with pytest.raises(OptionError, match="network"):
        evaluate("bicubic", "--on", str(folder), "--plot", str(tmp_path / "plot.svg"))


def test_a_plot_of_nothing_is_refused(tmp_path: Path) -> None:
    score = Score(psnr=30.0)
    rows = [Row(method="c2d-x2", dataset="set5", scores={2.0: score})]
    plot = tmp_path / "plot.svg"
    with pytest.raises(OptionError, match="no network has a score at x3"):
        draw_comparison(rows, [], 3.0, plot, "svg")
    assert not plot.exists()
