"""Networks in one piece learn as any other: from windows of neighbouring pixels."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ciaovideo.data.images import load_pictures
from ciaovideo.data.lattice import LatticeSampler
from ciaovideo.errors import MismatchedWeightsError, OptionError, UnsupportedScaleError
from ciaovideo.grid import View
from ciaovideo.models.weights import load_file
from ciaovideo.train.gradients.prediction import predict
from ciaovideo.train.loop import WEIGHTS, RunOptions, Trainer
from ciaovideo.train.ranks import gradients
from ciaovideo.train.recipe import Recipe, read_recipe
from tests.runs import assert_same, one_thread, saved, write_pictures

ASDN = """
summary = "a very small one"

[network]
network = "asdn"
options = { features = 4, blocks = 1, layers = 1, levels = 3, reduction = 2 }

[data]
sources = ["pictures"]
patch = 8
lattice = 12
window = true
batch = 4
groups = 2
low_scale = 1.0
high_scale = 2.0

[optim]
steps = 6
learning_rate = 4e-3
"""
FSDN = """
base = "asdn.toml"
start_with = ["features"]

[network]
network = "fsdn"
options = { scale = 2, features = 4, blocks = 1, layers = 1, reduction = 2 }

[data]
low_scale = 2.0
"""
SHUFFLE = (
    "network.network=pixel-shuffle",
    'network.options={ scale = 2, encoder = "edsr", encoder_options = { channels = 8 } }',
)
SAME = 1e-6  # the same products in blocks of another size


@pytest.fixture(autouse=True)
def _in_a_folder_with_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "pictures")
    (tmp_path / "asdn.toml").write_text(ASDN, encoding="utf-8")
    (tmp_path / "fsdn.toml").write_text(FSDN, encoding="utf-8")
    with one_thread():
        yield


def recipe(name: str, *overrides: str) -> Recipe:
    return read_recipe(f"{name}.toml", overrides)


def trainer(name: str, folder: str, *overrides: str, **options: float) -> Trainer:
    run = RunOptions(folder=Path(folder), minutes=options.get("minutes", float("inf")))
    return Trainer(recipe(name, *overrides), run)


def test_windows_are_predicted_as_an_engine_makes_them() -> None:
    torch.manual_seed(0)
    network = recipe("asdn").build()
    store = load_pictures([Path("pictures")], 16)
    sampler = LatticeSampler(store, patch=8, side=6, scales=(1.0, 2.0), groups=2, window=True)
    batch = sampler.draw(4, torch.Generator().manual_seed(1))
    parts = predict(network, batch, bf16=False)
    first = 0
    for (sr, hr, _, share), target in zip(parts, batch.targets, strict=True):
        assert sr.shape == hr.shape == (target.samples, 3, 6, 6)
        side = round(2 / float(batch.cell[first, 0]))
        view = View((8, 8), (side, side))
        lr = batch.lr[first : first + target.samples]
        whole = network.decode(network.encode(lr, view), view.rows, view.columns)
        rows, columns = (
            [round((float(at) + 1) * side / 2 - 0.5) for at in axis]
            for axis in (target.rows, target.columns)
        )
        torch.testing.assert_close(sr, whole[..., rows, :][..., columns], rtol=0, atol=SAME)
        assert share == target.samples / 4
        first += target.samples


@pytest.mark.heavy
def test_a_run_resumes_exactly_and_its_weights_load() -> None:
    losses: list[float] = []
    trainer("asdn", "whole").run(lambda progress: losses.append(progress.loss))
    trainer("asdn", "parts", minutes=0.0).run()
    assert saved("parts")["step"] == 1
    trainer("asdn", "parts").run()
    assert_same(saved("parts"), saved("whole"))
    assert losses[-1] < losses[0]
    network = load_file(Path("whole") / WEIGHTS)
    assert type(network).__name__ == "ASDN"


def test_branches_that_a_step_did_not_use_have_gradients_of_zero() -> None:
    network = recipe("asdn").build()
    view = View((8, 8), (16, 16))  # at x2 the last level alone
    latent = network.encode(torch.rand(1, 3, 8, 8), view)
    network.decode(latent, view.rows, view.columns).sum().backward()
    found = gradients(network)
    assert len(found) == len(list(network.parameters()))
    names = [name for name, _ in network.named_parameters()]
    used = {
        name.split(".")[1]
        for name, gradient in zip(names, found, strict=True)
        if name.startswith("branches") and gradient.any()
    }
    assert used == {"2"}


def test_a_fixed_scale_begins_with_the_features_of_any_scale() -> None:
    trainer("asdn", "first", "optim.steps=2").run()
    start = 'start="first/weights.safetensors"'
    begun = trainer("fsdn", "second", start).network.state_dict()
    fresh = trainer("fsdn", "third").network.state_dict()
    learned = load_file(Path("first") / WEIGHTS).state_dict()
    for name, weight in begun.items():
        source = learned if name.startswith("features.") else fresh
        assert torch.equal(weight, source[name]), name
    with pytest.raises(MismatchedWeightsError, match="'enlarge'"):
        trainer("fsdn", "other", start, "start_with=enlarge")
    with pytest.raises(MismatchedWeightsError, match="another network"):
        trainer("fsdn", "other", start, "network.options.features=8")


def test_a_scale_that_cannot_be_measured_is_refused_before_the_first_step() -> None:
    measured = ("validation.folder=pictures", "validation.scales=3")
    with pytest.raises(UnsupportedScaleError, match="scale of 2"):
        trainer("fsdn", "run", *measured).prepare()


def test_a_rate_of_an_encoder_needs_one() -> None:
    with pytest.raises(OptionError, match="encoder"):
        trainer("asdn", "run", "optim.encoder_rate=0.5")


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("data.window=false",), "asdn makes neighbouring pixels"),
        (("network.network=bicubic", "network.options={}"), "bicubic has nothing to learn"),
        (SHUFFLE, "pixel-shuffle does scales of 2, and x1 is drawn"),
        (("network.options.depth=3",), "depth"),
        (("network.encoder=edsr",), "unknown option 'encoder'"),
    ],
)
def test_what_cannot_be_trained_is_refused(overrides: tuple[str, ...], told: str) -> None:
    with pytest.raises(OptionError, match=told):
        recipe("asdn", *overrides).build()
