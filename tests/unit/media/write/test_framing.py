"""Black around pictures: where it begins, its codes in each layout, and what is refused."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ciaovideo.color import ColorSpec, Matrix, PixelLayout, Range, Siting, to_rgb
from ciaovideo.errors import OptionError
from ciaovideo.media.frame import Frame
from ciaovideo.media.margins import NO_MARGINS, Margins
from ciaovideo.media.write.framing import Padder, margins_around

LAYOUTS = ("yuv420p", "yuv422p10le", "yuv444p12le", "yuv411p", "yuv410p", "gray", "gbrp16le")


@given(
    layout=st.sampled_from(LAYOUTS),
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    more=st.tuples(st.integers(0, 50), st.integers(0, 50)),
    fields=st.booleans(),
)
def test_the_picture_is_in_the_middle_as_far_as_chroma_lets_it(
    layout: str, height: int, width: int, more: tuple[int, int], fields: bool
) -> None:
    kind = PixelLayout.of(layout)
    rows, columns = (1 << log2 for log2 in kind.log2_chroma)
    height, width = height * rows, width * columns
    full = height + more[0], width + more[1]
    pad = margins_around((height, width), full, kind, fields=fields)
    assert pad.inner(*full) == (height, width)
    assert pad.outer(height, width) == full
    rows *= 2 if fields else 1
    assert pad.top % rows == pad.left % columns == 0
    assert 0 <= pad.bottom - pad.top < 2 * rows + 1
    assert 0 <= pad.right - pad.left < 2 * columns + 1


def test_half_a_chroma_sample_is_refused_only_where_black_is_beside_it() -> None:
    kind = PixelLayout.of("yuv420p")
    with pytest.raises(OptionError, match="chroma sample"):
        margins_around((48, 63), (48, 100), kind)
    assert margins_around((47, 64), (47, 100), kind) == Margins(0, 0, 18, 18)
    assert margins_around((47, 63), (48, 100), PixelLayout.of("gbrp")) == Margins(0, 1, 18, 19)


@pytest.mark.parametrize("color_range", [Range.LIMITED, Range.FULL])
@pytest.mark.parametrize("layout", [*LAYOUTS, "yuva420p10le", "gbrap", "ya8"])
def test_black_is_black_by_the_matrix_and_range(layout: str, color_range: Range) -> None:
    kind = PixelLayout.of(layout)
    matrix = Matrix.RGB if kind.family == "rgb" else Matrix.BT709
    color = ColorSpec(matrix, color_range, siting=Siting.LEFT)
    size, pad = (8, 16), Margins(4, 8, 8, 12)
    inner = tuple(
        torch.full(shape, kind.peak // 2, dtype=torch.int32).to(kind.dtype)
        for shape in kind.plane_shapes(*size)
    )
    padder = Padder(pad, size, kind, color)
    for _ in range(2):
        frame = padder.padded(Frame(inner, 3, Fraction(1, 24)))
    assert frame.pts == 3
    assert [tuple(p.shape) for p in frame.planes] == list(kind.plane_shapes(*pad.outer(*size)))
    planes = frame.planes
    if kind.alpha:
        assert (planes[-1].to(torch.int32)[:4] == kind.peak).all()
        planes = planes[:-1]
    rgb = to_rgb([plane[None] for plane in planes], kind.opaque, color)[0]
    outside = torch.ones(pad.outer(*size), dtype=torch.bool)
    outside[pad.top : -pad.bottom, pad.left : -pad.right] = False
    far = outside.clone()  # the filter of chroma reaches over the edge
    reach = 4
    far[pad.top - reach : -pad.bottom + reach, pad.left - reach : -pad.right + reach] = False
    assert rgb[:, far].abs().max() == 0
    for index, (plane, given_plane) in enumerate(zip(frame.planes, inner, strict=True)):
        rows, columns = kind.plane_log2(index)
        top, left = pad.top >> rows, pad.left >> columns
        height, width = given_plane.shape
        assert torch.equal(plane[top : top + height, left : left + width], given_plane)


def test_without_padding_a_frame_is_the_same() -> None:
    frame = Frame((torch.zeros(2, 2, dtype=torch.uint8),), 0, Fraction(1, 24))
    layout = PixelLayout.of("gray")
    color = ColorSpec(Matrix.BT709, Range.FULL)
    assert Padder(NO_MARGINS, (2, 2), layout, color).padded(frame) is frame
