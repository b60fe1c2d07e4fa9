"""Fused twins are used where they may be, and where one fails, plain torch does its work."""

import logging
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from ciaovideo.color import ColorSpec, Matrix, PixelLayout, Range, Siting, convert, from_rgb, to_rgb
from ciaovideo.grid import View
from ciaovideo.models.decoders import DECODERS
from ciaovideo.ops import dispatch
from ciaovideo.ops.dispatch import PlainIfItFails, fused_twin, setbacks

SPEC = ColorSpec(Matrix.BT709, Range.LIMITED, siting=Siting.LEFT)
NO_COMPILER = "Failed to find C compiler. Please specify via CC environment variable."


@pytest.fixture(autouse=True)
def _no_setbacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "_setbacks", {})


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Twins that take everything and whose kernels cannot be compiled; which were started."""
    asked: list[str] = []

    class Twin:
        def __init__(self, operator: str) -> None:
            self.operator = operator

        def __getattr__(self, name: str) -> Any:
            if name in ("fits", "CodeRule", "SignalRule", "GapTaps", "RenderWeights"):
                return lambda *_, **__: True
            return self.fail

        def fail(self, *_: object, **__: object) -> Tensor:
            asked.append(self.operator)
            raise RuntimeError(NO_COMPILER)

    def twin(operator: str, *_: Tensor) -> Twin | None:
        return None if operator in dispatch._setbacks else Twin(operator)

    monkeypatch.setattr("ciaovideo.ops.dispatch.fused_twin", twin)
    yield asked
    assert len(asked) == len(set(asked)), "a twin that failed was asked again"


def picture(name: str) -> Tensor:
    torch.manual_seed(0)
    decoder, view = cast(Any, DECODERS[name])(8).eval(), View((3, 4), (7, 9))
    with torch.inference_mode():
        latent = decoder.prepare(torch.randn(1, 8, 3, 4), torch.tensor([view.cell]), view)
        made: Tensor = decoder.decode(latent, view.rows, view.columns)
    return made


@pytest.mark.parametrize("name", list(DECODERS))
def test_decoders_go_on_without_kernels(name: str, failing: list[str]) -> None:
    found = picture(name)
    assert failing
    again = picture(name)  # now they are not tried at all
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ciaovideo.ops.dispatch.fused_twin", lambda *_: None)
        expected = picture(name)
    assert torch.equal(found, expected)
    assert torch.equal(again, expected)
    assert len(setbacks()) == len(failing)


def test_colors_go_on_without_kernels(failing: list[str], caplog: pytest.LogCaptureFixture) -> None:
    layout = PixelLayout.of("yuv420p")
    rgb = torch.rand(1, 3, 6, 8)
    with caplog.at_level(logging.WARNING):
        codes = from_rgb(rgb, layout, SPEC)
        again = from_rgb(rgb, layout, SPEC)
        back = to_rgb(codes, layout, SPEC)
    assert failing == ["color_codes", "color_signals"]
    assert all(map(torch.equal, codes, convert.from_rgb(rgb, layout, SPEC)))
    assert all(map(torch.equal, codes, again))
    assert torch.equal(back, convert.to_rgb(codes, layout, SPEC))
    assert len(caplog.records) == 2
    assert "color_codes" in setbacks()[0]
    assert "C compiler" in setbacks()[0]


@pytest.mark.parametrize(
    "problem",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("Triton Error [CUDA]: out of memory"),
        MemoryError(),
        KeyboardInterrupt(),
    ],
    ids=repr,
)
def test_memory_that_ran_out_is_for_the_engine_to_mend(problem: BaseException) -> None:
    with pytest.raises(type(problem)), PlainIfItFails("linear"):
        raise problem
    assert not setbacks()


def on_a_gpu() -> Tensor:
    return cast(Tensor, SimpleNamespace(device=SimpleNamespace(type="cuda"), requires_grad=False))


def test_without_triton_there_are_no_twins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "_triton_works", lambda: False)
    assert fused_twin("linear", on_a_gpu()) is None
    assert not setbacks()


def test_triton_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "_triton_works", lambda: True)
    monkeypatch.setitem(sys.modules, "ciaovideo.ops.linear_triton", None)  # makes imports fail
    dispatch._twin.cache_clear()
    assert fused_twin("linear", on_a_gpu()) is None
    assert "linear" in setbacks()[0]
    assert fused_twin("linear", torch.zeros(1)) is None
