"""The only conversion between planes and R'G'B': codes or floats, fused on a GPU, plain elsewhere.

``convert.py`` is the definition for integer codes; floating planes are treated as codes of one bit
and full range. The fused twins of both ways are ``ops/color_signals_triton.py`` and
``ops/color_codes_triton.py``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from ciaovideo.color import convert
from ciaovideo.color.chroma import downsample
from ciaovideo.color.coefficients import Coefficients, Weights
from ciaovideo.color.dither import Dither, dither_matrix
from ciaovideo.color.layout import PixelLayout
from ciaovideo.color.tags import ColorSpec, Matrix, Range
from ciaovideo.grid import placed
from ciaovideo.ops import dispatch


@dataclass(frozen=True, slots=True)
class PlaneFormat:
    """What planes hold: their layout, their colour tags (resolved), and the type of a sample.

    Without a ``dtype`` samples are integer codes of the layout. Floating planes hold the signal
    itself, luma and R'G'B' about [0, 1] and chroma about [-1/2, 1/2], whatever bit depth and range
    say. ``opacity`` marks a gray plane of alpha. Raises ColorError on construction for tags without
    a conversion.
    """

    layout: PixelLayout
    color: ColorSpec
    dtype: torch.dtype | None = None
    opacity: bool = False

    def __post_init__(self) -> None:
        Coefficients.of(self.layout.opaque, self.color)

    @classmethod
    def of_opacity(cls, layout: PixelLayout, dtype: torch.dtype | None = None) -> Self:
        """The format of a plane of opacity; its depth is the layout's, its range always full."""
        gray = PixelLayout(layout.name, "gray", layout.bit_depth)
        return cls(gray, ColorSpec(Matrix.BT709, Range.FULL), dtype, True)

    @property
    def opaque(self) -> Self:
        """The format of the planes that are colour."""
        return replace(self, layout=self.layout.opaque) if self.layout.alpha else self


def to_rgb(
    planes: Sequence[Tensor],
    layout: PixelLayout,
    spec: ColorSpec,
    *,
    dtype: torch.dtype | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Planes (B, h_p, w_p) -> rgb (B, 3, h, w) in float32, not clamped.

    ``spec`` must be resolved. Integer codes, unless a ``dtype`` says that samples are the signal.
    Black is exactly 0, white exactly 1, and grays have equal channels.
    """
    if dtype is not None:
        layout, spec = _as_unit_codes(layout, spec)
        colored = layout.family == "yuv" and spec.matrix != Matrix.RGB
        planes = [plane.float() + 1 if colored and i else plane for i, plane in enumerate(planes)]
    elif out is None and layout.family == "yuv":
        fused = _fused_signals(planes, layout, Coefficients.of(layout, spec))
        if fused is not None:
            return fused
    return convert.to_rgb(planes, layout, spec, out=out)


def from_rgb(
    rgb: Tensor,
    layout: PixelLayout,
    spec: ColorSpec,
    *,
    dtype: torch.dtype | None = None,
    out: Sequence[Tensor] | None = None,
    dither: Dither | None = None,
) -> tuple[Tensor, ...]:
    """Floats rgb (B, 3, H, W) -> planes (B, H_p, W_p), into ``out`` where it is given.

    ``spec`` must be resolved. Codes are rounded once, to the nearest, and clamped only to the
    codes there are: limited range keeps its foot- and headroom. With a ``dither`` an offset below
    half a code is added first; whole codes stay what they are. With a ``dtype`` samples are the
    signal itself, neither rounded nor clamped.
    """
    if dtype is not None:
        planes = _signals(rgb, *_as_unit_codes(layout, spec), dtype)
        if out is None:
            return planes
        return tuple(target.copy_(plane) for target, plane in zip(out, planes, strict=True))
    fused = None
    if out is None and rgb.dtype == torch.float32:
        fused = _fused_codes(rgb, layout, Coefficients.of(layout, spec), dither)
    return fused or convert.from_rgb(rgb, layout, spec, out=out, dither=dither)


def _as_unit_codes(layout: PixelLayout, spec: ColorSpec) -> tuple[PixelLayout, ColorSpec]:
    """A layout of one bit and full range: its codes are the signal itself, chroma about 1."""
    return replace(layout, bit_depth=1), replace(spec, color_range=Range.FULL)


def _signals(
    rgb: Tensor, layout: PixelLayout, spec: ColorSpec, dtype: torch.dtype
) -> tuple[Tensor, ...]:
    coefficients = Coefficients.of(layout, spec)
    luma, *chroma = (weights for weights, _ in coefficients.rows(layout))
    small = downsample(rgb, layout.log2_chroma, coefficients.position) if chroma else rgb
    planes = _mixed(rgb, luma), *(_mixed(small, weights) for weights in chroma)
    return tuple(plane.to(dtype) for plane in planes)


def _mixed(rgb: Tensor, weights: Weights) -> Tensor:
    """The weighted sum of the channels; a channel alone stays as it is."""
    first, *others = (channel for channel in range(3) if weights[channel])
    plane = rgb[:, first] * weights[first]
    for channel in others:
        plane.add_(rgb[:, channel], alpha=weights[channel])
    return plane


def _fused_signals(
    planes: Sequence[Tensor], layout: PixelLayout, coefficients: Coefficients
) -> Tensor | None:
    """``convert.to_rgb`` of Y'CbCr by its twin; None where that cannot be used."""
    fused = dispatch.fused_twin("color_signals", *planes)
    if fused is None or coefficients.luma is None:
        return None
    red, green, blue = coefficients.luma
    log2 = layout.log2_chroma
    rule = fused.SignalRule(
        luma_zero=coefficients.luma_zero,
        luma_gain=coefficients.luma_gain,
        chroma_zero=coefficients.chroma_zero,
        above_gain=tuple(coefficients.chroma_gain / (2 - 2 * own) for own in (blue, red)),
        green=(-blue / green, -red / green),
        factor=(1 << log2[0], 1 << log2[1]),
        position=coefficients.position,
    )
    with dispatch.PlainIfItFails("color_signals"):
        rgb: Tensor = fused.color_signals(planes, rule)
        return rgb
    return None


def _fused_codes(
    rgb: Tensor, layout: PixelLayout, coefficients: Coefficients, dither: Dither | None
) -> tuple[Tensor, ...] | None:
    """``convert.from_rgb`` by its twin; None where that cannot be used."""
    fused = dispatch.fused_twin("color_codes", rgb)
    if fused is None:
        return None
    shapes = layout.plane_shapes(rgb.shape[-2], rgb.shape[-1])
    planes = [rgb.new_empty(len(rgb), *shape, dtype=layout.dtype) for shape in shapes]
    matrix = placed(dither_matrix(), rgb.device) if dither else None
    with dispatch.PlainIfItFails("color_codes"):
        for index, (weights, zero) in enumerate(coefficients.rows(layout)):
            log2 = layout.log2_chroma if index else (0, 0)
            factor = (1 << log2[0], 1 << log2[1])
            rule = fused.CodeRule(weights, zero, layout.peak, factor, coefficients.position)
            start = dither.start(log2) if dither else (0, 0)
            fused.color_codes(rgb, rule, planes[index], matrix, start)
        return tuple(planes)
    return None
