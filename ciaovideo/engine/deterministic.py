"""torch's deterministic kernels, enabled only while an engine computes with them."""

import os
from contextlib import ExitStack

import torch
from torch.backends import cudnn
from torch.utils import deterministic

from ciaovideo.engine.flags import ProcessFlags

TILE = 512  # LR px: a fixed side of tiles, independent of the free memory
CUBLAS_WORKSPACE = ":4096:8"  # without it torch refuses deterministic matrix products


def _set() -> ExitStack:
    """Set the flags; closing the result restores the previous ones."""
    restore = ExitStack()
    restore.callback(
        torch.use_deterministic_algorithms,
        torch.are_deterministic_algorithms_enabled(),
        warn_only=torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    filling = deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    restore.callback(setattr, deterministic, "fill_uninitialized_memory", filling)
    restore.callback(setattr, cudnn, "deterministic", cudnn.deterministic)
    restore.callback(setattr, cudnn, "benchmark", cudnn.benchmark)
    if torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", CUBLAS_WORKSPACE)
    torch.use_deterministic_algorithms(True)
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    cudnn.deterministic, cudnn.benchmark = True, False
    return restore


deterministic_kernels = ProcessFlags(_set)
"""Each kernel adds up in one order, and none is chosen by its speed."""
