"""Colour tags and pixel layouts by name: what is known, guessed and refused."""

import pickle
from dataclasses import replace

import pytest
import torch

from ciaovideo.color import (
    ColorSpec,
    Matrix,
    PixelLayout,
    Primaries,
    Range,
    Siting,
    Transfer,
    from_rgb,
    to_rgb,
)
from ciaovideo.errors import ColorError
from ciaovideo.findings import Kind
from tests.found import by_kind

YUV420 = PixelLayout.of("yuv420p")
LIMITED_709 = ColorSpec(Matrix.BT709, Range.LIMITED, siting=Siting.LEFT)


@pytest.mark.parametrize(
    ("pix_fmt", "family", "bit_depth", "log2_chroma"),
    [
        ("yuv420p", "yuv", 8, (1, 1)),
        ("yuvj420p", "yuv", 8, (1, 1)),
        ("yuv420p10le", "yuv", 10, (1, 1)),
        ("yuv422p", "yuv", 8, (0, 1)),
        ("yuv440p12le", "yuv", 12, (1, 0)),
        ("yuv444p9le", "yuv", 9, (0, 0)),
        ("yuv444p16le", "yuv", 16, (0, 0)),
        ("yuv410p", "yuv", 8, (2, 2)),
        ("yuv411p", "yuv", 8, (0, 2)),
        ("gray", "gray", 8, (0, 0)),
        ("gray16le", "gray", 16, (0, 0)),
        ("gbrp", "rgb", 8, (0, 0)),
        ("gbrp14le", "rgb", 14, (0, 0)),
        ("yuva422p12le", "yuv", 12, (0, 1)),
        ("gbrap", "rgb", 8, (0, 0)),
        ("ya16le", "gray", 16, (0, 0)),
    ],
)
def test_names_are_understood(
    pix_fmt: str, family: str, bit_depth: int, log2_chroma: tuple[int, int]
) -> None:
    layout = PixelLayout.of(pix_fmt)
    assert (layout.name, layout.family, layout.bit_depth) == (pix_fmt, family, bit_depth)
    assert layout.log2_chroma == log2_chroma
    assert layout.even_sides == (log2_chroma[0] > 0, log2_chroma[1] > 0)
    assert layout.dtype == (torch.uint8 if bit_depth == 8 else torch.uint16)
    assert layout.full_range_name == pix_fmt.startswith("yuvj")


@pytest.mark.parametrize(
    ("pix_fmt", "obstacle"),
    [
        ("rgba", "packed"),
        ("ya16be", "big-endian"),
        ("yuva420p11le", "packed"),
        ("gbrpf32le", "floating-point"),
        ("yuv420p10be", "big-endian"),
        ("nv12", "semi-planar"),
        ("p010le", "semi-planar"),
        ("rgb24", "packed"),
        ("yuv420p8le", "packed"),
        ("yuvj420p10le", "packed"),
        ("yuv433p", "packed"),
        ("gray10", "packed"),
    ],
)
def test_other_formats_are_refused_with_the_reason(pix_fmt: str, obstacle: str) -> None:
    with pytest.raises(ColorError, match=f"'{pix_fmt}' .*{obstacle}"):
        PixelLayout.of(pix_fmt)


@pytest.mark.parametrize(
    ("pix_fmt", "opaque"),
    [
        ("yuva420p", "yuv420p"),
        ("yuva444p12le", "yuv444p12le"),
        ("gbrap", "gbrp"),
        ("gbrap10le", "gbrp10le"),
        ("ya8", "gray"),
        ("ya16le", "gray16le"),
    ],
)
def test_alpha_is_one_plane_more_of_full_size(pix_fmt: str, opaque: str) -> None:
    layout = PixelLayout.of(pix_fmt)
    assert layout.alpha
    assert layout.opaque == PixelLayout.of(opaque) == PixelLayout.of(opaque).opaque
    assert layout.plane_shapes(5, 7) == (*layout.opaque.plane_shapes(5, 7), (5, 7))
    planes = [torch.zeros(1, *shape, dtype=layout.dtype) for shape in layout.plane_shapes(4, 4)]
    with pytest.raises(ColorError, match="opacity"):
        to_rgb(planes, layout, LIMITED_709)


def test_chroma_sides_are_rounded_up() -> None:
    assert YUV420.plane_shapes(5, 7) == ((5, 7), (3, 4), (3, 4))
    assert PixelLayout.of("yuv410p").plane_shapes(5, 9) == ((5, 9), (2, 3), (2, 3))
    assert PixelLayout.of("yuv422p").plane_shapes(5, 7) == ((5, 7), (5, 4), (5, 4))
    assert PixelLayout.of("gray").plane_shapes(5, 7) == ((5, 7),)


@pytest.mark.parametrize(
    ("height", "width", "matrix"),
    [
        (480, 720, Matrix.SMPTE170M),
        (576, 720, Matrix.BT470BG),
        (577, 720, Matrix.BT709),
        (480, 1280, Matrix.BT709),
        (576, 1280, Matrix.BT709),
    ],
)
def test_matrix_is_guessed_by_size(height: int, width: int, matrix: Matrix) -> None:
    spec, guesses = ColorSpec().resolved(height, width, YUV420)
    assert spec == ColorSpec(matrix, Range.LIMITED, siting=Siting.LEFT)
    assert [guess.kind for guess in guesses] == [Kind.GUESSED] * 3
    assert matrix.name in guesses[0].text


@pytest.mark.parametrize(
    ("codec", "guessed"),
    [
        ("h264", ("matrix",)),
        ("hevc", ("matrix",)),
        ("mpeg2video", ("matrix",)),
        ("prores", ("matrix",)),
        ("vvc", ("matrix", "siting")),
        ("dnxhd", ("matrix", "range")),
        ("av1", ("matrix", "range", "siting")),
        ("vp9", ("matrix", "range", "siting")),
        ("ffv1", ("matrix", "range", "siting")),
    ],
)
def test_what_a_standard_says_of_silence_is_no_guess(codec: str, guessed: tuple[str, ...]) -> None:
    spec, guesses = ColorSpec().resolved(480, 640, YUV420, codec)
    assert spec == ColorSpec(Matrix.SMPTE170M, Range.LIMITED, siting=Siting.LEFT)
    assert [guess.subject.split()[-1] for guess in guesses] == list(guessed)


def test_what_a_standard_says_of_silence_gives_way_to_tags_and_layout() -> None:
    tags = ColorSpec(Matrix.BT709, Range.FULL, siting=Siting.TOPLEFT)
    assert tags.resolved(480, 640, YUV420, "h264") == (tags, ())
    full = ColorSpec(Matrix.BT709).resolved(480, 640, PixelLayout.of("yuvj420p"), "h264")[0]
    assert full.color_range == Range.FULL
    spec, guesses = ColorSpec().resolved(480, 640, PixelLayout.of("gbrp"), "h264")
    assert (spec.color_range, len(guesses)) == (Range.FULL, 1)


def test_primaries_tell_the_matrix_before_size_does() -> None:
    spec, guesses = ColorSpec(primaries=Primaries.BT2020).resolved(480, 640, YUV420)
    assert spec.matrix == Matrix.BT2020_NCL
    assert "primaries" in guesses[0].text


def test_complete_tags_stay_as_they_are() -> None:
    spec = ColorSpec(Matrix.YCGCO, Range.FULL, Primaries(0), Transfer.ARIB_STD_B67, Siting.TOPLEFT)
    assert spec.resolved(480, 640, YUV420) == (spec, ())


def test_range_comes_from_the_layout_where_it_is_part_of_it() -> None:
    tagged = ColorSpec(Matrix.BT709, siting=Siting.CENTER)
    spec, guesses = tagged.resolved(480, 640, PixelLayout.of("yuvj420p"))
    assert (spec.color_range, guesses) == (Range.FULL, ())
    wrong = ColorSpec(Matrix.BT709, Range.LIMITED, siting=Siting.CENTER)
    spec, guesses = wrong.resolved(480, 640, PixelLayout.of("yuvj420p"))
    assert spec.color_range == Range.FULL
    assert by_kind(guesses) == [(Kind.GUESSED, "color range")]


def test_rgb_needs_range_only() -> None:
    spec, guesses = ColorSpec(Matrix.BT709).resolved(1080, 1920, PixelLayout.of("gbrp"))
    assert spec == ColorSpec(Matrix.RGB, Range.FULL)
    assert len(guesses) == 1


def test_gray_tagged_as_rgb_gets_luma_weights() -> None:
    spec, _ = ColorSpec(Matrix.RGB, Range.FULL).resolved(480, 640, PixelLayout.of("gray"))
    assert spec == ColorSpec(Matrix.SMPTE170M, Range.FULL)


def test_numbers_without_a_name_are_carried() -> None:
    spec = ColorSpec(primaries=Primaries(200), transfer=Transfer(0))
    assert spec.primaries == 200
    assert spec.primaries.name == "UNKNOWN_200"
    assert spec.resolved(480, 640, YUV420)[0].transfer == 0
    assert pickle.loads(pickle.dumps(spec)) == spec
    with pytest.raises(ValueError, match="not a valid Matrix"):
        Matrix(0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (ColorSpec(), "matrix is unspecified"),
        (replace(LIMITED_709, matrix=Matrix.ICTCP), "ICTCP .number 14.*convert"),
        (replace(LIMITED_709, matrix=Matrix.BT2020_CL), "BT2020_CL"),
        (replace(LIMITED_709, matrix=Matrix(77)), "UNKNOWN_77"),
        (replace(LIMITED_709, color_range=Range.UNSPECIFIED), "range is unspecified"),
        (replace(LIMITED_709, color_range=Range(9)), "range UNKNOWN_9"),
        (replace(LIMITED_709, siting=Siting.UNSPECIFIED), "siting is unspecified"),
        (replace(LIMITED_709, siting=Siting(8)), "siting UNKNOWN_8"),
    ],
)
def test_tags_that_cannot_be_used_are_named(spec: ColorSpec, message: str) -> None:
    planes = [torch.zeros(1, *shape, dtype=torch.uint8) for shape in YUV420.plane_shapes(4, 4)]
    with pytest.raises(ColorError, match=message):
        to_rgb(planes, YUV420, spec)
    with pytest.raises(ColorError, match=message):
        from_rgb(torch.zeros(1, 3, 4, 4), YUV420, spec)


def test_planes_that_make_no_picture_are_refused() -> None:
    luma, chroma = (torch.zeros(1, *shape, dtype=torch.uint8) for shape in ((4, 8), (3, 4)))
    with pytest.raises(ColorError, match="yuv420p"):
        to_rgb([luma, chroma, chroma], YUV420, LIMITED_709)
    with pytest.raises(ColorError, match="yuv420p"):
        from_rgb(torch.zeros(1, 3, 4, 8), YUV420, LIMITED_709, out=[luma])
