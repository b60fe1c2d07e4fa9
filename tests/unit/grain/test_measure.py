"""Known noise is found again; flat, still and moving pictures have none."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from ciaovideo.color import ColorSpec, Matrix, PixelLayout, Range, Siting
from ciaovideo.grain import measure
from ciaovideo.grain.measure import BANDS, GrainCurve, GrainSample, luma_steps
from ciaovideo.grain.octaves import block_energies, variance

SIZE = (256, 320)  # 320 blocks
PAIRS = 4
WITHIN = 0.08  # of a standard deviation: what the quiet quarter of 60 blocks a band leaves open


def noise(seed: int, correlation: float = 0.0, size: tuple[int, int] = SIZE) -> Tensor:
    """Noise of variance 1 whose neighbours correlate like that, along both axes."""
    field = torch.randn(size[0] + 32, size[1] + 32, generator=torch.Generator().manual_seed(seed))
    for dim in (0, 1):
        lines = list(field.unbind(dim))
        for i in range(1, len(lines)):
            fresh = (1 - correlation**2) ** 0.5
            lines[i] = correlation * lines[i - 1] + fresh * lines[i]
        field = torch.stack(lines, dim)
    return field[32:, 32:]


def still() -> Tensor:
    """A picture with a slope and some texture, which does not move."""
    y, x = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    texture = 20 * torch.randn(SIZE, generator=torch.Generator().manual_seed(99)) * (x > 200)
    return 60 + 100 * x / SIZE[1] + 10 * y / SIZE[0] + texture


def seen(frames: list[Tensor], step: float = 1.0) -> GrainCurve:
    sample = GrainSample(step)
    for before, after in pairwise(frames):
        sample.add(before, after)
    return sample.curve()


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.7])
def test_noise_over_a_still_picture_is_found(correlation: float) -> None:
    fields = [noise(seed, correlation) for seed in range(PAIRS + 1)]
    curve = seen([(still() + 3 * field).round() for field in fields])
    true = 9 * block_energies(torch.stack(fields).flatten(0, 1)).mean(dim=0)
    assert curve.sigma == pytest.approx(float(variance(true).sqrt()), rel=WITHIN)
    ratio = (curve.mean / true).sqrt()
    assert ratio.sub(1).abs().max() < 0.2, ratio  # the coarsest octave has 9 numbers a block


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.7, 0.85])
def test_what_is_found_is_right_in_the_mean(correlation: float) -> None:
    """The quietest blocks of noise are quieter than it is, by more, the coarser its grain."""
    fields = [noise(seed, correlation, (480, 640)) for seed in range(9)]
    curve = seen([(112 + 3 * field).round() for field in fields])
    differences = [(after - before) * (3 / 2**0.5) for before, after in pairwise(fields)]
    true = block_energies(torch.cat(differences)).mean(dim=0)
    assert curve.sigma == pytest.approx(float(variance(true).sqrt()), rel=0.025)


def test_grain_is_told_by_luma() -> None:
    dark, bright = torch.full(SIZE, 48.0), torch.full(SIZE, 208.0)
    fields = [noise(seed) for seed in range(PAIRS + 1)]
    base, amount = torch.cat([dark, bright]), torch.cat([dark * 0 + 1, bright * 0 + 4])
    curve = seen([(base + torch.cat([field, field]) * amount).round() for field in fields])
    by_band = variance(curve.energies).sqrt()
    assert by_band[48 * BANDS // 256] == pytest.approx(1, rel=WITHIN)
    assert by_band[208 * BANDS // 256] == pytest.approx(4, rel=WITHIN)
    assert 1 < by_band[4] < 4  # between them, where nothing is known


def test_ten_bits_are_measured_below_the_step_of_eight() -> None:
    codes = [(still() * 4 + noise(seed)).round() / 4 for seed in range(PAIRS + 1)]
    assert seen(codes, 0.25).sigma == pytest.approx(0.25, rel=WITHIN)


def test_what_does_not_change_is_no_grain() -> None:
    picture = (still() + 5 * noise(0)).round()
    assert seen([picture] * 3).sigma == 0
    assert seen([picture, picture + 1, picture]).sigma == 0  # flicker has no detail


def test_rounding_is_no_grain() -> None:
    slow = [(still() + 0.1 * i).round() for i in range(PAIRS + 1)]  # steps wander along a slope
    assert seen(slow).sigma == 0


def test_detail_that_moves_is_no_grain() -> None:
    amount = (
        30 * (torch.arange(SIZE[1]) % 160) / 160
    )  # texture of every strength, as pictures have it
    texture = torch.randn(SIZE[0], SIZE[1], generator=torch.Generator().manual_seed(1))
    pan = [(128 + amount * texture).roll(3 * i, 1) for i in range(PAIRS + 1)]
    assert seen(pan).sigma == 0


def test_even_texture_that_pans_is_no_grain() -> None:
    """Laid over each other, frames of it are alike; grain over a wall beside it is not."""
    texture = 8 * noise(1, 0.5)
    pan = [112 + texture.roll((i, 3 * i), (0, 1)) for i in range(PAIRS + 1)]
    assert seen([frame.round() for frame in pan]).sigma == 0
    walls = [torch.full(SIZE, 208.0) + 2 * noise(seed) for seed in range(PAIRS + 1)]
    curve = seen([torch.cat(both).round() for both in zip(pan, walls, strict=True)])
    assert curve.weight[112 * BANDS // 256] == 0
    assert curve.sigma == pytest.approx(2, rel=WITHIN)


def test_grain_over_texture_that_pans_is_grain_as_far_as_it_is_stronger() -> None:
    texture = 1 * noise(1, 0.5)
    frames = [
        112 + texture.roll(3 * i, 1) + 4 * noise(seed)
        for i, seed in enumerate(range(10, 10 + PAIRS + 1))
    ]
    assert seen([frame.round() for frame in frames]).sigma == pytest.approx(4, rel=WITHIN)


def test_large_frames_are_looked_at_in_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [(112 + 3 * noise(seed)).round() for seed in range(PAIRS + 1)]
    monkeypatch.setattr(measure, "MOST_SAMPLES", SIZE[0] * SIZE[1] // 3)
    assert seen(frames).sigma == pytest.approx(3, rel=WITHIN)


def test_what_a_coder_drops_in_places_is_no_grain() -> None:
    """Noise that a quantiser left in some blocks of 16 px, by chance, and took from others."""
    random = torch.Generator().manual_seed(5)
    frames = []
    for seed in range(PAIRS + 1):
        left = torch.rand(SIZE[0] // 16, SIZE[1] // 16, generator=random) < 0.4
        frames.append(
            still() + 4 * noise(seed) * left.repeat_interleave(16, 0).repeat_interleave(16, 1)
        )
    assert seen(frames).sigma == 0


def test_steps_between_blocks_of_a_codec_have_no_energy() -> None:
    steps = torch.randn(SIZE[0] // 8, SIZE[1] // 8, generator=torch.Generator().manual_seed(2))
    assert block_energies(steps.repeat_interleave(8, 0).repeat_interleave(8, 1)).max() == 0


def test_luma_is_the_same_in_every_layout() -> None:
    """Black, mid-gray and white in limited and full range, 8 and 10 bits, and as R'G'B'."""
    for name, codes, color_range, matrix in (
        ("yuv420p", (16, 125.5, 235), Range.LIMITED, Matrix.BT709),
        ("yuv420p10le", (64, 502, 940), Range.LIMITED, Matrix.BT709),
        ("gray", (0, 127.5, 255), Range.FULL, Matrix.BT709),
        ("gbrp", (0, 127.5, 255), Range.FULL, Matrix.RGB),
    ):
        layout = PixelLayout.of(name)
        planes = tuple(torch.tensor([codes]) for _ in layout.plane_shapes(1, 3))
        made = luma_steps(planes, layout, ColorSpec(matrix, color_range, siting=Siting.LEFT))
        assert made[0].tolist() == pytest.approx([0, 127.5, 255], abs=1e-3), name
