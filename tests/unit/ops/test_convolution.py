"""Joint convolutions: equal to plain ones, used only where nothing is amiss."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from ciaovideo.ops import convolution
from ciaovideo.ops.convolution import activated, added, joint_works

OPERATORS = torch.ops.mkldnn  # the joint ones have no public name in torch
ROUNDING = {
    torch.float32: 1e-5,
    torch.bfloat16: 0.04,
}  # of values below 8, whose last digit is 0.03
both_kinds = pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which joint operators were used."""
    made: list[str] = []

    def noted(name: str, plain: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def note(*given: object) -> Tensor:
            made.append(name)
            return plain(*given)

        return note

    leaky, sums = OPERATORS._convolution_pointwise, OPERATORS._convolution_pointwise_
    monkeypatch.setattr(OPERATORS, "_convolution_pointwise", noted("leaky", leaky))
    both = SimpleNamespace(binary=noted("sum", sums.binary))
    monkeypatch.setattr(OPERATORS, "_convolution_pointwise_", both)
    monkeypatch.setattr(convolution, "joint_works", lambda _: True)
    return made


def parts(kind: torch.dtype = torch.float32) -> tuple[nn.Conv2d, Tensor, Tensor]:
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 8, 3, padding=1).to(kind).to(memory_format=torch.channels_last)
    lr, to = (torch.randn(2, 8, 5, 9).to(kind) for _ in range(2))
    return conv, lr.contiguous(memory_format=torch.channels_last), to


@both_kinds
def test_equal_to_plain_ones(kind: torch.dtype) -> None:
    conv, lr, to = parts(kind)
    to = to.contiguous(memory_format=torch.channels_last)
    wanted = nn.functional.leaky_relu(conv(lr), 0.1), to + conv(lr)
    with torch.no_grad():
        made = activated(conv, lr, 0.1), added(conv, lr, to.clone())
    for ours, theirs in zip(made, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=ROUNDING[kind])


@torch.no_grad()
@pytest.mark.parametrize("count", [1, 2])
def test_an_offset_of_each_channel_comes_before_the_activation(
    count: int, calls: list[str]
) -> None:
    conv, lr, _ = parts()
    offset = torch.randn(count, 8)
    assert conv.bias is not None
    wanted = nn.functional.leaky_relu(conv(lr[:count]) + offset[..., None, None], 0.1)
    for one in (conv, nn.Conv2d(8, 8, 3, padding=1, bias=False)):
        one.weight.copy_(conv.weight)
        given = offset if one is conv else offset + conv.bias
        torch.testing.assert_close(
            activated(one, lr[:count], 0.1, given), wanted, rtol=0, atol=ROUNDING[torch.float32]
        )
    assert bool(calls) == (count == 1)  # several pictures may have several offsets


def test_never_where_gradients_are_wanted(calls: list[str]) -> None:
    conv, lr, to = parts()
    added(conv, activated(conv, lr, 0.1), to).sum().backward()
    assert conv.weight.grad is not None
    assert not calls


@torch.no_grad()
def test_never_in_another_layout_precision_or_under_autocast(calls: list[str]) -> None:
    conv, lr, to = parts()
    activated(conv, lr.contiguous(), 0.1)
    activated(conv.double(), lr.double(), 0.1)
    with torch.autocast("cpu", torch.bfloat16):
        added(conv.float(), lr, to)
    assert not calls


@torch.no_grad()
def test_what_does_not_work_is_done_plainly(
    calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolution, "joint_works", lambda _: False)
    conv, lr, to = parts()
    assert torch.equal(activated(conv, lr, 0.1), nn.functional.leaky_relu(conv(lr), 0.1))
    assert torch.equal(added(conv, lr, to), to + conv(lr))
    assert not calls


def test_operators_that_are_missing_or_wrong_do_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> Tensor:
        raise AttributeError("no such operator")

    def wrong(lr: Tensor, weight: Tensor, bias: Tensor, padding: list[int], *_: object) -> Tensor:
        return nn.functional.conv2d(lr, weight, bias, padding=padding)

    for broken in (gone, wrong):
        monkeypatch.setattr(OPERATORS, "_convolution_pointwise", broken)
        assert not joint_works.__wrapped__(torch.float32)
