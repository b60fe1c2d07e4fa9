"""The whole row: what it makes, what it leaves alone, and where its draws come from."""

from typing import Any

import pytest
import torch
from torch import Tensor

from ciaovideo.data.degradation.chain import DegradationOptions, Degrader
from ciaovideo.data.sampling import bicubic_matrix
from ciaovideo.errors import OptionError

PATCH, LARGEST = 16, 40
NAMES = ("twice", "shuffle", "blur", "ringing", "noise", "jpeg", "fading", "film", "fields")
NOTHING: dict[str, Any] = dict.fromkeys((*NAMES, "chroma", "codecs"), 0.0)


def crops(count: int = 6) -> tuple[Tensor, Tensor]:
    """Crops of several sides on one canvas, their borders repeated."""
    side = torch.tensor([16, 21, 28, 33, 40, 40])[:count]
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 10, 10, generator=generator)
    canvas = torch.nn.functional.interpolate(coarse, (LARGEST, LARGEST), mode="bilinear")
    at = torch.minimum(torch.arange(LARGEST)[None], side[:, None] - 1)
    rows = canvas.gather(2, at[:, None, :, None].expand_as(canvas))
    return rows.gather(3, at[:, None, None, :].expand_as(canvas)), side


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.heavy
def test_the_same_draws_from_the_same_state_and_none_from_elsewhere() -> None:
    crop, side = crops()
    before = torch.get_rng_state()
    degrader = Degrader(DegradationOptions(share=1.0), PATCH)
    first = generator()
    made = [degrader(crop, side, first).lr for _ in range(6)]
    assert torch.equal(torch.get_rng_state(), before)
    second = generator()
    again = [degrader(crop, side, second).lr for _ in range(3)]
    third = torch.Generator()
    third.set_state(second.get_state())
    again += [
        Degrader(DegradationOptions(share=1.0), PATCH)(crop, side, third).lr for _ in range(3)
    ]
    assert all(torch.equal(one, other) for one, other in zip(made, again, strict=True))
    assert not torch.equal(made[0], made[1])


@pytest.mark.gpu
def test_on_a_device_the_same_is_drawn_from_the_generator() -> None:
    crop, side = crops()
    degrader = Degrader(DegradationOptions(share=1.0), PATCH)
    here, there = generator(), generator()
    for _ in range(6):
        degrader(crop, side, here)
        made = degrader(crop.cuda(), side.cuda(), there)
        assert made.lr.is_cuda
        assert made.lr.isfinite().all()
        assert torch.equal(here.get_state(), there.get_state())


def test_patches_are_whole_codes_and_degraded() -> None:
    crop, side = crops()
    degrader = Degrader(DegradationOptions(share=1.0), PATCH)
    source = generator()
    plain = Degrader(DegradationOptions(share=0.0), PATCH)(crop, side, generator()).lr
    for _ in range(8):
        lr = degrader(crop, side, source).lr
        assert lr.shape == (6, 3, PATCH, PATCH)
        assert torch.equal((lr * 255).round() / 255, lr)
        assert lr.min() >= 0
        assert lr.max() <= 1
        assert (lr - plain).abs().mean() > 0.01


def test_what_is_not_picked_is_plain_bicubic() -> None:
    crop, side = crops()
    made = Degrader(DegradationOptions(share=0.0, sharpen=0.0), PATCH)(crop, side, generator())
    assert torch.equal(made.natural, crop)
    assert torch.equal(made.sharp, crop)
    for lr, picture, length in zip(made.lr, crop, side.tolist(), strict=True):
        matrix = bicubic_matrix(length, PATCH)
        wanted = matrix @ picture[:, :length, :length] @ matrix.T
        assert (lr - wanted.clamp(0, 1)).abs().max() < 0.51 / 255


def test_with_every_probability_at_zero_only_resizing_is_left() -> None:
    crop, side = crops()
    mild = DegradationOptions(share=1.0, resize=(2.0, 2.0), sharpen=0.0, **NOTHING)
    plain = Degrader(DegradationOptions(share=0.0), PATCH)(crop, side, generator()).lr
    lr = Degrader(mild, PATCH)(crop, side, generator()).lr
    assert (lr - plain).abs().mean() < 0.02


def test_tones_change_on_targets_too_and_edges_are_raised_on_one() -> None:
    crop, side = crops()
    options = DegradationOptions(**{**NOTHING, "share": 1.0, "fading": 1.0}, resize=(2.0, 2.0))
    made = Degrader(options, PATCH)(crop, side, generator())
    assert (made.natural - crop).abs().mean() > 0.03
    assert (made.sharp - made.natural).abs().mean() > 0.001
    again = Degrader(DegradationOptions(share=0.0), PATCH)(made.natural, side, generator()).lr
    assert (made.lr - again).abs().mean() < 0.02


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"blur": 1.5}, "blur 1.5"),
        ({"share": -0.1}, "share -0.1"),
        ({"noise_sigma": (20.0, 1.0)}, "noise_sigma"),
        ({"jpeg_quality": (30.0, 101.0)}, "exceeds 100"),
        ({"sharpen": -1.0}, "below 0"),
    ],
)
def test_options_that_cannot_be_meant(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        DegradationOptions(**wrong)
