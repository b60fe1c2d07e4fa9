"""Consistent pictures: reduced again they are the source, in any tiles, at any scale."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ciaovideo.data.sampling import bicubic_matrix
from ciaovideo.engine.engine import Engine
from ciaovideo.errors import UnsupportedScaleError
from ciaovideo.grid import View
from ciaovideo.models.networks.consistent import BOUND, LEAST, Consistent
from ciaovideo.models.networks.interpolation import Bicubic
from ciaovideo.models.weights import load_model
from ciaovideo.options import EngineOptions, Precision
from ciaovideo.tiling import Rect

SAME = 1e-5  # tiles add up in another order


def reduced(sr: Tensor, lr_size: tuple[int, int]) -> Tensor:
    """As LR is made in training, but for the rounding."""
    down, across = (bicubic_matrix(*pair) for pair in zip(sr.shape[-2:], lr_size, strict=True))
    result: Tensor = down @ sr @ across.T
    return result


def engine(network: str = "", **options: Any) -> Engine:
    made = load_model(network) if network else Bicubic()
    return Engine(made, EngineOptions(device="cpu", consistent=True, **options))


@settings(max_examples=40, deadline=None)
@given(
    lr_size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    scales=st.tuples(*[st.one_of(st.just(1.0), st.floats(1.07, 9))] * 2),
    seed=st.integers(0, 99),
)
def test_reduced_again_it_is_the_source(
    lr_size: tuple[int, int], scales: tuple[float, float], seed: int
) -> None:
    height, width = (round(side * scale) for side, scale in zip(lr_size, scales, strict=True))
    network = Consistent(Bicubic())
    if not network.scales.hold(lr_size, (height, width)):
        return
    lr = torch.rand(1, 3, *lr_size, generator=torch.Generator().manual_seed(seed))
    view = View(lr_size, (height, width))
    sr = network.decode(network.encode(lr, view), view.rows, view.columns)
    assert (reduced(sr, lr_size) - lr).abs().max() <= BOUND


def test_at_the_least_scale_the_bound_holds() -> None:
    lr = torch.rand(1, 3, 400, 20)
    sr = engine()(lr, (round(400 * LEAST), 40))
    assert (reduced(sr, (400, 20)) - lr).abs().max() <= BOUND


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_networks_picture_is_corrected_whatever_its_precision(precision: Precision) -> None:
    lr = torch.rand(1, 3, 30, 40)
    plain = Engine(
        load_model("ciaosr-fast"),
        EngineOptions(device="cpu", precision=precision),
    )
    off = (reduced(plain(lr, (75, 100)), (30, 40)) - lr).abs().max()
    made = engine("ciaosr-fast", precision=precision)(lr, (75, 100))
    assert (reduced(made, (30, 40)) - lr).abs().max() <= BOUND < off


def test_no_picture_that_agrees_with_the_source_gets_further_away() -> None:
    truth = torch.rand(1, 3, 75, 100)
    lr = reduced(truth, (30, 40))
    plain = Engine(load_model("ciaosr-fast"), EngineOptions(device="cpu", precision="fp32"))
    before = (plain(lr, (75, 100)) - truth).square().mean()
    after = (engine("ciaosr-fast", precision="fp32")(lr, (75, 100)) - truth).square().mean()
    assert after < before


@pytest.mark.parametrize("network", ["", "ciaosr-fast"])
@pytest.mark.parametrize("out_size", [(180, 210), (225, 262), (333, 120)])
@pytest.mark.heavy
def test_tiles_and_parts_are_those_of_the_whole(network: str, out_size: tuple[int, int]) -> None:
    lr = torch.rand(1, 3, 90, 105)
    whole = engine(network, precision="fp32")(lr, out_size)
    cut = engine(network, precision="fp32", tile=50 if network else 7)
    torch.testing.assert_close(cut(lr, out_size), whole, rtol=0, atol=SAME)
    part = Rect(60, 30, 170, 111)
    expected = whole[(..., *part.slices)]
    torch.testing.assert_close(cut(lr, out_size, part), expected, rtol=0, atol=SAME)


def test_nothing_beyond_its_reach_changes_a_colour() -> None:
    one = engine()
    lr = torch.rand(1, 3, 80, 8)
    other = lr.clone()
    other[..., 40, :] = torch.rand(1, 3, 8)
    reach = one.reach((80, 8), (200, 20))
    changed = (one(lr, (200, 20)) - one(other, (200, 20))).abs().amax(dim=(0, 1, 3)).nonzero()
    assert 40 - reach <= changed.min() / 2.5
    assert changed.max() / 2.5 <= 41 + reach


def test_scales_that_the_bound_does_not_hold_at_are_refused() -> None:
    lr = torch.rand(1, 3, 100, 100)
    with pytest.raises(UnsupportedScaleError, match="at least"):
        engine()(lr, (102, 200))
    assert engine()(lr, (100, 200)).shape == (1, 3, 100, 200)
