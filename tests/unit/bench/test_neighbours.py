"""The script that trains what is compared: who begins with what, and what a run costs."""

import sys
from pathlib import Path

import pytest
import torch

from ciaovideo.models.weights import load_file
from ciaovideo.train.loop import WEIGHTS
from tests.bench import neighbours
from tests.runs import one_thread, write_pictures

TINY = (
    "data.batch=1",
    "data.patch=8",
    "data.queries=16",
    "data.groups=1",
    "data.high_scale=2",
)
HIET = "{ channels = 8, blocks = 1, levels = 2, heads = 2, window = 4 }"
FIRST = (f"network.encoder_options={HIET}", "network.decoder_options={ width = 8, heads = 2 }")
SECOND = (
    f'network.options={{ scale = 2, encoder = "hiet", encoder_options = {HIET} }}',
    "data.lattice=8",
    "optim.learning_rate=0",
)


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    with one_thread():
        monkeypatch.setattr(sys, "argv", ["neighbours", "--pictures", "pictures", *words])
        neighbours.main()


@pytest.mark.parametrize("name", neighbours.MEMBERS)
def test_every_recipe_can_be_built(name: str) -> None:
    changes = neighbours.schedule(120)
    recipe = neighbours.recipe_of(name, Path("pictures"), None, changes)
    assert recipe.options.optim.steps == 120
    assert recipe.options.optim.warmup == 10
    recipe.build()


@pytest.mark.parametrize("name", [*neighbours.DECODERS, *neighbours.ABLATIONS])
def test_every_decoder_begins_with_nothing(name: str) -> None:
    """Also where the file that they take the encoder of has the same decoder."""
    recipe = neighbours.recipe_of(name, Path("pictures"), Path("start.safetensors"))
    assert recipe.options.start_with == ("encoder",)
    assert recipe.options.optim.encoder_rate == 0


@pytest.mark.heavy
def test_a_second_stage_begins_with_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What C2D-ISR's discrete network has of its encoder is that of the first stage."""
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "pictures")
    first = neighbours.Member("c2d-continuous-small", (*TINY, *FIRST))
    second = neighbours.Member("c2d-small", (*TINY, *SECOND), "c2d-continuous")
    members = {"c2d-continuous": first, "c2d-x2": second}
    monkeypatch.setattr(neighbours, "MEMBERS", members)
    words = ["--out", "runs", "--names", "c2d-continuous,c2d-x2"]
    run(monkeypatch, *words, "--steps", "c2d-continuous=2", "--steps", "c2d-x2=1")
    began, then = (load_file(Path("runs") / name / WEIGHTS).state_dict() for name in members)
    shared = [name for name in then if name.startswith("encoder.")]
    assert shared
    assert all(torch.equal(began[name], then[name]) for name in shared)
    lines = [line.split(",") for line in Path("runs/costs.csv").read_text().splitlines()]
    assert [line[:3] for line in lines] == [["c2d-continuous", "0", "2"], ["c2d-x2", "0", "1"]]
    assert all(float(seconds) > 0 for line in lines for seconds in line[3:])


@pytest.mark.heavy
def test_a_probe_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "pictures")
    changes = [word for change in (*TINY, "data.lattice=8") for word in ("--set", change)]
    run(monkeypatch, "--out", "runs", "--names", "fsdn", "--probe", "3", *changes)
    assert "fsdn: 0." in capsys.readouterr().out
    assert not Path("runs").exists()
