"""Tiles: every pixel owned once, everything read inside the frame."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ciaovideo.errors import OptionError
from ciaovideo.tiling import Rect, plan_tiles

sides = st.integers(1, 90)
halos = st.integers(0, 20)


@given(height=sides, width=sides, halo=halos, side=st.integers(0, 64), alignment=st.integers(1, 8))
@pytest.mark.heavy
def test_cores_cover_every_pixel_once(
    height: int, width: int, halo: int, side: int, alignment: int
) -> None:
    frame = Rect(0, 0, height, width)
    hits = torch.zeros(height, width, dtype=torch.int64)
    for tile in plan_tiles(height, width, side=side, halo=halo, alignment=alignment):
        assert tile.core in tile.read
        assert tile.read in frame
        assert tile.read.top % alignment == tile.read.left % alignment == 0
        if side:
            assert max(tile.core.height, tile.core.width) <= side
        hits[tile.core.slices] += 1
    assert hits.eq(1).all()


@given(height=sides, width=sides, halo=halos, side=st.integers(1, 64))
def test_a_tile_reads_its_halo_wherever_the_frame_goes_on(
    height: int, width: int, halo: int, side: int
) -> None:
    for tile in plan_tiles(height, width, side=side, halo=halo):
        assert tile.read.top == max(0, tile.core.top - halo)
        assert tile.read.left == max(0, tile.core.left - halo)
        assert tile.read.bottom == min(height, tile.core.bottom + halo)
        assert tile.read.right == min(width, tile.core.right + halo)


def test_no_side_keeps_the_frame_whole() -> None:
    (tile,) = plan_tiles(7, 9, side=0, halo=3)
    assert tile.core == tile.read == Rect(0, 0, 7, 9)


def test_negative_lengths_are_refused() -> None:
    with pytest.raises(OptionError):
        list(plan_tiles(4, 4, side=-1, halo=0))
