"""Small operations whose gradients are written by hand, so that they pass over memory seldom.

Training spends its time on memory, not on arithmetic: what autograd makes of slices are blocks of
zeros that are filled and summed, and of a replicating border a map in another memory layout.
"""

from typing import Any

import torch
from torch import Tensor


class _Bordered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inner: Tensor) -> Tensor:
        batch, channels, height, width = inner.shape
        out = inner.new_empty(batch, height + 2, width + 2, channels).permute(0, 3, 1, 2)
        out[:, :, 1:-1, 1:-1] = inner
        out[:, :, 1:-1, 0] = inner[:, :, :, 0]
        out[:, :, 1:-1, -1] = inner[:, :, :, -1]
        out[:, :, 0] = out[:, :, 1]
        out[:, :, -1] = out[:, :, -2]
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        grad = grads[0]
        rows = grad[:, :, 1:-1].clone(memory_format=torch.channels_last)
        rows[:, :, 0] += grad[:, :, 0]
        rows[:, :, -1] += grad[:, :, -1]
        inner = rows[..., 1:-1]
        inner[..., 0] += rows[..., 0]
        inner[..., -1] += rows[..., -1]
        return inner


class _CornerProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor) -> Tensor:
        ctx.save_for_backward(query, key)
        batch, channels, height, width = query.shape
        out = query.new_empty(4, batch, height, width, channels).permute(0, 1, 4, 2, 3)
        for product, corner in zip(out, _corners(key), strict=True):
            torch.mul(query, corner, out=product)
        return out.flatten(0, 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        query, key = ctx.saved_tensors
        grad = grads[0].unflatten(0, (4, -1))
        of_key = torch.zeros_like(key)
        of_query: Tensor | None = None
        for each, corner, into in zip(grad, _corners(key), _corners(of_key), strict=True):
            of_query = each * corner if of_query is None else of_query.addcmul_(each, corner)
            into.addcmul_(each, query)
        assert of_query is not None
        return of_query, of_key


def bordered(inner: Tensor) -> Tensor:
    """A map (B, C, h, w) with its border repeated once: (B, C, h + 2, w + 2), channels last."""
    made: Tensor = _Bordered.apply(inner)
    return made


def corner_products(query: Tensor, key: Tensor) -> Tensor:
    """query (B, C, h, w) times the four views of that size of key (B, C, h + 1, w + 1).

    (4 B, C, h, w): those at the top first, and of these the left one.
    """
    made: Tensor = _CornerProducts.apply(query, key)
    return made


def _corners(grid: Tensor) -> list[Tensor]:
    height, width = grid.shape[-2] - 1, grid.shape[-1] - 1
    return [grid[..., y : y + height, x : x + width] for y in (0, 1) for x in (0, 1)]
