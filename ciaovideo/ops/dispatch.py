"""Where a fused twin of an operator may take its place."""

import importlib
import importlib.util
import logging
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from types import ModuleType, TracebackType

import torch
from torch import Tensor

log = logging.getLogger(__name__)

_setbacks: dict[str, str] = {}  # of this process: what failed once fails every time


def fused_twin(operator: str, *tensors: Tensor) -> ModuleType | None:
    """The module ``<operator>_triton`` if it may work on these tensors: on CUDA, no gradients.

    None where Triton is missing or the twin has failed before (``PlainIfItFails``); whether it
    takes a certain shape is its own ``fits``.
    """
    if operator in _setbacks:
        return None
    if any(tensor.device.type != "cuda" for tensor in tensors):
        return None
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return None
    if _triton_works():
        with PlainIfItFails(operator):
            return _twin(operator)
    return None


class PlainIfItFails:
    """A block that lets a fused twin compute; where its kernel fails, what follows is done instead.

    Triton compiles when a kernel is first started, and for that it needs a C compiler, Python's
    headers, a folder to write to, and a GPU with room for what the kernel keeps on chip. That twin
    is not asked for again, and ``setbacks`` tells. Memory that ran out is another matter: smaller
    tiles help there, so such errors come through.
    """

    def __init__(self, operator: str) -> None:
        self._operator = operator

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if not isinstance(problem, Exception) or isinstance(problem, MemoryError):
            return False
        if isinstance(problem, torch.OutOfMemoryError) or "out of memory" in str(problem):
            return False
        if self._operator not in _setbacks:
            reason = " ".join(f"{type(problem).__name__}: {problem}".split())[:200]
            text = f"the fused kernel for {self._operator} does not work here, plain torch does"
            _setbacks[self._operator] = f"{text} its work ({reason})"
            log.warning("%s", _setbacks[self._operator])
        return True


def setbacks() -> tuple[str, ...]:
    """A sentence for each fused twin that failed in this process."""
    return tuple(_setbacks.values())


def device_of(tensor: Tensor) -> AbstractContextManager[object]:
    """Launch kernels where the tensor lies: Triton launches on the current device."""
    return torch.cuda.device(tensor.device) if tensor.device.type == "cuda" else nullcontext()


@cache
def _triton_works() -> bool:
    return importlib.util.find_spec("triton") is not None


@cache
def _twin(operator: str) -> ModuleType:
    return importlib.import_module(f"ciaovideo.ops.{operator}_triton")
