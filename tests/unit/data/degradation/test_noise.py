"""Noise and film: strengths as asked for, the same draws for the same seed."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ciaovideo.data.degradation import film
from ciaovideo.data.degradation.draws import Draws
from ciaovideo.data.degradation.noise import gaussian_noise, grain, poisson_noise

GRAY = torch.tensor([True, False])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draws(seed: int = 0) -> Draws:
    return Draws(seeded(seed), torch.device("cpu"))


def flat(value: float, count: int = 2, side: int = 96) -> Tensor:
    return torch.full((count, 3, side, side), value)


def assert_deviation(made: Tensor, wanted: float) -> None:
    assert made.std().item() == pytest.approx(wanted, rel=0.1)


def assert_gray(off: Tensor) -> None:
    """The first picture's channels are equal, the second's are not."""
    assert (off[0] - off[0, :1]).abs().max() < 1e-6
    assert (off[1, 0] - off[1, 1]).abs().max() > 1e-3


def test_gaussian_noise() -> None:
    picture = flat(0.5)
    off = gaussian_noise(picture, torch.tensor([0.02, 0.1]), GRAY, seeded()) - picture
    assert_deviation(off[0], 0.02)
    assert_deviation(off[1], 0.1)
    assert_gray(off)


@pytest.mark.parametrize("light", [0.2, 0.8])
def test_poisson_noise_grows_with_the_root_of_light(light: float) -> None:
    picture = flat(light)
    off = poisson_noise(picture, torch.tensor([400.0, 100.0]), GRAY, seeded()) - picture
    assert_deviation(off[0], (light / 400) ** 0.5)
    assert_deviation(off[1], (light / 100) ** 0.5)
    assert_gray(off)


def test_grain_is_strongest_in_the_middle_and_clumps() -> None:
    strength, size = torch.tensor([0.05, 0.05]), torch.tensor([0.5, 1.5])
    off = grain(flat(0.5), strength, size, GRAY, seeded()) - 0.5
    assert_deviation(off, 0.05)
    assert_gray(off)
    assert_deviation(grain(flat(0.0), strength, size, GRAY, seeded()), 0.05 * 0.15)
    steps = (off[..., 1:] - off[..., :-1]).std(dim=(1, 2, 3))
    assert steps[1] < 0.6 * steps[0]


def test_fading_is_the_same_everywhere_and_keeps_order() -> None:
    ramp = torch.linspace(0, 1, 64).expand(4, 3, 8, 64)
    made = film.fade(ramp, draws(), monochrome=0.5)
    assert (made[..., 1:] >= made[..., :-1]).all()
    assert torch.equal(made[:, :, :1].expand_as(made), made)
    assert (made[..., -1] - made[..., 0]).min() >= 0.2 - 1e-6
    assert made[..., 0].min() >= 0
    color = torch.rand(3, 3, 8, 8, generator=seeded())
    gray = film.fade(color, draws(), monochrome=1.0)
    luma = (color * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(dim=1)
    for picture, light in zip(gray, luma, strict=True):  # tones follow luma alone
        order = light.flatten().argsort()
        assert (picture.flatten(1)[:, order].diff(dim=1) >= -1e-6).all()


def test_flicker_changes_frames_and_not_neighbours() -> None:
    clip = flat(0.5, 200, 8).view(1, 200, 3, 8, 8)
    made = film.flicker(clip, torch.tensor([0.1]), seeded())
    assert torch.equal(made[..., :1].expand_as(made), made)
    assert_deviation(made[0, :, 0, 0, 0], 0.05)
    made = film.flicker(clip, torch.tensor([0.1]), seeded(), still=7)
    assert torch.equal(made[:, 7], clip[:, 7])


def test_what_is_moved_moves_down_and_right_by_pixels() -> None:
    picture = torch.rand(2, 3, 20, 24, generator=seeded())
    made = film.displaced(picture, torch.tensor([[2.0, 3.0], [0.0, 0.0]]))
    assert torch.allclose(made[0, :, 2:, 3:], picture[0, :, :-2, :-3], atol=1e-4)
    assert torch.allclose(made[1], picture[1], atol=1e-5)
    clip = picture[:, None].expand(-1, 5, -1, -1, -1)
    woven = film.weave(clip, torch.tensor([1.0, 1.0]), seeded(), still=3)
    assert torch.allclose(woven[:, 3], picture, atol=1e-5)
    assert (woven[:, 2] - picture).abs().mean() > 0.01


@pytest.mark.parametrize("mark", [film.scratches, film.dust])
def test_marks_are_few_and_strong(mark: Callable[[Tensor, Draws], Tensor]) -> None:
    picture = flat(0.5, 30, 64)
    off = (mark(picture, draws(3)) - picture).abs()
    assert 0.5 > off.max() > 0.3
    touched = (off > 0.05).any(dim=1).flatten(1).float().mean(dim=1)
    assert touched.mean() < 0.1
    assert (touched > 0).float().mean() > 0.7
    assert torch.equal(mark(picture, draws(3)), mark(picture, draws(3)))


def test_scratches_run_down_the_picture() -> None:
    off = (film.scratches(flat(0.5, 30, 64), draws(1)) - 0.5).abs().amax(dim=1) > 0.05
    rows, columns = off.any(dim=2).sum().item(), off.any(dim=1).sum().item()
    assert rows > 2 * columns
