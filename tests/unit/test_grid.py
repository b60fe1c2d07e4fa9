"""Sampling positions against torch's own sampling, which the published networks rest on."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ciaovideo.grid import (
    Axis,
    View,
    bilinear_at,
    bilinear_grid,
    centres,
    code_centre,
    linear_taps,
    make_coord,
    nearest_index,
    shifted,
)

CLOSE = 2e-5  # positions are fp32 numbers of up to a few hundred pixels

sides = st.integers(1, 200)
enlargements = st.floats(1, 8)
shifts = st.sampled_from([0.0, -1.0, 1.0])


def grid_sample(image: Tensor, coord: Tensor, mode: str) -> Tensor:
    """At coord (H, W, 2) in (y, x): image (B, C, h, w) -> (B, C, H, W)."""
    padding = "border" if mode == "bilinear" else "zeros"
    grid = coord.flip(-1).expand(len(image), *coord.shape)
    return F.grid_sample(image, grid, mode=mode, padding_mode=padding, align_corners=False)


def test_centres_lie_inside_and_evenly() -> None:
    torch.testing.assert_close(centres(4), torch.tensor([-0.75, -0.25, 0.25, 0.75]))
    assert centres(1).tolist() == [0.0]
    assert centres(7).dtype == torch.float32


@given(count=sides)
def test_each_centre_is_nearest_to_its_own_code(count: int) -> None:
    own = torch.arange(count)
    assert torch.equal(nearest_index(centres(count), count), own)
    assert torch.equal(code_centre(own, count), centres(count))


@given(count=sides, scale=enlargements, shift=shifts)
def test_nearest_is_the_cpu_rounding_of_grid_sample(count: int, scale: float, shift: float) -> None:
    coord = shifted(centres(round(count * scale)), shift / count)
    codes = torch.arange(count, dtype=torch.float32).view(1, 1, 1, count)
    points = torch.stack([torch.zeros_like(coord), coord], dim=-1).unsqueeze(0)
    picked = grid_sample(codes, points, "nearest").flatten()
    assert torch.equal(nearest_index(coord, count), picked.long())


def test_halves_go_to_the_even_code() -> None:
    borders = torch.tensor([-0.5, 0.0, 0.5])  # between codes 0 and 1, 1 and 2, 2 and 3 of 4
    assert nearest_index(borders, 4).tolist() == [0, 2, 2]
    assert nearest_index(torch.tensor([-1.0, 1.0]), 4).tolist() == [0, 3]


@pytest.mark.gpu
@pytest.mark.parametrize("scale", [1.5, 2, 2.5, 3, 4, 7.3])
def test_indices_do_not_depend_on_the_device(scale: float) -> None:
    for count in (17, 24, 135, 1080):
        coord = shifted(centres(round(count * scale)), -1 / count)
        there = nearest_index(coord.cuda(), count).cpu()
        assert torch.equal(nearest_index(coord, count), there)


def test_make_coord_is_in_y_x() -> None:
    coord = make_coord(2, 3)
    assert coord.shape == (2, 3, 2)
    assert torch.equal(coord[:, 0, 0], centres(2))
    assert torch.equal(coord[0, :, 1], centres(3))


def test_shifted_stays_inside() -> None:
    ends, nudge = torch.tensor([-0.9, 0.9]), 1e-6
    right, left = torch.tensor([-0.4 + nudge, 1 - nudge]), torch.tensor([-1 + nudge, 0.4 + nudge])
    torch.testing.assert_close(shifted(ends, 0.5), right, rtol=0, atol=1e-7)
    torch.testing.assert_close(shifted(ends, -0.5), left, rtol=0, atol=1e-7)


@given(height=sides, width=sides, scale_y=enlargements, scale_x=enlargements)
def test_bilinear_is_that_of_torch(height: int, width: int, scale_y: float, scale_x: float) -> None:
    height, width = 1 + height % 40, 1 + width % 40
    out = (round(height * scale_y), round(width * scale_x))
    image = torch.rand(2, 3, height, width)
    view = View((height, width), out)
    ours = bilinear_grid(image, view.rows, view.columns)
    coord = make_coord(*out)
    sampled = grid_sample(image, coord, "bilinear")
    resized = F.interpolate(image, size=out, mode="bilinear", align_corners=False)
    points = bilinear_at(image, coord.view(1, -1, 2).expand(2, -1, -1)).mT.view(2, 3, *out)
    for name, other in (("sampled", sampled), ("resized", resized), ("points", points)):
        torch.testing.assert_close(ours, other, rtol=0, atol=CLOSE, msg=name)


@given(count=sides, scale=enlargements, data=st.data())
def test_part_reads_the_same_codes_from_a_tile(
    count: int, scale: float, data: st.DataObject
) -> None:
    whole = Axis.whole(count, round(count * scale))
    start = data.draw(st.integers(0, len(whole) - 1))
    stop = data.draw(st.integers(start + 1, len(whole)))
    origin = data.draw(st.integers(0, count - 1))
    part = whole.part(start, stop, origin)
    assert len(part) == stop - start
    assert (part.cell, part.count) == (whole.cell, whole.count)
    for ours, all_of_them, moved in zip(
        linear_taps(part), linear_taps(whole), (origin, origin, 0), strict=True
    ):
        assert torch.equal(ours + moved, all_of_them[start:stop])


def test_view_of_a_tile() -> None:
    view = View((10, 20), (25, 40), origin=(3, 4))
    assert view.cell == (2 / 25, 2 / 40)
    assert (len(view.rows), view.rows.count, view.rows.origin) == (25, 10, 3)
    assert (len(view.columns), view.columns.count, view.columns.origin) == (40, 20, 4)
