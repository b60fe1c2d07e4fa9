"""Translates VapourSynth's formats and frame properties to the library's types, and back."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import torch
import vapoursynth as vs

from ciaovideo import (
    ColorSpec,
    Matrix,
    Picture,
    PixelLayout,
    PlaneFormat,
    Primaries,
    Range,
    Siting,
    Transfer,
)
from ciaovideo.errors import ColorError, InterlacedError

FAMILIES: dict[Any, Literal["yuv", "gray", "rgb"]] = {vs.YUV: "yuv", vs.GRAY: "gray", vs.RGB: "rgb"}
FLOATS = {16: torch.float16, 32: torch.float32}
GBR = (1, 2, 0)  # the library keeps R'G'B' in this order
MAX_SAR_SIDE = 65535  # the largest number that H.264 and H.265 can store


def layout_of(video_format: vs.VideoFormat) -> tuple[PixelLayout, torch.dtype | None]:
    """The layout of a format, and the dtype of float samples.

    Raises ColorError for other formats than 8 to 16 bits and float.
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
    """A frame's format from its properties, and a sentence if the colour matrix was guessed.

    Raises ColorError or InterlacedError for frames that the filter cannot process.
    """
    props = frame.props
    if _number(props, "_FieldBased", 0) > 0:
        raise InterlacedError(
            "the picture is interlaced (_FieldBased > 0)",
            "deinterlace the clip first; if it is progressive after all, say so with "
            "std.SetFieldBased(0)",
        )
    layout, dtype = layout_of(frame.format)
    tags = ColorSpec(
        Matrix(_number(props, "_Matrix", Matrix.UNSPECIFIED)),
        Range(_number(props, "_Range", -1, last=1) + 1),
        Primaries(_number(props, "_Primaries", Primaries.UNSPECIFIED)),
        Transfer(_number(props, "_Transfer", Transfer.UNSPECIFIED)),
        Siting(_number(props, "_ChromaLocation", -1, last=5) + 1),
    )
    color, guesses = tags.resolved(frame.height, frame.width, layout)
    guessed = layout.family == "yuv" and tags.matrix == Matrix.UNSPECIFIED
    return PlaneFormat(layout, color, dtype), str(guesses[0]) if guessed else ""


def target_format(
    source: PlaneFormat, video_format: vs.VideoFormat, out_size: tuple[int, int]
) -> PlaneFormat:
    """The format of output planes made from ``source``; range and matrix are kept if possible."""
    layout, dtype = layout_of(video_format)
    color = source.color
    if (layout.family == "rgb") != (source.layout.family == "rgb"):
        color = replace(color, matrix=Matrix.UNSPECIFIED, color_range=Range.UNSPECIFIED)
    return PlaneFormat(layout, color.resolved(*out_size, layout)[0], dtype)


def read_planes(frame: vs.VideoFrame) -> tuple[torch.Tensor, ...]:
    """A frame's planes, copied, in the library's order."""
    return tuple(torch.from_numpy(np.array(frame[plane])) for plane in _plane_order(frame.format))


def new_frame(video_format: vs.VideoFormat, planes: Sequence[torch.Tensor]) -> vs.VideoFrame:
    """A frame that holds planes given in the library's order; the first is of full size."""
    height, width = planes[0].shape
    frame = vs.core.create_video_frame(video_format, width, height)
    for plane, samples in zip(_plane_order(video_format), planes, strict=True):
        np.copyto(np.asarray(frame[plane]), samples.numpy())
    return frame


def alpha_picture(frame: vs.VideoFrame, out_size: tuple[int, int]) -> Picture:
    """The opacity of a frame that has one, to be enlarged to (height, width)."""
    alpha = frame.props["_Alpha"]
    if not isinstance(alpha, vs.VideoFrame):
        raise ColorError(f"_Alpha is {alpha!r}", "make it a frame with std.ClipToProp")
    if alpha.format.color_family != vs.GRAY:
        raise ColorError(f"_Alpha in {alpha.format.name}", "make it gray, of the same bit depth")
    if (alpha.width, alpha.height) != (frame.width, frame.height):
        raise ColorError(
            f"_Alpha is {alpha.width}x{alpha.height}, its frame {frame.width}x{frame.height}",
            "make both of one size, or remove it with std.RemoveFrameProps",
        )
    try:
        layout, dtype = layout_of(alpha.format)
    except ColorError as error:
        raise ColorError(f"_Alpha: {error.problem}", error.hint) from None
    return Picture(read_planes(alpha), PlaneFormat.of_opacity(layout, dtype), None, out_size)


def new_alpha(alpha: vs.VideoFrame, planes: Sequence[torch.Tensor]) -> vs.VideoFrame:
    """A frame of opacity made of another, whose properties it keeps."""
    frame = new_frame(alpha.format, planes)
    frame.props.update(alpha.props)
    return frame


def _plane_order(video_format: vs.VideoFormat) -> Sequence[int]:
    """VapourSynth's numbers of the planes, in the library's order."""
    return GBR if video_format.color_family == vs.RGB else range(video_format.num_planes)


def set_props(target: vs.VideoFrame, source: vs.VideoFrame, made: PlaneFormat) -> None:
    """Copy the source's properties to the target; colour and aspect ratio follow the target."""
    props, layout, color = target.props, made.layout, made.color
    props.update(source.props)
    # A gray clip may be a plane of another clip: its properties stay.
    if not target.format.color_family == source.format.color_family == vs.GRAY:
        props["_Matrix"] = int(color.matrix)
        props["_Range"] = int(color.color_range) - 1
    if layout.log2_chroma != (0, 0):
        props["_ChromaLocation"] = int(color.siting) - 1
    elif target.format.id != source.format.id:
        props.pop("_ChromaLocation", None)
    stretch = Fraction(target.width * source.height, source.width * target.height)
    if abs(stretch - 1) > Fraction(1, target.width) + Fraction(1, target.height):
        sar = _sar(props) / stretch
        if max(sar.numerator, sar.denominator) > MAX_SAR_SIDE:
            sar = sar.limit_denominator(int(MAX_SAR_SIDE / max(sar, Fraction(1))))
        props["_SARNum"], props["_SARDen"] = sar.numerator, sar.denominator


def _sar(props: Any) -> Fraction:
    """The sample aspect ratio; 1 if unset."""
    numerator, denominator = _number(props, "_SARNum", 1), _number(props, "_SARDen", 1)
    return Fraction(numerator, denominator) if min(numerator, denominator) > 0 else Fraction(1)


def _number(props: Any, name: str, default: int, *, last: int | None = None) -> int:
    """A whole-number property; raises ColorError for other types, and outside 0 to ``last``."""
    value = props.get(name, default)
    if not isinstance(value, int):
        raise ColorError(
            f"property {name} is {value!r}", "set it to one whole number, or remove it"
        )
    if last is not None and value != default and not 0 <= value <= last:
        raise ColorError(f"property {name} is {value}", f"set it to 0 to {last}, or remove it")
    return value
