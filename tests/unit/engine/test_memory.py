"""Fitting tiles: never more than the room, never smaller than need be."""

from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ciaovideo.engine.memory import (
    FLOAT_BYTES,
    MIN_SIDE,
    exhaustion_named,
    fit_side,
    free_memory,
    is_exhaustion,
)
from ciaovideo.errors import MemoryExhaustedError
from ciaovideo.models.protocols import Footprint
from ciaovideo.tiling import plan_tiles


@given(
    height=st.integers(1, 3000),
    width=st.integers(1, 3000),
    area=st.floats(1, 900),
    room=st.integers(1 << 20, 1 << 34),
    halo=st.integers(0, 60),
)
@pytest.mark.heavy
def test_what_is_fitted_takes_no_more_than_the_room(
    height: int, width: int, area: float, room: int, halo: int
) -> None:
    per = Footprint(300, 15, 1000)
    side = fit_side((height, width), area, per, halo, room)
    whole = FLOAT_BYTES * (per.fixed + height * width * (per.lr_pixel + area * per.out_pixel))
    if not side:
        assert whole <= room + FLOAT_BYTES
        return
    assert whole > room
    for tile in islice(plan_tiles(height, width, side=side, halo=halo), 50):
        read = tile.read.height * tile.read.width * per.lr_pixel
        made = tile.core.height * tile.core.width * area * per.out_pixel
        assert side == MIN_SIDE or FLOAT_BYTES * (per.fixed + read + made) <= room + FLOAT_BYTES


def test_free_memory_is_a_plausible_number() -> None:
    assert 1 << 20 < free_memory(torch.device("cpu")) < 1 << 50


@pytest.mark.parametrize(
    "text",
    [
        "[enforce fail at alloc_cpu.cpp:135] DefaultCPUAllocator: can't allocate memory: you tried"
        " to allocate 1125899906842624 bytes. Error code 12 (Cannot allocate memory)",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
        "MPS backend out of memory (MPS allocated: 5.50 GB, other allocations: 14.76 GB, max"
        " allowed: 20.40 GB). Tried to allocate 147.24 MB on private pool.",
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "Triton Error [CUDA]: out of memory",
    ],
)
def test_exhaustion_is_known_by_every_wording(text: str) -> None:
    assert is_exhaustion(RuntimeError(text))


def test_only_exhaustion_is_taken_for_exhaustion() -> None:
    assert is_exhaustion(MemoryError())
    assert not is_exhaustion(RuntimeError("CUDA error: device-side assert"))
    assert not is_exhaustion(RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"))
    assert not is_exhaustion(RuntimeError("out of resource: shared memory"))
    assert not is_exhaustion(ValueError("can't allocate memory"))


def test_memory_that_runs_out_gets_a_hint_and_other_errors_stay() -> None:
    with (
        pytest.raises(MemoryExhaustedError, match=r"training: .*: use less"),
        exhaustion_named("training", "use less"),
    ):
        torch.empty(1 << 58, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="shape"), exhaustion_named("training", "use less"):
        torch.zeros(3).view(2)
