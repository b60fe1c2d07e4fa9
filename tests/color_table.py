"""What conversion to R'G'B' and back costs, ours beside that of zimg and swscale, as a table.

``python -m tests.color_table`` prints it; it needs VapourSynth. Nothing is enlarged: planes go to
R'G'B' and back, and the table has the mean and the largest difference in codes, of luma and of the
worse of the two chroma planes. Two pictures: the street of ``tests.media``, and patches of random
legal codes, most of which no R'G'B' in [0, 1] can hold. zimg goes through floats with its own
default, Bicubic; swscale as ``VideoFrame.reformat`` is mostly called, through rgb24, or rgb48
above 8 bits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import cast

import av
import torch
from torch import Tensor

from ciaovideo.color import ColorSpec, Matrix, PixelLayout, Range, Siting, from_rgb, to_rgb
from ciaovideo.media.layouts import samples_of
from tests.street import scene
from tests.zimg import Zimg

HEIGHT, WIDTH = 144, 192
PATCH = 12
CASES = (
    ("yuv420p", Matrix.BT709, Range.LIMITED, Siting.LEFT),
    ("yuv420p", Matrix.SMPTE170M, Range.LIMITED, Siting.LEFT),
    ("yuv420p", Matrix.BT709, Range.FULL, Siting.LEFT),
    ("yuv420p", Matrix.BT709, Range.LIMITED, Siting.CENTER),
    ("yuv420p", Matrix.BT470BG, Range.LIMITED, Siting.TOPLEFT),
    ("yuv420p10le", Matrix.BT2020_NCL, Range.LIMITED, Siting.TOPLEFT),
    ("yuv420p16le", Matrix.BT709, Range.LIMITED, Siting.LEFT),
    ("yuv411p", Matrix.SMPTE170M, Range.LIMITED, Siting.TOPLEFT),
    ("yuv422p", Matrix.BT709, Range.LIMITED, Siting.LEFT),
    ("yuv422p10le", Matrix.BT709, Range.LIMITED, Siting.LEFT),
    ("yuv444p", Matrix.BT709, Range.LIMITED, Siting.LEFT),
    ("yuv444p12le", Matrix.BT709, Range.FULL, Siting.LEFT),
    ("gray", Matrix.BT709, Range.LIMITED, Siting.LEFT),
)
type Planes = Sequence[Tensor]  # (1, h_p, w_p) each


@dataclass(frozen=True, slots=True)
class Error:
    """Differences in codes: (mean, largest) of luma, and of chroma where there is any."""

    luma: tuple[float, int]
    chroma: tuple[float, int] | None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    pix_fmt: str
    color: ColorSpec
    picture: str
    errors: dict[str, Error]


def rows(cases: Sequence[tuple[str, Matrix, Range, Siting]] = CASES) -> Iterator[Row]:
    """Every case with every picture."""
    zimg = Zimg("Bicubic")
    for (pix_fmt, matrix, color_range, siting), picture in product(cases, ("street", "patches")):
        layout, color = PixelLayout.of(pix_fmt), ColorSpec(matrix, color_range, siting=siting)
        planes = street(layout, color) if picture == "street" else patches(layout, color)
        back = {
            "ours": from_rgb(to_rgb(planes, layout, color), layout, color),
            "zimg": zimg.from_rgb(zimg.to_rgb(planes, layout, color), layout, color),
            "swscale": by_swscale(planes, layout, color),
        }
        errors = {name: compared(planes, made) for name, made in back.items()}
        yield Row(pix_fmt, color, picture, errors)


def street(layout: PixelLayout, color: ColorSpec) -> Planes:
    """A picture as cameras make them."""
    rgb = torch.from_numpy(scene(HEIGHT, WIDTH, 0)).permute(2, 0, 1)[None]
    return from_rgb(rgb, layout, color)


def patches(layout: PixelLayout, color: ColorSpec) -> Planes:
    """Squares of random codes of the range, the same in every layout but for rounding."""
    generator = torch.Generator().manual_seed(2)
    step = 1 << (layout.bit_depth - 8)
    limited = color.color_range == Range.LIMITED
    planes = []
    for plane, (height, width) in enumerate(layout.plane_shapes(HEIGHT, WIDTH)):
        least, most = (16, 240 if plane else 235) if limited else (0, 255)
        few = torch.rand(HEIGHT // PATCH, WIDTH // PATCH, generator=generator)
        codes = (few * (most - least) + least) * step
        down, across = PATCH * height // HEIGHT, PATCH * width // WIDTH
        whole = codes.repeat_interleave(down, 0).repeat_interleave(across, 1)
        planes.append(whole.round()[None].to(layout.dtype))
    return planes


def by_swscale(planes: Planes, layout: PixelLayout, color: ColorSpec) -> Planes:
    """There and back through FFmpeg, tagged as the planes are."""
    frame = av.VideoFrame(WIDTH, HEIGHT, layout.name)
    for target, plane in zip(samples_of(frame), planes, strict=True):
        target.copy_(plane[0])
    frame.colorspace, frame.color_range = color.matrix, color.color_range
    frame.chroma_location = color.siting
    rgb = frame.reformat(format="rgb24" if layout.bit_depth == 8 else "rgb48le")
    back = rgb.reformat(
        format=layout.name,
        dst_colorspace=int(color.matrix),
        dst_color_range=int(color.color_range),
    )
    return [samples.clone()[None] for samples in samples_of(back)]


def compared(before: Planes, after: Planes) -> Error:
    """How far the samples have moved."""
    off = [(a.int() - b.int()).abs() for a, b in zip(before, after, strict=True)]
    found = [(float(plane.double().mean()), int(plane.max())) for plane in off]
    return Error(found[0], max(found[1:], default=None))


def markdown(table: Sequence[Row]) -> str:
    """The table; each cell is the mean and the largest difference of luma, then of chroma."""
    names = list(table[0].errors)
    lines = [f"| layout | matrix | range | siting | picture | {' | '.join(names)} |"]
    lines.append("|---" * (5 + len(names)) + "|")
    for row in table:
        color, chroma = row.color, PixelLayout.of(row.pix_fmt).log2_chroma != (0, 0)
        tags = [color.matrix.name, color.color_range.name, color.siting.name if chroma else ""]
        cells = [_cell(row.errors[name]) for name in names]
        lines.append(f"| {' | '.join([row.pix_fmt, *tags, row.picture, *cells])} |")
    return "\n".join(lines)


def _cell(error: Error) -> str:
    both = [error.luma, error.chroma]
    return "; ".join(f"{mean:.2f} / {most}" for mean, most in filter(None, both))


if __name__ == "__main__":
    print(markdown(cast(list[Row], list(rows()))))
