"""Batches: the geometry read back off pictures that say where each pixel lies."""

from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ciaovideo.data.degradation.chain import DegradationOptions, Degrader
from ciaovideo.data.images import PictureStore
from ciaovideo.data.sampling import Batch, Sampler, bicubic_matrix

FLOAT = 2e-3  # of 255: Pillow sums in float32
ONE_LEVEL = 1.001 / 255  # Pillow rounds to 8 bit between the axes too
PATCH = 8
LARGEST = 32
TURNS = tuple((down, right, swap) for down, right, swap in product((False, True), repeat=3))
SIDES = ((8, 8), (13, 8), (19, 8), (32, 8), (33, 32), (97, 24), (7, 20))

Turn = tuple[bool, bool, bool]
Where = tuple[tuple[int, int], int, Turn]


def store_of(*pictures: np.ndarray) -> PictureStore:
    heights, widths = (torch.tensor([p.shape[axis] for p in pictures]) for axis in (0, 1))
    counts = 3 * heights * widths
    samples = np.concatenate([picture.reshape(-1) for picture in pictures])
    return PictureStore(torch.from_numpy(samples), counts.cumsum(0) - counts, heights, widths)


def placed(height: int, width: int, mark: int = 0) -> np.ndarray:
    """A picture whose red is the row and whose green is the column."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, np.full_like(rows, mark)], axis=-1).astype(np.uint8)


def noise(height: int, width: int) -> np.ndarray:
    # Not up to black and white: Pillow clamps between the axes, and training does not.
    return np.random.default_rng(5).integers(60, 196, (height, width, 3), dtype=np.uint8)


def draw(store: PictureStore, batch: int = 12, *, distinct: bool = False, seed: int = 1) -> Batch:
    sampler = Sampler(store, patch=PATCH, queries=60, scales=(1.0, 4.0), distinct=distinct)
    return sampler.draw(batch, torch.Generator().manual_seed(seed))


def indices(batch: Batch) -> tuple[Tensor, Tensor]:
    """Side of each crop, and the pixel (y, x) that each query asks for."""
    side = (2 / batch.cell[:, 0]).round().long()
    at = (batch.coord + 1) * side[:, None, None] / 2 - 0.5
    assert (at - at.round()).abs().max() < 1e-3
    return side, at.round().long()


def oriented(picture: np.ndarray, corner: tuple[int, int], side: int, turn: Turn) -> np.ndarray:
    """A crop, flipped and transposed."""
    down, right, swap = turn
    crop = picture[corner[0] : corner[0] + side, corner[1] : corner[1] + side]
    crop = crop[:: -1 if down else 1, :: -1 if right else 1]
    return crop.transpose(1, 0, 2) if swap else crop


def geometry(batch: Batch, shape: tuple[int, int]) -> list[Where]:
    """Corner, side and orientation of each crop, found by trying: placed pictures only."""
    found: list[Where] = []
    sides, queries = indices(batch)
    for side, at, rgb in zip(sides.tolist(), queries, batch.rgb, strict=True):
        truth = (rgb * 255).round().long()
        for turn in TURNS:
            y, x = at.unbind(-1) if not turn[2] else at.flip(-1).unbind(-1)
            top = truth[:, 0] - (side - 1 - y if turn[0] else y)
            left = truth[:, 1] - (side - 1 - x if turn[1] else x)
            if len(set(top.tolist())) == len(set(left.tolist())) == 1:
                corner = (int(top[0]), int(left[0]))
                assert 0 <= corner[0] <= shape[0] - side
                assert 0 <= corner[1] <= shape[1] - side
                found.append((corner, side, turn))
                break
    return found


@pytest.mark.parametrize(("source", "target"), SIDES)
def test_the_matrix_is_pillows_bicubic(source: int, target: int) -> None:
    picture = np.random.default_rng(source).random((source, 5), dtype=np.float32) * 255
    ours = bicubic_matrix(source, target) @ torch.from_numpy(picture)
    theirs = Image.fromarray(picture).resize((5, target), Image.Resampling.BICUBIC)
    torch.testing.assert_close(ours, torch.tensor(np.asarray(theirs)), rtol=0, atol=FLOAT)


@pytest.mark.parametrize(("source", "target"), SIDES)
def test_the_matrix_is_torchs_antialiased_bicubic(source: int, target: int) -> None:
    picture = torch.rand(1, 1, source, 3, generator=torch.Generator().manual_seed(source))
    theirs = F.interpolate(picture, size=(target, 3), mode="bicubic", antialias=True)
    ours = bicubic_matrix(source, target) @ picture[0, 0]
    torch.testing.assert_close(ours, theirs[0, 0], rtol=0, atol=1e-5)


def test_the_same_generator_draws_the_same() -> None:
    store = store_of(noise(60, 50), noise(40, 90))
    first, again, other = (draw(store, seed=seed) for seed in (1, 1, 2))
    for name in ("lr", "coord", "cell", "rgb"):
        assert torch.equal(getattr(first, name), getattr(again, name))
        assert not torch.equal(getattr(first, name), getattr(other, name))


def test_a_sample_is_one_crop_in_one_of_eight_orientations() -> None:
    found = geometry(draw(store_of(placed(140, 90)), 100), (140, 90))
    assert len(found) == 100
    assert {turn for _, _, turn in found} == set(TURNS)
    sides = [side for _, side, _ in found]
    assert min(sides) <= 10
    assert max(sides) >= 30
    assert all(PATCH <= side <= LARGEST for side in sides)


def test_colours_and_lr_are_those_of_the_crop() -> None:
    picture, shape = noise(80, 70), (80, 70)
    where = geometry(draw(store_of(placed(*shape)), 24), shape)
    batch = draw(store_of(picture), 24)
    _, queries = indices(batch)
    for index, (corner, side, turn) in enumerate(where):
        crop = oriented(picture, corner, side, turn)
        y, x = queries[index].T.numpy()
        assert torch.equal(batch.rgb[index], torch.from_numpy(crop[y, x]) / 255)
        lr = Image.fromarray(np.ascontiguousarray(crop)).resize(
            (PATCH, PATCH), Image.Resampling.BICUBIC
        )
        expected = torch.tensor(np.asarray(lr)).permute(2, 0, 1) / 255
        assert (batch.lr[index] - expected).abs().max() <= ONE_LEVEL


def test_lr_is_in_steps_of_8_bit() -> None:
    levels = draw(store_of(noise(50, 50))).lr * 255
    assert (levels - levels.round()).abs().max() < 1e-4
    assert levels.min() >= 0
    assert levels.max() <= 255


def test_distinct_queries_are_distinct_and_cover_the_crop() -> None:
    batch = draw(store_of(placed(64, 64)), 40, distinct=True)
    sides, queries = indices(batch)
    for side, at in zip(sides.tolist(), queries, strict=True):
        assert len({tuple(point) for point in at.tolist()}) == 60
        assert at.max() < side
    assert len(geometry(batch, (64, 64))) == 40
    repeated = draw(store_of(placed(64, 64)), 40)
    assert any(len({tuple(p) for p in at.tolist()}) < 60 for at in indices(repeated)[1])


def test_the_smallest_picture_allowed_is_never_left() -> None:
    found = geometry(draw(store_of(placed(LARGEST, LARGEST)), 64), (LARGEST, LARGEST))
    assert len(found) == 64


def test_pictures_are_drawn_by_area() -> None:
    store = store_of(placed(40, 40, mark=0), placed(120, 120, mark=255))
    batch = draw(store, 400)
    share = batch.rgb[:, 0, 2].mean().item()
    assert share == pytest.approx(0.9, abs=0.045)  # three standard deviations


def test_a_window_is_a_square_of_neighbours_row_by_row() -> None:
    picture = placed(60, 70)
    sampler = Sampler(store_of(picture), patch=PATCH, queries=49, scales=(1.0, 4.0), window=True)
    batch = sampler.draw(12, torch.Generator().manual_seed(1))
    sides, at = indices(batch)
    square = at.view(12, 7, 7, 2)
    corner = square[:, :1, :1]
    grid = torch.cartesian_prod(torch.arange(7), torch.arange(7)).view(1, 7, 7, 2)
    assert torch.equal(square - corner, grid.expand(12, -1, -1, -1))
    assert (at >= 0).all()
    assert (at < sides[:, None, None]).all()
    assert len(corner.flatten(1).unique(dim=0)) > 6
    assert len(geometry(batch, picture.shape[:2])) == 12
    assert torch.equal(batch.natural, batch.rgb)


def test_degraded_patches_belong_to_the_same_places() -> None:
    options = DegradationOptions(share=1.0, fading=0.0, sharpen=1.0)
    store = store_of(noise(60, 70))
    plain, worn = (
        Sampler(
            store, patch=PATCH, queries=49, scales=(1.0, 4.0), window=True, degrader=degrader
        ).draw(6, torch.Generator().manual_seed(1))
        for degrader in (None, Degrader(options, PATCH))
    )
    assert torch.equal(worn.coord, plain.coord)
    assert torch.allclose(worn.natural, plain.rgb, atol=1e-6)
    assert (worn.rgb - worn.natural).abs().mean() > 0.001
    assert (worn.lr - plain.lr).abs().mean() > 0.01


def test_whole_scales_are_drawn_alike() -> None:
    sampler = Sampler(
        store_of(noise(40, 40)), patch=PATCH, queries=4, scales=(2.0, 4.0), whole_scales=True
    )
    side, _ = indices(sampler.draw(600, torch.Generator().manual_seed(1)))
    found, counts = side.unique(return_counts=True)
    assert found.tolist() == [2 * PATCH, 3 * PATCH, 4 * PATCH]
    assert counts.min() > 150
