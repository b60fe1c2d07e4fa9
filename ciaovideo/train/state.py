"""Checkpoints of a training run."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ciaovideo.errors import (
    CorruptWeightsError,
    MismatchedWeightsError,
    MissingWeightsError,
    OutputExistsError,
)
from ciaovideo.models.tensor_file import read
from ciaovideo.storage.atomic import replacing
from ciaovideo.storage.claims import try_lock

KEYS = frozenset({"network", "optimizer", "average", "generator", "step", "loss"})
OBJECTIVE = "objective"  # present if the loss has a state: a discriminator
OPTIONAL = frozenset({"best", OBJECTIVE})


class Average:
    """Exponential moving average of a network's weights, with faster decay at first."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {
            name: weight.detach().clone() for name, weight in network.state_dict().items()
        }

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards the network's weights after step ``step`` (counted from 1)."""
        keep = min(self.decay, (1 + step) / (10 + step))
        theirs = network.state_dict()
        names = [name for name, weight in self.weights.items() if weight.is_floating_point()]
        torch._foreach_lerp_(
            [self.weights[name] for name in names], [theirs[name] for name in names], 1 - keep
        )

    @torch.no_grad()
    def restore(self, weights: Mapping[str, Tensor]) -> None:
        """Restore saved weights with the same names and shapes."""
        for name, weight in weights.items():
            self.weights[name].copy_(weight)

    def finite(self) -> bool:
        """Whether every weight is finite."""
        return all(bool(weight.isfinite().all()) for weight in self.weights.values())


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Lock a run's folder; raises OutputExistsError while another run holds the lock.

    The kernel releases the lock when the process ends, however it ends. On a file system without
    locks nothing is refused.
    """
    path = folder / ".lock"
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:  # a full or read-only disk: saving the checkpoint reports it
        yield
        return
    try:
        if try_lock(handle) is False:
            raise OutputExistsError(
                f"another run is training in {folder}", "wait for it, or name another folder"
            )
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(handle)


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint whole or not at all."""
    with replacing(path) as whole:
        torch.save(dict(state), whole)


def load_state(path: Path) -> dict[str, Any]:
    """Read a checkpoint; nothing in the file is executed. Raises CorruptWeightsError."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as cause:  # its reader may raise anything on bytes that are not a pickle
        raise CorruptWeightsError(
            f"{path}: not a readable checkpoint ({_reason(cause)})",
            "start over in an empty folder",
        ) from cause
    if not isinstance(state, dict) or not KEYS <= state.keys() <= KEYS | OPTIONAL:
        raise CorruptWeightsError(
            f"{path} is not a checkpoint of a training run", "start over in an empty folder"
        )
    return state


def load_weights(
    network: nn.Module,
    weights: Mapping[str, Tensor],
    path: Path,
    hint: str = "resume with the recipe that wrote it",
) -> None:
    """Load weights into a network; raises MismatchedWeightsError if they do not fit."""
    try:
        network.load_state_dict(weights)
    except RuntimeError as cause:
        raise MismatchedWeightsError(f"{path} belongs to another network", hint) from cause


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Named tensors from a file of safetensors or torch; nothing in it is executed.

    Raises MissingWeightsError or CorruptWeightsError.
    """
    if not path.is_file():
        raise MissingWeightsError(f"{path} does not exist", "name a file of weights")
    if path.suffix == ".safetensors":
        return read(path)[1]
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as cause:  # as above
        raise CorruptWeightsError(
            f"{path}: not a readable file of weights ({_reason(cause)})", "get the file again"
        ) from cause
    if not isinstance(tensors, dict):
        raise CorruptWeightsError(f"{path} holds no named tensors", "name a file with a state dict")
    return {name: value for name, value in tensors.items() if isinstance(value, Tensor)}


def _reason(cause: Exception) -> str:
    """The first line of a reader's message, or the type of its error.

    For a file with code in it, the object's name: torch's message explains how to execute the code.
    """
    found = re.search(r"GLOBAL ([\w.]+)", str(cause))
    if found:
        return f"it holds an object of {found[1]}, which only executed code could read"
    return str(cause).partition("\n")[0] or type(cause).__name__
