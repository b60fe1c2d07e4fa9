"""Attention whose products of keys and values are summed over all points before a query comes."""

import torch.nn.functional as F
from torch import Tensor, nn


class LinearAttention(nn.Module):
    """Multi-head linear attention and two layers behind it, as HIIF has it (arXiv 2412.03748).

    points (B, Q, width) -> (B, Q, width). With keys k and values v, both normalised, of n points,
    t = q (k^T v / n) + x, and the result is x + W2 GELU(W1 t). Sums of k^T v add up over parts of
    a picture, so ``products`` of the parts, added, are those of the whole.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        side = width // heads
        self.points = nn.Linear(width, 3 * width)
        self.key_norm = nn.LayerNorm(side)
        self.value_norm = nn.LayerNorm(side)
        self.first = nn.Linear(width, width)
        self.last = nn.Linear(width, width)

    def forward(self, points: Tensor, products: Tensor | None = None) -> Tensor:
        """Attention to the points that ``products`` were made of; without, to these ones."""
        query, key, value = self._heads(points)
        if products is None:
            products = self._summed(key, value)
        side = query.shape[-1]
        mixed = (
            products[:, :-1].unflatten(1, (self.heads, side, side)) / products[:, -1:, None, None]
        )
        seen = (query @ mixed.to(query.dtype)).transpose(1, 2).flatten(2)
        change: Tensor = self.last(F.gelu(self.first(seen + points)))
        return points + change

    def products(self, points: Tensor) -> Tensor:
        """Keys times values by head, and at the end how many points: (B, width * side + 1)."""
        _, key, value = self._heads(points)
        return self._summed(key, value)

    def _heads(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values: (B, heads, Q, side) each."""
        whole = self.points(points).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        query, key, value = whole.chunk(3, dim=-1)
        return query, self.key_norm(key), self.value_norm(value)

    def _summed(self, key: Tensor, value: Tensor) -> Tensor:
        total = (key.mT.float() @ value.float()).flatten(1)
        return F.pad(total, (0, 1), value=float(key.shape[2]))
