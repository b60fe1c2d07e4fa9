"""Deterministic computing: flags that are set while it lasts, tiles that memory does not change."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor
from torch.backends import cudnn

from ciaovideo import Upscaler
from ciaovideo.engine.deterministic import TILE, deterministic_kernels
from ciaovideo.engine.engine import Engine
from ciaovideo.errors import MemoryExhaustedError
from ciaovideo.grid import View
from ciaovideo.models.networks.implicit import ImplicitSR
from ciaovideo.models.protocols import NOTHING, Latent, Statistics
from ciaovideo.options import EngineOptions
from tests.networks import small_implicit
from tests.waiting import FAR_TOO_LONG_S

OPTIONS = EngineOptions(device="cpu", precision="fp32", deterministic=True)
OFF, ON = (False, False, False), (True, True, False)

type Flags = tuple[bool, bool, bool]


def flags() -> Flags:
    return torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark


def watched(network: ImplicitSR, seen: list[Flags]) -> ImplicitSR:
    encode = network.encode

    def noting(lr: Tensor, view: View, statistics: Statistics = NOTHING) -> Latent:
        seen.append(flags())
        return encode(lr, view, statistics)

    network.encode = noting  # type: ignore[method-assign]
    return network


def test_the_flags_are_set_while_it_computes_and_no_longer() -> None:
    seen: list[Flags] = []
    network = watched(small_implicit(), seen)
    lr = torch.rand(1, 3, 8, 8)
    asked = Engine(network, OPTIONS)(lr, (16, 16))
    plain = Engine(network, EngineOptions(device="cpu", precision="fp32"))(lr, (16, 16))
    assert seen == [ON, OFF]
    assert flags() == OFF
    assert torch.equal(asked, plain)


def test_flags_that_the_host_had_set_come_back_also_after_an_error() -> None:
    cudnn.benchmark = True
    try:
        with pytest.raises(AssertionError), deterministic_kernels():
            assert flags() == OFF
        assert flags() == (False, False, True)
    finally:
        cudnn.benchmark = False


def test_the_last_thread_to_finish_puts_the_flags_back() -> None:
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with deterministic_kernels():
            inside.set()
            leave.wait(FAR_TOO_LONG_S)

    with ThreadPoolExecutor(1) as team:
        held = team.submit(hold)
        assert inside.wait(FAR_TOO_LONG_S)
        with deterministic_kernels():
            pass
        assert flags() == ON
        leave.set()
        held.result()
    assert flags() == OFF


def test_tiles_do_not_go_by_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ciaovideo.engine.engine.free_memory", lambda _: 1)
    network = small_implicit()
    size = (TILE // 2, 2 * TILE)
    free = Engine(network, EngineOptions(device="cpu", precision="fp32")).plan(1, size, size)
    fixed = Engine(network, OPTIONS).plan(1, size, size)
    assert free.tile < fixed.tile == TILE
    asked = EngineOptions(device="cpu", precision="fp32", deterministic=True, tile=64)
    assert Engine(network, asked).plan(1, size, size).tile == 64


def test_memory_that_runs_out_is_an_error_and_no_smaller_tile() -> None:
    network = small_implicit()

    def full(lr: Tensor, view: View, statistics: Statistics = NOTHING) -> Latent:
        raise MemoryError

    network.encode = full  # type: ignore[method-assign]
    with pytest.raises(MemoryExhaustedError, match=f"{TILE} px"):
        Engine(network, OPTIONS)(torch.rand(1, 3, 64, 64), (128, 128))


def test_an_upscaler_passes_it_on_and_shares_no_other_engine() -> None:
    one, other = (
        Upscaler(device="cpu", precision="fp32", deterministic=asked) for asked in (True, False)
    )
    assert one.engine.options.deterministic
    assert one.engine is not other.engine
