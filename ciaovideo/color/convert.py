"""Integer planes to float R'G'B' and back, in bands of rows that stay in cache."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ciaovideo.color.chroma import downsample, upsample
from ciaovideo.color.coefficients import GBR, Coefficients, Weights
from ciaovideo.color.dither import Dither
from ciaovideo.color.layout import PixelLayout
from ciaovideo.color.tags import ColorSpec
from ciaovideo.errors import ColorError

BAND_SAMPLES = 1 << 18  # luma samples in a band on CPU: a handful of such planes fit its cache


class _Band(NamedTuple):
    """Rows to make at one time, and the rows that the chroma filters read for them."""

    luma: slice
    chroma: slice
    luma_read: slice
    chroma_read: slice


def to_rgb(
    planes: Sequence[Tensor], layout: PixelLayout, spec: ColorSpec, *, out: Tensor | None = None
) -> Tensor:
    """Planes (B, h_p, w_p) of integer codes -> rgb (B, 3, h, w) in float32, not clamped.

    ``spec`` must be resolved. Black is exactly 0, white exactly 1, and grays have equal channels.
    """
    batch, height, width = planes[0].shape
    _check_shapes(planes, layout, height, width)
    if out is None:
        size = (batch, 3, height, width)
        out = torch.empty(size, dtype=torch.float32, device=planes[0].device)
    coefficients = Coefficients.of(layout, spec)
    if layout.family == "gray":
        _decode(planes[0], coefficients.luma_zero, coefficients.luma_gain, out[:, 0])
        out[:, 1:] = out[:, :1]
    elif coefficients.luma is None:
        for plane, channel in zip(planes, GBR, strict=True):
            _decode(plane, coefficients.luma_zero, coefficients.luma_gain, out[:, channel])
    else:
        for band in _bands(out, layout):
            _yuv_to_rgb(planes, layout, coefficients, band, out)
    return out


def from_rgb(
    rgb: Tensor,
    layout: PixelLayout,
    spec: ColorSpec,
    *,
    out: Sequence[Tensor] | None = None,
    dither: Dither | None = None,
) -> tuple[Tensor, ...]:
    """Floats rgb (B, 3, H, W) -> planes (B, H_p, W_p) of integer codes.

    ``spec`` must be resolved. Each sample is rounded once, to the nearest code, and clamped only
    to the codes there are: limited range keeps its foot- and headroom. With a ``dither`` an offset
    below half a code is added first; whole codes stay what they are.
    """
    batch, _, height, width = rgb.shape
    if out is None:
        shapes = layout.plane_shapes(height, width)
        out = [torch.empty((batch, *s), dtype=layout.dtype, device=rgb.device) for s in shapes]
    _check_shapes(out, layout, height, width)
    coefficients = Coefficients.of(layout, spec)
    luma_row, *chroma_rows = coefficients.rows(layout)
    for band in _bands(rgb, layout):
        source = rgb[:, :, band.luma_read].detach().float()
        own = _within(band.luma, band.luma_read)
        offsets = _offsets(dither, band.luma, out[0], (0, 0))
        _encode(source[:, :, own], luma_row, layout.peak, out[0][:, band.luma], offsets)
        if not chroma_rows:
            continue
        # Filter and matrix are both linear, so the filter may go first: fewer samples to multiply.
        small = downsample(source, layout.log2_chroma, coefficients.position)
        small = small[:, :, _within(band.chroma, band.chroma_read)]
        offsets = _offsets(dither, band.chroma, out[1], layout.log2_chroma)
        for row, plane in zip(chroma_rows, out[1:], strict=True):
            _encode(small, row, layout.peak, plane[:, band.chroma], offsets)
    return tuple(out)


def _yuv_to_rgb(
    planes: Sequence[Tensor],
    layout: PixelLayout,
    coefficients: Coefficients,
    band: _Band,
    out: Tensor,
) -> None:
    assert coefficients.luma is not None
    kr, kg, kb = coefficients.luma
    red, green, blue = out[:, :, band.luma].unbind(1)
    size = band.luma_read.stop - band.luma_read.start, out.shape[-1]
    own = _within(band.luma, band.luma_read)
    above = []  # blue and red, as far as they exceed luma
    for plane, weight in ((planes[1], kb), (planes[2], kr)):
        samples = plane[:, band.chroma_read]
        chroma = torch.empty(samples.shape, dtype=torch.float32, device=samples.device)
        gain = coefficients.chroma_gain / (2 - 2 * weight)
        _decode(samples, coefficients.chroma_zero, gain, chroma)
        above.append(upsample(chroma, layout.log2_chroma, coefficients.position, size)[:, own])
    _decode(planes[0][:, band.luma], coefficients.luma_zero, coefficients.luma_gain, green)
    torch.add(green, above[0], out=blue)
    torch.add(green, above[1], out=red)
    green.add_(above[0], alpha=-kb / kg).add_(above[1], alpha=-kr / kg)


def _decode(plane: Tensor, zero: float, gain: float, out: Tensor) -> None:
    out.copy_(plane)
    if zero:
        out.sub_(zero)
    out.div_(gain)  # not a product with 1 / gain: white is to be exactly 1


def _offsets(
    dither: Dither | None, rows: slice, plane: Tensor, log2: tuple[int, int]
) -> Tensor | None:
    return dither.offsets(rows, plane.shape[-1], log2, plane.device) if dither else None


def _encode(
    rgb: Tensor, row: tuple[Weights, int], peak: int, out: Tensor, offsets: Tensor | None
) -> None:
    weights, zero = row
    first, *others = (channel for channel in range(3) if weights[channel])
    codes = rgb[:, first] * weights[first]
    for channel in others:
        codes.add_(rgb[:, channel], alpha=weights[channel])
    codes.add_(zero)
    if offsets is not None:
        codes.add_(offsets)
    codes.round_().clamp_(0, peak)
    # Straight from float to uint8 takes three times as long.
    out.copy_(codes.to(torch.int16) if out.dtype == torch.uint8 else codes)


def _bands(rgb: Tensor, layout: PixelLayout) -> Iterator[_Band]:
    height, width = rgb.shape[-2:]
    factor = 1 << layout.log2_chroma[0]
    chroma_height = -(-height // factor)
    halo = int(factor > 1)  # the filters reach less than one chroma row beyond
    step = max(16, BAND_SAMPLES // (width * factor)) if rgb.device.type == "cpu" else chroma_height
    for start in range(0, chroma_height, step):
        stop = min(start + step, chroma_height)
        chroma_read = slice(max(0, start - halo), min(stop + halo, chroma_height))
        luma, luma_read = (
            slice(rows.start * factor, min(rows.stop * factor, height))
            for rows in (slice(start, stop), chroma_read)
        )
        yield _Band(luma, slice(start, stop), luma_read, chroma_read)


def _within(rows: slice, read: slice) -> slice:
    """The same rows, counted from the first one read."""
    return slice(rows.start - read.start, rows.stop - read.start)


def _check_shapes(planes: Sequence[Tensor], layout: PixelLayout, height: int, width: int) -> None:
    shapes = [tuple(plane.shape[1:]) for plane in planes]
    if shapes != list(layout.plane_shapes(height, width)):
        raise ColorError(f"planes of {shapes} rows and columns do not make a {layout.name} picture")
