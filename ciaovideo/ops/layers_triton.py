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


LAUNCH = {2: Launch(rows=128, chunk=32, warps=8, stages=2), 4: Launch(32, 16, 8, 1)}  # by bytes
NARROW = Launch(rows=64, chunk=32, warps=4, stages=2)  # in place of the first on small GPUs
ON_CHIP = 104 << 10  # bytes of shared memory that LAUNCH[2] takes on sm_80; sm_86 and sm_89 have 99


def launch_for(points: Tensor) -> Launch:
    """How the kernels are cut for the type of these numbers, on the GPU where they are."""
    if points.device.type == "cuda" and points.element_size() == 2:
        facts = torch.cuda.get_device_properties(points.device)
        if facts.shared_memory_per_block_optin < ON_CHIP:
            return NARROW
    return LAUNCH[points.element_size()]


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
