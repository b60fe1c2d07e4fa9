"""``separable_attention`` fused for GPUs: values, logits, softmax, colour in one pass.

``separable.py`` is the definition. A program makes a
run of pixels of one row, whose own basis values are scalars. Per pixel at rank 4: 4 * (20 + 60)
= 320 multiplications, 0.64 kFLOP, on fp32 units; 1 kB read from cache, where neighbours share it;
from DRAM each map once, 448 B per code, and 12 B written. At twice the size of 1920x1080 that is
1.0 GB: DRAM bounds it, at 0.2 ms where 4.8 TB/s are read, if the 256 loads per pixel do not.
"""

import triton
import triton.language as tl
from torch import Tensor

from ciaovideo.grid import placed
from ciaovideo.ops.attention.separable import GapTaps
from ciaovideo.ops.dispatch import device_of

RUN = 128  # pixels of a row in one program
WARPS = 4


def separable_attention(value: Tensor, logit: Tensor, rows: GapTaps, columns: GapTaps) -> Tensor:
    """value (B, 3 r^2, h + 2, w + 2), logit (B, 4 r^2, h + 1, w + 1) -> (B, 3, rows, columns)."""
    value, logit = value.contiguous(), logit.contiguous()
    shape = (len(rows.gap), len(columns.gap))
    sr = value.new_empty(len(value), 3, *shape)
    tables = [placed(t, value.device).contiguous() for taps in (rows, columns) for t in taps]
    with device_of(value):
        _blend[(triton.cdiv(shape[1], RUN), shape[0], len(value))](
            value,
            logit,
            *tables,
            sr,
            *value.shape[-2:],
            *shape,
            RANK=rows.of_key.shape[-1],
            RUN=RUN,
            num_warps=WARPS,
        )
    return sr


@triton.jit
def _sum_of_products(
    maps, at, plane, of_row, of_column, live, RANK: tl.constexpr, RUN: tl.constexpr
):
    """Sum over a, b of of_row[a] * maps[a * RANK + b] * of_column[b], at pixels of the maps."""
    total = tl.zeros([RUN], tl.float32)
    for a in tl.static_range(RANK):
        line = tl.zeros([RUN], tl.float32)
        for b in tl.static_range(RANK):
            code = tl.load(maps + (a * RANK + b) * plane + at, mask=live, other=0.0)
            line += code * tl.load(of_column + b, mask=live, other=0.0)
        total += line * tl.load(of_row + a)
    return total


@triton.jit
def _blend(
    value, logit, row_gap, row_key, row_value, column_gap, column_key, column_value, sr,
    code_height, code_width, height, width, RANK: tl.constexpr, RUN: tl.constexpr,
):  # fmt: skip
    """RUN pixels of a row: the softmax over four codes is summed up as its terms come."""
    y = tl.program_id(1)
    picture = tl.program_id(2).to(tl.int64)
    x = tl.program_id(0) * RUN + tl.arange(0, RUN)
    live = x < width
    gap_y, gap_x = tl.load(row_gap + y), tl.load(column_gap + x, mask=live, other=0)
    tall = tl.full([], code_height, tl.int64)  # all maps of a picture of 20 Mpx pass 2^31 values
    codes = tall * code_width
    gaps = (tall - 1) * (code_width - 1)
    value += picture * 3 * RANK * RANK * codes
    logit += picture * 4 * RANK * RANK * gaps
    most = tl.full([RUN], float("-inf"), tl.float32)
    weight_sum = tl.zeros([RUN], tl.float32)
    red = tl.zeros([RUN], tl.float32)
    green = tl.zeros([RUN], tl.float32)
    blue = tl.zeros([RUN], tl.float32)
    for corner in tl.static_range(4):
        down, right = corner // 2, corner % 2
        row, column = (down * height + y) * RANK, (right * width + x) * RANK
        maps = logit + corner * RANK * RANK * gaps
        at = gap_y * (code_width - 1) + gap_x
        score = _sum_of_products(
            maps, at, gaps, row_key + row, column_key + column, live, RANK, RUN
        )
        higher = tl.maximum(most, score)
        keep, weight = tl.exp(most - higher), tl.exp(score - higher)
        most, weight_sum = higher, weight_sum * keep + weight
        at = (gap_y + down) * code_width + gap_x + right
        row_at, column_at, plane = row_value + row, column_value + column, RANK * RANK * codes
        color = _sum_of_products(value, at, codes, row_at, column_at, live, RANK, RUN)
        red = red * keep + weight * color
        color = _sum_of_products(value + plane, at, codes, row_at, column_at, live, RANK, RUN)
        green = green * keep + weight * color
        color = _sum_of_products(value + 2 * plane, at, codes, row_at, column_at, live, RANK, RUN)
        blue = blue * keep + weight * color
    target = sr + (picture * 3 * height + y) * width + x
    tl.store(target, red / weight_sum, mask=live)
    tl.store(target + height * width, green / weight_sum, mask=live)
    tl.store(target + 2 * height * width, blue / weight_sum, mask=live)
