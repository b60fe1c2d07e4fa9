"""Ordered dither: the same everywhere, keeps means, hides bands, stays in place."""

import hashlib
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ciaovideo.color import ColorSpec, Dither, Matrix, PixelLayout, Range, Siting, from_rgb
from ciaovideo.color.dither import COUNT, SIDE, dither_matrix

LIMITED = ColorSpec(matrix=Matrix.BT709, color_range=Range.LIMITED, siting=Siting.LEFT)
FULL = replace(LIMITED, color_range=Range.FULL)
ORDERED = Dither()
MADE = "09e6eb4b92603924efe2d28ec2b175a5897b5c0e83f4ea624674d6289bae02a4"


def gray(values: Tensor, name: str, dither: Dither | None = ORDERED) -> Tensor:
    """Codes (H, W) of a gray picture (H, W) in [0, 1], full range, as floats."""
    rgb = values.expand(1, 3, *values.shape)
    (plane,) = from_rgb(rgb, PixelLayout.of(name), FULL, dither=dither)
    return plane[0].double()


def test_the_matrix_is_the_same_on_every_machine() -> None:
    ranks = ((dither_matrix().double() + 0.5) * COUNT - 0.5).flatten()
    assert torch.equal(ranks.sort().values, torch.arange(COUNT).double())
    text = ranks.to(torch.int32).numpy().astype("<i4").tobytes()
    assert hashlib.sha256(text).hexdigest() == MADE


def test_the_matrix_has_no_slow_waves() -> None:
    """Blue noise: of white noise's power below a quarter of the highest frequency, hardly any."""
    power = torch.fft.fft2(dither_matrix().double()).abs().square()
    far = torch.fft.fftfreq(SIDE).square()
    radius = (far[:, None] + far).sqrt()
    assert power[radius < 0.125].mean() < 0.002 * power.mean()  # found: 0.0003
    # Nothing stands out either: no direction in which an eye would see lines.
    ring = power[(radius > 0.25) & (radius < 0.5)]
    assert ring.max() < 20 * ring.mean()  # found: 13


@pytest.mark.parametrize("name", ["gray", "gray10le", "gray12le"])
@pytest.mark.parametrize("part", [0.0, 1 / 3, 0.4999, 0.71, 0.99])
def test_a_constant_keeps_its_mean(name: str, part: float) -> None:
    peak = PixelLayout.of(name).peak
    value = (peak // 3 + part) / peak
    codes = gray(torch.full((SIDE, SIDE), value), name)
    assert abs(codes.mean().item() - value * peak) < 1 / 256
    assert codes.max() - codes.min() <= 1


@pytest.mark.parametrize("name", ["yuv420p", "yuv444p10le", "gbrp12le"])
def test_colours_keep_their_mean_in_every_plane(name: str) -> None:
    layout = PixelLayout.of(name)
    spec = LIMITED if layout.family == "yuv" else ColorSpec(Matrix.RGB, Range.FULL)
    rgb = torch.tensor([0.31, 0.62, 0.17]).view(1, 3, 1, 1).expand(1, 3, 2 * SIDE, 2 * SIDE)
    exact = from_rgb(rgb[..., :1, :1], PixelLayout.of(layout.name.replace("420", "444")), spec)
    for plane, nearest in zip(from_rgb(rgb, layout, spec, dither=Dither()), exact, strict=True):
        assert abs(plane.double().mean().item() - nearest.double().item()) < 0.5
        assert len(plane.unique()) == 2


def test_whole_codes_stay() -> None:
    ramp = (torch.arange(256) / 255).expand(SIDE, 256)
    assert torch.equal(gray(ramp, "gray"), gray(ramp, "gray", None))


def test_codes_stay_in_range() -> None:
    beyond = torch.tensor([-0.3, -1e-4, 1.0001, 1.4]).repeat_interleave(SIDE).expand(SIDE, -1)
    codes = gray(beyond, "gray10le")
    assert set(codes.unique().tolist()) <= {0.0, 1.0, 1022.0, 1023.0}
    assert codes[:, :SIDE].eq(0).all()
    assert codes[:, -SIDE:].eq(1023).all()


def test_a_gradient_has_no_bands() -> None:
    """Three codes over 768 columns: means of 16 columns follow it, where rounding steps."""
    ramp = torch.linspace(100 / 255, 103 / 255, 768).expand(64, 768)
    exact = ramp[0].double() * 255

    def error(codes: Tensor) -> float:
        off = (codes.mean(dim=0) - exact).view(-1, 16).mean(dim=1)
        return off.abs().max().item()

    assert error(gray(ramp, "gray", None)) > 0.4
    assert error(gray(ramp, "gray")) < 0.05


def test_grays_stay_gray() -> None:
    layout, spec = PixelLayout.of("gbrp"), ColorSpec(Matrix.RGB, Range.FULL)
    rgb = torch.rand(1, 1, 40, 50).expand(1, 3, 40, 50)
    green, blue, red = from_rgb(rgb, layout, spec, dither=Dither())
    assert torch.equal(green, blue)
    assert torch.equal(green, red)


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10le", "yuv410p", "gbrp"])
def test_the_pattern_is_fixed_to_the_frame(name: str) -> None:
    """A part of a frame gets what the whole frame would have there."""
    layout = PixelLayout.of(name)
    spec = LIMITED if layout.family == "yuv" else ColorSpec(Matrix.RGB, Range.FULL)
    rgb = torch.full((1, 3, 96, 160), 0.4321)
    whole = from_rgb(rgb, layout, spec, dither=Dither())
    part = from_rgb(rgb[..., 12:76, 20:150], layout, spec, dither=Dither((12, 20)))
    for index, (of_whole, of_part) in enumerate(zip(whole, part, strict=True)):
        y, x = layout.plane_log2(index)
        height, width = of_part.shape[1:]
        assert torch.equal(
            of_part[0], of_whole[0, 12 >> y : (12 >> y) + height, 20 >> x : (20 >> x) + width]
        )


def test_bands_of_rows_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    layout, rgb = PixelLayout.of("yuv420p"), torch.rand(1, 3, 100, 70)
    whole = from_rgb(rgb, layout, LIMITED, dither=Dither())
    monkeypatch.setattr("ciaovideo.color.convert.BAND_SAMPLES", 1)
    for one, other in zip(whole, from_rgb(rgb, layout, LIMITED, dither=Dither()), strict=True):
        assert torch.equal(one, other)
