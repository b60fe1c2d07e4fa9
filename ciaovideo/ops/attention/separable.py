"""Attention over the four codes around a query whose weights factor by axis, on a grid of queries.

Two rounds of small dense products, down the columns, then across, in blocks of gap rows that stay
in cache. The definition at scattered points is ``SeparableCiaoSR.query``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ciaovideo.grid import placed
from ciaovideo.ops import dispatch

BLOCK = {"cpu": 8, "cuda": 256}  # gap rows worked on at once: on a CPU, what a cache holds
OF_BYTES = {4: torch.int32, 8: torch.int64, 16: torch.complex128}
TILES = range(24, 49)  # output columns in one product: more wastes zeros, fewer waste calls


class GapTaps(NamedTuple):
    """One axis: ``gap`` (N,) of each query, its basis values ``of_key``, ``of_value`` (2, N, r).

    Gaps lie on the CPU, where they are counted with, and values beside the maps.
    """

    gap: Tensor
    of_key: Tensor
    of_value: Tensor


def separable_attention(value: Tensor, logit: Tensor, rows: GapTaps, columns: GapTaps) -> Tensor:
    """value (B, 3 r^2, h + 2, w + 2), logit (B, 4 r^2, h + 1, w + 1) -> (B, 3, rows, columns).

    At each query the softmax over its four codes of sum logit * f(y) g(x), times the sum of
    value * f(y) g(x); f and g are the basis values of its row and its column. What comes back has
    their precision; on a CPU maps may have a lower one.
    """
    if fused := dispatch.fused_twin("attention.separable", value, rows.of_key):
        with dispatch.PlainIfItFails("attention.separable"):
            fast: Tensor = fused.separable_attention(value, logit, rows, columns)
            return fast
    size = BLOCK.get(value.device.type, max(BLOCK.values()))
    down = _down_table(rows, size)
    across = _across_table(columns)
    r = rows.of_key.shape[-1]
    # (B, row, a, channel, column, b): a meets the table of rows, b that of columns
    codes = value.unflatten(1, (3, r, r)).permute(0, 4, 2, 1, 5, 3)
    gaps = logit.unflatten(1, (2, 2, r, r)).permute(1, 0, 5, 3, 2, 6, 4)
    tiles, tile = across.of_key.shape[1], across.of_key.shape[-1]
    sr = rows.of_key.new_empty(len(value), 3, len(rows.gap), tiles * tile)
    for index, first in enumerate(range(0, len(down.gap), size)):
        block = slice(first, first + size)
        lines = [
            (
                _windows(_down(read[0], down.of_value[y, block]), across, across.span + 1),
                _windows(_down(read[1], down.of_key[y, block]), across, across.span),
            )
            for y, read in enumerate(_read(codes, gaps, down.gap[block], across))
        ]
        picture = _across(lines, across)
        picture = picture.index_select(2, placed(down.kept[index], value.device))
        start = int(down.start[index])
        rendered = sr[:, :, start : start + picture.shape[2]].unflatten(-1, (tiles, tile))
        rendered.copy_(picture.permute(1, 3, 2, 0, 4))
    return sr[..., : len(columns.gap)]


def _read(
    codes: Tensor, gaps: Tensor, at: Tensor, across: "AcrossTable"
) -> Iterator[tuple[Tensor, Tensor]]:
    """What some rows of gaps read, above and below: codes and logits of (B, G, a, C, columns, b).

    Taken from LR rows, which are fewer than those of the output, and small enough for a cache.
    """
    first, last = int(at[0]), int(at[-1])
    above = at - first
    rows = _columns(codes[:, first : last + 2], across, across.columns)
    for y in (0, 1):
        keys = _columns(gaps[y][:, first : last + 1], across, across.columns - 1)
        yield _rows(rows, above + y), _rows(keys, above)


def _columns(codes: Tensor, across: "AcrossTable", count: int) -> Tensor:
    """The columns (..., w, b) that tiles read, in the tables' precision: (..., count, b).

    Zeros stand for what lies beyond the picture, where tables are zero as well.
    """
    skipped, blank = max(across.first, 0), max(-across.first, 0)
    codes = codes[..., skipped : skipped + count - blank, :]
    end = blank + codes.shape[-2]
    read = codes.new_empty(*codes.shape[:-2], count, codes.shape[-1])
    read[..., :blank, :] = 0
    read[..., end:, :] = 0
    kind = OF_BYTES.get(read.shape[-1] * read.element_size())
    if kind and codes.stride(-1) == 1:  # copies into another order move all of b at once
        read.view(kind)[..., blank:end, :] = codes.view(kind)
    else:
        read[..., blank:end, :] = codes
    return read.to(across.of_key.dtype)


def _rows(lines: Tensor, at: Tensor) -> Tensor:
    """(B, rows, ...) at ascending rows: a view where none is left out, as on every larger grid."""
    first, last = int(at[0]), int(at[-1])
    if last - first + 1 == len(at):
        return lines[:, first : last + 1]
    return lines[:, placed(at, lines.device)]


def _across(lines: list[tuple[Tensor, Tensor]], table: "AcrossTable") -> Tensor:
    """From rows of sums to colour: (tiles, B, rows, 3, tile)."""
    logits, colors = [], []
    for of_value, of_key in lines:
        shape = of_value.shape[:3]  # B, rows, 3
        picked = torch.bmm(_tiles_first(of_value), table.of_value)
        colors.extend(picked.unflatten(1, shape).chunk(2, dim=-1))
        for x in (0, 1):
            picked = torch.bmm(_tiles_first(of_key[:, :, x]), table.of_key[x])
            logits.append(picked.unflatten(1, shape[:2]))
    weights = torch.stack(logits).softmax(dim=0).unsqueeze(4)  # (4, tiles, B, rows, 1, tile)
    picture: Tensor = colors[0] * weights[0]
    for color, weight in zip(colors[1:], weights[1:], strict=True):
        picture.addcmul_(color, weight)
    return picture


def _down_table(rows: GapTaps, size: int) -> "DownTable":
    gap, of_key, of_value = rows
    present, inverse, counts = gap.unique_consecutive(return_inverse=True, return_counts=True)
    slots = int(counts.max())
    slot = torch.arange(len(gap)) - (counts.cumsum(0) - counts)[inverse]
    at, among = placed(inverse, of_key.device), placed(slot, of_key.device)
    tables = []
    for basis in (of_key, of_value):
        table = basis.new_zeros(2, len(present), slots, basis.shape[-1])
        table[:, at, among] = basis
        tables.append(table)
    blocks = (inverse // size).unique_consecutive(return_counts=True)[1]
    kept = (inverse % size * slots + slot).split(blocks.tolist())
    return DownTable(present, tables[0], tables[1], tuple(kept), blocks.cumsum(0) - blocks)


def _across_table(columns: GapTaps) -> "AcrossTable":
    gap, of_key, of_value = columns
    count = len(gap)
    first, step, span, tile = tiling_of(gap.tolist())
    tiles = -(-count // tile)
    device = of_key.device
    query = torch.arange(count)
    inside = placed(gap - first - query // tile * step, device)
    query = placed(query, device)
    rank = of_key.shape[-1]
    key_table = of_key.new_zeros(2, tiles, span, rank, tile)
    value_table = of_value.new_zeros(tiles, span + 1, rank, 2, tile)
    for x in (0, 1):
        key_table[x, query // tile, inside, :, query % tile] = of_key[x]
        value_table[query // tile, inside + x, :, x, query % tile] = of_value[x]
    return AcrossTable(
        first=first,
        step=step,
        span=span,
        columns=(tiles - 1) * step + span + 1,
        of_key=key_table.flatten(2, 3),
        of_value=value_table.flatten(3, 4).flatten(1, 2),
    )


class Tiling(NamedTuple):
    """Tiles of ``tile`` columns: the t-th reads ``span`` gaps from the (first + t * step)-th on."""

    first: int
    step: int
    span: int
    tile: int


def tiling_of(gap: Sequence[int]) -> Tiling:
    """The tiles with the fewest multiplications whose steps are equal, by each column's gap.

    With equal steps, what tiles read are views of one line. Columns are evenly spaced, so that
    some number of them is nearly a whole number of gaps wide.
    """
    count = len(gap)
    found = []
    for tile in TILES if count > TILES[0] else (count,):
        lowest, highest = gap[::tile], [*gap[tile - 1 : count - 1 : tile], gap[-1]]
        step = max(round((lowest[-1] - lowest[0]) / max(len(lowest) - 1, 1)), 1)
        begins = [one - index * step for index, one in enumerate(lowest)]
        ends = [one - index * step for index, one in enumerate(highest)]
        span = max(ends) - min(begins) + 1
        found.append((len(lowest) * tile * (span + 1), Tiling(min(begins), step, span, tile)))
    return min(found)[1]


@dataclass(frozen=True, slots=True, eq=False)
class DownTable:
    """The tables for the rows of a grid: rows of one gap share the codes that they read.

    gap (G,): the gaps that hold rows; of_key, of_value (2, G, slots, rank): their basis values,
    zero where a gap holds fewer rows than another; kept: for each block of gaps, where its rows are
    among all its slots; start: its first row.
    """

    gap: Tensor
    of_key: Tensor
    of_value: Tensor
    kept: tuple[Tensor, ...]
    start: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class AcrossTable:
    """The tables for the columns of a grid, in tiles that each read a short run of codes.

    first: the first gap, and code, of the first tile, below 0 if that lies outside; step: how many
    further on the next one begins; span: how many gaps each reads, and one more code; columns: how
    many codes all of them read; of_key (2, tiles, span * rank, tile) and of_value (tiles,
    (span + 1) * rank, 2 * tile): basis values, mostly zero.
    """

    first: int
    step: int
    span: int
    columns: int
    of_key: Tensor
    of_value: Tensor


def _down(codes: Tensor, table: Tensor) -> Tensor:
    """codes (B, G, a, C, w, b) times table (G, slots, a) -> (B, G * slots, C, w * b)."""
    lines = torch.matmul(table, codes.flatten(3))  # (B, G, slots, C * w * b)
    return torch.unflatten(lines.flatten(1, 2), -1, (codes.shape[3], -1))


def _windows(lines: Tensor, across: "AcrossTable", span: int) -> Tensor:
    """What each tile reads of lines (..., columns * b): (..., tiles, span * b), a view."""
    rank = across.of_value.shape[1] // (across.span + 1)
    tiles = across.of_key.shape[1]
    return lines.unfold(-1, span * rank, across.step * rank)[..., :tiles, :]


def _tiles_first(lines: Tensor) -> Tensor:
    """(..., tiles, K) -> (tiles, everything else, K): a view, whose rows products can read."""
    return lines.flatten(0, -3).transpose(0, 1)
