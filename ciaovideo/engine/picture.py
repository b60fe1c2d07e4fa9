"""Pictures as planes in any layout, of integer codes or of floats, and their way to R'G'B'."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from ciaovideo.color import ColorSpec, Matrix, PixelLayout, Range, from_rgb, to_rgb
from ciaovideo.color.chroma import downsample
from ciaovideo.color.coefficients import Coefficients, Weights
from ciaovideo.ops.dispatch import fused_twin


@dataclass(frozen=True, slots=True)
class PlaneFormat:
    """What planes hold: their layout, their colour tags (resolved), and the type of a sample.

    Without a ``dtype`` samples are integer codes of the layout. Floating planes hold the signal
    itself, luma and R'G'B' about [0, 1] and chroma about [-1/2, 1/2], whatever bit depth and range
    say. Raises ColorError on construction for tags that there is no conversion for.
    """

    layout: PixelLayout
    color: ColorSpec
    dtype: torch.dtype | None = None

    def __post_init__(self) -> None:
        Coefficients.of(self.layout, self.color)


@final
@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: a plane (h_p, w_p) for each component of its format, in the layout's order.

    ``out_format`` and ``out_size`` (height, width) say what it shall become: its own format and
    the size that the upscaler makes of it, where they are not given.
    """

    planes: tuple[Tensor, ...]
    format: PlaneFormat
    out_format: PlaneFormat | None = None
    out_size: tuple[int, int] | None = None


def planes_to_rgb(planes: Sequence[Tensor], plane_format: PlaneFormat) -> Tensor:
    """Planes (B, h_p, w_p) -> rgb (B, 3, h, w), fp32, not clamped."""
    if plane_format.dtype is None:
        return to_rgb(planes, plane_format.layout, plane_format.color)
    layout, color = _as_unit_codes(plane_format)
    colored = layout.family == "yuv" and color.matrix != Matrix.RGB
    codes = [plane.float() + 1 if colored and i else plane for i, plane in enumerate(planes)]
    return to_rgb(codes, layout, color)


def rgb_to_planes(rgb: Tensor, plane_format: PlaneFormat) -> tuple[Tensor, ...]:
    """Floats rgb (B, 3, H, W) -> planes (B, H_p, W_p); floating planes are not clamped."""
    if plane_format.dtype is None:
        return codes_from_rgb(rgb, plane_format.layout, plane_format.color)
    layout, color = _as_unit_codes(plane_format)
    coefficients = Coefficients.of(layout, color)
    luma, *chroma = (weights for weights, _ in coefficients.rows(layout))
    small = downsample(rgb, layout.log2_chroma, coefficients.position) if chroma else rgb
    planes = _mixed(rgb, luma), *(_mixed(small, weights) for weights in chroma)
    return tuple(plane.to(plane_format.dtype) for plane in planes)


def codes_from_rgb(rgb: Tensor, layout: PixelLayout, spec: ColorSpec) -> tuple[Tensor, ...]:
    """``color.from_rgb``, by the fused kernel where there is one."""
    fused = fused_twin("color_codes", rgb)
    if fused is None or rgb.dtype != torch.float32:
        return from_rgb(rgb, layout, spec)
    coefficients = Coefficients.of(layout, spec)
    shapes = layout.plane_shapes(rgb.shape[-2], rgb.shape[-1])
    planes = [rgb.new_empty(len(rgb), *shape, dtype=layout.dtype) for shape in shapes]
    for index, (weights, zero) in enumerate(coefficients.rows(layout)):
        log2 = layout.log2_chroma if index else (0, 0)
        factor = (1 << log2[0], 1 << log2[1])
        rule = fused.CodeRule(weights, zero, layout.peak, factor, coefficients.position)
        fused.color_codes(rgb, rule, planes[index])
    return tuple(planes)


def _as_unit_codes(plane_format: PlaneFormat) -> tuple[PixelLayout, ColorSpec]:
    """A layout of one bit and full range: its codes are the signal itself, chroma about 1."""
    color = replace(plane_format.color, color_range=Range.FULL)
    return replace(plane_format.layout, bit_depth=1), color


def _mixed(rgb: Tensor, weights: Weights) -> Tensor:
    """The weighted sum of the channels; a channel alone stays as it is."""
    first, *others = (channel for channel in range(3) if weights[channel])
    plane = rgb[:, first] * weights[first]
    for channel in others:
        plane.add_(rgb[:, channel], alpha=weights[channel])
    return plane
