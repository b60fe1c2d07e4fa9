"""The decoder of CiaoSR: implicit attention over neighbouring codes, with a non-local branch."""

from collections.abc import Sequence
from itertools import product
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from ciaovideo.errors import OptionError
from ciaovideo.grid import (
    Axis,
    View,
    code_centre,
    constant,
    nearest_index,
    once_per_axis,
    placed,
    shifted,
)
from ciaovideo.models.parts.blocks import blocks, queries_at_once
from ciaovideo.models.parts.corners import gather
from ciaovideo.models.parts.cross_scale_attention import non_local_branch
from ciaovideo.models.parts.mlp import MLP
from ciaovideo.models.protocols import Decoder, Footprint, Latent, Reach
from ciaovideo.ops.attention.local import (
    PAIRS,
    Keys,
    PointMLP,
    Taps,
    Values,
    local_attention,
    pair_tables,
)
from ciaovideo.ops.linear import Layer, linear, perceptron

BLOCK_FLOATS = 40 << 20  # measured with 4096 queries at full size, attention bands included
REACH = 1  # no query reads a code further than this from its nearest one

Box = tuple[int, int, int, int]  # top, bottom, left, right: half-open, of codes
Reads = tuple[Taps, Tensor, tuple[int, int]]
"""What queries along an axis read: codes, (offset, cell) (K, N, 2), span of the codes."""


class CiaoSR(Decoder):
    """Continuous implicit attention-in-attention (Cao et al., arXiv 2212.04362, equation 5).

    A query reads the code nearest to it (Q) and the four around it (K_j; V_j with the non-local
    features appended). Key and value are multiplied by weights that MLPs predict from the code,
    the offset and the cell; softmax_j(Q . K_j / softmax_scale) mixes the values, and a last MLP
    turns the mix into colour.

    ``unfold``: a code is the 3x3 features around its pixel. ``local_attention=False``: only the
    nearest code is read, and there are no keys. ``attention=False``: the key MLP says the logit
    itself, instead of a weight for the key (the ablation of table 4). ``non_local_scales``: of the
    cross-scale attention, empty for none; ``window`` and ``window_margin`` are its windows, in LR
    pixels.

    ``query`` is the published formula. ``decode`` computes the same from per-code tables, in
    blocks of ``query_block`` queries (0: by the device), which do not change the picture.
    """

    def __init__(
        self,
        latent_dim: int,
        *,
        hidden: Sequence[int] = (256, 256, 256, 256),
        unfold: bool = True,
        local_attention: bool = True,
        attention: bool = True,
        non_local_scales: Sequence[int] = (2,),
        softmax_scale: float = 1.0,
        window: int | None = 48,
        window_margin: int = 8,
    ) -> None:
        super().__init__()
        if not hidden:
            raise OptionError("the MLPs of CiaoSR have no hidden layer", "give at least one width")
        self.unfold = unfold
        self.attention = attention
        self.softmax_scale = softmax_scale
        self.directions = (-1, 1) if local_attention else (0,)
        self.query_block = 0
        key_dim = latent_dim * 9 if unfold else latent_dim
        value_dim = key_dim + latent_dim * len(non_local_scales)
        self.key: MLP | None = None
        if local_attention:
            self.key = MLP(key_dim + 4, hidden, key_dim if attention else 1)
        self.value = MLP(value_dim + 4, hidden, value_dim)
        self.color = MLP(value_dim, hidden, 3)
        self.non_local = non_local_branch(latent_dim, non_local_scales, window, window_margin)
        floats = self.non_local.floats if self.non_local else 0
        self._footprint = Footprint(floats, 3, BLOCK_FLOATS)

    @classmethod
    def small(cls, latent_dim: int = 8) -> Self:
        """One for tests."""
        return cls(latent_dim, hidden=(16, 16), window=12, window_margin=3)

    def reach(self, view: View) -> Reach:
        """The code that a query reads, and what that is made of."""
        code = Reach(int(self.unfold))
        return Reach(REACH) + (code | self.non_local.reach if self.non_local else code)

    def footprint(self, view: View) -> Footprint:
        """The same at every scale."""
        return self._footprint

    def prepare(self, features: Tensor, cell: Tensor, view: View) -> Latent:
        """The features and, where there are any, the non-local ones: each (B, C, h, w)."""
        latent = {"features": features}
        if self.non_local is not None:
            latent["non_local"] = self.non_local(features, view)
        return latent

    def query(self, latent: Latent, coord: Tensor, cell: Tensor) -> Tensor:
        """Colour at scattered points, by the definition: coord (B, Q, 2) -> (B, Q, 3)."""
        height, width = latent["features"].shape[-2:]
        keys, values = self._codes(latent, (0, height, 0, width))
        relative = cell.unsqueeze(1) * constant([height, width], cell)  # (B, 1, 2)
        relative = relative.expand(-1, coord.shape[1], -1)
        nearest = nearest_index(coord[..., 0], height) * width + nearest_index(coord[..., 1], width)
        code = gather(keys, nearest)
        rows = corner_codes(coord[..., 0], height, cell[:, :1], self.directions)
        columns = corner_codes(coord[..., 1], width, cell[:, 1:], self.directions)
        logits, weighted = [], []
        for (y, y_offset), (x, x_offset) in product(rows, columns):
            offset = torch.stack([y_offset, x_offset], dim=-1)
            where = torch.cat([offset, relative], dim=-1).to(keys.dtype)
            key, value = gather(keys, y * width + x), gather(values, y * width + x)
            if self.key is not None:
                said = self.key(torch.cat([key, where], dim=-1))
                key = key * said if self.attention else said
            logit = (code * key).sum(dim=-1) if self.attention else key[..., 0]
            logits.append(logit / self.softmax_scale)
            weighted.append(value * self.value(torch.cat([value, where], dim=-1)))
        weights = torch.stack(logits).softmax(dim=0, dtype=torch.float32).to(keys.dtype)
        color: Tensor = self.color((torch.stack(weighted) * weights.unsqueeze(-1)).sum(dim=0))
        return color

    def decode(self, latent: Latent, rows: Axis, columns: Axis) -> Tensor:
        """Colour on a grid, block by block: -> (B, 3, rows, columns)."""
        features = latent["features"]
        most = queries_at_once(features.device, len(features))
        if self.query_block:
            most = max(1, self.query_block // len(features))
        picture = features.new_empty(len(features), 3, len(rows), len(columns))
        down, across = blocks(len(rows), len(columns), most)
        column_reads = [self._along(columns, part, features) for part in across]
        for y in down:
            row_reads = self._along(rows, y, features)
            for x, reads in zip(across, column_reads, strict=True):
                picture[..., y, x] = self._decode_block(latent, row_reads, reads)
        return picture

    def _decode_block(self, latent: Latent, rows: Reads, columns: Reads) -> Tensor:
        """One block from tables that cover just the codes it reads: (B, 3, rows, columns)."""
        y_taps, y_offset, (top, bottom) = rows
        x_taps, x_offset, (left, right) = columns
        keys, values = self._codes(latent, (top, bottom, left, right))
        size, offsets = (bottom - top, right - left), (y_offset, x_offset)
        key_tables = None
        if self.key is not None:
            first, *middle, last = self.key.linears()
            pairs, bias = self._pair_tables(keys.view(len(keys), *size, -1), last)
            mlp = PointMLP(*_take_apart(first, keys, offsets), middle)
            key_tables = Keys(mlp, pairs / self.softmax_scale, bias / self.softmax_scale)
        first, *middle, last = self.value.linears()
        mlp = PointMLP(*_take_apart(first, values, offsets), middle)
        mixed = local_attention(y_taps, x_taps, size, key_tables, Values(mlp, last, values))
        color = perceptron(mixed, self.color.linears())
        return color.mT.view(-1, 3, y_offset.shape[1], x_offset.shape[1])

    def _pair_tables(self, keys: Tensor, last: Layer) -> tuple[Tensor, Tensor]:
        """Key tables of a box of codes (B, h, w, D); the same for all pairs without attention."""
        if self.attention:
            return pair_tables(keys, last)
        (weight, bias), count = last, len(PAIRS) * keys.shape[1] * keys.shape[2]
        return weight.expand(len(keys), count, -1), bias.expand(len(keys), count)

    def _codes(self, latent: Latent, box: Box) -> tuple[Tensor, Tensor]:
        """Key and value codes of a box, row by row: (B, P, D) and (B, P, V)."""
        if self.unfold:
            keys = F.unfold(_crop(latent["features"], box, 1), 3).mT
        else:
            keys = _crop(latent["features"], box, 0).flatten(2).mT
        if self.non_local is None:
            return keys, keys
        non_local = _crop(latent["non_local"], box, 0).flatten(2).mT
        return keys, torch.cat([keys, non_local], dim=-1)

    def _along(self, axis: Axis, part: slice, like: Tensor) -> Reads:
        """What a part of the queries of an axis reads, beside ``like`` and of its type."""
        own = axis.part(part.start, part.stop, axis.origin)
        taps, where, span = axis_reads(own, self.directions)
        indices = (placed(index, like.device) for index in (taps.nearest, taps.neighbour))
        return Taps(*indices), placed(where.to(like.dtype), like.device), span


@once_per_axis
def axis_reads(axis: Axis, directions: tuple[int, ...]) -> Reads:
    """What the queries of an axis read, on the CPU in float32; corners lie in ``directions``."""
    cell = torch.tensor(axis.cell)
    nearest = nearest_index(axis.coord, axis.count)
    corners = corner_codes(axis.coord, axis.count, cell, directions)
    neighbour = torch.stack([index for index, _ in corners])
    offset = torch.stack([offset for _, offset in corners])
    where = torch.stack([offset, (cell * axis.count).expand_as(offset)], dim=-1)
    least, most = torch.cat([nearest, neighbour.flatten()]).aminmax()
    start, stop = int(least), int(most) + 1
    taps = Taps(nearest - start, neighbour - start)
    return taps, where, (start - axis.origin, stop - axis.origin)


def corner_shift(count: int, cell: Tensor) -> Tensor:
    """From a query to a corner along an axis of ``count`` codes, in coordinates.

    About half an LR pixel, exactly that at scale 2. The order of the arithmetic is the published
    one. On an axis of one code there is nowhere to go.
    """
    if count == 1:
        return torch.zeros_like(cell)
    return 1 / ((count - 1) / (1 - cell))


def corner_codes(
    coord: Tensor, count: int, cell: Tensor, directions: Sequence[int]
) -> list[tuple[Tensor, Tensor]]:
    """Along one axis, for each direction: index of the code, offset from it in half LR pixels."""
    shift = corner_shift(count, cell)
    found = []
    for direction in directions:
        index = nearest_index(shifted(coord, direction * shift), count)
        found.append((index, (coord - code_centre(index, count)) * count))
    return found


def _crop(latent: Tensor, box: Box, ring: int) -> Tensor:
    """A box of a map and a ring around it, zero beyond the map."""
    height, width = latent.shape[-2:]
    top, bottom, left, right = box
    inside = 0 <= top < bottom <= height and 0 <= left < right <= width
    assert inside, "the latent map lacks codes that these queries read: its halo was too small"
    # Negative padding crops.
    sides = (ring - left, ring + right - width, ring - top, ring + bottom - height)
    return F.pad(latent, sides)


def _take_apart(
    first: Layer, codes: Tensor, where: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """The first layer over (code, offset y, x, cell y, x) as tables per code, row and column."""
    weight, bias = first
    of_code, of_y, of_x = weight[:, :-4].contiguous(), weight[:, -4::2], weight[:, -3::2]
    return linear(codes, (of_code, bias)), F.linear(where[0], of_y), F.linear(where[1], of_x)
