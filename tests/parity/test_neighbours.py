"""The decoders of LIIF, LTE, Meta-SR, ITSRN and HIIF against their published formulas."""

from typing import Any, cast

import pytest
import torch
from torch import Tensor

from ciaovideo.grid import View, make_coord
from ciaovideo.models.decoders import DECODERS, hiif
from ciaovideo.models.parts.matrices import few_phases
from ciaovideo.models.parts.points import Grid, PointDecoder
from ciaovideo.models.protocols import Decoder
from tests.parity import formulas
from tests.parity.formulas import FORMULAS

SAME = 1e-5  # fp32 sums in another order; outputs are of the order of one
CHANNELS = 8
SIZE = (23, 20)
SCALES = (1.0, 1.37, 2.0, 2.5, 3.0, 7.3)
WEIGHTS = {"hiif": 1_735_071, "itsrn": 645_314, "liif": 346_883, "lte": 493_827, "metasr": 445_120}

every_name = pytest.mark.parametrize("name", FORMULAS)


def decoder_of(name: str) -> PointDecoder:
    """One whose weights are large enough for its outputs to be of the order of one."""
    torch.manual_seed(3)
    made = DECODERS[name].small(CHANNELS).eval()
    for weight in made.parameters():
        weight.data *= 1.5
    return cast(PointDecoder, made)


def features() -> Tensor:
    return torch.randn(1, CHANNELS, *SIZE, generator=torch.Generator().manual_seed(5))


@every_name
@pytest.mark.parametrize("scale", SCALES)
@torch.no_grad()
def test_query_and_decode_are_the_formula(name: str, scale: float) -> None:
    decoder, codes = decoder_of(name), features()
    view = View(SIZE, (round(SIZE[0] * scale), round(SIZE[1] * scale)))
    cell = torch.tensor([view.cell])
    coord = make_coord(*view.out_size).view(1, -1, 2)
    expected = FORMULAS[name](codes, coord, cell, dict(decoder.state_dict()))
    assert expected.abs().max() > 0.1
    latent = decoder.prepare(codes, cell, view)
    bound = SAME * max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(decoder.query(latent, coord, cell), expected, rtol=0, atol=bound)
    picture = decoder.decode(latent, view.rows, view.columns)
    torch.testing.assert_close(picture.flatten(2).mT, expected, rtol=0, atol=bound)


@torch.no_grad()
def test_a_picture_too_large_to_be_kept_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder, codes = decoder_of("hiif"), features()
    view = View(SIZE, (61, 47))
    latent = decoder.prepare(codes, torch.tensor([view.cell]), view)
    kept = decoder.decode(latent, view.rows, view.columns)
    monkeypatch.setattr(hiif, "HELD", 61 * 47 * 12 - 1)  # floats, one less than it takes
    monkeypatch.delattr(hiif.HIIF, "decode_at_once")
    made = decoder.decode(latent, view.rows, view.columns)
    torch.testing.assert_close(made, kept, rtol=0, atol=SAME * float(kept.abs().max()))


@torch.no_grad()
def test_positions_are_the_published_ones_where_their_rounding_plays_no_part() -> None:
    """Between the codes, and a tenth off the borders of the finest parts."""
    decoder, codes = decoder_of("hiif"), features()
    draw = torch.Generator().manual_seed(6)
    parts = 2.0 ** len(cast(hiif.HIIF, decoder).stages)
    inside = torch.rand(1, 300, 2, generator=draw) * 0.8 + 0.1
    part = (torch.rand(1, 300, 2, generator=draw) * parts).floor()
    size = torch.tensor(SIZE)
    code = (torch.rand(1, 300, 2, generator=draw) * (size - 1)).floor()
    coord = -1 + (1 + 2 * (code + (part + inside) / parts)) / size
    cell = torch.tensor([[2 / 61, 2 / 47]])
    published = formulas.hiif(codes, coord, cell, dict(decoder.state_dict()), rounded=False)
    found = decoder.query(decoder.prepare(codes, cell, View(SIZE, (61, 47))), coord, cell)
    bound = SAME * max(1.0, float(published.abs().max()))
    torch.testing.assert_close(found, published, rtol=0, atol=bound)


@pytest.mark.parametrize("name", ["itsrn", "metasr"])
def test_both_ways_of_a_grid_are_tried(name: str) -> None:
    """Of the scales above, some have few distinct places and some as many as pixels."""
    decoder = decoder_of(name)
    ways = set()
    for scale in SCALES:
        view = View(SIZE, (round(SIZE[0] * scale), round(SIZE[1] * scale)))
        grid = Grid.of(view.rows, view.columns, decoder.along, features())
        ways.add(few_phases(grid.rows, grid.columns))
    assert ways == {True, False}


@every_name
def test_it_has_as_many_weights_as_published(name: str) -> None:
    make: Any = DECODERS[name]
    decoder: Decoder = make(64)
    assert sum(weight.numel() for weight in decoder.parameters()) == WEIGHTS[name]
