"""The format of safetensors, by its library and without it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ciaovideo.errors import CorruptWeightsError
from ciaovideo.models.tensor_file import read, write

METADATA = {"network": 'text with "quotes" and ü'}
TENSORS = {
    "half": torch.arange(6).view(2, 3).half(),
    "brain": torch.randn(5, 1).bfloat16(),
    "whole": torch.randn(3, 4, 2, 2),
    "flag": torch.tensor([True, False, True]),
    "count": torch.tensor(7),
}


@pytest.fixture
def library_is_absent(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From the call on."""

    def leave() -> None:
        for name in ("safetensors", "safetensors.torch"):
            monkeypatch.setitem(sys.modules, name, None)

    return leave


def assert_same(found: tuple[dict[str, str], dict[str, Tensor]]) -> None:
    metadata, tensors = found
    assert metadata == METADATA
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)


def test_each_reads_what_the_other_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library_is_absent: Callable[[], None]
) -> None:
    write(tmp_path / "library", TENSORS, METADATA)
    library_is_absent()
    assert_same(read(tmp_path / "library"))
    write(tmp_path / "own", TENSORS, METADATA)
    assert_same(read(tmp_path / "own"))
    monkeypatch.undo()
    assert_same(read(tmp_path / "own"))


@pytest.mark.parametrize("without", [False, True], ids=["library", "without"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:5],
        lambda content: content[:-1],
        lambda content: b"\xff" * 8 + content[8:],
        lambda content: content.replace(b'"F16"', b'"F99"'),
        lambda content: content.replace(b'"shape":[2,3]', b'"shape":[2,9]'),
        lambda content: content.replace(b'"half":{', b'"half":3,"x":{'),
    ],
)
def test_a_damaged_file_is_named(
    damage: Callable[[bytes], bytes],
    without: bool,
    tmp_path: Path,
    library_is_absent: Callable[[], None],
) -> None:
    path = tmp_path / "a.safetensors"
    write(path, TENSORS, METADATA)
    content = path.read_bytes()
    path.write_bytes(damage(content))
    assert path.read_bytes() != content
    if without:
        library_is_absent()
    with pytest.raises(CorruptWeightsError, match=r"a\.safetensors: not a readable"):
        read(path)


def test_tensors_begin_at_a_multiple_of_eight_as_the_format_asks(
    tmp_path: Path, library_is_absent: Callable[[], None]
) -> None:
    library_is_absent()
    write(tmp_path / "own", TENSORS, METADATA)
    content = (tmp_path / "own").read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert length % 8 == 0
    table = json.loads(content[8 : 8 + length])
    ends = [entry["data_offsets"][1] for name, entry in table.items() if name != "__metadata__"]
    assert max(ends) == len(content) - 8 - length
