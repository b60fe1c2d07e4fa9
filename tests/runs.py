"""A training run of a second: its recipe, its pictures, and how its checkpoints are compared."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ciaovideo.train.loop import STATE, RunOptions, Trainer
from ciaovideo.train.recipe import Recipe, read_recipe
from ciaovideo.train.report.curves import draw_run

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


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums in one order, here and in a process of its own."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@contextmanager
def small_runs(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The recipe and its pictures in the current folder; runs end without their curves drawn.

    Drawing takes as long as all steps of such a run; who looks at curves asks for ``drawn``.
    """
    patch.chdir(folder)
    write_small(folder)
    patch.setattr("ciaovideo.train.loop.draw_run", lambda path, *_: path.write_bytes(b""))
    with one_thread():
        yield


def drawn(patch: pytest.MonkeyPatch) -> None:
    """Curves again, within ``small_runs``."""
    patch.setattr("ciaovideo.train.loop.draw_run", draw_run)


def write_small(folder: Path) -> None:
    """The recipe, and pictures for it."""
    write_pictures(folder / "pictures")
    (folder / "small.toml").write_text(RECIPE, encoding="utf-8")


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
