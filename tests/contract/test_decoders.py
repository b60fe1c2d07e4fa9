"""What every registered decoder promises, for any size and any scale."""

import math
from collections.abc import Iterator
from itertools import product
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from ciaovideo.errors import OptionError
from ciaovideo.grid import Axis, View, make_coord
from ciaovideo.models.decoders import DECODERS
from ciaovideo.models.decoders.ciaosr import CiaoSR
from ciaovideo.models.protocols import Core, Decoder, Latent, Reach
from ciaovideo.tiling import Rect

SAME = 1e-5  # fp32 sums in another order; outputs are of the order of one
CHANNELS = 8
SIDE = 7  # of a tile
SMALL: dict[str, Any] = {}  # the registry entry's own
WINDOWS: dict[str, Any] = {"hidden": (16, 16), "window": 4, "window_margin": 1}

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "ciaosr": [
        {**WINDOWS},
        {**WINDOWS, "unfold": False},
        {**WINDOWS, "local_attention": False},
        {**WINDOWS, "attention": False},
        {**WINDOWS, "non_local_scales": ()},
        {**WINDOWS, "non_local_scales": (2, 3, 4), "softmax_scale": 4.0},
        {**WINDOWS, "unfold": False, "non_local_scales": (), "hidden": (12,)},
        {"hidden": (16, 16), "window": None},
    ],
    "hiif": [{"width": 8, "heads": 2, "levels": 2}],
    "itsrn": [{"hidden": (7,), "score": 5, "blend": 6}],
    "liif": [
        {"hidden": (9,), "unfold": False},
        {"hidden": (9, 8), "local_ensemble": False},
        {"hidden": (9, 8), "cell_decode": False},
    ],
    "lm-ciaosr": [
        {"hidden": 16, "window": 4, "window_margin": 1},
        {"hidden": 16, "non_local_scales": (2, 3), "window": None},
        {"hidden": 8, "code": 6, "width": 5, "depth": 1, "non_local_scales": ()},
    ],
}
SIZES = ((1, 1), (1, 7), (5, 1), (2, 3), (6, 9))
SCALES = ((1.0, 1.0), (1.3, 1.3), (2.5, 2.5), (4.0, 4.0), (7.3, 7.3), (2.0, 3.6))

CASES = [(name, options) for name in DECODERS for options in (SMALL, *VARIANTS.get(name, []))]


def case_name(value: object) -> str:
    if isinstance(value, dict):
        return ",".join(f"{key}={option}" for key, option in value.items()) or "small"
    return str(value)


every_decoder = pytest.mark.parametrize(("name", "options"), CASES, ids=case_name)


def build(name: str, options: dict[str, Any], seed: int = 0) -> Decoder:
    torch.manual_seed(seed)
    make: Any = DECODERS[name]
    return cast(Decoder, make(CHANNELS, **options) if options else make.small(CHANNELS)).eval()


def features(height: int, width: int, batch: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(height + 100 * width)
    return torch.randn(batch, CHANNELS, height, width, generator=generator)


def view_of(size: tuple[int, int], scale: tuple[float, float]) -> View:
    return View(size, (round(size[0] * scale[0]), round(size[1] * scale[1])))


def cells(view: View, batch: int) -> Tensor:
    return torch.tensor([view.cell]).expand(batch, 2)


def decode_all(decoder: Decoder, codes: Tensor, view: View) -> Tensor:
    latent = decoder.prepare(codes, cells(view, len(codes)).to(codes), view)
    return decoder.decode(latent, view.rows, view.columns)


@every_decoder
@pytest.mark.parametrize("scale", SCALES, ids=str)
@torch.no_grad()
@pytest.mark.heavy
def test_decode_equals_query(
    name: str, options: dict[str, Any], scale: tuple[float, float]
) -> None:
    decoder = build(name, options)
    for size in SIZES:
        view, codes = view_of(size, scale), features(*size, batch=2)
        cell = cells(view, 2)
        latent = decoder.prepare(codes, cell, view)
        picture = decoder.decode(latent, view.rows, view.columns)
        coord = make_coord(*view.out_size).view(1, -1, 2).expand(2, -1, -1)
        colors = decoder.query(latent, coord, cell)
        assert picture.shape == (2, 3, *view.out_size)
        assert picture.isfinite().all()
        torch.testing.assert_close(picture.flatten(2).mT, colors, rtol=0, atol=SAME)


@every_decoder
@torch.no_grad()
def test_scattered_queries_of_several_scales(name: str, options: dict[str, Any]) -> None:
    decoder, size = build(name, options), (6, 9)
    codes = features(*size, batch=2)
    coord = torch.rand(2, 40, 2) * 1.9 - 0.95
    cell = torch.tensor([[2 / 12, 2 / 18], [2 / 21, 2 / 27]])
    together = decoder.query(decoder.prepare(codes, cell, View(size, size)), coord, cell)
    for index in range(2):
        own = slice(index, index + 1)
        latent = decoder.prepare(codes[own], cell[own], View(size, size))
        alone = decoder.query(latent, coord[own], cell[own])
        torch.testing.assert_close(together[own], alone, rtol=0, atol=SAME)


def owned(axis: Axis, start: int, stop: int) -> tuple[int, int]:
    """The queries whose centres lie in LR pixels [start, stop)."""
    scale = axis.out_count / axis.count
    return math.ceil(start * scale - 0.5), math.ceil(stop * scale - 0.5)


@every_decoder
@pytest.mark.parametrize("scale", [(1.0, 1.0), (1.5, 2.5), (2.0, 3.0), (4.3, 3.0)], ids=str)
@torch.no_grad()
@pytest.mark.heavy
def test_tiles_make_the_same_picture(
    name: str, options: dict[str, Any], scale: tuple[float, float]
) -> None:
    decoder, size = build(name, options), (17, 22)
    view, codes = view_of(size, scale), features(*size)
    whole = decode_all(decoder, codes, view)
    statistics: dict[str, Tensor] = {}
    for _ in range(decoder.passes):
        sums: dict[str, Tensor] = {}
        for latent, core in tiles(decoder, codes, view):
            for name, share in decoder.summarize({**latent, **statistics}, core).items():
                sums[name] = sums.get(name, 0) + share
        statistics |= sums
    tiled = torch.full_like(whole, torch.nan)
    for latent, core in tiles(decoder, codes, view):
        y, x = (slice(axis.start, axis.stop) for axis in (core.rows, core.columns))
        tiled[..., y, x] = decoder.decode({**latent, **statistics}, core.rows, core.columns)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=SAME)


def tiles(decoder: Decoder, codes: Tensor, view: View) -> Iterator[tuple[Latent, Core]]:
    """The latent of each tile of ``SIDE`` LR px, and what the tile answers for."""
    size, halo = view.lr_size, decoder.reach(view).within(view.lr_size)
    for top, left in product(range(0, size[0], SIDE), range(0, size[1], SIDE)):
        origin = (max(top - halo, 0), max(left - halo, 0))
        bottom, right = min(top + SIDE, size[0]), min(left + SIDE, size[1])
        tile = codes[..., origin[0] : bottom + halo, origin[1] : right + halo]
        part = View(size, view.out_size, origin)
        rows = view.rows.part(*owned(view.rows, top, bottom), origin[0])
        columns = view.columns.part(*owned(view.columns, left, right), origin[1])
        pixels = Rect(top, left, bottom, right).moved(-origin[0], -origin[1])
        yield decoder.prepare(tile, cells(part, 1), part), Core(pixels, rows, columns)


@every_decoder
@torch.no_grad()
@pytest.mark.heavy
def test_state_dict_round_trip(name: str, options: dict[str, Any]) -> None:
    decoder, other = build(name, options), build(name, options, seed=1)
    codes, view = features(6, 9), view_of((6, 9), (2.5, 2.5))
    before = decode_all(decoder, codes, view)
    assert not torch.equal(before, decode_all(other, codes, view))
    other.load_state_dict(decoder.state_dict())
    assert torch.equal(before, decode_all(other, codes, view))


@every_decoder
@torch.no_grad()
@pytest.mark.heavy
def test_bf16(name: str, options: dict[str, Any]) -> None:
    decoder, codes, view = build(name, options), features(6, 9), view_of((6, 9), (2.5, 2.5))
    exact = decode_all(decoder, codes, view)
    coarse = decode_all(decoder.bfloat16(), codes.bfloat16(), view)
    assert (coarse.float() - exact).abs().max() < 0.1 * exact.abs().max()


@every_decoder
def test_gradient_reaches_every_parameter(name: str, options: dict[str, Any]) -> None:
    module = build(name, options).train()
    decoder, size = module, (6, 9)
    cell = torch.tensor([[2 / 15, 2 / 22], [2 / 12, 2 / 18]])
    latent = decoder.prepare(features(*size, batch=2), cell, View(size, size))
    coord = torch.rand(2, 50, 2) * 2 - 1
    decoder.query(latent, coord, cell).square().mean().backward()
    for parameter_name, parameter in module.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.any(), parameter_name


@pytest.mark.gpu
@every_decoder
@torch.no_grad()
def test_devices_agree(name: str, options: dict[str, Any]) -> None:
    decoder, codes, view = build(name, options), features(12, 9), view_of((12, 9), (2.5, 2.5))
    here = decode_all(decoder, codes, view)
    there = decode_all(decoder.cuda(), codes.cuda(), view).cpu()
    torch.testing.assert_close(there, here, rtol=0, atol=1e-3)  # TF32 may be on


@pytest.mark.parametrize(
    ("options", "halo"),
    [
        ({"window": 48, "window_margin": 8}, 1 + 47 + 8),
        ({"window": 1, "window_margin": 0}, 1 + 1),  # the 3x3 features of a code reach further
        ({"non_local_scales": ()}, 1 + 1),
        ({"non_local_scales": (), "unfold": False}, 1),
        ({"window": None}, None),
    ],
    ids=str,
)
def test_ciaosr_reach(options: dict[str, Any], halo: int | None) -> None:
    reach = CiaoSR(CHANNELS, hidden=(4,), **options).reach(View((8, 8), (16, 16)))
    assert reach == Reach(halo)


@torch.no_grad()
def test_ciaosr_refuses_a_tile_that_lacks_codes() -> None:
    decoder = CiaoSR(CHANNELS, hidden=(4,), non_local_scales=())
    view = View((8, 8), (16, 16))
    latent = decoder.prepare(features(4, 8), cells(view, 1), view)
    with pytest.raises(AssertionError, match="halo"):
        decoder.decode(latent, view.rows, view.columns)


def test_ciaosr_wants_a_hidden_layer() -> None:
    with pytest.raises(OptionError, match="hidden"):
        CiaoSR(CHANNELS, hidden=())
