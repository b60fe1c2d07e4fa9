"""``ciaovideo train``."""

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ciaovideo.cli.train import build_parser, run
from ciaovideo.errors import (
    MemoryExhaustedError,
    MissingInputError,
    OptionError,
    OutputExistsError,
    UnknownNameError,
)
from ciaovideo.models.weights import load_file
from ciaovideo.train.loop import RunOptions, Trainer
from ciaovideo.train.recipe import read_recipe
from ciaovideo.train.state import claimed
from tests.processes import python

RECIPE = """
[network]
encoder = "edsr"
decoder = "ciaosr-separable"
encoder_options = { channels = 8, blocks = 1 }
decoder_options = { hidden = 8, key_dim = 4, rank = 2 }

[data]
sources = ["pictures"]
patch = 8
queries = 16
batch = 2
high_scale = 2.0

[optim]
steps = 4
learning_rate = 1e-3
"""

CALL = """
import sys
from ciaovideo.cli.train import build_parser, run
sys.exit(run(build_parser("ciaovideo train").parse_args()))
"""


@pytest.fixture(autouse=True)
def _in_a_folder_with_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pictures").mkdir()
    rgb = np.random.default_rng(2).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(rgb).save("pictures/a.png")
    Path("small.toml").write_text(RECIPE, encoding="utf-8")


def train(*words: str) -> int:
    threads = torch.get_num_threads()
    try:
        return run(build_parser("ciaovideo train").parse_args(words))
    finally:
        torch.set_num_threads(threads)


def steps(said: str) -> list[int]:
    """The steps that are told."""
    return [int(number) for number in re.findall(r"\bstep (\d+)", said)]


def test_trains_and_says_where_the_weights_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("small.toml", "--out", "run", "--device", "cpu", "--threads", "1") == 0
    said = capsys.readouterr()
    assert str(Path("run/weights.safetensors")) in said.out
    assert steps(said.out) == [4]
    assert steps(said.err.splitlines()[0]) == []  # it goes on from nowhere
    assert "|" not in said.err  # no bar without a terminal
    load_file(Path("run/weights.safetensors"))


def test_validation_is_told_and_the_picture_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["small.toml", "--out", "run", "--device", "cpu"]
    for value in ("folder=pictures", "steps=2", "scales=2", "pictures=1"):
        words += ["--set", f"validation.{value}"]
    assert train(*words) == 0
    lines = capsys.readouterr().err.splitlines()
    told = [line for line in lines if line.startswith("step ")]
    assert [re.sub(r"\d+\.\d+", "N", line) for line in told] == [
        "step 2: x2 N dB",
        "step 4: x2 N dB",
    ]
    load_file(Path("run/best.safetensors"))
    assert Path("run/curves.png").is_file()


def test_without_a_terminal_lines_tell_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("small.toml", "--device", "cpu", "--out")

    def lines() -> list[str]:
        told = [line for line in capsys.readouterr().err.splitlines() if "%, step" in line]
        return [re.sub(r"\d+\.\d{5}|\d+ samples|data \d+|\d:\d\d:\d\d", "N", line) for line in told]

    assert train(*words, "run") == 0
    assert lines() == ["100.0%, step 4 of 4, L1 N, N/s, waits for N%, N left"]
    monkeypatch.setattr("ciaovideo.cli.train.LINE_EVERY_S", 0)
    assert train(*words, "again") == 0
    assert [line.partition(",")[0] for line in lines()] == ["25.0%", "50.0%", "75.0%", "100.0%"]


def test_goes_on_by_itself_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("small.toml", "--out", "run", "--device", "cpu")
    assert train(*words, "--minutes", "0") == 0
    said = capsys.readouterr()
    assert steps(said.out) == [1]
    assert len(said.err.splitlines()) > 1  # that there is more to be done
    assert train(*words, "--set", "optim.steps=3") == 0
    said = capsys.readouterr()
    assert steps(said.err.splitlines()[0]) == [1]
    assert steps(said.out) == [3]


def test_one_command_begins_and_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("small.toml", "--device", "cpu", "--resume", "run")
    with pytest.raises(MissingInputError):
        train(*words[:-1], "pictures")
    assert [path.name for path in Path("pictures").iterdir()] == ["a.png"]
    assert train(*words, "--minutes", "0") == 0
    assert steps(capsys.readouterr().err.splitlines()[0]) == []
    assert train(*words) == 0
    assert steps(capsys.readouterr().err.splitlines()[0]) == [1]
    with pytest.raises(SystemExit):
        train(*words, "--out", "run")


def test_what_a_run_left_before_its_first_checkpoint_is_its_own() -> None:
    Path("run/tensorboard").mkdir(parents=True)
    Path("run/.state.pt.part").touch()
    assert train("small.toml", "--device", "cpu", "--resume", "run", "--minutes", "0") == 0


def test_a_batch_that_memory_cannot_hold() -> None:
    with pytest.raises(MemoryExhaustedError, match=r"lower data\.batch"):
        train("small.toml", "--out", "run", "--device", "cpu", "--set", f"data.batch={1 << 50}")


def test_one_run_at_a_time_in_a_folder() -> None:
    train("small.toml", "--out", "run", "--device", "cpu", "--minutes", "0")
    before = Path("run/state.pt").read_bytes()
    with claimed(Path("run")), pytest.raises(OutputExistsError):
        train("small.toml", "--out", "run", "--device", "cpu")
    assert Path("run/state.pt").read_bytes() == before


def test_lists_the_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--list") == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines]
    assert names == sorted(names)
    assert {"ablation-mlp", "ciaosr-edsr", "ciaosr-fast"} <= set(names)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("small.toml",),
        ("--out", "run"),
        ("small.toml", "--out", "run", "--minutes", "-1"),
        ("small.toml", "--out", "run", "--save-minutes", "nan"),
        ("small.toml", "--out", "run", "--threads", "-1"),
        ("small.toml", "--out", "run", "--device", "tpu"),
        ("small.toml", "--out", "run", "--set", "optim.steps"),
    ],
)
def test_words_that_cannot_be_meant(words: tuple[str, ...]) -> None:
    with pytest.raises(OptionError):
        train(*words)
    assert not Path("run").exists()


def test_a_recipe_that_is_not_there() -> None:
    with pytest.raises(UnknownNameError, match="small"):
        train("small", "--out", "run")


@pytest.mark.slow
def test_sigterm_saves_and_leaves() -> None:
    words = ("small.toml", "--out", "run", "--device", "cpu", "--threads", "1")
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with python("-c", CALL, *words, "--set", "optim.steps=1000000", **pipes) as child:
        assert child.stderr is not None
        assert steps(child.stderr.readline()) == []
        assert not Path("run/state.pt").exists()
        os.kill(child.pid, signal.SIGTERM)
        said, _ = child.communicate()
        assert child.returncode == 143
    state = torch.load("run/state.pt", weights_only=True)
    assert steps(said) == [state["step"]]


def test_ctrl_c_saves_and_leaves_and_a_second_one_interrupts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step = Trainer.train_step

    def interrupted(self: Trainer) -> None:
        step(self)
        if self.step == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Trainer, "train_step", interrupted)
    assert train("small.toml", "--out", "run", "--device", "cpu") == 130
    assert steps(capsys.readouterr().out) == [2]
    assert Trainer(read_recipe("small.toml"), RunOptions(folder=Path("run"))).step == 2

    def impatient(self: Trainer) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Trainer, "train_step", impatient)
    with pytest.raises(KeyboardInterrupt):
        train("small.toml", "--out", "run", "--device", "cpu")


def test_handlers_of_signals_are_given_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    train("small.toml", "--out", "run", "--device", "cpu")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
