"""Linear layers with a ReLU on rows that stay on chip: what the fused kernels are made of.

A layer as wide as its input cannot be computed from registers in pieces, because Triton takes no
slices of them. Two layers can, as in flash attention: a piece of the first layer's output is made
from the whole input, and is at once multiplied into the sum of the second.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ciaovideo.ops.linear import Layer

WIDTHS = (16, 32, 64, 128, 256)  # of hidden layers; a product needs 16, registers hold 256


class Launch(NamedTuple):
    """How a kernel is cut for a type of numbers: rows and columns at once, warps, stages."""

    rows: int
    chunk: int
    warps: int
    stages: int


def precision_of() -> str:
    """How products of fp32 are computed: three products of TF32, or one where torch allows it."""
    return "tf32" if torch.backends.cuda.matmul.allow_tf32 else "tf32x3"


def stacked(layers: Sequence[Layer], like: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (N, M, M) and biases (N, M) of layers of one width, in one piece of memory each."""
    if not layers:
        return like, like
    weights, biases = zip(*layers, strict=True)
    return torch.stack(weights), torch.stack(biases)


def square(layers: Sequence[Layer]) -> bool:
    """Whether all layers are as wide as they are deep, of a width that the kernels take."""
    return all(weight.shape[0] == weight.shape[1] in WIDTHS for weight, _ in layers)


@triton.jit
def two_layers(
    points,
    first_weight,
    first_bias,
    second_weight,
    second_bias,
    WIDTH: tl.constexpr,
    CHUNK: tl.constexpr,
    ROWS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """relu(second(relu(first(points)))): points (ROWS, WIDTH) -> the same shape and type."""
    wide = tl.arange(0, WIDTH)
    total = tl.zeros([ROWS, WIDTH], tl.float32)
    for start in range(0, WIDTH, CHUNK):
        inner = start + tl.arange(0, CHUNK)
        weight = tl.load(first_weight + inner[None, :] * WIDTH + wide[:, None])
        hidden = tl.dot(points, weight, input_precision=PRECISION)
        hidden += tl.load(first_bias + inner).to(tl.float32)[None, :]
        hidden = tl.maximum(hidden, 0.0).to(points.dtype)
        weight = tl.load(second_weight + wide[None, :] * WIDTH + inner[:, None])
        total = tl.dot(hidden, weight, total, input_precision=PRECISION)
    total += tl.load(second_bias + wide).to(tl.float32)[None, :]
    return tl.maximum(total, 0.0).to(points.dtype)
