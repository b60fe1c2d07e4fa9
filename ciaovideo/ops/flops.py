"""Counts the operations of a call, those of oneDNN's joint operators as well."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count


def count_flops(work: Callable[[], object]) -> int:
    """Floating-point operations of matrix products and convolutions in a call.

    A product and its sum are two.
    """
    with FlopCounterMode(display=False, custom_mapping=_joint_operators()) as counter:
        work()
    total: int = counter.get_total_flops()
    return total


def _joint_operators() -> dict[Any, Any]:
    """Counts for operators that torch's counter does not know."""

    def linear(points: Any, weight: Any, *_: Any, out_shape: Any, **__: Any) -> int:
        count: int = 2 * math.prod(out_shape) * weight[1]
        return count

    def convolution(lr: Any, weight: Any, *_: Any, out_shape: Any, **__: Any) -> int:
        count: int = conv_flop_count(list(lr), list(weight), list(out_shape))
        return count

    def added(_: Any, lr: Any, weight: Any, *__: Any, out_shape: Any, **___: Any) -> int:
        return convolution(lr, weight, out_shape=out_shape)

    found = {}
    for name, count in (
        ("_linear_pointwise", linear),
        ("_convolution_pointwise", convolution),
        ("_convolution_pointwise_", added),
    ):
        operator = getattr(torch.ops.mkldnn, name, None)
        if operator is not None:
            found[operator] = count
    return found
