"""A run that begins with another network's encoder, and one that leaves the encoder as it is."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ciaovideo.errors import MismatchedWeightsError
from ciaovideo.models.weights import load_file
from ciaovideo.train.loop import WEIGHTS
from ciaovideo.train.optimizer import PART_RATE
from tests.runs import assert_same, saved, small_runs, trainer

LIIF = (
    "network.decoder=liif",
    "network.decoder_options={hidden=[8]}",
    "start=run/weights.safetensors",
)


@pytest.fixture(autouse=True)
def _after_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with small_runs(tmp_path, monkeypatch):
        run = trainer("run")
        run.prepare()
        run.save()
        yield


def encoder_of(folder: str) -> dict[str, Tensor]:
    return dict(load_file(Path(folder) / WEIGHTS).encoder.state_dict())  # type: ignore[union-attr]


def test_another_decoder_begins_anew_behind_the_same_encoder() -> None:
    run = trainer("other", *LIIF)
    [notice] = run.notices
    assert "liif" in notice
    for name, weight in run.network.get_submodule("encoder").state_dict().items():
        torch.testing.assert_close(weight, encoder_of("run")[name], rtol=0, atol=0)
    assert not trainer("third", "start=run/weights.safetensors").notices


def test_a_wider_encoder_begins_as_the_narrower_one_and_a_narrower_one_is_refused() -> None:
    wider = trainer("wider", *LIIF, "network.encoder_options.channels=12").network
    lr = torch.rand(1, 3, 9, 7)
    features = wider.get_submodule("encoder")(lr)[:, :10]
    before = load_file(Path("run") / WEIGHTS).get_submodule("encoder")(lr)
    torch.testing.assert_close(features, before, rtol=0, atol=1e-5)
    with pytest.raises(MismatchedWeightsError, match="another network"):
        trainer("other", *LIIF, "network.encoder_options.channels=8")


@pytest.mark.parametrize("changes", [(), ("optim.optimizer=muon",), ("data.lattice=6",)], ids=str)
def test_an_encoder_without_a_rate_stays_and_the_decoder_learns(changes: tuple[str, ...]) -> None:
    run = trainer("other", *LIIF, *changes, "optim.encoder_rate=0", "optim.steps=3", "optim.ema=0")
    before = {name: w.clone() for name, w in run.network.state_dict().items()}
    run.run()
    for name, weight in run.network.state_dict().items():
        assert torch.equal(weight, before[name]) == name.startswith("encoder."), name


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_a_rate_of_the_encoder_is_its_share_of_the_schedule(optimizer: str) -> None:
    changes = (f"optim.optimizer={optimizer}", "optim.encoder_rate=0.25", "optim.steps=3")
    run = trainer("other", *LIIF, *changes, "network.encoder_options.channels=10")
    run.run()
    weights = {id(weight) for weight in run.network.get_submodule("encoder").parameters()}
    rates: dict[bool, set[float]] = {True: set(), False: set()}
    for group in run.optimizer.param_groups:
        inside = {id(weight) in weights for weight in group["params"]}
        assert len(inside) == 1
        rates[inside.pop()].add(group["lr"])
        assert group.get(PART_RATE, 1.0) in (0.25, 1.0)
    assert len(rates[True]) == len(rates[False]) == 1
    assert rates[True].pop() == 0.25 * rates[False].pop()


def test_a_stopped_run_with_a_rate_of_the_encoder_ends_the_same() -> None:
    changes = (*LIIF, "optim.encoder_rate=0.5", "optim.steps=4")
    trainer("whole", *changes).run()
    first = trainer("parts", *changes)
    first.run(lambda progress: first.stop() if progress.step == 2 else None)
    trainer("parts", *changes).run()
    assert_same(saved("whole"), saved("parts"))
