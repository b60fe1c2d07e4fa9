"""Checkpoints of a training run: everything that decides what comes next."""

import hashlib
import io
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
from ciaovideo.storage.claims import try_lock

KEYS = frozenset({"network", "optimizer", "average", "generator", "step", "loss"})
OBJECTIVE = "objective"  # where the loss has a state: a discriminator
OPTIONAL = frozenset({"best", OBJECTIVE})
PARTS = frozenset({"parts", "sha256"})  # of a checkpoint that lies in several files


class Average:
    """Exponential moving average of a network's weights, with a short memory at first."""

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
        """Take over saved weights of the same names and shapes."""
        for name, weight in weights.items():
            self.weights[name].copy_(weight)

    def finite(self) -> bool:
        """Whether every weight is a number."""
        return all(bool(weight.isfinite().all()) for weight in self.weights.values())


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Have a run's folder alone; raises OutputExistsError while another run has it.

    The kernel lets go of the lock when a process ends, however that ends. Where there are no locks,
    nothing is known, and nothing is refused.
    """
    path = folder / ".lock"
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:  # a disk that is full, or may not be written to: the checkpoint will say so
        yield
        return
    try:
        if not try_lock(handle):
            raise OutputExistsError(
                f"another run is training in {folder}", "wait for it, or name another folder"
            )
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(handle)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes ``path`` whole at the end, or never."""
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def save_state(path: Path, state: Mapping[str, Any], limit: int = 0) -> None:
    """Write a checkpoint whole or not at all; with ``limit``, in files of at most so many bytes.

    These lie beside ``path``, which then lists them: they are there before it is, and those of the
    checkpoint before go after it.
    """
    parts: list[str] = []
    with replacing(path) as whole:
        torch.save(dict(state), whole)
        if limit and whole.stat().st_size > limit:
            content = whole.read_bytes()
            parts = _write_parts(path, content, limit)
            torch.save({"parts": parts, "sha256": hashlib.sha256(content).hexdigest()}, whole)
    for file in path.parent.glob(f"{path.name}.*"):
        if file.name not in parts:
            file.unlink()


def load_state(path: Path) -> dict[str, Any]:
    """Read a checkpoint; nothing in the file is executed. Raises CorruptWeightsError."""
    state = _load_whole(path, path)
    if isinstance(state, dict) and state.keys() == PARTS:
        state = _load_whole(path, _joined(path, state))
    if not isinstance(state, dict) or not KEYS <= state.keys() <= KEYS | OPTIONAL:
        raise CorruptWeightsError(
            f"{path} is no checkpoint of a training run", "begin again in an empty folder"
        )
    return state


def load_weights(
    network: nn.Module,
    weights: Mapping[str, Tensor],
    path: Path,
    hint: str = "resume with the recipe that wrote it",
) -> None:
    """Put weights into a network; raises MismatchedWeightsError where they do not fit."""
    try:
        network.load_state_dict(weights)
    except RuntimeError as cause:
        raise MismatchedWeightsError(f"{path} belongs to another network", hint) from cause


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Named tensors from a .safetensors file, or one that torch wrote; nothing in it is executed.

    Raises MissingWeightsError or CorruptWeightsError.
    """
    if not path.is_file():
        raise MissingWeightsError(f"{path} is not there", "name a file of weights")
    if path.suffix == ".safetensors":
        return read(path)[1]
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as cause:  # as above
        raise CorruptWeightsError(
            f"{path}: not a readable file of weights ({_reason(cause)})", "get the file again"
        ) from cause
    if not isinstance(tensors, dict):
        raise CorruptWeightsError(f"{path} holds no table of tensors", "give a state dict")
    return {name: value for name, value in tensors.items() if isinstance(value, Tensor)}


def _write_parts(path: Path, content: bytes, limit: int) -> list[str]:
    """Cut a checkpoint into files, named by what it holds, so that none is written over."""
    mark = hashlib.sha256(content).hexdigest()[:8]
    names = []
    for number, start in enumerate(range(0, len(content), limit)):
        names.append(f"{path.name}.{mark}-{number}")
        with replacing(path.with_name(names[-1])) as part:
            part.write_bytes(content[start : start + limit])
    return names


def _joined(path: Path, table: Mapping[str, Any]) -> io.BytesIO:
    """The checkpoint that a table of its parts describes."""
    files = [path.with_name(Path(str(name)).name) for name in table["parts"]]
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise CorruptWeightsError(
            f"{path} is in {len(files)} parts, and not there are {', '.join(missing)}",
            "put all of them into one folder",
        )
    content = b"".join(file.read_bytes() for file in files)
    if hashlib.sha256(content).hexdigest() != table["sha256"]:
        raise CorruptWeightsError(
            f"{path} is in {len(files)} parts, one of which is damaged", "get them again"
        )
    return io.BytesIO(content)


def _load_whole(path: Path, source: Path | io.BytesIO) -> Any:
    try:
        return torch.load(source, map_location="cpu", weights_only=True)
    except Exception as cause:  # bytes that are no pickle make its reader raise anything
        raise CorruptWeightsError(
            f"{path}: not a readable checkpoint ({_reason(cause)})",
            "begin again in an empty folder",
        ) from cause


def _reason(cause: Exception) -> str:
    """The first line of what a reader said, or what kind of error it was.

    Of a file with code in it, whose it is: torch's own words tell how to have it executed.
    """
    found = re.search(r"GLOBAL ([\w.]+)", str(cause))
    if found:
        return f"it holds an object of {found[1]}, which only running code could read"
    return str(cause).partition("\n")[0] or type(cause).__name__
