"""The separable decoder's tiles: views of one line, wherever a grid's columns lie."""

import pytest
import torch

from ciaovideo.grid import Axis, View, gaps, make_coord
from ciaovideo.models.decoders.ciaosr_separable import SeparableCiaoSR
from ciaovideo.ops.attention.separable import TILES, tiling_of

SAME = 2e-5  # fp32 sums in another order, outputs of the order of one


@pytest.mark.parametrize("out_count", [320, 321, 427, 640, 800, 853, 960, 1277, 1920, 9600])
def test_tiles_hold_what_their_columns_read(out_count: int) -> None:
    gap = gaps(Axis.whole(320, out_count))[0].tolist()
    first, step, span, tile = tiling_of(gap)
    for column, index in enumerate(gap):
        begin = first + column // tile * step
        assert begin <= index < begin + span
    assert tile in TILES
    least = -(-tile * 320 // out_count) + 1
    assert span <= least + 2  # steps are equal, and few gaps are read for nothing


@pytest.mark.parametrize("rank", [3, 4])
@pytest.mark.parametrize("scale", [1.03, 2.37, 7.7, 31])
@torch.no_grad()
def test_many_tiles_equal_the_definition(scale: float, rank: int) -> None:
    torch.manual_seed(0)
    decoder = SeparableCiaoSR(8, hidden=8, key_dim=4, rank=rank).eval()
    view = View((3, 90), (round(3 * scale), round(90 * scale)))
    latent = decoder.prepare(torch.randn(1, 8, 3, 90), torch.tensor([view.cell]), view)
    coord = make_coord(*view.out_size).view(1, -1, 2)
    expected = decoder.query(latent, coord, torch.tensor([view.cell]))
    made = decoder.decode(latent, view.rows, view.columns)
    torch.testing.assert_close(made.flatten(2).mT, expected, rtol=0, atol=SAME)
    part = view.columns.part(17, made.shape[-1] - 5, 0)
    torch.testing.assert_close(
        decoder.decode(latent, view.rows, part), made[..., 17:-5], rtol=0, atol=SAME
    )


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@torch.no_grad()
def test_maps_of_lower_precision_become_fp32_as_they_are_read(layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    decoder = SeparableCiaoSR(8, hidden=8, key_dim=4, rank=4).eval()
    view = View((5, 40), (12, 97))
    latent = decoder.prepare(torch.randn(1, 8, 5, 40), torch.tensor([view.cell]), view)
    coarse = {name: latent[name].bfloat16() for name in ("value", "logit")}
    made = [
        decoder.decode(latent | maps, view.rows, view.columns)
        for maps in (
            {name: table.contiguous(memory_format=layout) for name, table in coarse.items()},
            {name: table.float() for name, table in coarse.items()},
        )
    ]
    assert torch.equal(*made)
