"""The separable decoder at the crossings of rows and columns, for training.

Equal to ``prepare`` and ``query`` up to rounding. A quarter of a picture's pixels read its codes
through gathers there, whose gradients are scattered back one by one; here both are dense products
with tables that are mostly zero, which processors with matrix units do some twenty times as fast.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from ciaovideo.grid import View, constant
from ciaovideo.models.decoders.ciaosr_separable import SeparableCiaoSR
from ciaovideo.models.decoders.passes import bordered, corner_products
from ciaovideo.ops.convolution import activated

type Tables = tuple[Tensor, Tensor]
"""Basis values (2, N, codes * rank) of keys and of values, zero where a query does not read."""


class Grid(Protocol):
    """Rows (N,) and columns (M,), as ascending coordinates, asked for in so many samples."""

    @property
    def samples(self) -> int:
        """How many consecutive ones of the batch; they have one cell."""
        ...

    @property
    def rows(self) -> Tensor:
        """(N,)."""
        ...

    @property
    def columns(self) -> Tensor:
        """(M,)."""
        ...


def crossed(
    decoder: SeparableCiaoSR, features: Tensor, cell: Tensor, view: View, grids: Sequence[Grid]
) -> list[Tensor]:
    """Colours (b, 3, N, M) of each grid; features (B, C, h, w) and cell (B, 2) for ``prepare``."""
    relative = cell * constant(view.lr_size, cell)  # (B, 2): 2 / scale
    scale = decoder.scale(relative.to(features.dtype))
    trunk = bordered(activated(decoder.trunk, features, decoder.slope, scale))
    samples = [grid.samples for grid in grids]
    values = decoder.value(trunk).split(samples)
    products = corner_products(decoder.gap_query(trunk), decoder.key(trunk))
    logits = decoder.logit(products).unflatten(0, (4, -1)).split(samples, dim=1)
    firsts = [sum(samples[:index]) for index in range(len(samples))]
    return [
        _colors(decoder, value, logit, (relative[first], grid))
        for value, logit, first, grid in zip(values, logits, firsts, grids, strict=True)
    ]


def _colors(
    decoder: SeparableCiaoSR, value: Tensor, logit: Tensor, where: tuple[Tensor, Grid]
) -> Tensor:
    """value (b, 3 r r, h + 2, w + 2), logit (4, b, r r, h + 1, w + 1) -> (b, 3, N, M)."""
    (cell, grid), r, batch = where, decoder.rank, len(value)
    height, width = value.shape[-2:]
    key_y, value_y = _tables(decoder, grid.rows, cell[0], height, value.dtype)
    key_x, value_x = _tables(decoder, grid.columns, cell[1], width, value.dtype)
    codes = value.unflatten(1, (3, r, r)).permute(0, 4, 2, 1, 5, 3)  # rows first, columns last
    down = value_y.flatten(0, 1) @ codes.flatten(3).flatten(1, 2)  # (b, 2 N, 3 w r)
    color = down.view(batch, -1, width * r) @ value_x.permute(2, 0, 1).flatten(1)
    keys = logit.unflatten(0, (2, 2)).unflatten(3, (r, r)).permute(1, 0, 2, 5, 3, 6, 4)
    keys = keys.flatten(5).flatten(3, 4)  # (x, y, b, h r, w r)
    down = key_y[:, None, :, : (height - 1) * r] @ keys
    score = down.flatten(1, 3) @ key_x[..., : (width - 1) * r].mT
    score = score.view(2, 2, batch, len(grid.rows), -1).permute(2, 1, 0, 3, 4)
    weight = score.flatten(1, 2).float().softmax(dim=1)  # (b, 4, N, M)
    color = color.view(batch, 2, len(grid.rows), 3, 2, -1).permute(0, 1, 4, 3, 2, 5).flatten(1, 2)
    return torch.sum(color * weight[:, :, None], dim=1)


def _tables(
    decoder: SeparableCiaoSR, coord: Tensor, cell: Tensor, codes: int, kind: torch.dtype
) -> Tables:
    """For keys, counted by gaps, and for values; ``codes`` have a border of one."""
    position = (coord + 1) * ((codes - 2) / 2) - 0.5
    lower = position.floor()
    offset = torch.stack([position - lower, position - lower - 1])
    basis = decoder.basis(offset, cell.expand_as(offset))
    of_key, of_value = basis[:, :, None, :].split(decoder.rank, dim=-1)
    gap = (lower.long() + 1)[:, None] == torch.arange(codes, device=coord.device)
    gap = gap.to(basis.dtype)[..., None]
    code = torch.stack([gap, gap.roll(1, dims=1)])
    return (gap * of_key).flatten(2).to(kind), (code * of_value).flatten(2).to(kind)
