"""Attention of each query over the codes around it, on a rectangular grid of queries.

Algebra makes this cheaper than its definition and changes nothing else. The first layer of an MLP
over (code, offset, cell) is a sum of a term per code, one per row and one per column of queries.
The last layer of the key MLP and its two products, with the key and with the query code, become
one vector per pair of neighbouring codes, so that a logit is one short dot product.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ciaovideo.ops import dispatch
from ciaovideo.ops.linear import Layer, linear, perceptron

PAIRS = ((0, 0), (0, 1), (1, -1), (1, 0), (1, 1))
"""Steps (y, x) from a code to a neighbour; the other four are these, taken from the other end."""


@dataclass(frozen=True, slots=True, eq=False)
class Taps:
    """Which codes the queries of an axis read: ``nearest`` (N,), ``neighbour`` (K, N).

    Indices into a box of codes. No neighbour is more than one step from the nearest.
    """

    nearest: Tensor
    neighbour: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class PointMLP:
    """An MLP over (code, offset, cell), its first layer taken apart.

    ``codes`` (B, P, M), ``rows`` (K, R, M) and ``columns`` (K, C, M) add up to the first layer
    before its ReLU; ``layers`` are weight and bias of the ones that follow.
    """

    codes: Tensor
    rows: Tensor
    columns: Tensor
    layers: Sequence[Layer]

    def hidden(self, at: Tensor, y: int, x: int) -> Tensor:
        """After ``layers``, a ReLU behind each: code ``at`` (Q,), corner (y, x) -> (B, Q, M)."""
        grid = (len(self.codes), self.rows.shape[1], self.columns.shape[1], -1)
        first = self.codes.index_select(1, at).view(grid)
        first += self.rows[y].unsqueeze(1)
        first += self.columns[x]
        return perceptron(first.relu_().flatten(1, 2), self.layers, relu_last=True)


@dataclass(frozen=True, slots=True, eq=False)
class Keys:
    """What logits are made of: ``pairs`` (B, 5 * P, M), ``bias`` (B, 5 * P), as ``PAIRS``.

    The logit of neighbour j is mlp.hidden . pairs[nearest, j] + bias[nearest, j].
    """

    mlp: PointMLP
    pairs: Tensor
    bias: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """What is summed: ``codes`` (B, P, V) times the output of the MLP's ``last`` layer."""

    mlp: PointMLP
    last: Layer
    codes: Tensor


def pair_tables(codes: Tensor, last: Layer) -> tuple[Tensor, Tensor]:
    """``Keys.pairs`` and ``Keys.bias`` of a box of codes (B, h, w, D), last layer (D, M), (D,).

    q . (k * (W x + b)) = x . W^T (q * k) + b . (q * k), which does not change when q and k swap.
    """
    weight, bias = last[0].T.contiguous(), last[1]
    nothing = weight.new_zeros(len(weight))
    pairs, biases = [], []
    for y, x in PAIRS:
        # Pairs that wrap around the box are made too, and never read.
        product = (codes * codes.roll((-y, -x), dims=(1, 2))).flatten(1, 2)
        pairs.append(linear(product, (weight, nothing)))
        biases.append(product @ bias)
    return torch.cat(pairs, dim=1), torch.cat(biases, dim=1)


def local_attention(
    rows: Taps, columns: Taps, size: tuple[int, int], keys: Keys | None, values: Values
) -> Tensor:
    """The sum of weighted values at each query: (B, R * C, V).

    ``size`` (h, w) of the box, P = h * w. Without keys there is one neighbour, its weight one.
    """
    fused = dispatch.fused_twin("attention.local", values.codes)
    if fused and fused.fits(rows, columns, keys, values):
        with dispatch.PlainIfItFails("attention.local"):
            mixed: Tensor = fused.local_attention(rows, columns, size, keys, values)
            return mixed
    corners = [(y, x) for y in range(len(rows.neighbour)) for x in range(len(columns.neighbour))]
    at = [_flat(rows.neighbour[y], columns.neighbour[x], size[1]) for y, x in corners]
    weights: list[Tensor] | None = None
    if keys is not None:
        pairs = [_pair(rows, columns, corner, size) for corner in corners]
        logits = [
            _logit(keys, code, pair, corner)
            for code, pair, corner in zip(at, pairs, corners, strict=True)
        ]
        kind = values.codes.dtype
        weights = list(torch.stack(logits).softmax(dim=0, dtype=torch.float32).to(kind))
    total = None
    for index, (y, x) in enumerate(corners):
        value = linear(values.mlp.hidden(at[index], y, x), values.last)
        value *= values.codes.index_select(1, at[index])
        if weights is not None:
            value *= weights[index].unsqueeze(-1)
        total = value if total is None else total.add_(value)
    assert total is not None
    return total


def _logit(keys: Keys, at: Tensor, pair: Tensor, corner: tuple[int, int]) -> Tensor:
    product = keys.mlp.hidden(at, *corner) * keys.pairs.index_select(1, pair)
    return product.sum(dim=-1) + keys.bias.index_select(1, pair)


def _flat(y: Tensor, x: Tensor, width: int) -> Tensor:
    return (y.unsqueeze(1) * width + x).flatten()


def _pair(rows: Taps, columns: Taps, corner: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Where ``pair_tables`` holds the nearest code with a neighbour: (R * C,)."""
    y, x = corner
    here = _flat(rows.nearest, columns.nearest, size[1])
    there = _flat(rows.neighbour[y], columns.neighbour[x], size[1])
    # 3 dy + dx numbers the nine steps from -4 to 4; a pair is found at the earlier of its ends.
    step = _flat(rows.neighbour[y] - rows.nearest, columns.neighbour[x] - columns.nearest, 3)
    return step.abs() * (size[0] * size[1]) + torch.minimum(here, there)
