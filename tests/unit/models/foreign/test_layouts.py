"""The first layout that recognises a file reads it."""

from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from ciaovideo.errors import MismatchedWeightsError
from ciaovideo.models import foreign
from ciaovideo.models.foreign import Unsaid, read_foreign
from ciaovideo.models.foreign.checkpoint import Checkpoint
from ciaovideo.models.spec import NetworkSpec

SPEC = NetworkSpec(encoder="edsr", decoder="ciaosr")


def layout(word: str) -> ModuleType:
    """A layout of files that hold a tensor of this name."""
    module = ModuleType(word)

    def recognises(checkpoint: Checkpoint) -> bool:
        return word in checkpoint.state

    def read(checkpoint: Checkpoint, unsaid: Unsaid) -> tuple[NetworkSpec, dict[str, Tensor]]:
        return SPEC, {f"{word} {unsaid.window}": checkpoint.state[word]}

    module.__dict__.update(recognises=recognises, read=read)
    return module


@pytest.fixture(autouse=True)
def _two_layouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "LAYOUTS", {name: layout(name) for name in ("one", "other")})


@pytest.mark.parametrize(
    ("names", "reader"), [(["one"], "one"), (["other"], "other"), (["other", "one"], "one")]
)
def test_the_first_that_recognises_reads(names: list[str], reader: str, tmp_path: Path) -> None:
    path = tmp_path / "theirs.pth"
    torch.save({"state_dict": {f"module.{name}": torch.ones(2) for name in names}}, path)
    spec, tensors = read_foreign(path, Unsaid(window=5))
    assert spec == SPEC
    assert list(tensors) == [f"{reader} 5"]


def test_what_nobody_recognises_is_named_with_what_is_known(tmp_path: Path) -> None:
    torch.save({"state_dict": {"third": torch.ones(2)}}, tmp_path / "theirs.pth")
    with pytest.raises(MismatchedWeightsError, match=r"third: .*one or other"):
        read_foreign(tmp_path / "theirs.pth")
