"""Colour conversion against zimg, against its own definition, and there and back."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ciaovideo.color import (
    ColorSpec,
    Matrix,
    PixelLayout,
    Range,
    Siting,
    convert,
    from_rgb,
    to_rgb,
)
from ciaovideo.color.coefficients import RED_BLUE
from ciaovideo.errors import ColorError
from tests.zimg import Zimg

TOLERANCE = 1e-5  # of R'G'B'; both sides compute in fp32, with the sums in another order
TIES = 0.005  # share of samples whose value lies so near a half that fp32 decides the code
SIZE = 80, 48  # three bands of rows where chroma is halved; zimg needs whole multiples of 4
LIMITED_709 = ColorSpec(Matrix.BT709, Range.LIMITED, siting=Siting.LEFT)
LAYOUTS = (
    "yuv420p",
    "yuv420p10le",
    "yuv420p16le",
    "yuv422p",
    "yuv422p12le",
    "yuv440p",
    "yuv444p",
    "yuv444p16le",
    "yuv411p",
    "yuv410p",
)


@pytest.fixture(scope="module")
def zimg() -> Zimg:
    return Zimg()


@pytest.fixture(autouse=True, scope="module")
def narrow_bands() -> Any:
    """Cut even the small pictures of these tests into several bands."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convert, "BAND_SAMPLES", 1)
        yield


def noise_planes(layout: PixelLayout, height: int, width: int, seed: int = 0) -> list[Tensor]:
    """One picture of every code there is, in no order."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randint(0, layout.peak + 1, (1, *shape), generator=generator).to(layout.dtype)
        for shape in layout.plane_shapes(height, width)
    ]


def noise_rgb(height: int, width: int, batch: int = 1) -> Tensor:
    """R'G'B' that leaves [0, 1] on both sides."""
    generator = torch.Generator().manual_seed(1)
    return torch.rand(batch, 3, height, width, generator=generator) * 1.4 - 0.2


def check_against_zimg(zimg: Zimg, layout: PixelLayout, spec: ColorSpec) -> None:
    planes = noise_planes(layout, *SIZE)
    theirs = zimg.to_rgb(planes, layout, spec)
    torch.testing.assert_close(to_rgb(planes, layout, spec), theirs, rtol=0, atol=TOLERANCE)
    rgb = noise_rgb(*SIZE)
    codes = zimg.from_rgb(rgb, layout, spec)
    for ours, expected in zip(from_rgb(rgb, layout, spec), codes, strict=True):
        off = (ours.int() - expected.int()).abs()
        assert off.max() <= 1
        assert off.float().mean() < TIES


@pytest.mark.vapoursynth
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
@pytest.mark.parametrize("color_range", [Range.LIMITED, Range.FULL])
@pytest.mark.parametrize("matrix", list(RED_BLUE), ids=lambda matrix: matrix.name)
def test_matrix_and_range_equal_zimg(
    zimg: Zimg, matrix: Matrix, color_range: Range, pix_fmt: str
) -> None:
    spec = ColorSpec(matrix, color_range, siting=Siting.LEFT)
    check_against_zimg(zimg, PixelLayout.of(pix_fmt), spec)


@pytest.mark.vapoursynth
@pytest.mark.parametrize("siting", list(Siting)[1:], ids=lambda siting: siting.name)
@pytest.mark.parametrize("pix_fmt", LAYOUTS)
def test_layout_and_siting_equal_zimg(zimg: Zimg, pix_fmt: str, siting: Siting) -> None:
    spec = replace(LIMITED_709, siting=siting)
    check_against_zimg(zimg, PixelLayout.of(pix_fmt), spec)


@given(
    pix_fmt=st.sampled_from((*LAYOUTS, "gray", "gray10le", "gray16le")),
    matrix=st.sampled_from([Matrix.BT709, Matrix.SMPTE170M, Matrix.BT2020_NCL]),
    color_range=st.sampled_from([Range.LIMITED, Range.FULL]),
    siting=st.sampled_from(list(Siting)[1:]),
    height=st.integers(1, 70),
    width=st.integers(1, 9),
    seed=st.integers(0, 999),
)
def test_luma_survives_there_and_back(
    pix_fmt: str,
    matrix: Matrix,
    color_range: Range,
    siting: Siting,
    height: int,
    width: int,
    seed: int,
) -> None:
    layout = PixelLayout.of(pix_fmt)
    spec = ColorSpec(matrix, color_range, siting=siting)
    planes = noise_planes(layout, height, width, seed)
    back = from_rgb(to_rgb(planes, layout, spec), layout, spec)
    exact = planes if layout.log2_chroma == (0, 0) else planes[:1]
    for before, after in zip(exact, back, strict=False):
        assert torch.equal(after.int(), before.int())


@pytest.mark.parametrize("siting", [Siting.LEFT, Siting.CENTER, Siting.BOTTOM])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv411p", "yuv410p", "yuv440p"])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5), (67, 13), (66, 7)])
def test_odd_sides_are_filled_up_with_the_last_line(
    pix_fmt: str, siting: Siting, height: int, width: int
) -> None:
    layout = PixelLayout.of(pix_fmt)
    spec = replace(LIMITED_709, siting=siting)
    log2_y, log2_x = layout.log2_chroma
    luma, *chroma = noise_planes(layout, height, width)
    rows = torch.arange(chroma[0].shape[1] << log2_y).clamp(max=height - 1)
    columns = torch.arange(chroma[0].shape[2] << log2_x).clamp(max=width - 1)

    filled = to_rgb([luma[:, rows][..., columns], *chroma], layout, spec)
    ours = to_rgb([luma, *chroma], layout, spec)
    torch.testing.assert_close(ours, filled[..., :height, :width], rtol=0, atol=1e-6)

    rgb = noise_rgb(height, width)
    codes = from_rgb(rgb, layout, spec)
    filled_codes = from_rgb(rgb[:, :, rows][..., columns], layout, spec)
    for plane, filled_plane in zip(codes, filled_codes, strict=True):
        kept = filled_plane[:, : plane.shape[1], : plane.shape[2]]
        torch.testing.assert_close(plane.int(), kept.int(), rtol=0, atol=1)


def test_bands_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    layout = PixelLayout.of("yuv420p10le")
    planes, rgb = noise_planes(layout, 131, 22), noise_rgb(131, 22)
    in_bands = to_rgb(planes, layout, LIMITED_709), from_rgb(rgb, layout, LIMITED_709)
    monkeypatch.setattr(convert, "BAND_SAMPLES", 1 << 30)
    whole = to_rgb(planes, layout, LIMITED_709), from_rgb(rgb, layout, LIMITED_709)
    torch.testing.assert_close(in_bands[0], whole[0], rtol=0, atol=1e-6)
    for banded, unbanded in zip(in_bands[1], whole[1], strict=True):
        torch.testing.assert_close(banded.int(), unbanded.int(), rtol=0, atol=1)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p10le", "gray", "gbrp"])
def test_batches_and_given_buffers(pix_fmt: str) -> None:
    layout = PixelLayout.of(pix_fmt)
    pictures = [noise_planes(layout, 34, 18, seed) for seed in range(2)]
    planes = [torch.cat(pair) for pair in zip(*pictures, strict=True)]
    buffer = torch.full((2, 3, 34, 18), torch.nan)
    rgb = to_rgb(planes, layout, LIMITED_709, out=buffer)
    assert rgb is buffer
    alone = torch.cat([to_rgb(picture, layout, LIMITED_709) for picture in pictures])
    torch.testing.assert_close(rgb, alone, rtol=0, atol=1e-6)

    buffers = [torch.empty_like(plane) for plane in planes]
    codes = from_rgb(rgb.half(), layout, LIMITED_709, out=buffers)
    assert all(plane is given for plane, given in zip(codes, buffers, strict=True))
    fresh = from_rgb(rgb.half().float(), layout, LIMITED_709)
    for plane, expected in zip(codes, fresh, strict=True):
        torch.testing.assert_close(plane.int(), expected.int(), rtol=0, atol=0)


@pytest.mark.gpu
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "gbrp16le", "gray"])
def test_cuda_equals_cpu(pix_fmt: str) -> None:
    layout = PixelLayout.of(pix_fmt)
    planes, rgb = noise_planes(layout, 67, 22), noise_rgb(67, 22)
    on_cuda = to_rgb([plane.cuda() for plane in planes], layout, LIMITED_709)
    on_cpu = to_rgb(planes, layout, LIMITED_709)
    torch.testing.assert_close(on_cuda.cpu(), on_cpu, rtol=0, atol=1e-6)
    codes = zip(
        from_rgb(rgb.cuda(), layout, LIMITED_709), from_rgb(rgb, layout, LIMITED_709), strict=True
    )
    for ours, expected in codes:
        torch.testing.assert_close(ours.cpu().int(), expected.int(), rtol=0, atol=1)


def test_gray_has_three_equal_channels_between_black_and_white() -> None:
    layout = PixelLayout.of("gray10le")
    codes = torch.tensor([[[0, 64, 502, 940, 1023]]]).to(torch.uint16)
    rgb = to_rgb([codes], layout, LIMITED_709)
    expected = torch.tensor([-64 / 876, 0, 0.5, 1, 959 / 876]).expand(1, 3, 1, 5)
    torch.testing.assert_close(rgb, expected, rtol=0, atol=1e-7)
    assert rgb[0, 0, 0, 1] == 0
    assert rgb[0, 0, 0, 3] == 1


def test_neutral_chroma_gives_exact_grays() -> None:
    layout = PixelLayout.of("yuv420p")
    planes = [torch.tensor([[[16, 235], [100, 7]]]), *[torch.tensor([[[128]]])] * 2]
    rgb = to_rgb([plane.to(torch.uint8) for plane in planes], layout, LIMITED_709)
    assert rgb[0, :, 0].tolist() == [[0.0, 1.0]] * 3
    assert torch.equal(rgb, rgb[:, :1].expand_as(rgb))


@pytest.mark.parametrize("color_range", [Range.LIMITED, Range.FULL])
@pytest.mark.parametrize("pix_fmt", ["gbrp", "gbrp10le", "gbrp16le"])
def test_planar_rgb_is_reordered_and_exact(pix_fmt: str, color_range: Range) -> None:
    layout = PixelLayout.of(pix_fmt)
    spec = ColorSpec(Matrix.RGB, color_range)
    planes = noise_planes(layout, 9, 7)
    rgb = to_rgb(planes, layout, spec)
    limited = color_range == Range.LIMITED
    unit = 1 << (layout.bit_depth - 8)
    zero, gain = (16 * unit, 219 * unit) if limited else (0, layout.peak)
    for plane, channel in zip(planes, (1, 2, 0), strict=True):
        expected = (plane.double() - zero) / gain
        torch.testing.assert_close(rgb[:, channel].double(), expected, rtol=0, atol=1e-6)
    for before, after in zip(planes, from_rgb(rgb, layout, spec), strict=True):
        assert torch.equal(after.int(), before.int())


def test_rgb_in_yuv_planes_is_taken_as_such() -> None:
    spec = ColorSpec(Matrix.RGB, Range.FULL)
    planes = noise_planes(PixelLayout.of("gbrp"), 5, 4)
    expected = to_rgb(planes, PixelLayout.of("gbrp"), spec)
    assert torch.equal(to_rgb(planes, PixelLayout.of("yuv444p"), spec), expected)
    with pytest.raises(ColorError, match="yuv420p"):
        to_rgb(noise_planes(PixelLayout.of("yuv420p"), 4, 4), PixelLayout.of("yuv420p"), spec)


def test_codes_are_clamped_to_the_depth_only() -> None:
    rgb = torch.tensor([-9.0, -0.05, 1.05, 9.0]).expand(1, 3, 1, 4)
    (luma,) = from_rgb(rgb, PixelLayout.of("gray"), LIMITED_709)
    assert luma[0, 0].tolist() == [0, 5, 246, 255]
