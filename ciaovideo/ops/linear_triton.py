"""``perceptron`` fused for GPUs: from the points to the last layer, hidden layers stay on chip.

At 640 -> 256 x 4 -> 3, the colour MLP of CiaoSR, per point: 0.36 M multiplications, 0.72 MFLOP,
1.3 kB read in bf16 and 6 bytes written; the weights, 0.7 MB, come from L2 once per 128 points, 5.6
kB per point. The tensor cores bound it, or L2: both need 88 cycles of a multiprocessor.
"""

from collections.abc import Sequence

import triton
import triton.language as tl
from torch import Tensor

from ciaovideo.ops.dispatch import device_of
from ciaovideo.ops.layers_triton import (
    WIDTHS,
    launch_for,
    precision_of,
    square,
    stacked,
    two_layers,
)
from ciaovideo.ops.linear import Layer

LEAST_COLUMNS = 16  # of a product of matrices


def fits(layers: Sequence[Layer], *, relu_last: bool = False) -> bool:
    """Whether the kernel takes this: an even number of hidden layers, few outputs, all linear."""
    if len(layers) < 3:
        return False
    first, *middle, last = layers
    narrow = len(last[0]) <= LEAST_COLUMNS
    odd = len(middle) % 2 == 1 and square(middle) and len(first[0]) == len(middle[0][0])
    return narrow and odd and len(first[0]) in WIDTHS and not relu_last


def perceptron(points: Tensor, layers: Sequence[Layer], *, relu_last: bool = False) -> Tensor:
    """Layers with a ReLU between them: points (..., in) -> (..., out); the layers must fit."""
    first, *middle, last = layers
    flat = points.flatten(0, -2).contiguous()
    outputs, width = last[0].shape
    launch = launch_for(points)
    out = points.new_empty(len(flat), outputs)
    with device_of(points):
        _perceptron[(triton.cdiv(len(flat), launch.rows),)](
            flat,
            *(tensor.contiguous() for tensor in first),
            *stacked(middle, flat),
            *(tensor.contiguous() for tensor in last),
            out,
            *flat.shape,
            outputs,
            LAYERS=len(middle),
            WIDTH=width,
            OUTPUTS=LEAST_COLUMNS,
            ROWS=launch.rows,
            CHUNK=min(launch.chunk, width),
            PRECISION=precision_of(),
            num_warps=launch.warps,
            num_stages=launch.stages,
        )
    return out.view(*points.shape[:-1], outputs)


@triton.jit
def _perceptron(
    points, first_weight, first_bias, weights, biases, last_weight, last_bias, out,
    count, depth, outputs,
    LAYERS: tl.constexpr, WIDTH: tl.constexpr, OUTPUTS: tl.constexpr,
    ROWS: tl.constexpr, CHUNK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """ROWS points: the first layer in pieces of its input, pairs of layers, the last pair."""
    kind = points.dtype.element_ty
    at = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    live = at < count
    wide = tl.arange(0, WIDTH)
    total = tl.zeros([ROWS, WIDTH], tl.float32)
    for start in range(0, depth, CHUNK):
        inner = start + tl.arange(0, CHUNK)
        inside = inner < depth
        there = live[:, None] & inside[None, :]
        point = tl.load(points + at[:, None] * depth + inner[None, :], mask=there, other=0.0)
        where = wide[None, :] * depth + inner[:, None]
        weight = tl.load(first_weight + where, mask=inside[:, None], other=0.0)
        total = tl.dot(point, weight, total, input_precision=PRECISION)
    total += tl.load(first_bias + wide).to(tl.float32)[None, :]
    hidden = tl.maximum(total, 0.0).to(kind)
    for layer in tl.static_range(0, LAYERS - 1, 2):
        hidden = two_layers(
            hidden,
            weights + layer * WIDTH * WIDTH,
            biases + layer * WIDTH,
            weights + (layer + 1) * WIDTH * WIDTH,
            biases + (layer + 1) * WIDTH,
            WIDTH,
            CHUNK,
            ROWS,
            PRECISION,
        )
    few = tl.arange(0, OUTPUTS)
    kept = few < outputs
    color = tl.zeros([ROWS, OUTPUTS], tl.float32)
    weights += (LAYERS - 1) * WIDTH * WIDTH
    biases += (LAYERS - 1) * WIDTH
    for start in range(0, WIDTH, CHUNK):
        inner = start + tl.arange(0, CHUNK)
        weight = tl.load(weights + inner[None, :] * WIDTH + wide[:, None])
        piece = tl.dot(hidden, weight, input_precision=PRECISION)
        piece = tl.maximum(piece + tl.load(biases + inner).to(tl.float32)[None, :], 0.0).to(kind)
        where = few[None, :] * WIDTH + inner[:, None]
        weight = tl.load(last_weight + where, mask=kept[None, :], other=0.0)
        color = tl.dot(piece, weight, color, input_precision=PRECISION)
    color += tl.load(last_bias + few, mask=kept, other=0.0).to(tl.float32)[None, :]
    there = live[:, None] & kept[None, :]
    tl.store(out + at[:, None] * outputs + few[None, :], color.to(kind), mask=there)
