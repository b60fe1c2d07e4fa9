"""Files of other programs, read without running anything that is in them."""

import pickle
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from ciaovideo.errors import CorruptWeightsError, MismatchedWeightsError, MissingWeightsError
from ciaovideo.models.tensor_file import read

# What torch's reader raises for bytes that are not a checkpoint.
UNREADABLE = (pickle.UnpicklingError, LookupError, TypeError, AttributeError)
PREFIXES = ("generator_ema.", "generator.", "module.")  # the first that a file has is taken


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """The tensors of the network in a file, without prefixes, and what else the file holds."""

    path: Path
    content: Mapping[str, Any]
    state: Mapping[str, Tensor]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises MissingWeightsError, CorruptWeightsError, or MismatchedWeightsError."""
        content = _load(path)
        return cls(path, content, _state(content, path))


def plain_numbers(tensor: Tensor, name: str, path: Path) -> Tensor:
    """A tensor in fp32; CorruptWeightsError for NaN, Inf, or a sparse, quantised or empty one."""
    plain = tensor.layout == torch.strided and not (tensor.is_meta or tensor.is_quantized)
    if not plain or tensor.is_complex() or not tensor.isfinite().all():
        raise CorruptWeightsError(
            f"{path}: {name} is not a dense tensor of finite real numbers",
            "get it again, or another checkpoint of the run",
        )
    return tensor.float()


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise MissingWeightsError(f"{path} does not exist", "name a checkpoint file")
    if path.suffix == ".safetensors":
        return {"state_dict": read(path)[1]}
    try:
        with torch.serialization.safe_globals(_numbers()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of another protocol; what is read is checked
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, *UNREADABLE) as cause:
        found = re.search(r"GLOBAL ([\w.]+)", str(cause))
        if found:
            raise CorruptWeightsError(
                f"{path} holds an object of {found[1]}, which only executed code could read",
                "ask for a file of tensors alone: nothing from a file is executed here",
            ) from cause
        raise CorruptWeightsError(f"{path}: not a readable checkpoint", "get it again") from cause
    if not isinstance(content, dict):
        raise MismatchedWeightsError(f"{path} holds no named tensors", "name a checkpoint file")
    return content


def _numbers() -> list[Any]:
    """What NumPy's scalars are read by: they stand among a checkpoint's notes, and run nothing."""
    scalar = np.float64().__reduce__()[0]
    kinds = {type(np.dtype(code)) for code in "?bhilqBHILQefd"}
    places = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    return [*((scalar, place) for place in places), np.dtype, *kinds]


def _state(content: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    """The tensors of the network in a file of either layout, or of tensors alone."""
    state: Any = content.get("state_dict", content)
    if "model" in content:
        model = content["model"]
        state = model.get("sd") if isinstance(model, dict) else None
    tensors: dict[str, Tensor] = {}
    if isinstance(state, dict):
        tensors = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise MismatchedWeightsError(
            f"{path} holds no state_dict and no model.sd, but {some(content)}",
            "name a checkpoint of a network",
        )
    for prefix in PREFIXES:
        if any(name.startswith(prefix) for name in tensors):
            return {
                name.removeprefix(prefix): tensor
                for name, tensor in tensors.items()
                if name.startswith(prefix)
            }
    return tensors


def some(names: Iterable[Any]) -> str:
    """Up to three names, and how many there are more."""
    listed = sorted(map(str, names))
    more = f" and {len(listed) - 3} more" if len(listed) > 3 else ""
    return ", ".join(listed[:3]) + more
