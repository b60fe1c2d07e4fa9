"""A convolution and what follows it in one pass over memory, where oneDNN can do that.

On a CPU with matrix units a 3x3 convolution of 32 channels takes hardly longer than to read and
write its map once, and an activation or a sum of its own reads and writes it again. torch has
joint operators for its compiler. They are not public, so each is tried once before use; where one
is missing or wrong, plain torch computes the same.
"""

from collections.abc import Callable
from functools import cache
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 0.05}  # of values up to 4; bf16 rounds once less


def activated(conv: nn.Conv2d, lr: Tensor, slope: float, offset: Tensor | None = None) -> Tensor:
    """A leaky ReLU of a convolution: (B, C, h, w) -> (B, C', h, w).

    ``offset`` (B, C') is added to each channel before; of one picture it joins the bias.
    """
    if _joint(conv, lr) and (offset is None or len(offset) == 1):
        return _leaky(conv, lr, slope, offset)
    made = conv(lr) if offset is None else conv(lr) + offset[..., None, None]
    return F.leaky_relu(made, slope, inplace=True)


def added(conv: nn.Conv2d, lr: Tensor, to: Tensor) -> Tensor:
    """A convolution of one map added to another, which may be written to and must not be read."""
    if _joint(conv, lr) and lr.shape[1] == conv.out_channels:
        return _sum(conv, lr, to)
    change: Tensor = conv(lr)
    return to + change


def _joint(conv: nn.Conv2d, lr: Tensor) -> bool:
    """Whether the joint operators may be used: never where a gradient is wanted."""
    return (
        not torch.is_grad_enabled()
        and lr.device.type == "cpu"
        and conv.weight.dtype == lr.dtype
        and not torch.is_autocast_enabled("cpu")
        and lr.dtype in TOLERANCE
        and lr.is_contiguous(memory_format=torch.channels_last)
        and joint_works(lr.dtype)
    )


def _leaky(conv: nn.Conv2d, lr: Tensor, slope: float, offset: Tensor | None = None) -> Tensor:
    operator = torch.ops.mkldnn._convolution_pointwise
    return cast(Tensor, operator(lr, *_facts(conv, offset), "leaky_relu", [slope], ""))


def _sum(conv: nn.Conv2d, lr: Tensor, to: Tensor) -> Tensor:
    operator = cast(Callable[..., Tensor], torch.ops.mkldnn._convolution_pointwise_.binary)
    return operator(to, lr, *_facts(conv), "add", None, None, [], None)


def _facts(conv: nn.Conv2d, offset: Tensor | None = None) -> tuple[object, ...]:
    bias = conv.bias
    if offset is not None:
        bias = offset[0] if bias is None else bias + offset[0]
    return (
        conv.weight,
        bias,
        conv.padding,
        conv.stride,
        conv.dilation,
        conv.groups,
    )


@cache
def joint_works(kind: torch.dtype) -> bool:
    """Whether both joint operators are there and right, on a small example."""
    if not torch.backends.mkldnn.is_available() or not torch.backends.mkldnn.enabled:
        return False
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        conv = nn.Conv2d(8, 8, 3, padding=1)
        weight = torch.rand(conv.weight.shape, generator=generator) * 0.2 - 0.1
        conv.weight.copy_(weight)
        conv = conv.to(kind).to(memory_format=torch.channels_last)
        lr = (torch.rand(2, 8, 5, 7, generator=generator) * 2 - 1).to(kind)
        lr = lr.contiguous(memory_format=torch.channels_last)
        try:
            made = _leaky(conv, lr, 0.1, lr[:1, :, 0, 0]), _sum(conv, lr, lr.clone())
        except (AttributeError, RuntimeError, TypeError):  # other names or arguments in this torch
            return False
        true = F.leaky_relu(conv(lr) + lr[:1, :, :1, :1], 0.1), lr + conv(lr)
        return all(
            bool((ours.float() - theirs.float()).abs().max() <= TOLERANCE[kind])
            for ours, theirs in zip(made, true, strict=True)
        )
