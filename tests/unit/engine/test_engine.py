"""The engine: tiles that do not show, memory that runs out, values that are no numbers."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ciaovideo.engine.engine import Engine, choose_device
from ciaovideo.engine.memory import MIN_SIDE
from ciaovideo.errors import (
    BackendError,
    MemoryExhaustedError,
    NonFiniteError,
    PrecisionError,
    UnsupportedScaleError,
)
from ciaovideo.grid import View
from ciaovideo.models.networks import NETWORKS
from ciaovideo.models.networks.implicit import ImplicitSR
from ciaovideo.models.networks.interpolation import KERNELS
from ciaovideo.models.protocols import NOTHING, Latent, Network, Statistics
from ciaovideo.options import EngineOptions
from tests.networks import IMPLICIT_DECODERS, small_implicit

TILED = 1e-5  # convolutions of other sizes add up in another order


def engine(network: Network, *, tile: int = 0) -> Engine:
    """An engine in fp32 on the CPU, where results are exact."""
    return Engine(network, EngineOptions(device="cpu", precision="fp32", tile=tile))


@pytest.mark.parametrize(
    ("encoder", "decoder"),
    [("edsr", name) for name in IMPLICIT_DECODERS] + [("rdn", "plain"), ("swinir", "separable")],
)
@settings(max_examples=12)
@given(
    height=st.integers(9, 45),
    width=st.integers(9, 45),
    scale_y=st.floats(1, 4),
    scale_x=st.floats(1, 4),
    tile=st.integers(7, 32),
)
@pytest.mark.heavy
def test_tiled_equals_untiled(
    encoder: str,
    decoder: str,
    height: int,
    width: int,
    scale_y: float,
    scale_x: float,
    tile: int,
) -> None:
    lr = torch.rand(1, 3, height, width)
    out_size = round(height * scale_y), round(width * scale_x)
    whole = engine(small_implicit(decoder, encoder))(lr, out_size)
    tiled = engine(small_implicit(decoder, encoder), tile=tile)(lr, out_size)
    assert whole.shape == (1, 3, *out_size)
    # Random weights make values of ten and more, and float32 rounds in proportion to them.
    assert (whole - tiled).abs().max() < TILED * max(1.0, float(whole.abs().max()))


def test_the_largest_scale_and_one_pixel() -> None:
    sr = engine(small_implicit())(torch.rand(1, 3, 1, 2), (30, 60))
    assert sr.shape == (1, 3, 30, 60)
    assert sr.isfinite().all()


@pytest.mark.parametrize("out_size", [(7, 16), (8, 15), (241, 16), (8, 481)])
def test_a_size_outside_one_to_thirty_is_refused(out_size: tuple[int, int]) -> None:
    with pytest.raises(UnsupportedScaleError, match="1 to 30"):
        engine(small_implicit())(torch.rand(1, 3, 8, 16), out_size)


class Limited(ImplicitSR):
    """A network whose device runs out of memory above a number of pixels."""

    limit = math.inf
    error: Callable[[], BaseException] = torch.OutOfMemoryError

    def encode(self, lr: Tensor, view: View, statistics: Statistics = NOTHING) -> Latent:
        if lr.shape[-1] * lr.shape[-2] > self.limit:
            raise self.error()
        return super().encode(lr, view, statistics)


def limited(limit: float, error: Callable[[], BaseException]) -> Limited:
    """The small network with a limit."""
    network = small_implicit()
    narrow = Limited(network.encoder, network.decoder)
    narrow.limit, narrow.error = limit, error
    return narrow


ALLOCATOR = "[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory"


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError, MemoryError, lambda: RuntimeError(ALLOCATOR)]
)
@pytest.mark.heavy
def test_out_of_memory_goes_on_with_smaller_tiles(error: Callable[[], BaseException]) -> None:
    lr = torch.rand(1, 3, 150, 130)
    narrow = engine(limited(60 * 60, error))
    sr = narrow(lr, (300, 260))
    assert (sr - engine(small_implicit())(lr, (300, 260))).abs().max() < TILED
    assert narrow.plan(1, (150, 130), (300, 260)).tile < 75
    assert any("memory ran out" in text for text in narrow.fallbacks)


def test_out_of_memory_in_a_tile_larger_than_the_picture_halves_the_picture() -> None:
    narrow = engine(limited(110 * 110, torch.OutOfMemoryError), tile=4096)
    narrow(torch.rand(1, 3, 150, 130), (300, 260))
    assert narrow.fallbacks == ["memory ran out: continuing with tiles of 75 px"]


def test_out_of_memory_at_the_smallest_tile_is_an_error() -> None:
    narrow = engine(limited(20, torch.OutOfMemoryError))
    with pytest.raises(MemoryExhaustedError, match="smallest tile"):
        narrow(torch.rand(1, 3, 150, 130), (300, 260))


def test_other_errors_are_not_taken_for_exhaustion() -> None:
    narrow = engine(limited(20, lambda: RuntimeError("shapes differ")))
    with pytest.raises(RuntimeError, match="shapes differ"):
        narrow(torch.rand(1, 3, 150, 130), (300, 260))


class Overflowing(ImplicitSR):
    """A network whose encoder overflows in low precision, or always."""

    always = False

    def encode(self, lr: Tensor, view: View, statistics: Statistics = NOTHING) -> Latent:
        latent = super().encode(lr, view, statistics)
        low = next(self.encoder.parameters()).dtype != torch.float32
        if low or self.always:
            latent["lr"] = latent["lr"] * math.inf
        return latent


def overflowing(*, always: bool) -> Overflowing:
    """The small network, overflowing."""
    network = small_implicit()
    broken = Overflowing(network.encoder, network.decoder)
    broken.always = always
    return broken


def test_overflow_in_low_precision_is_computed_again_in_fp32() -> None:
    lr = torch.rand(1, 3, 12, 10)
    low = Engine(overflowing(always=False), EngineOptions(device="cpu", precision="bf16"))
    assert (low(lr, (24, 20)) - engine(small_implicit())(lr, (24, 20))).abs().max() == 0
    assert low.fallbacks == ["bf16 overflowed: such frames are computed again in fp32"]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_overflow_in_fp32_is_an_error(precision: str) -> None:
    options = EngineOptions(device="cpu", precision=precision)  # type: ignore[arg-type]
    with pytest.raises(NonFiniteError, match="NaN or Inf"):
        Engine(overflowing(always=True), options)(torch.rand(1, 3, 12, 10), (24, 20))


def test_a_picture_of_nan_is_not_blamed_on_the_network() -> None:
    with pytest.raises(NonFiniteError, match="input"):
        engine(small_implicit())(torch.full((1, 3, 8, 8), math.nan), (16, 16))


def test_devices_and_precisions_that_are_not_there() -> None:
    with pytest.raises(BackendError, match="cuda:99"):
        choose_device("cuda:99")
    with pytest.raises(PrecisionError, match="fp16"):
        Engine(small_implicit(), EngineOptions(device="cpu", precision="fp16"))


def test_the_plan_fits_tiles_to_the_memory_that_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    roomy = engine(small_implicit()).plan(1, (500, 700), (1000, 1400))
    assert (roomy.tile, roomy.tiles) == (0, 1)
    monkeypatch.setattr("ciaovideo.engine.engine.free_memory", lambda _: roomy.bytes // 3)
    tight = engine(small_implicit()).plan(1, (500, 700), (1000, 1400))
    assert tight.tiles > 1
    assert tight.tile >= MIN_SIDE
    assert tight.bytes < roomy.bytes // 3
    shared = engine(small_implicit())
    shared.share(4)
    assert shared.plan(1, (500, 700), (1000, 1400)).bytes <= tight.bytes / 2


def test_plans_of_before_are_forgotten_where_memory_is_shared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shared = engine(small_implicit())
    whole = shared.plan(1, (500, 700), (1000, 1400))
    monkeypatch.setattr("ciaovideo.engine.engine.free_memory", lambda _: whole.bytes * 2)
    shared.share(4)
    assert shared.plan(1, (500, 700), (1000, 1400)).bytes < whole.bytes / 2


def test_a_batch_is_whole_after_memory_ran_out() -> None:
    lr = torch.rand(3, 3, 80, 70)
    sr = engine(limited(60 * 60, torch.OutOfMemoryError))(lr, (100, 90))
    whole = engine(small_implicit())(lr, (100, 90))
    assert (sr - whole).abs().max() < TILED * float(whole.abs().max())


@pytest.mark.parametrize("name", [*IMPLICIT_DECODERS, "bicubic"])
@pytest.mark.heavy
def test_tables_of_an_axis_are_made_once_for_each_size(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second frame asks for no coordinate, and a part of another place and size does."""
    machine = engine(NETWORKS[name]() if name in KERNELS else small_implicit(name), tile=32)
    lr = torch.rand(1, 3, 40, 50)
    first = machine(lr, (90, 131))
    with monkeypatch.context() as patch:
        patch.setattr("ciaovideo.grid.centres", None)
        assert torch.equal(machine(lr, (90, 131)), first)
        with pytest.raises(TypeError):
            machine(lr, (90, 132))
    with torch.no_grad():
        assert machine(lr, (90, 132)).shape[-1] == 132


@pytest.mark.gpu
def test_only_the_answer_is_waited_for() -> None:
    """A picture is begun without a wait, whatever the decoder."""
    for decoder in IMPLICIT_DECODERS:
        machine = Engine(small_implicit(decoder), EngineOptions(device="cuda"))
        lr = torch.rand(1, 3, 40, 50).cuda()
        machine(lr, (90, 130))
        torch.cuda.set_sync_debug_mode("error")
        try:
            machine.start(lr, (90, 130))
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
def test_cuda_equals_cpu() -> None:
    lr = torch.rand(2, 3, 40, 50)
    for decoder in IMPLICIT_DECODERS:
        here = engine(small_implicit(decoder))(lr, (90, 130))
        options = EngineOptions(device="cuda", precision="fp32")
        there = Engine(small_implicit(decoder), options)(lr, (90, 130)).cpu()
        assert (here - there).abs().max() < 1e-4  # other convolution algorithms, TF32 off
