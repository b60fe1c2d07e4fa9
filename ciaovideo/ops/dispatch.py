"""Where a fused twin of an operator may take its place."""

import importlib
import importlib.util
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from types import ModuleType

import torch
from torch import Tensor


def fused_twin(operator: str, *tensors: Tensor) -> ModuleType | None:
    """The module ``<operator>_triton`` if it may work on these tensors: on CUDA, no gradients.

    None where Triton is missing; whether a twin takes a certain shape is its own ``fits``.
    """
    if any(tensor.device.type != "cuda" for tensor in tensors):
        return None
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return None
    return _twin(operator) if _triton_works() else None


def device_of(tensor: Tensor) -> AbstractContextManager[object]:
    """Launch kernels where the tensor lies: Triton launches on the current device."""
    return torch.cuda.device(tensor.device) if tensor.device.type == "cuda" else nullcontext()


@cache
def _triton_works() -> bool:
    return importlib.util.find_spec("triton") is not None


@cache
def _twin(operator: str) -> ModuleType:
    return importlib.import_module(f"ciaovideo.ops.{operator}_triton")
