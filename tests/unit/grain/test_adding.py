"""Grain over planes: as strong as asked, in luma alone, never out of range, the same again."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor

from ciaovideo.color import ColorSpec, Matrix, PixelLayout, Range, Siting
from ciaovideo.grain.adding import Grain
from ciaovideo.grain.measure import BANDS, GrainCurve
from ciaovideo.grain.octaves import OCTAVES

LR, OUT = (96, 96), (192, 192)
LIMITED, FULL = (
    ColorSpec(Matrix.BT709, kind, siting=Siting.LEFT) for kind in (Range.LIMITED, Range.FULL)
)
RGB = ColorSpec(Matrix.RGB, Range.FULL)
TIME = Fraction(7, 24)


def grain(pix_fmt: str, color: ColorSpec, sigma: float = 3.0, scale: int = 1) -> Grain:
    curve = GrainCurve(torch.full((BANDS, OCTAVES), sigma**2), torch.ones(BANDS))
    size = OUT[0] // scale, OUT[1] // scale
    made = Grain.of(curve, size, OUT, PixelLayout.of(pix_fmt), color)
    assert made is not None
    return made


def flat(pix_fmt: str, code: int) -> tuple[Tensor, ...]:
    layout = PixelLayout.of(pix_fmt)
    return tuple(
        torch.full(shape, code, dtype=torch.int32).to(layout.dtype)
        for shape in layout.plane_shapes(*OUT)
    )


@pytest.mark.parametrize(
    ("pix_fmt", "color", "code", "step"),
    [
        ("yuv420p", LIMITED, 120, 219 / 255),
        ("yuv422p10le", LIMITED, 480, 4 * 219 / 255),
        ("gray16le", FULL, 30000, 65535 / 255),
        ("gbrp", RGB, 120, 1.0),
        ("yuva444p", FULL, 120, 1.0),
    ],
)
def test_it_is_as_strong_as_asked_and_in_luma_alone(
    pix_fmt: str, color: ColorSpec, code: int, step: float
) -> None:
    before = flat(pix_fmt, code)
    after = grain(pix_fmt, color).added(before, TIME)
    changed = 3 if color is RGB else 1
    for index, (old, new) in enumerate(zip(before, after, strict=True)):
        assert new.dtype == old.dtype
        assert new.shape == old.shape
        if index >= changed:
            assert torch.equal(old, new)
        else:
            offset = new.double() - code
            assert float(offset.std()) == pytest.approx(3 * step, rel=0.05)
            assert abs(float(offset.mean())) < 0.2 * step
    assert all(torch.equal(after[0], plane) for plane in after[:changed])  # gray stays gray
    assert all(
        torch.equal(plane, flat(pix_fmt, code)[0][:1, :1].expand_as(plane)) for plane in before
    )


def test_black_and_white_and_beyond_stay() -> None:
    made = grain("yuv420p", LIMITED, 6.0)
    for code in (0, 10, 16, 235, 240, 255):
        assert torch.equal(made.added(flat("yuv420p", code), TIME)[0], flat("yuv420p", code)[0])
    for code in (17, 20, 30, 220, 230, 234):
        plane = made.added(flat("yuv420p", code), TIME)[0]
        assert plane.min() >= 16
        assert plane.max() <= 235
        assert abs(float(plane.double().mean()) - code) < 0.3  # so little is clamped


def test_the_same_time_gives_the_same_bits() -> None:
    plane = flat("yuv420p", 120)
    one, again = (grain("yuv420p", LIMITED).added(plane, TIME)[0] for _ in range(2))
    assert torch.equal(one, again)
    assert not torch.equal(one, grain("yuv420p", LIMITED).added(plane, TIME + 1)[0])


def test_nothing_lacking_is_nothing_added() -> None:
    nothing = GrainCurve(torch.zeros(BANDS, OCTAVES), torch.ones(BANDS))
    assert Grain.of(nothing, LR, OUT, PixelLayout.of("gray"), FULL) is None
    unknown = GrainCurve(torch.zeros(BANDS, OCTAVES), torch.zeros(BANDS))
    assert Grain.of(unknown, LR, OUT, PixelLayout.of("gray"), FULL) is None
