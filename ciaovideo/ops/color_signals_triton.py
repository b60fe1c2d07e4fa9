"""Y'CbCr planes of integer codes to R'G'B', fused for GPUs: decoding, chroma filter, matrix.

One pass, where ``color.to_rgb``, the definition, takes some forty over planes of the LR picture; in
the same order of arithmetic. Per 4:2:0 pixel 3 linear interpolations for each of two chroma planes;
1.5 B read of 8 bits, 12 B written: DRAM bounds it, at 5 us for 1920x1080 where 4.8 TB/s are moved.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ciaovideo.ops.dispatch import device_of

SAMPLES = 256  # of a row of the picture, in one program
WARPS = 4


class SignalRule(NamedTuple):
    """Signal = (code - zero) / gain, of luma and of blue and red above luma.

    ``green`` is what green takes from these two; ``factor`` and ``position`` of chroma samples
    along (y, x) as ``color.chroma`` counts them.
    """

    luma_zero: int
    luma_gain: int
    chroma_zero: int
    above_gain: tuple[float, float]
    green: tuple[float, float]
    factor: tuple[int, int]
    position: tuple[float, float]


def color_signals(planes: Sequence[Tensor], rule: SignalRule) -> Tensor:
    """Planes (B, h_p, w_p) of integer codes Y, U, V -> rgb (B, 3, h, w), fp32."""
    luma, *chroma = (plane.contiguous() for plane in planes)
    batch, height, width = luma.shape
    rgb = luma.new_empty(batch, 3, height, width, dtype=torch.float32)
    centers = [p * (f - 1) for f, p in zip(rule.factor, rule.position, strict=True)]
    with device_of(luma):
        _signals[(triton.cdiv(width, SAMPLES), height, batch)](
            luma,
            *chroma,
            rgb,
            height,
            width,
            *chroma[0].shape[1:],
            float(rule.luma_zero),
            float(rule.luma_gain),
            float(rule.chroma_zero),
            *rule.above_gain,
            *rule.green,
            FACTOR_Y=rule.factor[0],
            FACTOR_X=rule.factor[1],
            CENTER_Y=centers[0],
            CENTER_X=centers[1],
            SAMPLES=SAMPLES,
            num_warps=WARPS,
        )
    return rgb


@triton.jit
def _between(near, far, weight):
    """Linear interpolation as torch's lerp has it."""
    change = far - near
    return tl.where(weight < 0.5, near + weight * change, far - change * (1 - weight))


@triton.jit
def _decoded(plane, at, live, zero, gain):
    code = tl.load(plane + at, mask=live, other=0).to(tl.float32)
    return tl.div_rn(code - zero, gain)


@triton.jit
def _above(
    plane, y, y_far, away_y, x, x_far, away_x, live, width, zero, gain,
    FACTOR_Y: tl.constexpr, FACTOR_X: tl.constexpr,
):  # fmt: skip
    """Chroma at the pixels: between samples of two columns, then of two rows."""
    line = _decoded(plane, y * width + x, live, zero, gain)
    if FACTOR_X > 1:
        line = _between(line, _decoded(plane, y * width + x_far, live, zero, gain), away_x)
    if FACTOR_Y > 1:
        other = _decoded(plane, y_far * width + x, live, zero, gain)
        if FACTOR_X > 1:
            far = _decoded(plane, y_far * width + x_far, live, zero, gain)
            other = _between(other, far, away_x)
        line = _between(line, other, away_y)
    return line


@triton.jit
def _signals(
    luma, blue, red, rgb, height, width, chroma_height, chroma_width,
    luma_zero, luma_gain, chroma_zero, blue_gain, red_gain, green_blue, green_red,
    FACTOR_Y: tl.constexpr, FACTOR_X: tl.constexpr, CENTER_Y: tl.constexpr, CENTER_X: tl.constexpr,
    SAMPLES: tl.constexpr,
):  # fmt: skip
    """SAMPLES pixels of one row."""
    y = tl.program_id(1)
    picture = tl.program_id(2).to(tl.int64)
    x = tl.program_id(0) * SAMPLES + tl.arange(0, SAMPLES)
    live = x < width
    # How far the pixel is from its chroma sample, in such samples; exact, as factors are 1, 2, 4.
    shift_y = ((y % FACTOR_Y).to(tl.float32) - CENTER_Y) / FACTOR_Y
    shift_x = ((x % FACTOR_X).to(tl.float32) - CENTER_X) / FACTOR_X
    near_y, near_x = y // FACTOR_Y, x // FACTOR_X
    far_y = tl.where(shift_y < 0, near_y - 1, near_y + 1)
    far_x = tl.where(shift_x < 0, near_x - 1, near_x + 1)
    far_y = tl.minimum(tl.maximum(far_y, 0), chroma_height - 1)
    far_x = tl.minimum(tl.maximum(far_x, 0), chroma_width - 1)
    chroma = picture * chroma_height * chroma_width
    above_blue = _above(
        blue + chroma, near_y, far_y, tl.abs(shift_y), near_x, far_x, tl.abs(shift_x), live,
        chroma_width, chroma_zero, blue_gain, FACTOR_Y, FACTOR_X,
    )  # fmt: skip
    above_red = _above(
        red + chroma, near_y, far_y, tl.abs(shift_y), near_x, far_x, tl.abs(shift_x), live,
        chroma_width, chroma_zero, red_gain, FACTOR_Y, FACTOR_X,
    )  # fmt: skip
    plane = height * width
    signal = _decoded(luma + picture * plane, y * width + x, live, luma_zero, luma_gain)
    target = rgb + picture * 3 * plane + y * width + x
    tl.store(target, signal + above_red, mask=live)
    tl.store(target + plane, signal + above_blue * green_blue + above_red * green_red, mask=live)
    tl.store(target + 2 * plane, signal + above_blue, mask=live)
