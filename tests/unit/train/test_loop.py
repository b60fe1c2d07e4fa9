"""The run: it learns, it stops, and what was stopped ends as if it never had been."""

import csv
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
from ciaovideo.models.checkpoints import load_file
from ciaovideo.train.loop import LOG, STATE, WEIGHTS, RunOptions, Trainer, TrainProgress
from ciaovideo.train.recipe import Recipe, read_recipe

STEPS = 9
RECIPE = """
summary = "a very small one"

[network]
encoder = "edsr"
decoder = "ciaosr-separable"
encoder_options = { channels = 10, blocks = 1 }
decoder_options = { hidden = 8, key_dim = 4, rank = 2 }

[data]
sources = ["pictures"]
patch = 8
queries = 64
batch = 4
high_scale = 2.0

[optim]
steps = 9
learning_rate = 4e-3
warmup = 2
clip_norm = 0.5
"""

# The settings that turn this recipe into one of two stages, on degraded pictures.
TWO_STAGES = (
    "data.window=true",
    "data.degradation.share=0.9",
    "loss.from_step=4",
    "loss.perceptual=0.05",
    "loss.adversarial=0.01",
    "loss.discriminator_channels=4",
)

# Runs in a process of its own: saves after every step, and hangs in the middle of a late save.
HANGS = """
import sys, time
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
        time.sleep(300)

state.torch.save = torn
recipe = read_recipe("small.toml", sys.argv[1:])
Trainer(recipe, RunOptions(folder=Path("run"), save_minutes=0)).run()
"""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums in one order, here and in a process of its own."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _in_a_folder_with_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "pictures")
    (tmp_path / "small.toml").write_text(RECIPE, encoding="utf-8")


def write_pictures(folder: Path) -> None:
    """Hard edges: discs and stripes."""
    folder.mkdir()
    y, x = np.mgrid[:40, :48]
    for index in range(4):
        disc = (x - 10 * index) ** 2 + (y - 20) ** 2 < 150
        stripes = (x + index * y) % (5 + index) < 2
        rgb = np.stack([disc, stripes, disc ^ stripes], axis=-1).astype(np.uint8) * 200 + 20
        Image.fromarray(rgb).save(folder / f"{index}.png")


def recipe(*overrides: str) -> Recipe:
    return read_recipe("small.toml", overrides)


def trainer(folder: str = "run", *overrides: str, **options: Any) -> Trainer:
    return Trainer(recipe(*overrides), RunOptions(folder=Path(folder), **options))


def saved(folder: str) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(Path(folder) / STATE, weights_only=True)
    return state


def assert_same(ours: Any, theirs: Any) -> None:
    """Bit for bit, in dicts and lists of tensors and numbers."""
    assert type(ours) is type(theirs)
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert_same(ours[key], theirs[key])
    elif isinstance(ours, list | tuple):
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
    elif isinstance(ours, torch.Tensor):
        assert torch.equal(ours, theirs)
    else:
        assert ours == theirs


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


plainly_and_in_two_stages = pytest.mark.parametrize(
    "settings", [(), TWO_STAGES], ids=["plain", "two stages"]
)


@plainly_and_in_two_stages
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
        assert [int(line[0]) for line in csv.reader(lines)] == [2, 4, 6, 8, 9]


@plainly_and_in_two_stages
def test_killed_in_the_middle_of_a_save_and_resumed_equals_uninterrupted(
    settings: tuple[str, ...],
) -> None:
    trainer("whole", *settings).run()
    command = [sys.executable, "-c", HANGS, *settings]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
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
    before = {path.name: path.read_bytes() for path in Path("run").iterdir()}
    assert set(before) == {STATE, WEIGHTS, LOG}
    steps: list[TrainProgress] = []
    trainer().run(steps.append)
    assert not steps
    assert {path.name: path.read_bytes() for path in Path("run").iterdir()} == before
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


def test_a_discriminator_and_its_absence_are_part_of_a_run() -> None:
    trainer("run", *TWO_STAGES, minutes=0).run()
    assert "objective" in saved("run")
    with pytest.raises(MismatchedWeightsError, match="another loss"):
        trainer("run", "data.window=true")
    with pytest.raises(MismatchedWeightsError, match="discriminator of another size"):
        trainer("run", *TWO_STAGES, "loss.discriminator_channels=5")
    trainer("plain", minutes=0).run()
    assert "objective" not in saved("plain")
    with pytest.raises(MismatchedWeightsError, match="another loss"):
        trainer("plain", *TWO_STAGES)


def test_degraded_pictures_are_trained_on() -> None:
    for folder, share in (("plain", "0"), ("worn", "1")):
        trainer(folder, *TWO_STAGES, f"data.degradation.share={share}", minutes=0).run()
    assert saved("worn")["loss"] > 1.1 * saved("plain")["loss"]


def test_pairs_stand_in_for_codecs(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = (*TWO_STAGES, "data.degradation.codecs=0.6", "optim.steps=6")
    first = trainer("run", *settings)
    first.prepare()
    path = first.write_pairs(10)
    monkeypatch.setitem(sys.modules, "ciaovideo.media.recode", None)
    with pytest.raises(OptionError, match="PyAV"):
        trainer("none", *settings).run()
    trainer("whole", *settings, f'data.pairs="{path}"').run()
    part = trainer("parts", *settings, f'data.pairs="{path}"')
    part.run(lambda progress: part.stop() if progress.step == 3 else None)
    trainer("parts", *settings, f'data.pairs="{path}"').run()
    assert_same(saved("parts"), saved("whole"))
    assert trainer("parts", *settings, f'data.pairs="{path}"').finished


def test_options_of_the_recipe_hold_after_a_resumption() -> None:
    trainer("run", minutes=0).run()
    resumed = trainer("run", "optim.betas=0.8,0.9")
    assert resumed.optimizer.param_groups[0]["betas"] == (0.8, 0.9)


def test_divergence_is_an_error_and_keeps_the_last_checkpoint() -> None:
    trainer("run", minutes=0).run()
    before = (Path("run") / STATE).read_bytes()
    with pytest.raises(NonFiniteError, match="not numbers at step"):
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
    with pytest.raises(MissingInputError, match="at least 80 px"):
        trainer("run", "data.high_scale=10").run()
    with pytest.raises(OptionError, match=r"small\.toml"):
        trainer("small.toml").prepare()
    if not torch.cuda.is_available():
        with pytest.raises(BackendError, match="cuda"):
            trainer(device="cuda")
