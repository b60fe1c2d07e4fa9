"""Linear layers, and chains of them, as fast as the machine can.

On some processors ``F.linear`` in fp32 runs at half the speed of oneDNN's own product, which torch
keeps as an operator without a public name. It is used where it exists and gives the same numbers.
"""

from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from ciaovideo.ops import dispatch

Layer = tuple[Tensor, Tensor]
"""Weight (out, in) and bias (out,)."""

AGREE = 1e-4  # of sums of 64 products of order one: rounding is a hundredth of this, bugs are not


def linear(points: Tensor, layer: Layer, *, relu: bool = False) -> Tensor:
    """points (..., in) -> (..., out), optionally with a ReLU behind."""
    weight, bias = layer
    if _fits(points, layer) and fused_works():
        kind = "relu" if relu else "none"
        fused: Tensor = torch.ops.mkldnn._linear_pointwise(points, weight, bias, kind, [], "")
        return fused
    out = F.linear(points, weight, bias)
    return out.relu_() if relu else out


def perceptron(points: Tensor, layers: Sequence[Layer], *, relu_last: bool = False) -> Tensor:
    """Layers with a ReLU between them, and behind the last one if asked for."""
    fused = dispatch.fused_twin("linear", points, *chain.from_iterable(layers))
    if fused and fused.fits(layers, relu_last=relu_last):
        with dispatch.PlainIfItFails("linear"):
            return cast(Tensor, fused.perceptron(points, layers))
    for index, layer in enumerate(layers):
        points = linear(points, layer, relu=relu_last or index < len(layers) - 1)
    return points


def _fits(points: Tensor, layer: Layer) -> bool:
    """The fused product has no gradient, and is only faster in fp32 on a CPU."""
    tensors = (points, *layer)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return False
    return all(tensor.device.type == "cpu" and tensor.dtype == torch.float32 for tensor in tensors)


@cache
def fused_works() -> bool:
    """Whether the operator exists here, takes these arguments and computes a linear layer."""
    ramp = torch.linspace(-1, 1, 16 * 64).view(16, 64)
    weight, bias = ramp.sin(), torch.linspace(-1, 1, 16)
    for points, kind in chain.from_iterable(((p, "relu"), (p, "none")) for p in (ramp, ramp[:1])):
        expected = F.linear(points, weight, bias)
        expected = expected.relu() if kind == "relu" else expected
        try:
            found = torch.ops.mkldnn._linear_pointwise(points, weight, bias, kind, [], "")
        except (AttributeError, NotImplementedError, RuntimeError):
            return False
        if not torch.allclose(found, expected, rtol=0, atol=AGREE):
            return False
    return True
