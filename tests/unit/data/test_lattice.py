"""Batches with lattices: what is drawn, and that colours lie where they are said to lie."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from ciaovideo.data.degradation.chain import Degraded
from ciaovideo.data.degradation.film import displaced
from ciaovideo.data.images import PictureStore
from ciaovideo.data.lattice import LatticeBatch, LatticeSampler
from ciaovideo.data.sampling import bicubic_matrix
from ciaovideo.grid import make_coord
from ciaovideo.train.gradients.prediction import linear_weights

PATCH = 8
QUANTUM = 0.5 / 255 + 1e-6  # LR patches are rounded to 8 bit


def store_of(*pictures: Tensor) -> PictureStore:
    """Pictures (H, W, 3) uint8 as a store."""
    counts = torch.tensor([picture.numel() for picture in pictures])
    return PictureStore(
        samples=torch.cat([picture.flatten() for picture in pictures]),
        starts=counts.cumsum(0) - counts,
        heights=torch.tensor([picture.shape[0] for picture in pictures]),
        widths=torch.tensor([picture.shape[1] for picture in pictures]),
    )


def ramp(height: int, width: int) -> Tensor:
    """Codes that tell where they are: red the row, green the column, blue nothing."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([2 * y, 2 * x, torch.full_like(x, 9)], dim=-1).byte()


def draw(picture: Tensor, side: int = 6, seed: int = 0, candidates: int = 1) -> LatticeBatch:
    sampler = LatticeSampler(
        store_of(picture),
        patch=PATCH,
        side=side,
        scales=(1.0, 4.0),
        groups=3,
        candidates=candidates,
    )
    return sampler.draw(6, torch.Generator().manual_seed(seed))


def test_shapes() -> None:
    batch = draw(ramp(64, 100))
    assert batch.lr.shape == (6, 3, PATCH, PATCH)
    assert batch.cell.shape == (6, 2)
    assert [target.rgb.shape for target in batch.targets] == [(2, 3, 6, 6)] * 3
    for target, cell in zip(batch.targets, batch.cell.split(2), strict=True):
        side = round(2 / float(cell[0, 0]))
        assert torch.equal(cell, torch.full((2, 2), 2 / side))
        for lines in (target.rows, target.columns):
            at = ((lines + 1) * side - 1) / 2  # pixels of the crop
            torch.testing.assert_close(at, at.round(), rtol=0, atol=1e-4)
            assert (at.diff() > -1e-4).all()


def test_colours_lie_where_rows_and_columns_say() -> None:
    """On a linear ramp, bilinear LR read at a target's place has the target's colour."""
    for seed in range(4):
        batch = draw(ramp(90, 110), seed=seed)
        first = 0
        for target in batch.targets:
            for lr, rgb in zip(batch.lr[first:], target.rgb, strict=False):
                grid = torch.stack(
                    torch.meshgrid(target.columns, target.rows, indexing="xy"), dim=-1
                )
                read = torch.nn.functional.grid_sample(lr[None], grid[None], align_corners=False)
                inner = (target.rows.abs()[:, None] < 0.6) & (target.columns.abs() < 0.6)
                wrong = (read[0] - rgb).abs()[:, inner]
                assert wrong.numel() == 0 or wrong.max() < 2 * QUANTUM
            first += target.samples


def test_all_orientations_come() -> None:
    seen = set()
    for seed in range(12):
        batch = draw(ramp(40, 40), seed=seed)
        for lr in batch.lr:
            down, right = lr[:2, -1, 0] - lr[:2, 0, 0], lr[:2, 0, -1] - lr[:2, 0, 0]
            seen.add((int(down[0].sign()), int(down[1].sign()), int(right[0].sign())))
    assert len(seen) == 6  # rows grow or fall downwards, or columns do; then rows to the right


def test_a_part_is_a_part_of_the_whole() -> None:
    sampler = LatticeSampler(
        store_of(ramp(64, 64)), patch=PATCH, side=5, scales=(1.0, 4.0), groups=3, candidates=2
    )
    whole = sampler.draw(6, torch.Generator().manual_seed(3))
    parts = [
        sampler.draw(6, torch.Generator().manual_seed(3), part)
        for part in (slice(0, 3), slice(3, 6))
    ]
    assert torch.equal(torch.cat([part.lr for part in parts]), whole.lr)
    assert [target.samples for target in parts[0].targets] == [2, 1]
    assert torch.equal(parts[1].targets[-1].rgb, whole.targets[-1].rgb)
    split = whole.parts(2)
    assert [len(each.targets) for each in split] == [2, 1]
    assert torch.equal(torch.cat([each.lr for each in split]), whole.lr)
    assert len(whole.parts(8)) == 3


def twinned(share: float = 0.5) -> LatticeSampler:
    """Half of the groups have a twin, one third of a pixel down and half a one left."""

    def degrade(crop: Tensor, sides: Tensor, generator: torch.Generator) -> Degraded:
        side = int(sides[0])
        lr = bicubic_matrix(side, PATCH) @ crop @ bicubic_matrix(side, PATCH).mT
        if torch.rand((), generator=generator) > share:
            return Degraded(lr, crop, crop)
        shift = 1 / 3, -0.5
        far = displaced(lr, torch.tensor(shift).expand(len(lr), 2))
        return Degraded(lr, crop, crop, far, shift)

    return LatticeSampler(
        store_of(ramp(64, 100)),
        patch=PATCH,
        side=6,
        scales=(1.0, 4.0),
        groups=3,
        degrader=degrade,
    )


def test_a_twin_has_the_colours_of_the_lattice_before_it() -> None:
    seen = 0
    for seed in range(6):
        batch = twinned().draw(6, torch.Generator().manual_seed(seed))
        counts = [target.samples for target in batch.targets]
        assert sum(counts) == len(batch.lr) == len(batch.cell)
        for lr, target in zip(batch.lr.split(counts), batch.targets, strict=True):
            down, across = (linear_weights(lines, PATCH) for lines in (target.rows, target.columns))
            wrong = (down @ lr @ across.mT - target.rgb).abs()
            inside = wrong[:, :, 1:-1, 1:-1]  # at the border, bicubic repeats what is outside
            assert inside.median() < 3 * QUANTUM
            seen += target.twin
        for before, target in pairwise(batch.targets):
            assert not (before.twin and target.twin)
            if target.twin:
                assert torch.equal(target.rgb, before.rgb)
                torch.testing.assert_close(
                    target.rows - before.rows, torch.full_like(before.rows, 2 / 3 / PATCH)
                )
    assert seen > 3


def test_twins_stay_together() -> None:
    batch = twinned(1.0).draw(6, torch.Generator().manual_seed(0))
    assert [target.twin for target in batch.targets] == [False, True] * 3
    parts = batch.parts(2)
    assert [len(part.targets) for part in parts] == [4, 2]
    assert torch.equal(torch.cat([part.lr for part in parts]), batch.lr)
    few = twinned(1.0).draw(6, torch.Generator().manual_seed(0), slice(1, 3))
    assert [target.samples for target in few.targets] == [1, 1, 1, 1]
    assert torch.equal(few.lr[0], batch.lr[1])
    assert torch.equal(few.lr[1], batch.lr[3])  # its twin


def test_the_livelier_crop_is_taken() -> None:
    picture = torch.full((200, 200, 3), 80, dtype=torch.uint8)
    picture[:, 100:][torch.rand(200, 100, generator=torch.Generator().manual_seed(0)) < 0.5] = 160
    lively = [
        float((draw(picture, seed=seed, candidates=count).lr.std(dim=(1, 2, 3)) > 0.01).sum())
        for count in (1, 4)
        for seed in range(8)
    ]
    assert sum(lively[8:]) > 1.3 * sum(lively[:8])  # 0.5 and 0.94 of the crops, by chance


@pytest.mark.parametrize("window", [False, True])
def test_rows_are_neighbours_or_spread(window: bool) -> None:
    sampler = LatticeSampler(
        store_of(ramp(64, 64)), patch=PATCH, side=6, scales=(4.0, 4.0), groups=1, window=window
    )
    batch = sampler.draw(2, torch.Generator().manual_seed(0))
    steps = (batch.targets[0].rows.diff() * 16).round()
    assert torch.equal(steps, torch.ones(5)) is window
    assert steps.sum() >= 5


def test_a_crop_with_fewer_rows_gives_all_it_has() -> None:
    sampler = LatticeSampler(
        store_of(ramp(64, 64)), patch=PATCH, side=20, scales=(1.0, 1.0), groups=1
    )
    batch = sampler.draw(1, torch.Generator().manual_seed(0))
    rows = make_coord(PATCH, PATCH)[:, 0, 0]
    torch.testing.assert_close(batch.targets[0].rows, rows, rtol=0, atol=0)
    assert torch.equal(batch.targets[0].rgb, batch.lr)  # x1 is the picture itself
