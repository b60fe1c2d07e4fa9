"""Fitting tiles to free memory, and telling memory exhaustion from other errors."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch

from ciaovideo.errors import MemoryExhaustedError
from ciaovideo.models.protocols import Footprint

FLOAT_BYTES = 4
MIN_SIDE = 32  # LR px; below it the halo outweighs the core many times
SHARE = 0.6  # of the free memory: the allocator's waste and other programs take the rest
# torch's words where it raises a bare RuntimeError: its CPU allocator; the CUDA runtime and
# driver, Triton, MPS; cuBLAS; cuDNN to version 8, and its two codes since version 9.
EXHAUSTED = (
    "can't allocate memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
)


def free_memory(device: torch.device) -> int:
    """Bytes that can still be allocated on a device."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return min(int(psutil.virtual_memory().available), _container_room())


def _container_room() -> int:
    """The bytes that a container's limit leaves; a very large number without a limit."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        used = int((folder / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 1 << 62
    return (1 << 62) if limit == "max" else max(0, int(limit) - used)


def fit_side(
    lr_size: tuple[int, int], scale_area: float, footprint: Footprint, halo: int, room: int
) -> int:
    """The largest tile side (0: the whole frame) that needs at most ``room`` bytes.

    ``scale_area``: output pixels per LR pixel. At least MIN_SIDE, whatever the room.
    """
    height, width = lr_size
    room = room // FLOAT_BYTES - footprint.fixed
    per_core = footprint.lr_pixel + scale_area * footprint.out_pixel
    if height * width * per_core <= room:
        return 0
    for parts in range(2, max(height, width) // MIN_SIDE + 1):
        side = max(MIN_SIDE, math.ceil(max(height, width) / parts))
        read = min(height, side + 2 * halo) * min(width, side + 2 * halo)
        out = min(height, side) * min(width, side) * scale_area
        if read * footprint.lr_pixel + out * footprint.out_pixel <= room:
            return side
    return MIN_SIDE


def is_exhaustion(error: BaseException) -> bool:
    """Whether an error means exhausted memory, on a GPU or on a CPU."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in EXHAUSTED)


@contextmanager
def exhaustion_named(doing: str, hint: str) -> Iterator[None]:
    """Context manager: exhausted memory becomes a MemoryExhaustedError with this hint."""
    try:
        yield
    except (RuntimeError, MemoryError) as cause:
        if not is_exhaustion(cause):
            raise
        raise MemoryExhaustedError(f"{doing}: memory ran out", hint) from cause
