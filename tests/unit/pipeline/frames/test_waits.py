"""A GPU is not waited for but once for each group of frames, when they are done.

Frames are computed on torch's ``meta`` device, which stands for a GPU: whatever needs to know a
value there, or carries values there by a copy that blocks, would wait for a GPU. Kernels are not
launched; all that is done around them is.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from ciaovideo.color import ColorSpec, Matrix, PixelLayout, PlaneFormat, Range, Siting
from ciaovideo.engine.engine import Engine
from ciaovideo.engine.renderer import Renderer
from ciaovideo.media.frame import Frame, PlanePool
from ciaovideo.models.decoders import DECODERS
from ciaovideo.models.encoders import ENCODERS
from ciaovideo.models.networks.implicit import ImplicitSR
from ciaovideo.models.networks.interpolation import Bicubic
from ciaovideo.models.protocols import Network
from ciaovideo.options import EngineOptions
from ciaovideo.pipeline.frames.stages import FrameTask, FrameWorker, Rendered, StageClock
from ciaovideo.tiling import Rect

META = torch.device("meta")
aten = torch.ops.aten
SIZE, OUT_SIZE = (24, 32), (60, 80)
WHOLE = (Rect(0, 0, *OUT_SIZE),)
PARTS = (Rect(0, 0, 20, 24), Rect(40, 48, 60, 80))


def tensors(found: object) -> Iterator[Tensor]:
    if isinstance(found, Tensor):
        yield found
    elif isinstance(found, (list, tuple)):
        for item in found:
            yield from tensors(item)


def goes_through_pinned_memory() -> bool:
    """Whether ``grid.placed`` is at work: on a GPU its copies are pinned, and block nobody."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_name != "placed":
        frame = frame.f_back
    return frame.f_code.co_name == "placed"


class Waits(TorchDispatchMode):
    """Counts the values asked for on the meta device, and names what else would wait."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.asked = 0
        self.blocking: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is aten._local_scalar_dense.default and args[0].is_meta:
            self.asked += 1
            return True
        with self:  # under inference_mode operators come before they are taken apart
            parts = func.decompose(*args, **kwargs)
        if parts is not NotImplemented:
            return parts
        if func is aten.copy_.default and args[0].device != args[1].device:
            blocks = not (args[2] if len(args) > 2 else kwargs.get("non_blocking"))
            self._note(func, blocks)
            return args[0]
        if func is aten._to_copy.default and kwargs.get("device") == META != args[0].device:
            self._note(func, not kwargs.get("non_blocking") and not goes_through_pinned_memory())
        else:
            given = list(tensors(args))
            mixed = {tensor.is_meta for tensor in given if tensor.ndim or tensor.is_meta}
            self._note(func, len(mixed) == 2)
        return func(*args, **kwargs)

    def _note(self, func: Any, blocks: bool) -> None:
        if blocks:
            self.blocking.append(str(func))


class Tables(TorchFunctionMode):
    """Names what makes a table on the meta device from numbers, unseen by ``Waits``."""

    def __init__(self, waits: Waits) -> None:
        super().__init__()
        self.waits = waits

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is Tensor.new_tensor and args[0].is_meta and "device" not in kwargs:
            self.waits.blocking.append("new_tensor")
        elif func in (Tensor.__getitem__, Tensor.__setitem__) and args[0].is_meta:
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            if any(
                isinstance(one, list) or (isinstance(one, Tensor) and not one.is_meta)
                for one in index
            ):
                self.waits.blocking.append("index from the CPU")
        return func(*args, **kwargs)


@pytest.fixture(params=[True, False], ids=["kernels", "definitions"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether there are fused twins, with kernels that do nothing."""
    if not request.param:
        return False
    pytest.importorskip("triton", reason="no triton here: it comes with torch on Linux")
    if not torch.cuda.is_available():
        monkeypatch.setenv("TRITON_INTERPRET", "1")  # read when a kernel's file is imported
    launch: Any = type("Launch", (), {"__getitem__": lambda *_: lambda *_, **__: None})()

    def twin(operator: str, *given: Tensor) -> ModuleType | None:
        if not all(tensor.is_meta for tensor in given):
            return None
        module = importlib.import_module(f"ciaovideo.ops.{operator}_triton")
        for name, thing in vars(module).items():
            if hasattr(thing, "arg_names"):
                monkeypatch.setattr(module, name, launch)
        return module

    monkeypatch.setattr("ciaovideo.ops.dispatch.fused_twin", twin)
    return True


def network_of(decoder: str, encoder: str = "edsr") -> Network:
    return ImplicitSR(ENCODERS[encoder].small(), DECODERS[decoder].small())


def worker_of(
    network: Network,
    layout: str,
    fused: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> FrameWorker:
    monkeypatch.setattr("ciaovideo.engine.engine.choose_device", lambda _: META)
    color = ColorSpec(Matrix.BT709, Range.LIMITED, siting=Siting.LEFT)
    kind = PlaneFormat(PixelLayout.of(layout), color)
    engine = Engine(network, EngineOptions(precision="bf16"))
    renderer = Renderer(engine, kind, kind, dither=layout == "yuv420p" and fused)
    return FrameWorker(renderer, OUT_SIZE, PlanePool(4), StageClock())


def watched(worker: FrameWorker, parts: tuple[Rect, ...]) -> tuple[Waits, list[Rendered]]:
    layout = worker.renderer.source.layout
    planes = tuple(torch.full(s, 9, dtype=layout.dtype) for s in layout.plane_shapes(*SIZE))
    task = FrameTask(Frame(planes, 0, Fraction(1, 25)), parts)
    waits = Waits()
    with Tables(waits), waits:
        return waits, worker((task,))


@pytest.mark.parametrize("layout", ["yuv420p", "yuva420p10le"])
@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.heavy
def test_a_frame_is_waited_for_once(
    decoder: str, layout: str, kernels: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = worker_of(network_of(decoder), layout, kernels, monkeypatch)
    for parts in (WHOLE, WHOLE, PARTS):
        waits, (made,) = watched(worker, parts)
        assert (waits.asked, waits.blocking) == (1, [])
        assert len(made.patches) == (0 if parts == WHOLE else len(PARTS))
    assert not watched(worker, ())[0].asked


@pytest.mark.parametrize("encoder", ["rdn", "swinir", None])
@pytest.mark.heavy
def test_other_encoders_and_none(encoder: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of("ciaosr-separable", encoder) if encoder else Bicubic()
    worker = worker_of(network, "yuv420p", fused=False, monkeypatch=monkeypatch)
    for parts in (WHOLE, PARTS):
        waits, _ = watched(worker, parts)
        assert (waits.asked, waits.blocking) == (1, [])


@pytest.mark.parametrize(
    "work",
    [
        lambda codes: codes.sum().item(),
        lambda codes: bool(codes.isfinite().all()),
        lambda codes: codes * codes.new_tensor([1.0, 2.0]),
        lambda codes: codes.copy_(torch.ones(3, 2)),
        lambda codes: torch.ones(3, 2).to(META) + codes,
        lambda codes: codes[[0, 1]],
        lambda codes: codes[torch.tensor([0, 1])],
        lambda codes: codes.index_select(0, torch.tensor([0, 1])),
        lambda codes: torch.empty(3, 2).copy_(codes),
    ],
)
@pytest.mark.heavy
def test_what_would_wait_is_seen(work: Callable[[Tensor], object]) -> None:
    waits, codes = Waits(), torch.zeros(3, 2, device=META)
    cannot = NotImplementedError, RuntimeError  # what meta does not do, and was seen before that
    with suppress(*cannot), torch.inference_mode(), Tables(waits), waits:
        work(codes)
    assert waits.asked + len(waits.blocking) >= 1
