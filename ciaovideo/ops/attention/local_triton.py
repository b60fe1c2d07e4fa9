"""``local_attention`` fused for GPUs: hidden layers stay on chip from the tables to the sum.

A program takes a tile of queries with their four neighbours as rows of one matrix. It gathers the
first layer of the key MLP, runs the hidden layers, makes logits and weights, does the same with
the value MLP, multiplies each piece of the last layer with the codes, and writes the sum.

At hidden width 256, four hidden layers and V = 640, per query: 4 * (2 * 3 * 256^2 + 256 * 640) =
2.23 M multiplications, 4.46 MFLOP. Read from the tables: 2 x 256, pairs 256 and codes 640 values
per neighbour, 11.3 kB in bf16, nearly all from cache, as neighbouring queries share them; written:
640 values, 1.3 kB. The weights, 1.1 MB in bf16, are read from L2 once per program of 32 queries:
34 kB per query. So a multiprocessor that reads 64 B a cycle from L2 and multiplies 4096 pairs a
cycle needs 544 cycles for both: the tensor cores and L2 bound it alike, and DRAM does not.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ciaovideo.ops.attention.local import Keys, PointMLP, Taps, Values
from ciaovideo.ops.dispatch import device_of
from ciaovideo.ops.layers_triton import launch_for, precision_of, square, stacked, two_layers

CORNERS = 4
TILE_WIDTH = 8  # queries of a program that lie side by side, where it has that many


def fits(rows: Taps, columns: Taps, keys: Keys | None, values: Values) -> bool:
    """Whether the kernel takes this: four neighbours, and an even number of hidden layers."""
    if keys is None or len(rows.neighbour) * len(columns.neighbour) != CORNERS:
        return False
    return all(_takes(mlp) for mlp in (keys.mlp, values.mlp))


def _takes(mlp: PointMLP) -> bool:
    width = mlp.codes.shape[-1]
    return len(mlp.layers) % 2 == 1 and square(mlp.layers) and len(mlp.layers[0][0]) == width


def local_attention(
    rows: Taps, columns: Taps, size: tuple[int, int], keys: Keys | None, values: Values
) -> Tensor:
    """The sum of weighted values at each query: (B, R * C, V); the arguments must fit."""
    assert keys is not None
    codes = values.codes
    batch, places, depth = codes.shape
    shape = (rows.nearest.numel(), columns.nearest.numel())
    launch = launch_for(codes)
    queries = launch.rows // CORNERS
    across = min(TILE_WIDTH, queries)
    out = codes.new_empty(batch, shape[0] * shape[1], depth)
    tiles = triton.cdiv(shape[0], queries // across) * triton.cdiv(shape[1], across)
    with device_of(codes):
        _mix[(tiles, batch)](
            *_taps(rows, columns),
            *_tables(keys.mlp),
            *_tables(values.mlp),
            keys.pairs.contiguous(),
            keys.bias.contiguous(),
            codes.contiguous(),
            *(tensor.contiguous() for tensor in values.last),
            out,
            places,
            size[1],
            *shape,
            depth,
            KEY_LAYERS=len(keys.mlp.layers),
            VALUE_LAYERS=len(values.mlp.layers),
            KEY_WIDTH=keys.mlp.codes.shape[-1],
            VALUE_WIDTH=values.mlp.codes.shape[-1],
            QUERIES=queries,
            ACROSS=across,
            CHUNK=min(launch.chunk, keys.mlp.codes.shape[-1], values.mlp.codes.shape[-1]),
            PRECISION=precision_of(),
            num_warps=launch.warps,
            num_stages=launch.stages,
        )
    return out


def _taps(rows: Taps, columns: Taps) -> tuple[Tensor, ...]:
    indices = (rows.nearest, rows.neighbour, columns.nearest, columns.neighbour)
    return tuple(index.to(torch.int32).contiguous() for index in indices)


def _tables(mlp: PointMLP) -> tuple[Tensor, ...]:
    tables = (mlp.codes, mlp.rows, mlp.columns, *stacked(mlp.layers, mlp.codes))
    return tuple(table.contiguous() for table in tables)


@triton.jit
def _hidden(
    codes,
    of_rows,
    of_columns,
    weights,
    biases,
    at,
    row,
    column,
    LAYERS: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    CHUNK: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """``PointMLP.hidden`` of rows that read codes ``at``, offsets ``row`` and ``column``."""
    wide = tl.arange(0, WIDTH)
    kind = codes.dtype.element_ty
    total = tl.zeros([ROWS, WIDTH], tl.float32)
    for start in range(0, WIDTH, CHUNK):
        inner = start + tl.arange(0, CHUNK)[None, :]
        first = tl.load(codes + at[:, None] * WIDTH + inner).to(tl.float32)
        first += tl.load(of_rows + row[:, None] * WIDTH + inner).to(tl.float32)
        first += tl.load(of_columns + column[:, None] * WIDTH + inner).to(tl.float32)
        weight = tl.load(weights + wide[None, :] * WIDTH + start + tl.arange(0, CHUNK)[:, None])
        first = tl.maximum(first, 0.0).to(kind)
        total = tl.dot(first, weight, total, input_precision=PRECISION)
    total += tl.load(biases + wide).to(tl.float32)[None, :]
    hidden = tl.maximum(total, 0.0).to(kind)
    for layer in tl.static_range(1, LAYERS, 2):
        hidden = two_layers(
            hidden,
            weights + layer * WIDTH * WIDTH,
            biases + layer * WIDTH,
            weights + (layer + 1) * WIDTH * WIDTH,
            biases + (layer + 1) * WIDTH,
            WIDTH,
            CHUNK,
            ROWS,
            PRECISION,
        )
    return hidden


@triton.jit
def _place(query, tiles, QUERIES: tl.constexpr, ACROSS: tl.constexpr):
    """Row and column of queries of this program's tile; there are ``tiles`` side by side."""
    y = (tl.program_id(0) // tiles) * (QUERIES // ACROSS) + query // ACROSS
    return y, (tl.program_id(0) % tiles) * ACROSS + query % ACROSS


@triton.jit
def _softmax(logit, QUERIES: tl.constexpr):
    """Weights (4 * QUERIES,) that add up to one over the four neighbours of each query."""
    logit = tl.reshape(logit, [QUERIES, 4])
    weight = tl.exp(logit - tl.max(logit, axis=1)[:, None])
    return tl.reshape(weight / tl.sum(weight, axis=1)[:, None], [QUERIES * 4])


@triton.jit
def _weigh(
    hidden, codes, weight, last_weight, last_bias, target, live, depth,
    WIDTH: tl.constexpr, QUERIES: tl.constexpr, CHUNK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Store the neighbours' codes, modulated by their values and added up by their weights."""
    for start in range(0, depth, CHUNK):
        inner = start + tl.arange(0, CHUNK)
        inside = inner < depth
        where = inner[None, :] * WIDTH + tl.arange(0, WIDTH)[:, None]
        last = tl.load(last_weight + where, mask=inside[None, :], other=0.0)
        value = tl.dot(hidden, last, input_precision=PRECISION)
        value += tl.load(last_bias + inner, mask=inside, other=0.0).to(tl.float32)[None, :]
        code = tl.load(codes + inner[None, :], mask=inside[None, :], other=0.0)
        value *= code.to(tl.float32) * weight[:, None]
        mixed = tl.sum(tl.reshape(value, [QUERIES, 4, CHUNK]), axis=1)
        there = live[:, None] & inside[None, :]
        tl.store(target + inner[None, :], mixed.to(target.dtype.element_ty), mask=there)


@triton.jit
def _mix(
    row_nearest, row_neighbour, column_nearest, column_neighbour,
    key_codes, key_rows, key_columns, key_weights, key_biases,
    value_codes, value_rows, value_columns, value_weights, value_biases,
    pairs, pair_bias, codes, last_weight, last_bias, out,
    places, box_width, height, width, depth,
    KEY_LAYERS: tl.constexpr, VALUE_LAYERS: tl.constexpr,
    KEY_WIDTH: tl.constexpr, VALUE_WIDTH: tl.constexpr,
    QUERIES: tl.constexpr, ACROSS: tl.constexpr, CHUNK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """A tile of QUERIES queries, ACROSS of them side by side, of one picture of the batch."""
    ROWS: tl.constexpr = QUERIES * 4
    tiles = tl.cdiv(width, ACROSS)
    picture = tl.program_id(1).to(tl.int64)
    # Row r of the matrix is query r // 4 with its neighbour r % 4, which is (y, x) of a corner.
    y, x = _place(tl.arange(0, ROWS) // 4, tiles, QUERIES, ACROSS)
    y, x = tl.minimum(y, height - 1), tl.minimum(x, width - 1)  # the last tile repeats its border
    row = (tl.arange(0, ROWS) % 4) // 2 * height + y
    column = tl.arange(0, ROWS) % 2 * width + x
    row_at, column_at = tl.load(row_neighbour + row), tl.load(column_neighbour + column)
    at = row_at * box_width + column_at + picture * places

    row_here, column_here = tl.load(row_nearest + y), tl.load(column_nearest + x)
    step = tl.abs((row_at - row_here) * 3 + column_at - column_here)
    here = row_here * box_width + column_here
    pair = step * places + tl.minimum(here, row_at * box_width + column_at) + picture * 5 * places
    hidden = _hidden(
        key_codes, key_rows, key_columns, key_weights, key_biases,
        at, row, column, KEY_LAYERS, KEY_WIDTH, ROWS, CHUNK, PRECISION,
    )  # fmt: skip
    wide = tl.arange(0, KEY_WIDTH)[None, :]
    product = hidden.to(tl.float32) * tl.load(pairs + pair[:, None] * KEY_WIDTH + wide)
    logit = tl.sum(product, axis=1) + tl.load(pair_bias + pair)
    weight = _softmax(logit, QUERIES)

    hidden = _hidden(
        value_codes, value_rows, value_columns, value_weights, value_biases,
        at, row, column, VALUE_LAYERS, VALUE_WIDTH, ROWS, CHUNK, PRECISION,
    )  # fmt: skip
    y, x = _place(tl.arange(0, QUERIES), tiles, QUERIES, ACROSS)
    target = out + ((picture * height + y) * width + x)[:, None] * depth
    live = (y < height) & (x < width)
    _weigh(
        hidden, codes + at[:, None] * depth, weight, last_weight, last_bias, target, live, depth,
        VALUE_WIDTH, QUERIES, CHUNK, PRECISION,
    )  # fmt: skip
