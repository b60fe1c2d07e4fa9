"""Fused twins are used where they may be, and where one fails, plain torch does its work."""

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
from ciaovideo.ops.dispatch import FailedTwins, PlainIfItFails, fused_twin

SPEC = ColorSpec(Matrix.BT709, Range.LIMITED, siting=Siting.LEFT)
WITHOUT_KERNELS = {"hiif", "itsrn"}  # decoders that call no operator that has one
NO_COMPILER = "Failed to find C compiler. Please specify via CC environment variable."


@pytest.fixture
def told() -> list[str]:
    """What is reported of failed twins in a test."""
    return []


@pytest.fixture(autouse=True)
def twins(told: list[str]) -> Iterator[FailedTwins]:
    """Twins that failed in a test."""
    with (mine := FailedTwins(told.append)).noted():
        yield mine


def raise_in_triton(problem: BaseException) -> None:
    """Raise an error as Triton would, from a module of its own."""
    code = compile("raise problem", "build.py", "exec")
    exec(code, {"__name__": "triton.runtime.build", "problem": problem})


@pytest.fixture
def failing(twins: FailedTwins, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Twins that take everything and whose kernels cannot be compiled; which were started."""
    asked: list[str] = []

    class Twin:
        def __init__(self, operator: str) -> None:
            self.operator = operator

        def __getattr__(self, name: str) -> Any:
            if name in ("fits", "CodeRule", "SignalRule"):
                return lambda *_, **__: True
            return self.fail

        def fail(self, *_: object, **__: object) -> Tensor:
            asked.append(self.operator)
            raise_in_triton(RuntimeError(NO_COMPILER))
            raise AssertionError

    def twin(operator: str, *_: Tensor) -> Twin | None:
        return None if operator in twins.failed else Twin(operator)

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


@pytest.mark.parametrize("name", [name for name in DECODERS if name not in WITHOUT_KERNELS])
def test_decoders_go_on_without_kernels(name: str, failing: list[str], told: list[str]) -> None:
    found = picture(name)
    assert failing
    again = picture(name)  # now they are not tried at all
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ciaovideo.ops.dispatch.fused_twin", lambda *_: None)
        expected = picture(name)
    assert torch.equal(found, expected)
    assert torch.equal(again, expected)
    assert len(told) == len(failing)


def test_colors_go_on_without_kernels(failing: list[str], told: list[str]) -> None:
    layout = PixelLayout.of("yuv420p")
    rgb = torch.rand(1, 3, 6, 8)
    codes = from_rgb(rgb, layout, SPEC)
    again = from_rgb(rgb, layout, SPEC)
    back = to_rgb(codes, layout, SPEC)
    assert failing == ["color_codes", "color_signals"]
    assert all(map(torch.equal, codes, convert.from_rgb(rgb, layout, SPEC)))
    assert all(map(torch.equal, codes, again))
    assert torch.equal(back, convert.to_rgb(codes, layout, SPEC))
    assert len(told) == 2
    assert "color_codes" in told[0]
    assert "C compiler" in told[0]


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
def test_memory_that_ran_out_is_for_the_engine_to_mend(
    problem: BaseException, told: list[str]
) -> None:
    with pytest.raises(type(problem)), PlainIfItFails("linear"):
        raise_in_triton(problem)
    assert not told


@pytest.mark.parametrize(
    "problem",
    [TypeError("an argument too many"), RuntimeError("shapes differ"), AssertionError("fits")],
    ids=repr,
)
def test_our_own_mistakes_are_not_taken_for_the_kernels(
    problem: Exception, told: list[str]
) -> None:
    with pytest.raises(type(problem)), PlainIfItFails("linear"):
        raise problem
    assert not told


def test_a_call_that_the_kernel_does_not_take_is_our_own_mistake() -> None:
    with pytest.raises(TypeError), PlainIfItFails("linear"):
        raise_in_triton(TypeError("missing 1 required positional argument"))


def test_what_triton_raises_of_its_own_is_the_kernels(told: list[str]) -> None:
    kind = type("CompilationError", (Exception,), {"__module__": "triton.compiler.errors"})
    with PlainIfItFails("linear"):
        raise kind("at 3:7")
    assert "linear" in told[0]


def test_failed_twins_belong_to_whoever_asked(told: list[str]) -> None:
    other: list[str] = []
    mine = FailedTwins(other.append)
    for _ in range(2):
        with mine.noted(), PlainIfItFails("linear"):
            raise_in_triton(OSError("no space left on device"))
    assert (len(other), told, mine.failed) == (1, [], {"linear"})


def on_a_gpu() -> Tensor:
    return cast(Tensor, SimpleNamespace(device=SimpleNamespace(type="cuda"), requires_grad=False))


def test_without_triton_there_are_no_twins(
    monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    monkeypatch.setattr(dispatch, "has_triton", lambda: False)
    assert fused_twin("linear", on_a_gpu()) is None
    assert not told


def test_triton_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch, told: list[str]) -> None:
    monkeypatch.setattr(dispatch, "has_triton", lambda: True)
    monkeypatch.setitem(sys.modules, "ciaovideo.ops.linear_triton", None)  # makes imports fail
    assert fused_twin("linear", on_a_gpu()) is None
    assert "linear" in told[0]
    assert fused_twin("linear", on_a_gpu()) is None
    assert len(told) == 1
