"""Chroma at the resolution of luma and back, by a triangle filter at the true siting.

Both ways equal zimg's ``resize.Bilinear``: up is linear interpolation between chroma samples, down
weights luma samples by a triangle two chroma samples wide. Where a filter reaches over the border
the picture is mirrored; a side that chroma does not divide is first filled up with its last line.

A position says where along an axis a chroma sample sits among the ``factor`` luma samples it
covers: 0 on the first, 1/2 in the middle, 1 on the last.
"""

import math

import torch
from torch import Tensor


def upsample(
    chroma: Tensor,
    log2_chroma: tuple[int, int],
    position: tuple[float, float],
    size: tuple[int, int],
) -> Tensor:
    """Chroma (..., h_c, w_c) -> (..., h, w), which is ``size``; sides are rounded up in h_c, w_c.

    The result may be the argument itself. Width goes first: its scattered writes are slower than
    whole lines, and this way they are fewer.
    """
    for axis in (1, 0):
        if log2_chroma[axis]:
            chroma = _upsample(chroma, axis - 2, 1 << log2_chroma[axis], position[axis], size[axis])
    return chroma


def downsample(full: Tensor, log2_chroma: tuple[int, int], position: tuple[float, float]) -> Tensor:
    """Full-size planes (..., h, w) -> (..., h_c, w_c); the result may be the argument itself."""
    for axis in (0, 1):
        if log2_chroma[axis]:
            full = _downsample(full, axis - 2, 1 << log2_chroma[axis], position[axis])
    return full


def _upsample(chroma: Tensor, dim: int, factor: int, position: float, size: int) -> Tensor:
    shape = list(chroma.shape)
    shape[dim] = size
    out = chroma.new_empty(shape)
    for phase in range(min(factor, size)):
        target = _every(out, dim, phase, factor)
        count = target.shape[dim]
        # From the chroma sample to the luma sample, in chroma samples: -1 < shift < 1.
        shift = (phase - position * (factor - 1)) / factor
        if shift == 0:
            target.copy_(chroma.narrow(dim, 0, count))
            continue
        step = -1 if shift < 0 else 1
        start = 1 if shift < 0 else 0
        inner = count - 1 if shift < 0 else min(count, chroma.shape[dim] - 1)
        torch.lerp(
            chroma.narrow(dim, start, inner),
            chroma.narrow(dim, start + step, inner),
            abs(shift),
            out=target.narrow(dim, start, inner),
        )
        border = 0 if shift < 0 else inner
        width = count - inner  # 1, or 0 where the last chroma sample has no luma sample here
        target.narrow(dim, border, width).copy_(chroma.narrow(dim, border, width))
    return out


def _downsample(full: Tensor, dim: int, factor: int, position: float) -> Tensor:
    size = full.shape[dim]
    shape = list(full.shape)
    shape[dim] = count = -(-size // factor)
    out = full.new_empty(shape)
    center = position * (factor - 1)
    lowest = math.floor(center) - factor + 1
    for tap in range(lowest, math.ceil(center) + factor):
        weight = (1 - abs(tap - center) / factor) / factor
        first = max(0, -(tap // factor))  # from here on, tap + i * factor is inside
        last = max(first, min(count, (size - 1 - tap) // factor + 1))
        source = _every(full, dim, tap + first * factor, factor)
        inner = source.narrow(dim, 0, last - first)
        _accumulate(out.narrow(dim, first, last - first), inner, weight, new=tap == lowest)
        for i in (*range(min(first, count)), *range(last, count)):
            at = _mirrored(tap + i * factor, size, count * factor)
            _accumulate(out.select(dim, i), full.select(dim, at), weight, new=tap == lowest)
    return out


def _accumulate(total: Tensor, samples: Tensor, weight: float, *, new: bool) -> None:
    if new:
        torch.mul(samples, weight, out=total)
    else:
        total.add_(samples, alpha=weight)


def _every(tensor: Tensor, dim: int, start: int, step: int) -> Tensor:
    """Each ``step``-th line from ``start`` on, of the rows (dim -2) or the columns (dim -1)."""
    lines = slice(start, None, step)
    return tensor[..., lines, :] if dim == -2 else tensor[..., lines]


def _mirrored(at: int, size: int, filled: int) -> int:
    """The line that stands in for line ``at`` of an axis that is filled up to ``filled`` lines."""
    if at < 0:
        at = -1 - at
    if at >= filled:
        at = 2 * filled - 1 - at
    return max(0, min(at, size - 1))
