"""Linear attention: products of keys and values are summed over all points, before the queries."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LinearAttention(nn.Module):
    """Multi-head linear attention and two layers behind it, as HIIF has it (arXiv 2412.03748).

    points (B, Q, width) -> (B, Q, width). With keys k and values v, both normalised, of n points,
    t = q (k^T v / n) + x, and the result is x + W2 GELU(W1 t). Sums of k^T v add up over parts of
    a picture, so ``products`` of the parts, added, are those of the whole.

    Once the products are there, q (k^T v) of a point x is one matrix times x: queries of their own
    are never made.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        side = width // heads
        self.points = nn.Linear(width, 3 * width)  # by head: its query, its key, its value
        self.key_norm = nn.LayerNorm(side)
        self.value_norm = nn.LayerNorm(side)
        self.first = nn.Linear(width, width)
        self.last = nn.Linear(width, width)

    def forward(self, points: Tensor, products: Tensor | None = None) -> Tensor:
        """Attention to the points that ``products`` were made of; without, to these ones."""
        if products is None:
            products = self.products(points)
        seen, bias = self._seen(products)
        hidden = points + points @ seen.to(points.dtype) + bias.to(points.dtype)
        change: Tensor = self.last(F.gelu(self.first(hidden)))
        return points + change

    def products(self, points: Tensor) -> Tensor:
        """Keys times values by head, and at the end how many points: (B, width * side + 1)."""
        weight, bias = self._rows(slice(1, 3))
        both = F.linear(points, weight.flatten(0, 2), bias.flatten())
        key, value = both.unflatten(-1, (self.heads, -1)).transpose(1, 2).chunk(2, dim=-1)
        key, value = self.key_norm(key), self.value_norm(value)
        total = (key.mT.float() @ value.float()).flatten(1)
        return F.pad(total, (0, 1), value=float(key.shape[2]))

    def _seen(self, products: Tensor) -> tuple[Tensor, Tensor]:
        """What a point is multiplied by, (B, width, width), and what is added: (B, 1, width)."""
        weight, bias = (rows[:, 0].float() for rows in self._rows(slice(0, 1)))
        side = bias.shape[-1]
        mean = products[:, :-1] / products[:, -1:]
        mean = mean.unflatten(1, (self.heads, side, side))  # (B, heads, side, side)
        seen = torch.einsum("hqw,bhqv->bwhv", weight, mean).flatten(2)
        return seen, torch.einsum("hq,bhqv->bhv", bias, mean).flatten(1).unsqueeze(1)

    def _rows(self, parts: slice) -> tuple[Tensor, Tensor]:
        """Of the first layer, by head and part: weight (heads, P, side, width), bias without it."""
        shape = self.heads, 3, -1
        return (
            self.points.weight.unflatten(0, shape)[:, parts],
            self.points.bias.unflatten(0, shape)[:, parts],
        )
