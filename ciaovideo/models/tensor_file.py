"""Safetensors files, with the library's errors translated to ours."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ciaovideo.errors import CorruptWeightsError


def read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors; raises CorruptWeightsError."""
    try:
        with safe_open(path, framework="pt") as source:
            tensors = {name: source.get_tensor(name) for name in source.keys()}  # noqa: SIM118
            return source.metadata() or {}, tensors
    except (SafetensorError, OSError) as cause:
        raise CorruptWeightsError(
            f"{path}: not a readable safetensors file ({cause})", "get the file again"
        ) from cause


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write contiguous tensors of the CPU; raises OSError."""
    try:
        save_file(dict(tensors), path, metadata=dict(metadata))
    except SafetensorError as cause:
        raise OSError(str(cause)) from cause
