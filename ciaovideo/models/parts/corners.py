"""The four codes around a query: their indices, and the values of a map there."""

import torch
from torch import Tensor

from ciaovideo.grid import constant

CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))  # (y, x) of the four codes around a query


def below(coord: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The code before each query on both axes, and how far behind it the query is, in LR px.

    coord (B, Q, 2) over a map of ``size`` -> codes (B, Q, 2) as floats, from -1 on, and offsets
    in [0, 1).
    """
    position = (coord + 1) * (constant(size, coord) / 2) - 0.5
    lower = position.floor()
    return lower, position - lower


def gather(codes: Tensor, index: Tensor) -> Tensor:
    """Codes (B, P, D) at index (B, Q) -> (B, Q, D)."""
    first = torch.arange(len(codes), device=codes.device).unsqueeze(1) * codes.shape[1]
    return codes.flatten(0, 1).index_select(0, (index + first).flatten()).view(*index.shape, -1)


def pick(table: Tensor, index: Tensor) -> Tensor:
    """Values of a map at codes: table (B, C, h, w), index (B, Q, 2) -> (B, Q, C).

    An index beyond the map is clamped to its border.
    """
    height, width = table.shape[-2:]
    flat = index[..., 0].clamp(0, height - 1) * width + index[..., 1].clamp(0, width - 1)
    return gather(table.permute(0, 2, 3, 1).flatten(1, 2), flat)
