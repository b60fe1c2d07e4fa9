"""VapourSynth's formats and frame properties in the library's words, and back."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch
import vapoursynth as vs
from ciaovideo import (
    ColorSpec,
    Matrix,
    PixelLayout,
    PlaneFormat,
    Primaries,
    Range,
    Siting,
    Transfer,
)
from ciaovideo.errors import ColorError, InterlacedError

FAMILIES = {vs.YUV: "yuv", vs.GRAY: "gray", vs.RGB: "rgb"}
FLOATS = {16: torch.float16, 32: torch.float32}
RGB_PLANES = (1, 2, 0)  # the library keeps R'G'B' as G, B, R
MAX_SAR_SIDE = 65535  # the largest number that H.264 and H.265 can store

ALPHA = PlaneFormat(PixelLayout.of("gray"), ColorSpec(Matrix.BT709, Range.FULL))


def layout_of(video_format: vs.VideoFormat) -> tuple[PixelLayout, torch.dtype | None]:
    """The layout of a format, and the type of its samples where they are floats.

    Raises ColorError for what is neither of 8 to 16 bits nor float.
    """
    floating = video_format.sample_type == vs.FLOAT
    bits = video_format.bits_per_sample
    if video_format.color_family not in FAMILIES or not (floating or 8 <= bits <= 16):
        raise ColorError(
            f"format {video_format.name} is not supported",
            "convert the clip to 8 to 16 bits or to float, for example with resize.Bicubic",
        )
    layout = PixelLayout(
        video_format.name,
        FAMILIES[video_format.color_family],
        16 if floating else bits,
        (video_format.subsampling_h, video_format.subsampling_w),
    )
    return layout, FLOATS[bits] if floating else None


def source_format(frame: vs.VideoFrame) -> tuple[PlaneFormat, str]:
    """What a frame's planes hold, from its properties; and the colour matrix's guess, in words.

    Raises ColorError or InterlacedError for what the filter cannot work on.
    """
    props = frame.props
    if props.get("_FieldBased", 0):
        raise InterlacedError(
            "the picture is interlaced (_FieldBased > 0)",
            "deinterlace the clip first; if it is progressive after all, say so with "
            "std.SetFieldBased(0)",
        )
    layout, dtype = layout_of(frame.format)
    tags = ColorSpec(
        Matrix(_number(props, "_Matrix", Matrix.UNSPECIFIED)),
        Range(_number(props, "_Range", -1) + 1),
        Primaries(_number(props, "_Primaries", Primaries.UNSPECIFIED)),
        Transfer(_number(props, "_Transfer", Transfer.UNSPECIFIED)),
        Siting(_number(props, "_ChromaLocation", -1) + 1),
    )
    color, notes = tags.resolved(frame.height, frame.width, layout)
    guessed = layout.family == "yuv" and tags.matrix == Matrix.UNSPECIFIED
    return PlaneFormat(layout, color, dtype), notes[0] if guessed else ""


def target_format(
    source: PlaneFormat, video_format: vs.VideoFormat, out_size: tuple[int, int]
) -> PlaneFormat:
    """What planes of a format hold that are made from ``source``; range and matrix stay if any."""
    layout, dtype = layout_of(video_format)
    color = source.color
    if (layout.family == "rgb") != (source.layout.family == "rgb"):
        color = replace(color, matrix=Matrix.UNSPECIFIED, color_range=Range.UNSPECIFIED)
    return PlaneFormat(layout, color.resolved(*out_size, layout)[0], dtype)


def alpha_format(frame: vs.VideoFrame) -> PlaneFormat:
    """What a frame of transparency holds: a gray plane of full range."""
    layout, dtype = layout_of(frame.format)
    if layout.family != "gray":
        raise ColorError(f"alpha in {frame.format.name}", "give it a gray format of 8 to 16 bits")
    return replace(ALPHA, layout=layout, dtype=dtype)


def read_planes(frame: vs.VideoFrame) -> tuple[torch.Tensor, ...]:
    """A frame's planes, copied, in the library's order."""
    order = RGB_PLANES if frame.format.color_family == vs.RGB else range(frame.format.num_planes)
    return tuple(torch.from_numpy(np.array(frame[plane])) for plane in order)


def write_planes(frame: vs.VideoFrame, planes: tuple[torch.Tensor, ...]) -> None:
    """Fill a new frame with planes in the library's order."""
    order = RGB_PLANES if frame.format.color_family == vs.RGB else range(frame.format.num_planes)
    for plane, samples in zip(order, planes, strict=True):
        np.copyto(np.asarray(frame[plane]), samples.numpy())


def set_props(target: vs.VideoFrame, source: vs.VideoFrame, made: PlaneFormat) -> None:
    """All properties of the source, and those that say how the target is to be read made right."""
    target.props.update(source.props)
    layout, color = made.layout, made.color
    if layout.family != "gray" or "_Matrix" in source.props:
        target.props["_Matrix"] = int(color.matrix)
    target.props["_Range"] = int(color.color_range) - 1
    if layout.log2_chroma != (0, 0):
        target.props["_ChromaLocation"] = int(color.siting) - 1
    else:
        target.props.pop("_ChromaLocation", None)
    stretch = Fraction(target.width * source.height, source.width * target.height)
    if abs(stretch - 1) > Fraction(1, target.width) + Fraction(1, target.height):
        sar = _sar(source.props) / stretch
        target.props["_SARNum"], target.props["_SARDen"] = sar.numerator, sar.denominator


def _sar(props: Any) -> Fraction:
    """The sample aspect ratio; square where there is none."""
    numerator, denominator = _number(props, "_SARNum", 1), _number(props, "_SARDen", 1)
    return Fraction(numerator, denominator) if numerator and denominator else Fraction(1)


def _number(props: Any, name: str, default: int) -> int:
    return int(props.get(name, default))
