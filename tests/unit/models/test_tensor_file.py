"""Files of named tensors: what is written is read back, and a damaged file is named."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

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


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    write(tmp_path / "a.safetensors", TENSORS, METADATA)
    metadata, tensors = read(tmp_path / "a.safetensors")
    assert metadata == METADATA
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)


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
def test_a_damaged_file_is_named(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write(path, TENSORS, METADATA)
    content = path.read_bytes()
    path.write_bytes(damage(content))
    assert path.read_bytes() != content
    with pytest.raises(CorruptWeightsError, match=r"a\.safetensors"):
        read(path)


def test_a_folder_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="absent"):
        write(tmp_path / "absent" / "a.safetensors", TENSORS, METADATA)
