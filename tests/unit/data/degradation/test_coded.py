"""Coded patches: what is predicted, what is shared with the targets, and where draws come from."""

from typing import Any

import pytest
import torch
from torch import Tensor

from ciaovideo.data.degradation import coded, tape
from ciaovideo.data.degradation.coded import CLIP, CODEC_SHARES, CodedOptions, Coder
from ciaovideo.data.degradation.film import displaced
from ciaovideo.errors import OptionError

PATCH, SIDE = 16, 40
CODE = 1 / 255


def crops(count: int = 4) -> tuple[Tensor, Tensor]:
    """Soft grays, all of one side; colours would show what 4:2:0 does more than what codecs do."""
    coarse = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    coarse = coarse.expand(-1, 3, -1, -1)
    crop = torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bicubic").clamp(0, 1)
    return crop, torch.full((count,), SIDE)


def coder(share: float = 1.0, grain: float = 0.0, halo: float = 0.0) -> Coder:
    return Coder(CodedOptions(share=share, grain=grain, halo=halo), PATCH)


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def only(monkeypatch: pytest.MonkeyPatch, kind: str, *, best: bool = False) -> None:
    """One codec, at any of its qualities or at the best of them."""
    entries = [entry for entry in CODEC_SHARES if entry[0] == kind]
    if best:
        entries = [(name, share, (low, low + 1)) for name, share, (low, _) in entries]
    monkeypatch.setattr(coded, "CODEC_SHARES", entries)


def test_the_same_draws_from_the_same_state_and_none_from_elsewhere() -> None:
    before = torch.get_rng_state()
    first, second = generator(), generator()
    make = coder(grain=0.5, halo=0.5, share=0.7)
    made = [make(*crops(), first).lr for _ in range(4)]
    again = [make(*crops(), second).lr for _ in range(4)]
    assert all(torch.equal(one, other) for one, other in zip(made, again, strict=True))
    assert not torch.equal(made[0], made[1])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_patches_are_of_their_size_in_steps_of_a_code(share: float) -> None:
    crop, side = crops()
    made = coder(share=share)(crop, side, generator())
    assert made.lr.shape == (4, 3, PATCH, PATCH)
    codes = made.lr * 255
    torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-3)
    assert torch.equal(made.sharp, made.natural)  # no mask on the targets
    assert torch.equal(made.natural, crop)


def test_a_frame_that_is_not_the_first_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "h264")
    taken, now = set(), []

    def moving(picture: Tensor, velocity: Tensor, frames: int, at: int) -> Tensor:
        now.append(at)
        return torch.stack([torch.full_like(picture, time / 10) for time in range(frames)], dim=1)

    def recompressed(clip: Tensor, kind: str, quality: int, *, corner: tuple[int, int]) -> Tensor:
        assert clip.shape[1] == CLIP
        assert 17 <= quality < 35
        return clip

    monkeypatch.setattr(tape, "moving", moving)
    monkeypatch.setattr(tape, "recompressed", recompressed)
    for seed in range(12):
        made = coder()(*crops(), generator(seed))
        assert made.lr.mean().item() == pytest.approx(now[-1] / 10, abs=CODE)
        taken.add(now[-1])
    assert taken == {1, 2, 3}


@pytest.mark.parametrize("kind", [name for name, _, _ in CODEC_SHARES])
def test_a_codec_changes_patches_a_little(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, kind)
    options: dict[str, Any] = {"between": (1.0, 1.0), "blur_sigma": (0.01, 0.011)}
    crop, side = crops()
    made = Coder(CodedOptions(share=1.0, grain=0.0, halo=0.0, **options), PATCH)
    plain = Coder(CodedOptions(share=0.0, grain=0.0, **options), PATCH)
    wrong = made(crop, side, generator()).lr - plain(crop, side, generator()).lr
    assert CODE / 4 < wrong.abs().mean() < 0.05  # seen, and not another picture


@pytest.mark.parametrize("kind", [name for name, _, _ in CODEC_SHARES])
def test_a_twin_shows_the_same_a_little_further(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, kind, best=True)
    crop, side = crops()
    options: dict[str, Any] = {"share": 1.0, "grain": 0.0, "halo": 0.0, "resized": 0.0}
    made = Coder(CodedOptions(**options, twins=1.0), PATCH)(crop, side, generator())
    assert made.twin is not None
    assert 0 < max(map(abs, made.shift)) < 1
    moved = displaced(made.lr, torch.tensor(made.shift).expand(len(crop), 2))
    inner = (..., slice(2, -2), slice(2, -2))
    right, wrong = (
        (made.twin - other)[inner].abs().mean()
        for other in (moved, displaced(moved, -2 * torch.tensor(made.shift).expand(len(crop), 2)))
    )
    assert right < 0.03  # what the codec does to each
    assert right < wrong
    assert Coder(CodedOptions(**options), PATCH)(crop, side, generator()).twin is None


def test_grain_lies_on_patches_and_targets_alike() -> None:
    crop, side = torch.full((4, 3, SIDE, SIDE), 0.5), torch.full((4,), SIDE)
    options = CodedOptions(share=0.0, grain=1.0, grain_sigma=(6.0, 6.001))
    made = Coder(options, PATCH)(crop, side, generator())
    deviation = (made.lr - 0.5).std()
    assert deviation == pytest.approx(6 * CODE, rel=0.1)
    small = torch.nn.functional.interpolate(
        made.natural, (PATCH, PATCH), mode="bicubic", antialias=True, align_corners=False
    )
    agreement = torch.corrcoef(torch.stack([small.flatten(), made.lr.flatten()]))[0, 1]
    assert agreement > 0.9  # reduced again, the targets' grain is the patches'


def test_sides_below_the_canvas_are_respected() -> None:
    crop, _ = crops()
    side = torch.tensor([16, 20, 33, 40])
    canvas = crop.clone()
    for picture, own in zip(canvas, side.tolist(), strict=True):
        picture[:, own:] = 1.0  # not of the picture
        picture[:, :, own:] = 1.0
    made = Coder(CodedOptions(grain=0.0), PATCH)(canvas, side, generator())
    clean = Coder(CodedOptions(grain=0.0), PATCH)(crop, side, generator())
    assert torch.equal(made.lr, clean.lr)


def test_halos_overshoot(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "jpeg")
    monkeypatch.setattr(coded, "jpeg", lambda lr, *_, **__: lr)  # whose ringing overshoots, too
    crop = torch.full((4, 3, SIDE, SIDE), 0.3)
    crop[..., SIDE // 2 :] = 0.7
    side = torch.full((4,), SIDE)
    ranges = []
    for make in (coder(halo=0.0), coder(halo=1.0)):
        lr = make(crop, side, generator()).lr
        ranges.append((lr.max() - lr.min()).item())
    assert ranges[1] > ranges[0] + 0.02


@pytest.mark.parametrize(
    ("options", "told"),
    [({"halo": 1.5}, "halo 1.5"), ({"between": (2.0, 1.0)}, "between")],
)
def test_numbers_that_cannot_be_meant_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(OptionError, match=told):
        CodedOptions(**options)
