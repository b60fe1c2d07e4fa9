"""``modulated_render`` fused for GPUs: from scale and shift to colour in one pass.

``modulated_render.py`` is the definition. A program makes a tile of
pixels as rows of one matrix: it renders them from each of the four codes around them, one after
the other, keeps hidden values and their blend on chip, and writes the colour once.

Per pixel at width 16, depth 8: 4 * 7 * 16^2 = 7168 multiplications in products, 14.3 kFLOP, and
4 * 8 * 16 = 512 times scale, shift and ReLU on other units, which bound it; 2 kB read in bf16, from
cache, as the pixels of a gap share their codes; from DRAM each map once, 512 B per code, and 12 B
written.
"""

import triton
import triton.language as tl
from torch import Tensor

from ciaovideo.grid import placed
from ciaovideo.ops.dispatch import device_of
from ciaovideo.ops.layers_triton import precision_of
from ciaovideo.ops.modulated_render import GapTaps, RenderWeights

WIDTHS = (16, 32, 64)  # of hidden layers; a product needs 16, registers hold 64
ROWS, ACROSS = 64, 16  # pixels in one program, and how many of them lie side by side
WARPS = 4


def fits(width: int) -> bool:
    """Whether the kernel takes layers of this width."""
    return width in WIDTHS


def modulated_render(
    scale: Tensor, shift: Tensor, rows: GapTaps, columns: GapTaps, weights: RenderWeights
) -> Tensor:
    """scale and shift (B, depth * width, h + 2, w + 2) -> (B, 3, rows, columns), fp32."""
    maps = [table.permute(0, 2, 3, 1).contiguous() for table in (scale, shift)]
    batch, code_height, code_width, _ = maps[0].shape
    depth, width = len(weights.layers) + 1, weights.offset.shape[0]
    shape = (len(rows.gap), len(columns.gap))
    tiles = triton.cdiv(shape[0], ROWS // ACROSS) * triton.cdiv(shape[1], ACROSS)
    sr = scale.new_empty(batch, 3, *shape, dtype=weights.color.dtype)
    with device_of(scale):
        _render[(tiles, batch)](
            *maps,
            *(placed(t, scale.device).contiguous() for taps in (rows, columns) for t in taps),
            *(tensor.contiguous() for tensor in weights),
            sr,
            code_height,
            code_width,
            *shape,
            DEPTH=depth,
            WIDTH=width,
            ROWS=ROWS,
            ACROSS=ACROSS,
            PRECISION=precision_of(),
            num_warps=WARPS,
        )
    return sr


@triton.jit
def _from_code(
    scale, shift, offset_weight, layers, at, offset_y, offset_x,
    DEPTH: tl.constexpr, WIDTH: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The last hidden layer of pixels rendered from codes ``at``, so far away: (ROWS, WIDTH)."""
    wide = tl.arange(0, WIDTH)
    kind = scale.dtype.element_ty
    table = at[:, None] * (DEPTH * WIDTH) + wide[None, :]
    hidden = offset_y[:, None] * tl.load(offset_weight + 2 * wide)[None, :]
    hidden += offset_x[:, None] * tl.load(offset_weight + 2 * wide + 1)[None, :]
    hidden = 2 * hidden * tl.load(scale + table).to(tl.float32)
    hidden = tl.maximum(hidden + tl.load(shift + table).to(tl.float32), 0.0)
    for layer in tl.static_range(1, DEPTH):
        weight = layers + (layer - 1) * WIDTH * WIDTH + wide[None, :] * WIDTH + wide[:, None]
        change = tl.dot(hidden.to(kind), tl.load(weight).to(kind), input_precision=PRECISION)
        change *= tl.load(scale + table + layer * WIDTH).to(tl.float32)
        change += tl.load(shift + table + layer * WIDTH).to(tl.float32)
        hidden = tl.maximum(change, 0.0)
    return hidden


@triton.jit
def _render(
    scale, shift, row_gap, row_offset, column_gap, column_offset,
    offset_weight, layers, color, color_bias, sr,
    code_height, code_width, height, width,
    DEPTH: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr, ACROSS: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """A tile of ROWS pixels, ACROSS of them side by side, of one picture of the batch."""
    tiles = tl.cdiv(width, ACROSS)
    picture = tl.program_id(1).to(tl.int64)
    pixel = tl.arange(0, ROWS)
    y = (tl.program_id(0) // tiles) * (ROWS // ACROSS) + pixel // ACROSS
    x = (tl.program_id(0) % tiles) * ACROSS + pixel % ACROSS
    live = (y < height) & (x < width)
    y, x = tl.minimum(y, height - 1), tl.minimum(x, width - 1)  # the last tile repeats its border
    into_y, into_x = tl.load(row_offset + y), tl.load(column_offset + x)
    at = picture * code_height * code_width
    at += tl.load(row_gap + y) * code_width + tl.load(column_gap + x)
    blended = tl.zeros([ROWS, WIDTH], tl.float32)
    for corner in tl.static_range(4):
        down, right = corner // 2, corner % 2
        hidden = _from_code(
            scale, shift, offset_weight, layers, at + down * code_width + right,
            into_y - down, into_x - right, DEPTH, WIDTH, PRECISION,
        )  # fmt: skip
        share_y = into_y if down else 1 - into_y
        share_x = into_x if right else 1 - into_x
        blended += hidden * (share_y * share_x)[:, None]
    target = sr + (picture * 3 * height + y) * width + x
    wide = tl.arange(0, WIDTH)
    for channel in tl.static_range(3):
        weight = tl.load(color + channel * WIDTH + wide)
        signal = tl.sum(blended * weight[None, :], axis=1) + tl.load(color_bias + channel)
        tl.store(target + channel * height * width, signal, mask=live)
