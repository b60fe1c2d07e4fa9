"""R'G'B' to one plane of integer codes, fused for GPUs: filter, matrix, dither, rounding.

One pass. ``color.from_rgb`` is the definition, in the same order of arithmetic: chroma is
filtered along y, then along x, then multiplied. Per 4:2:0 picture 3 * (1 + 2 * 12 / 4)
multiplications a pixel and 12 B read (chroma reads them again, from cache), 1.5 to 3 B written:
DRAM bounds it.
"""

import math
from typing import NamedTuple

import triton
import triton.language as tl
from torch import Tensor

from ciaovideo.ops.dispatch import device_of

SAMPLES = 256  # of a row of the plane, in one program
WARPS = 4


class CodeRule(NamedTuple):
    """Code = zero + weights . R'G'B', rounded and clamped to [0, peak].

    ``factor`` and ``position`` of samples along (y, x) as ``color.chroma`` counts them.
    """

    weights: tuple[float, float, float]
    zero: int
    peak: int
    factor: tuple[int, int]
    position: tuple[float, float]


def color_codes(
    rgb: Tensor,
    rule: CodeRule,
    out: Tensor,
    dither: Tensor | None = None,
    start: tuple[int, int] = (0, 0),
) -> None:
    """rgb (B, 3, H, W) fp32 -> out (B, H_p, W_p), uint8 or uint16.

    ``dither`` (side, side): offsets to add before rounding, from the one at ``start`` (y, x) on.
    """
    rgb = rgb.contiguous()
    batch, height, width = out.shape
    centers = [p * (f - 1) for f, p in zip(rule.factor, rule.position, strict=True)]
    firsts = [math.floor(c) - f + 1 for c, f in zip(centers, rule.factor, strict=True)]
    lasts = [math.ceil(c) + f for c, f in zip(centers, rule.factor, strict=True)]
    assert out.is_contiguous()
    with device_of(rgb):
        _codes[(triton.cdiv(width, SAMPLES), height, batch)](
            rgb,
            rgb if dither is None else dither,
            out,
            *start,
            *rgb.shape[-2:],
            height,
            width,
            *rule.weights,
            float(rule.zero),
            float(rule.peak),
            FACTOR_Y=rule.factor[0],
            FACTOR_X=rule.factor[1],
            CENTER_Y=centers[0],
            CENTER_X=centers[1],
            FIRST_Y=firsts[0],
            FIRST_X=firsts[1],
            LAST_Y=lasts[0],
            LAST_X=lasts[1],
            DITHER=0 if dither is None else len(dither),
            SAMPLES=SAMPLES,
            num_warps=WARPS,
        )


@triton.jit
def _mirrored(at, size, filled):
    """The line that stands in for line ``at``, as in ``color.chroma``."""
    at = tl.where(at < 0, -1 - at, at)
    at = tl.where(at >= filled, 2 * filled - 1 - at, at)
    return tl.maximum(tl.minimum(at, size - 1), 0)


@triton.jit
def _filtered(
    channel, y, x, live, rgb_height, rgb_width, height, width,
    FACTOR_Y: tl.constexpr, FACTOR_X: tl.constexpr, CENTER_Y: tl.constexpr, CENTER_X: tl.constexpr,
    FIRST_Y: tl.constexpr, FIRST_X: tl.constexpr, LAST_Y: tl.constexpr, LAST_X: tl.constexpr,
    SAMPLES: tl.constexpr,
):  # fmt: skip
    """One channel at samples (y, x) of a plane: triangle filters along y, then along x."""
    total = tl.zeros([SAMPLES], tl.float32)
    for tap_x in tl.static_range(FIRST_X, LAST_X):
        away_x = CENTER_X - tap_x if tap_x < CENTER_X else tap_x - CENTER_X
        column = _mirrored(x * FACTOR_X + tap_x, rgb_width, width * FACTOR_X)
        line = tl.zeros([SAMPLES], tl.float32)
        for tap_y in tl.static_range(FIRST_Y, LAST_Y):
            away_y = CENTER_Y - tap_y if tap_y < CENTER_Y else tap_y - CENTER_Y
            row = _mirrored(y * FACTOR_Y + tap_y, rgb_height, height * FACTOR_Y)
            sample = tl.load(channel + row * rgb_width + column, mask=live, other=0.0)
            line = tl.fma(
                sample, tl.full([SAMPLES], (1 - away_y / FACTOR_Y) / FACTOR_Y, tl.float32), line
            )
        total = tl.fma(
            line, tl.full([SAMPLES], (1 - away_x / FACTOR_X) / FACTOR_X, tl.float32), total
        )
    return total


@triton.jit
def _codes(
    rgb, dither, out, top, left, rgb_height, rgb_width, height, width, red, green, blue, zero, peak,
    FACTOR_Y: tl.constexpr, FACTOR_X: tl.constexpr, CENTER_Y: tl.constexpr, CENTER_X: tl.constexpr,
    FIRST_Y: tl.constexpr, FIRST_X: tl.constexpr, LAST_Y: tl.constexpr, LAST_X: tl.constexpr,
    DITHER: tl.constexpr, SAMPLES: tl.constexpr,
):  # fmt: skip
    """SAMPLES codes of one row of a plane."""
    y = tl.program_id(1)
    picture = tl.program_id(2).to(tl.int64)
    x = tl.program_id(0) * SAMPLES + tl.arange(0, SAMPLES)
    live = x < width
    code = tl.zeros([SAMPLES], tl.float32)
    for channel in tl.static_range(3):
        weight = red if channel == 0 else (green if channel == 1 else blue)
        source = rgb + (picture * 3 + channel) * rgb_height * rgb_width
        signal = _filtered(
            source, y, x, live, rgb_height, rgb_width, height, width, FACTOR_Y, FACTOR_X,
            CENTER_Y, CENTER_X, FIRST_Y, FIRST_X, LAST_Y, LAST_X, SAMPLES,
        )  # fmt: skip
        code = tl.fma(signal, tl.full([SAMPLES], weight, tl.float32), code)
    code += zero
    if DITHER:
        code += tl.load(dither + (y + top) % DITHER * DITHER + (x + left) % DITHER)
    code = tl.minimum(tl.maximum(code, 0.0), peak)
    code = (code + 12582912.0) - 12582912.0  # 1.5 * 2^23: to the nearest, halves to even
    target = out + (picture * height + y) * width + x
    tl.store(target, code.to(tl.int32).to(out.dtype.element_ty), mask=live)
