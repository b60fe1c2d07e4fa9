"""The run: it learns, it stops, and what was stopped ends as if it never had been."""

import csv
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ciaovideo.errors import (
    BackendError,
    CorruptWeightsError,
    EncodeError,
    MismatchedWeightsError,
    MissingInputError,
    MissingWeightsError,
    NonFiniteError,
    OptionError,
)
from ciaovideo.models.weights import load_file
from ciaovideo.train.gradients.learner import tf32
from ciaovideo.train.loop import BEST, STATE, WEIGHTS, Trainer, TrainProgress
from ciaovideo.train.report.curves import CURVES
from ciaovideo.train.report.record import EVENTS, LOG, VALIDATION, WITHOUT_TENSORBOARD
from ciaovideo.train.report.validation import Validation
from ciaovideo.train.schedule import learning_rate
from tests.processes import python
from tests.runs import (
    TWO_STAGES,
    assert_same,
    drawn,
    saved,
    small_runs,
    trainer,
)

STEPS = 9
# Runs in a process of its own: saves after every step, and hangs in the middle of a late save.
HANGS = """
import signal, sys
import torch
from ciaovideo.train import state
from ciaovideo.train.loop import RunOptions, Trainer
from ciaovideo.train.recipe import read_recipe
from pathlib import Path

torch.set_num_threads(1)
write = torch.save

def torn(content, path):
    write(content, path)
    if content["step"] == 6:
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        print("half a checkpoint is written", flush=True)
        signal.pause()  # until it is killed

state.torch.save = torn
recipe = read_recipe("small.toml", sys.argv[1:])
Trainer(recipe, RunOptions(folder=Path("run"), save_minutes=0)).run()
"""


@pytest.fixture(autouse=True)
def _in_a_folder_with_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with small_runs(tmp_path, monkeypatch):
        yield


def files_in(folder: str) -> dict[str, bytes]:
    """Contents by name; of a folder in it, the names only."""
    return {
        path.name: path.read_bytes() if path.is_file() else str(sorted(path.iterdir())).encode()
        for path in Path(folder).iterdir()
    }


@pytest.mark.heavy
def test_it_learns() -> None:
    losses: list[float] = []
    run = trainer("run", "optim.steps=150")
    run.run(lambda progress: losses.append(progress.loss))
    assert run.finished
    assert len(losses) == 150
    assert losses[-1] < 0.85 * losses[0]  # below what the bilinear residual alone reaches
    network = load_file(Path("run") / WEIGHTS)
    for name, weight in network.state_dict().items():
        assert torch.equal(weight, run.average.weights[name])
    name = "encoder.conv_first.weight"
    assert not torch.equal(network.state_dict()[name], run.network.state_dict()[name])


MUON = (
    "optim.optimizer=muon",
    "optim.weight_decay=0.1",
    "network.encoder_options.channels=32",  # else there is no matrix
)
plainly_and_in_two_stages = pytest.mark.parametrize(
    "settings", [(), MUON, TWO_STAGES], ids=["plain", "muon", "two stages"]
)


@plainly_and_in_two_stages
@pytest.mark.heavy
def test_stopped_and_resumed_equals_uninterrupted(settings: tuple[str, ...]) -> None:
    trainer("whole", *settings).run()
    while not (part := trainer("parts", *settings)).finished:
        before = part.step

        def stop_soon(progress: TrainProgress, run: Trainer = part, first: int = before) -> None:
            if progress.step == first + 2:
                run.stop()

        part.run(stop_soon)
        assert part.step == min(before + 2, STEPS)
    assert_same(saved("parts"), saved("whole"))
    assert (Path("parts") / WEIGHTS).read_bytes() == (Path("whole") / WEIGHTS).read_bytes()
    with (Path("parts") / LOG).open(encoding="utf-8", newline="") as lines:
        assert [int(line[0]) for line in csv.reader(lines)] == list(range(1, STEPS + 1))


def test_a_machine_with_little_but_torch_makes_the_same_weights() -> None:
    trainer("whole").run()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("av", "safetensors", "safetensors.torch", "tensorboard"):
            patch.setitem(sys.modules, name, None)
        trainer("bare").run()
    ours, theirs = (load_file(Path(folder) / WEIGHTS) for folder in ("bare", "whole"))
    assert_same(ours.state_dict(), theirs.state_dict())


@pytest.mark.heavy
def test_what_the_network_draws_is_the_same_after_a_resumption() -> None:
    swinir = (
        "network.encoder=swinir",
        "network.encoder_options={ channels = 6, depths = [2], heads = 2, drop_path = 0.9 }",
        "optim.steps=4",
    )
    trainer("whole", *swinir).run()
    trainer("parts", *swinir, minutes=0).run()
    for _ in range(3):
        trainer("parts", *swinir, minutes=0).run()
    assert_same(saved("parts"), saved("whole"))
    trainer("other", *swinir[:1], swinir[1].replace("0.9", "0.0"), swinir[2]).run()
    assert saved("other")["loss"] != saved("whole")["loss"]


def test_resumed_with_another_optimizer_is_refused() -> None:
    trainer("run", *MUON).run()
    with pytest.raises(MismatchedWeightsError, match="another optimizer"):
        trainer("run", MUON[2])


@pytest.mark.slow
@plainly_and_in_two_stages
def test_killed_in_the_middle_of_a_save_and_resumed_equals_uninterrupted(
    settings: tuple[str, ...],
) -> None:
    trainer("whole", *settings).run()
    with python("-c", HANGS, *settings, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline().startswith(b"half")
        os.kill(child.pid, signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    assert list(Path("run").glob(".*"))  # half a checkpoint, which is nobody's business
    resumed = trainer("run", *settings)
    assert resumed.step == 5
    resumed.run()
    assert_same(saved("run"), saved("whole"))
    assert (Path("run") / WEIGHTS).read_bytes() == (Path("whole") / WEIGHTS).read_bytes()
    assert not list(Path("run").glob(".*"))


def test_the_time_over_saves_and_stops() -> None:
    trainer("run", minutes=0).run()
    assert saved("run")["step"] == 1
    assert trainer().step == 1


def test_an_interrupt_keeps_the_last_checkpoint() -> None:
    def interrupt(progress: TrainProgress) -> None:
        if progress.step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer(save_minutes=0).run(interrupt)
    assert saved("run")["step"] == 3
    trainer().run()
    trainer("whole").run()
    assert_same(saved("run"), saved("whole"))


def test_a_finished_run_is_left_as_it_is() -> None:
    trainer().run()
    before = files_in("run")
    assert set(before) - {EVENTS} == {STATE, WEIGHTS, LOG, CURVES}
    steps: list[TrainProgress] = []
    trainer().run(steps.append)
    assert not steps
    assert files_in("run") == before
    (Path("run") / WEIGHTS).unlink()
    trainer().run()
    assert (Path("run") / WEIGHTS).read_bytes() == before[WEIGHTS]


def test_a_run_begins_with_the_weights_it_is_given() -> None:
    first = trainer("first", "optim.steps=3")
    first.run()
    second = trainer("second", 'start="first/weights.safetensors"')
    assert_same(dict(second.network.state_dict()), first.average.weights)
    assert_same(second.average.weights, first.average.weights)
    with pytest.raises(MissingWeightsError, match="none"):
        trainer("third", 'start="none.safetensors"')


def test_the_seed_decides() -> None:
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        trainer(folder, f"optim.seed={seed}", "optim.steps=2").run()
    assert_same(saved("a"), saved("b"))
    assert not torch.equal(saved("a")["generator"], saved("c")["generator"])
    name = "encoder.conv_first.weight"
    assert not torch.equal(saved("a")["network"][name], saved("c")["network"][name])


def test_nothing_outside_is_drawn_from() -> None:
    before = torch.get_rng_state()
    trainer().run()
    assert torch.equal(torch.get_rng_state(), before)


def test_bf16_computes_otherwise_and_near() -> None:
    trainer("exact").run()
    trainer("fast", "optim.bf16=true").run()
    exact, fast = (saved(folder)["loss"] for folder in ("exact", "fast"))
    assert exact != fast
    assert fast == pytest.approx(exact, rel=0.05)


def test_options_of_the_recipe_hold_after_a_resumption() -> None:
    trainer("run", minutes=0).run()
    resumed = trainer("run", "optim.betas=0.8,0.9")
    assert resumed.optimizer.param_groups[0]["betas"] == (0.8, 0.9)


def test_a_checkpoint_of_a_gpu_goes_on_on_a_cpu() -> None:
    trainer("run", minutes=0).run()
    trainer("gpu", minutes=0).run()
    state = saved("gpu")
    state["optimizer"]["param_groups"][0]["fused"] = True
    torch.save(state, Path("gpu") / STATE)
    for folder in ("run", "gpu"):
        trainer(folder).run()
    assert_same(saved("gpu"), saved("run"))


@pytest.mark.gpu
def test_a_run_moves_between_devices() -> None:
    for device in ("cuda", "cpu", "cuda"):
        run = trainer(device=device, minutes=0)
        run.run()
        assert run.optimizer.param_groups[0]["fused"] == (True if device == "cuda" else None)
    assert saved("run")["step"] == 3


def test_gpus_multiply_in_tf32_only_while_training() -> None:
    matrices = torch.backends.cuda.matmul
    before = matrices.allow_tf32
    with tf32(torch.device("cuda")):
        assert matrices.allow_tf32
    assert matrices.allow_tf32 is before
    with tf32(torch.device("cpu")):
        assert matrices.allow_tf32 is before


def test_divergence_is_an_error_and_keeps_the_last_checkpoint() -> None:
    trainer("run", minutes=0).run()
    before = (Path("run") / STATE).read_bytes()
    with pytest.raises(NonFiniteError, match=r"NaN .*at step"):
        trainer("run", "optim.learning_rate=1e30", "optim.clip_norm=0").run()
    run = trainer("run")
    run.average.weights["encoder.conv_first.bias"][0] = math.inf
    with pytest.raises(NonFiniteError):
        run.save()
    assert (Path("run") / STATE).read_bytes() == before


def test_a_disk_that_is_full_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("unexpected pos 64 vs 0")  # the words of torch's writer

    monkeypatch.setattr(torch, "save", refuse)
    with pytest.raises(EncodeError, match="cannot be written"):
        trainer().run()


def test_a_folder_of_another_run_is_refused() -> None:
    trainer(minutes=0).run()
    with pytest.raises(MismatchedWeightsError, match="another network"):
        trainer("run", "network.encoder_options.channels=12")
    (Path("run") / STATE).write_bytes(b"not a checkpoint")
    with pytest.raises(CorruptWeightsError, match=STATE):
        trainer()


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(MissingInputError, match="absent"):
        trainer("run", "data.sources=absent").run()
    assert not Path("run").exists()
    with pytest.raises(MissingInputError, match="80 px"):
        trainer("run", "data.high_scale=10").run()
    with pytest.raises(OptionError, match=r"small\.toml"):
        trainer("small.toml").prepare()
    if not torch.cuda.is_available():
        with pytest.raises(BackendError, match="cuda"):
            trainer(device="cuda")


VALIDATED = ('validation.folder="pictures"', "validation.steps=4", "validation.scales=2,3")


def test_validation_keeps_the_best_and_changes_nothing() -> None:
    trainer("plain").run()
    steps: list[TrainProgress] = []
    run = trainer("run", *VALIDATED)
    run.run(steps.append)
    plain, state = saved("plain"), saved("run")
    assert plain.pop("best")[0] == -math.inf
    best, _ = state.pop("best")
    assert_same(state, plain)
    assert (Path("run") / WEIGHTS).read_bytes() == (Path("plain") / WEIGHTS).read_bytes()
    measured = {each.step: each.psnrs for each in steps if each.psnrs}
    assert list(measured) == [4, 8, 9]
    means = {step: sum(psnrs.values()) / 2 for step, psnrs in measured.items()}
    assert best == max(means.values())
    assert steps[-1].best == best
    assert len(set(means.values())) == 3
    given = run.recipe.options.validation
    validation = Validation(given, Path("pictures"), run.network, run.device)
    kept = validation.measure(load_file(Path("run") / BEST).state_dict())
    assert sum(kept.values()) / 2 == best
    with (Path("run") / VALIDATION).open(encoding="utf-8", newline="") as lines:
        rows = [(int(step), float(scale), float(psnr)) for step, scale, psnr in csv.reader(lines)]
    assert [row[:2] for row in rows] == [(step, scale) for step in (4, 8, 9) for scale in (2, 3)]
    assert rows[3][2] == pytest.approx(measured[8][3.0], abs=1e-4)


@pytest.mark.slow
def test_a_validated_run_stopped_and_resumed_equals_uninterrupted() -> None:
    trainer("whole", *VALIDATED).run()
    while not (part := trainer("parts", *VALIDATED)).finished:
        first = part.step

        def stop_soon(progress: TrainProgress, run: Trainer = part, first: int = first) -> None:
            if progress.step == first + 3:
                run.stop()

        part.run(stop_soon)
    assert_same(saved("parts"), saved("whole"))
    for name in (WEIGHTS, BEST, LOG, VALIDATION):
        assert (Path("parts") / name).read_bytes() == (Path("whole") / name).read_bytes()


@pytest.mark.heavy
def test_an_interrupted_run_validates_again_what_it_lost() -> None:
    def interrupt(progress: TrainProgress) -> None:
        if progress.step == 5:  # after a validation, before a checkpoint
            raise KeyboardInterrupt

    trainer("run", *VALIDATED, minutes=0).run()
    with pytest.raises(KeyboardInterrupt):
        trainer("run", *VALIDATED).run(interrupt)
    assert (Path("run") / BEST).is_file()
    assert not (Path("run") / VALIDATION).exists()
    trainer("run", *VALIDATED).run()
    trainer("whole", *VALIDATED).run()
    assert_same(saved("run"), saved("whole"))
    for name in (BEST, VALIDATION):
        assert (Path("run") / name).read_bytes() == (Path("whole") / name).read_bytes()


def test_worse_weights_do_not_replace_the_best() -> None:
    run = trainer("run", *VALIDATED)
    run.prepare()
    run.best = math.inf
    run.run()
    assert not (Path("run") / BEST).exists()
    assert saved("run")["best"][0] == math.inf
    assert trainer("run", *VALIDATED).best == math.inf
    assert trainer("run", *VALIDATED, "validation.scales=2").best == -math.inf


def test_a_checkpoint_of_a_version_without_validation_is_understood() -> None:
    trainer("run", minutes=0).run()
    state = saved("run")
    del state["best"]
    torch.save(state, Path("run") / STATE)
    assert trainer("run").best == -math.inf
    state["more"] = 1
    torch.save(state, Path("run") / STATE)
    with pytest.raises(CorruptWeightsError):
        trainer("run")


@pytest.mark.heavy
def test_the_picture_of_a_run_shows_its_crops(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn(monkeypatch)
    trainer("plain").run()
    trainer("run", *VALIDATED).run()
    sizes: list[tuple[int, int]] = []
    for folder in ("plain", "run"):
        with Image.open(Path(folder) / CURVES) as picture:
            sizes.append(picture.size)
            gray = np.asarray(picture.convert("L"))
            assert (gray.min() < 80, gray.max()) == (True, 255)
    assert sizes[0][0] == sizes[1][0]
    assert sizes[1][1] > sizes[0][1] + 4 * 250  # four rows


def test_tensorboard_has_the_figures() -> None:
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    trainer("run", *VALIDATED, minutes=0).run()
    trainer("run", *VALIDATED).run()
    events = reading.EventAccumulator(str(Path("run") / EVENTS)).Reload()
    assert set(events.Tags()["scalars"]) == {
        *("loss", "learning_rate", "samples_per_s", "data_share"),
        *("psnr/x2", "psnr/x3"),
    }
    assert [each.step for each in events.Scalars("loss")] == list(range(1, STEPS + 1))
    assert [each.step for each in events.Scalars("psnr/x2")] == [4, 8, 9]


def test_without_tensorboard_there_is_a_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    run = trainer()
    run.run()
    assert run.finished
    assert run.notices == [WITHOUT_TENSORBOARD]
    assert not (Path("run") / EVENTS).exists()


def test_validation_pictures_that_are_not_there_are_refused_at_once() -> None:
    with pytest.raises(MissingInputError, match="nowhere"):
        trainer("run", 'validation.folder="nowhere"').prepare()
    with pytest.raises(OptionError, match="61 px"):
        trainer("run", *VALIDATED, "validation.scales=6.1").prepare()
    assert not Path("run").exists()


def test_how_training_multiplies_is_left_alone() -> None:
    before = torch.backends.cudnn.allow_tf32
    try:
        for allowed in (True, False):
            torch.backends.cudnn.allow_tf32 = allowed
            trainer(f"run-{allowed}", *VALIDATED, minutes=0).run()
            assert torch.backends.cudnn.allow_tf32 is allowed
    finally:
        torch.backends.cudnn.allow_tf32 = before


def test_event_files_that_cannot_be_written_are_a_notice() -> None:
    pytest.importorskip("tensorboard")
    Path("run").mkdir()
    (Path("run") / EVENTS).write_text("in the way")
    run = trainer()
    run.run()
    assert run.finished
    assert [note.partition(":")[0] for note in run.notices] == ["no TensorBoard files"]


def test_the_first_step_moves_the_average_by_as_much_as_its_formula_says() -> None:
    run = trainer("run", "optim.steps=1")
    before = {name: weight.clone() for name, weight in run.average.weights.items()}
    run.run()
    after = run.network.state_dict()
    for name, weight in run.average.weights.items():  # keeps (1 + 1) / (10 + 1) of what it had
        torch.testing.assert_close(weight, torch.lerp(before[name], after[name], 9 / 11))


def test_each_step_has_its_own_learning_rate_and_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    told, used = [], []
    run = trainer()
    monkeypatch.setattr(run.record, "trained", lambda _, figures: told.append(figures))
    run.run(lambda _: used.append(run.optimizer.param_groups[0]["lr"]))
    wanted = [learning_rate(step, run.recipe.options.optim) for step in range(STEPS)]
    assert used == wanted
    assert [figures["learning_rate"] for figures in told] == wanted
