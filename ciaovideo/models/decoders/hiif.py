"""The decoder of HIIF: hierarchical positions, and attention over all pixels of the picture."""

from functools import reduce
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ciaovideo.errors import OptionError
from ciaovideo.grid import Axis, View
from ciaovideo.models.parts.blocks import QUERY_BLOCK
from ciaovideo.models.parts.linear_attention import LinearAttention
from ciaovideo.models.parts.points import Grid, PointDecoder, Points, take
from ciaovideo.models.protocols import Core, Footprint, Latent, Reach, Statistics

CORNERS = 4
CODES = ("codes", "codes_right", "codes_below", "codes_across")  # in the latent, by corner
SUMS = ("first_sums", "second_sums")  # in the latent, by block of attention behind the first stage
HELD = 1 << 26  # floats: a picture in one piece keeps its hidden values up to here
SNAP = 1024  # positions in an LR pixel are rounded to this fraction before they are cut into halves


class Stage(nn.Module):
    """Normalise, widen, GELU, project: points (..., inputs) -> (..., outputs)."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(inputs)
        self.first = nn.Linear(inputs, hidden)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, points: Tensor) -> Tensor:
        """No residual: the widths differ."""
        out: Tensor = self.last(F.gelu(self.first(self.norm(points))))
        return out


class HIIF(PointDecoder):
    """Hierarchical encoding based implicit image function (Jiang et al., arXiv 2412.03748).

    The features of the four codes around a query, each times its area weight of LIIF (arXiv
    2012.09161), stand side by side with the cell. ``levels`` stages follow, each given one level of
    the query's position in its LR pixel: level l is whether it lies in an odd or an even one of
    2^(l + 1) parts, on each axis. Behind the first stage stand two blocks of multi-head linear
    attention over all queries of the picture. With 64 features all of it has 1 735 071 weights.

    A key times a value is summed over all queries, so tiles need two passes before the first is
    decoded. Scattered points attend to one another.

    Chosen here: a position is rounded to 1/1024 LR px before it is cut into parts, since at whole
    scales it lies on their borders, where the last bit of a float would decide; and beyond the
    outermost codes it is the distance from them.
    """

    passes = len(SUMS)
    sums_at_hand = True

    def __init__(
        self, latent_dim: int, *, width: int = 256, heads: int = 16, levels: int = 6
    ) -> None:
        super().__init__()
        if levels < 2:
            raise OptionError(f"hiif: {levels} levels", "2 or more")
        if width % heads:
            raise OptionError(f"hiif: width {width} is not a multiple of {heads} heads")
        self.width = width
        self.frequency = nn.Conv2d(latent_dim, width, 3, padding=1)
        outputs = [width] * (levels - 1) + [3]
        inputs = [CORNERS * width + 4] + [width + 2] * (levels - 1)
        self.stages = nn.ModuleList(
            Stage(into, width, out) for into, out in zip(inputs, outputs, strict=True)
        )
        self.attention = nn.ModuleList(LinearAttention(width, heads) for _ in SUMS)
        # Four tables of each code and what makes them, and what a block of queries takes.
        self._footprint = Footprint(8 * width, 3, HELD + QUERY_BLOCK["cuda"] * 14 * width)

    @classmethod
    def small(cls, latent_dim: int = 8) -> Self:
        """One for tests."""
        return cls(latent_dim, width=12, heads=3, levels=3)

    def reach(self, view: View) -> Reach:
        """The four codes and what the convolution reads, sums left aside."""
        return Reach(2)

    def footprint(self, view: View) -> Footprint:
        """The same at every scale."""
        return self._footprint

    def prepare(self, features: Tensor, cell: Tensor, view: View) -> Latent:
        """What the first stage needs of a code as each of the four corners: (B, width + 2, h, w).

        The first layer's product with it, its sum and the sum of its squares, of which mean and
        deviation of the normalisation are made.
        """
        frequency = self.frequency(features)
        exact = frequency.float()
        sums = [exact.sum(1, keepdim=True), exact.square().sum(1, keepdim=True)]
        latent = {}
        for name, weight in zip(CODES, self._code_weights(), strict=True):
            product = F.conv2d(frequency, weight[..., None, None]).float()
            codes = torch.cat([product, *sums], dim=1)
            latent[name] = codes.contiguous(memory_format=torch.channels_last)
        return latent

    def decode(self, latent: Latent, rows: Axis, columns: Axis) -> Tensor:
        """Colour on a grid: -> (B, 3, rows, columns).

        Where sums over the picture are missing, this grid is the picture. One that is small enough
        then goes through each part once; a larger one comes back to the first for each sum.
        """
        known = _known(latent)
        if known < len(SUMS) and self._fits(latent, rows, columns):
            return self.decode_at_once(latent, rows, columns)
        for _ in range(len(SUMS) - known):
            latent = {**latent, **self._sums(latent, rows, columns)}
        return super().decode(latent, rows, columns)

    def _fits(self, latent: Latent, rows: Axis, columns: Axis) -> bool:
        pictures = len(latent[CODES[0]])
        return pictures * len(rows) * len(columns) * self.width <= HELD

    def decode_at_once(self, latent: Latent, rows: Axis, columns: Axis) -> Tensor:
        """The picture, its hidden values kept while sums over them are made."""
        codes, known = latent[CODES[0]], _known(latent)
        blocks = list(Grid.of(rows, columns, self.along, codes).blocks())
        held = [self._attended(latent, points, known) for _, points in blocks]
        for block in self._attention(known):
            products = reduce(torch.add, map(block.products, held))
            for index, hidden in enumerate(held):
                held[index] = block(hidden, products)
        picture = codes.new_empty(len(codes), 3, len(rows), len(columns))
        for (place, points), hidden in zip(blocks, held, strict=True):
            made = self._colored(hidden, points).mT
            picture[(..., *place)] = made.unflatten(-1, picture[(..., *place)].shape[-2:])
        return picture

    def summarize(self, latent: Latent, core: Core) -> Statistics:
        """Keys times values of the first block whose sums are not known, and how many queries."""
        return self._sums(latent, core.rows, core.columns)

    def colors(self, latent: Latent, points: Points) -> Tensor:
        """Colour at queries: (B, Q, 3)."""
        return self._colored(self._attended(latent, points, len(SUMS)), points)

    def _colored(self, hidden: Tensor, points: Points) -> Tensor:
        """The stages behind the attention: (B, Q, width) -> (B, Q, 3)."""
        position = _position(points)
        for level, stage in enumerate(self.stages):
            if level:
                part = _part(position, level).expand(len(hidden), -1, -1)
                hidden = stage(torch.cat([hidden, part.to(hidden.dtype)], dim=-1))
        return hidden

    def _sums(self, latent: Latent, rows: Axis, columns: Axis) -> dict[str, Tensor]:
        known = _known(latent)
        block = self._attention(known)[0]
        grid = Grid.of(rows, columns, self.along, latent["codes"])
        shares = (
            block.products(self._attended(latent, points, known)) for _, points in grid.blocks()
        )
        return {SUMS[known]: reduce(torch.add, shares)}

    def _attended(self, latent: Latent, points: Points, blocks: int) -> Tensor:
        """Behind the first stage and so many blocks of attention: (B, Q, width)."""
        hidden = self._first_stage(latent, points)
        for name, block in zip(SUMS[:blocks], self._attention(0), strict=False):
            hidden = block(hidden, latent.get(name))
        return hidden

    def _first_stage(self, latent: Latent, points: Points) -> Tensor:
        """The normalisation and the first layer are taken apart, so as to see each code once.

        W LN(z) = (W' z - mean(z) W' 1) / deviation(z) + W beta with W' = W diag(gamma), and z is
        four codes times their areas, cell and position.
        """
        stage = self._stage(0)
        others = torch.cat(
            [points.cell.expand(-1, points.index.shape[-1], -1), _part(_position(points), 0)], -1
        )
        weight = (stage.first.weight * stage.norm.weight).float()
        total = others @ weight[:, CORNERS * self.width :].mT
        sums, squares = others.sum(-1, keepdim=True), others.square().sum(-1, keepdim=True)
        for name, index, area in zip(CODES, points.index, points.areas, strict=True):
            product, own, own_squares = take(latent[name], index).split([self.width, 1, 1], dim=-1)
            total = total + area * product
            sums = sums + area * own
            squares = squares + area.square() * own_squares
        count = stage.norm.normalized_shape[0]
        mean = sums / count
        deviation = (squares / count - mean.square()).clamp(min=0).add(stage.norm.eps).sqrt()
        shift = F.linear(stage.norm.bias, stage.first.weight, stage.first.bias).float()
        hidden = (total - mean * weight.sum(dim=1)) / deviation + shift
        out: Tensor = stage.last(F.gelu(hidden).to(stage.last.weight.dtype))
        return out

    def _code_weights(self) -> list[Tensor]:
        """The first layer's weights of the code at each corner: (width, width)."""
        stage = self._stage(0)
        weight = stage.first.weight * stage.norm.weight
        return list(weight[:, : CORNERS * self.width].split(self.width, dim=1))

    def _attention(self, first: int) -> list[LinearAttention]:
        """Blocks of attention from one on."""
        return [block for block in self.attention[first:] if isinstance(block, LinearAttention)]

    def _stage(self, index: int) -> Stage:
        stage = self.stages[index]
        assert isinstance(stage, Stage)
        return stage


def _known(latent: Latent) -> int:
    """Blocks of attention whose sums over the picture are there."""
    return sum(name in latent for name in SUMS)


def _position(points: Points) -> Tensor:
    """How far behind the upper left code a query lies, in LR px: (b, Q, 2) in [0, 1]."""
    whole: Tensor = (points.offset[0].abs() * (SNAP / 2)).round()
    return whole.clamp(max=SNAP) / SNAP


def _part(position: Tensor, level: int) -> Tensor:
    """Whether it lies in an odd one (1) or an even one (0) of 2^(level + 1) parts: (b, Q, 2)."""
    whole: Tensor = (position * 2.0 ** (level + 1)).floor()
    return whole % 2
