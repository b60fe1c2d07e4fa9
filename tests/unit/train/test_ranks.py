"""Two processes train as one does; one that stops stops both, one that dies ends both."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from ciaovideo.cli import train
from ciaovideo.errors import OptionError
from ciaovideo.train.loop import BEST, STATE, WEIGHTS
from ciaovideo.train.ranks import SINGLE_PROCESS, Ranks
from ciaovideo.train.report.record import LOG, VALIDATION
from tests.commands import error_of
from tests.processes import Process, python
from tests.runs import TWO_STAGES, saved, small_runs, trainer, write_small
from tests.waiting import FAR_TOO_LONG_S

ROOT = Path(__file__).resolve().parents[3]
NEAR = 1e-6  # of a tensor's norm
ENDLESS = ("--set", "optim.steps=1000000")

# Runs given as (folder, step to stop after, settings); only the first process asks to stop.
RUNS = """
import json, sys, torch
from pathlib import Path
from ciaovideo.train.loop import RunOptions, Trainer
from ciaovideo.train.ranks import joined
from ciaovideo.train.recipe import read_recipe

torch.set_num_threads(1)
with joined(torch.device("cpu")) as ranks:
    for folder, last, settings in json.loads(sys.argv[1]):
        options = RunOptions(folder=Path(folder), ranks=ranks)
        run = Trainer(read_recipe("small.toml", settings), options)
        run.run(lambda progress: run.stop() if progress.step == last else None)
        print(folder, run.step, run.network.encoder.conv_first.weight.double().sum().item())
"""
# The command, where the second process meets what is in the first word at its third step.
COMMAND = """
import os, signal, sys
from ciaovideo.cli.main import run
from ciaovideo.train.loop import Trainer

step = Trainer.train_step

def stepping(self):
    step(self)
    if self.step == 3 and self.ranks.rank == 1:
        os.kill(os.getpid(), getattr(signal, sys.argv[1]))

if sys.argv[1] != "nothing":
    Trainer.train_step = stepping
sys.exit(run(sys.argv[2:]))
"""
CALL = ("train", "small.toml", "--out", "run", "--device", "cpu", "--threads", "1")


@pytest.fixture(autouse=True)
def _in_a_folder_with_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with small_runs(tmp_path, monkeypatch):
        yield


@contextmanager
def two(code: str, *words: str) -> Iterator[list[Process]]:
    """Two processes that know of each other as those of torchrun do; none outlives the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    known = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        python(
            *("-c", code, *words),
            env={**os.environ, **known, "RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def said_by(processes: list[Process]) -> list[tuple[str, str]]:
    return [process.communicate(timeout=FAR_TOO_LONG_S) for process in processes]


def run_by_two(*runs: tuple[str, int, Sequence[str]]) -> None:
    """All runs, by both; they hold the same weights at the end of each."""
    with two(RUNS, json.dumps(runs)) as processes:
        first, second = said_by(processes)
        assert [process.returncode for process in processes] == [0, 0], first[1] + second[1]
    assert first[0] == second[0]
    assert len(first[0].splitlines()) == len(runs)


def assert_near(ours: Any, theirs: Any, near: float = NEAR) -> None:
    """As good as equal; moments of gradients, and what a discriminator makes of them, less so."""
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for key in ours:
            loose = 100 if key in ("optimizer", "objective") else 1
            assert_near(ours[key], theirs[key], loose * near)
    elif isinstance(ours, list | tuple):
        for one, other in zip(ours, theirs, strict=True):
            assert_near(one, other, near)
    elif isinstance(ours, torch.Tensor) and ours.is_floating_point():
        assert (ours - theirs).norm() <= near * theirs.norm()
    elif isinstance(ours, torch.Tensor):
        assert torch.equal(ours, theirs)
    elif isinstance(ours, float):
        assert ours == pytest.approx(theirs, rel=near)
    else:
        assert ours == theirs


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


@pytest.mark.slow
def test_two_processes_train_as_one_does() -> None:
    plain, stages = (), TWO_STAGES
    validated = ('validation.folder="pictures"', "validation.steps=4", "validation.scales=2")
    trainer("plain").run()
    trainer("stages", *stages).run()
    trainer("gradient", minutes=0).run()
    part = trainer("part")
    part.run(lambda progress: part.stop() if progress.step == 5 else None)
    run_by_two(
        ("plain-2", 0, validated),
        ("stages-2", 0, stages),
        ("gradient-2", 1, plain),
        ("part", 0, plain),  # went to step 5 alone
        ("part-2", 5, plain),
    )
    assert_near(saved("gradient-2"), saved("gradient"))
    for folder in ("plain-2", "stages-2", "part", "part-2"):
        if folder == "part-2":
            assert saved(folder)["step"] == 5
            trainer(folder).run()  # goes on alone
        ours, theirs = saved(folder), saved("stages" if folder == "stages-2" else "plain")
        assert (ours.pop("best")[0] > 0) == (folder == "plain-2")
        theirs.pop("best")
        assert_near(ours, theirs)
        assert lines_of(Path(folder) / LOG) == 9
    assert lines_of(Path("plain-2") / VALIDATION) == 3
    assert (Path("plain-2") / BEST).is_file()


@pytest.mark.slow
def test_what_one_is_told_stops_both_and_is_saved() -> None:
    with two(COMMAND, "SIGTERM", *CALL, *ENDLESS) as processes:
        first, second = said_by(processes)
        assert [process.returncode for process in processes] == [0, 143]
    assert first[0] == f"wrote {Path('run') / WEIGHTS} after step 3 of 1000000\n"
    assert "small on cpu and 1 more: 4 pictures, from the beginning" in first[1]
    assert second == ("", "")
    assert saved("run")["step"] == 3


@pytest.mark.slow
def test_a_process_that_dies_ends_the_other_and_keeps_the_checkpoint() -> None:
    with two(COMMAND, "SIGKILL", *CALL, *ENDLESS, "--save-minutes", "0") as processes:
        (_, error), _ = said_by(processes)
        assert [process.returncode for process in processes] == [5, -signal.SIGKILL]
    assert "ciaovideo: another process of this run has ended" in error
    assert "the last checkpoint is kept" in error
    assert saved("run")["step"] in (2, 3)


@pytest.mark.slow
def test_processes_that_see_different_checkpoints_are_told_so() -> None:
    trainer(minutes=0).run()
    lost = 'import os; os.environ["RANK"] == "1" and os.chdir("elsewhere")\n'
    Path("elsewhere").mkdir()
    write_small(Path("elsewhere"))
    with two(lost + COMMAND, "nothing", *CALL) as processes:
        said = said_by(processes)
        # Gloo aborts a process whose peer has left before it, once it has said why it ends.
        codes = [process.returncode for process in processes]
        assert 2 in codes
        assert set(codes) <= {2, -signal.SIGABRT}
    for _, error in said:
        assert "different runs: step 0, 4 pictures; step 1, 4 pictures" in error
    assert saved("run")["step"] == 1


@pytest.mark.slow
def test_torchrun_starts_them(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "ciaovideo", *CALL, "--set", "optim.steps=3"]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=FAR_TOO_LONG_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"wrote {Path('run') / WEIGHTS} after step 3 of 3\n"
    assert (tmp_path / "run" / STATE).is_file()


def test_a_batch_that_cannot_be_shared_out() -> None:
    assert [Ranks(rank, 2).share(6) for rank in range(2)] == [slice(0, 3), slice(3, 6)]
    assert SINGLE_PROCESS.share(5) == slice(0, 5)
    with pytest.raises(OptionError, match="multiple of 3"):
        trainer("run", ranks=Ranks(0, 3))


def test_what_means_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in train.LAUNCHED:
        monkeypatch.setenv(name, "2")
    monkeypatch.setattr("ciaovideo.engine.engine.choose_device", torch.device)
    error_of(OptionError, "train", "small.toml", "--out", "run", "--device", "cuda:1")
    assert not Path("run").exists()
