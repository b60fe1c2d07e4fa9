"""Checkpoints that are whole or not there, and averaged weights."""

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from ciaovideo.errors import CorruptWeightsError, MismatchedWeightsError, OutputExistsError
from ciaovideo.storage.atomic import replacing
from ciaovideo.train.state import (
    KEYS,
    Average,
    claimed,
    load_state,
    load_weights,
    save_state,
)


def test_the_average_by_hand() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 0.0)
    average = Average(network, decay=0.5)
    nn.init.constant_(network.weight, 1.0)
    average.update(network, 1)  # keeps (1 + 1) / (10 + 1) of what it had
    assert average.weights["weight"].item() == pytest.approx(9 / 11)
    average.update(network, 1000)  # keeps half
    assert average.weights["weight"].item() == pytest.approx(1 - 1 / 11)
    assert network.weight.item() == 1.0


def test_no_decay_keeps_the_last_weights() -> None:
    network = nn.Linear(2, 2)
    average = Average(network, decay=0.0)
    nn.init.constant_(network.weight, 3.0)
    average.update(network, 50)
    assert torch.equal(average.weights["weight"], network.weight)


def test_an_average_notices_what_is_no_number() -> None:
    average = Average(nn.Linear(2, 2), decay=0.9)
    assert average.finite()
    average.weights["bias"][1] = torch.nan
    assert not average.finite()


def test_what_fails_half_way_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with replacing(path) as part:
        part.write_text("first", encoding="ascii")
    with pytest.raises(KeyboardInterrupt), replacing(path) as part:  # noqa: PT012
        part.write_text("sec", encoding="ascii")
        raise KeyboardInterrupt
    assert path.read_text(encoding="ascii") == "first"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_checkpoint(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    path.write_bytes(content)
    with pytest.raises(CorruptWeightsError, match=r"state\.pt"):
        load_state(path)


def test_a_checkpoint_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save_state(path, {"step": 3})
    with pytest.raises(CorruptWeightsError, match="checkpoint"):
        load_state(path)
    save_state(path, dict.fromkeys(KEYS, 3))
    assert load_state(path)["step"] == 3


def test_nothing_in_a_checkpoint_is_executed(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    torch.save(dict.fromkeys(KEYS, Path("an object of some class")), path)
    with pytest.raises(CorruptWeightsError):
        load_state(path)


def test_weights_of_another_network(tmp_path: Path) -> None:
    with pytest.raises(MismatchedWeightsError, match="another network"):
        load_weights(nn.Linear(2, 2), nn.Linear(3, 2).state_dict(), tmp_path / "state.pt")


def test_a_folder_is_claimed_once_and_let_go_of(tmp_path: Path) -> None:
    with claimed(tmp_path):
        with pytest.raises(OutputExistsError, match="another run"), claimed(tmp_path):
            pass
        with pytest.raises(OutputExistsError), claimed(tmp_path):
            pass
    with claimed(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


class Harmful:
    """What a pickle of it does when it is read."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("false",)


def test_a_checkpoint_with_code_in_it_is_refused_in_our_words(tmp_path: Path) -> None:
    torch.save({"step": Harmful()}, tmp_path / "state.pt")
    with pytest.raises(CorruptWeightsError, match="code") as caught:
        load_state(tmp_path / "state.pt")
    assert "weights_only" not in str(caught.value)
