"""The fused linear layer is one, whatever runs underneath."""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ciaovideo.ops import linear as module
from ciaovideo.ops.linear import linear, perceptron

SAME = 1e-5


def layer(inputs: int, outputs: int) -> tuple[Tensor, Tensor]:
    return torch.randn(outputs, inputs) / inputs**0.5, torch.randn(outputs)


@pytest.fixture(params=["as found", "broken", "wrong"])
def operator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Also with an operator that refuses its arguments, and with one that forgets the bias."""

    def broken(*_: object) -> Tensor:
        raise RuntimeError("no such overload")

    def wrong(points: Tensor, weight: Tensor, *_: object) -> Tensor:
        return F.linear(points, weight)

    if request.param != "as found":
        replacement = {"broken": broken, "wrong": wrong}[request.param]
        monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", replacement)
    module.fused_works.cache_clear()
    yield
    monkeypatch.undo()
    module.fused_works.cache_clear()


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("shape", [(1, 5), (33, 5), (2, 7, 5), (0, 5)])
@pytest.mark.parametrize("relu", [False, True])
@torch.no_grad()
def test_linear(shape: tuple[int, ...], relu: bool) -> None:
    points, (weight, bias) = torch.randn(shape), layer(5, 9)
    expected = F.linear(points, weight, bias)
    found = linear(points, (weight, bias), relu=relu)
    assert found.shape == (*shape[:-1], 9)
    torch.testing.assert_close(found, expected.relu() if relu else expected, rtol=0, atol=SAME)


@torch.no_grad()
def test_other_kinds_of_number() -> None:
    points, (weight, bias) = torch.randn(6, 5), layer(5, 9)
    for kind in (torch.float64, torch.bfloat16):
        found = linear(points.to(kind), (weight.to(kind), bias.to(kind)))
        assert found.dtype == kind
        torch.testing.assert_close(
            found.float(), F.linear(points, weight, bias), rtol=0.05, atol=0.05
        )


def test_gradient() -> None:
    points, (weight, bias) = torch.randn(6, 5), layer(5, 9)
    weight.requires_grad_(True)
    linear(points, (weight, bias), relu=True).sum().backward()
    assert weight.grad is not None
    assert weight.grad.any()


@pytest.mark.parametrize("relu_last", [False, True])
@torch.no_grad()
def test_perceptron(relu_last: bool) -> None:
    points, layers = torch.randn(6, 5), [layer(5, 8), layer(8, 7), layer(7, 3)]
    expected = F.linear(F.linear(points, *layers[0]).relu(), *layers[1]).relu()
    expected = F.linear(expected, *layers[2])
    found = perceptron(points, layers, relu_last=relu_last)
    torch.testing.assert_close(found, expected.relu() if relu_last else expected, rtol=0, atol=SAME)
