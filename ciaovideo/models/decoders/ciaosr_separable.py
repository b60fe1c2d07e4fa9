"""A CiaoSR decoder whose work per output pixel is a handful of multiplications."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ciaovideo.errors import OptionError
from ciaovideo.grid import Axis, View, constant, gaps, placed
from ciaovideo.models.protocols import Footprint, Latent
from ciaovideo.ops import dispatch

CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))  # (y, x) of the four codes around a query
BLOCK = {"cpu": 8, "cuda": 256}  # gap rows worked on at once: on a CPU, what a cache holds
TILE = 32  # output columns in one product: more wastes zeros, fewer waste calls
WAVES = 4  # sines and cosines per axis that weights are made of, up to one period per LR pixel


class OffsetBasis(nn.Module):
    """Functions of one coordinate: offset (...,) LR px in [-1, 1], cell (...,) -> (..., count).

    The weight of a key or value at a point is a sum of products of these, one function of y
    times one of x. Each is a short Fourier sum in the offset, whose coefficients are quadratic
    in the cell (2 / scale): smooth in both, so that any scale and any point can be asked for.
    """

    keep_fp32 = True  # a few hundred values a frame, and every pixel hangs on them

    def __init__(self, count: int) -> None:
        super().__init__()
        self.mix = nn.Linear(3 * (2 * WAVES + 2), count, bias=False)

    def forward(self, offset: Tensor, cell: Tensor) -> Tensor:
        """The value of each function."""
        waves = torch.arange(1, WAVES + 1, dtype=offset.dtype, device=offset.device)
        angle = (torch.pi / 2) * offset[..., None] * waves
        one = torch.ones_like(offset)
        curve = torch.cat([torch.stack([one, offset], -1), angle.sin(), angle.cos()], dim=-1)
        powers = torch.stack([one, cell, cell * cell], dim=-1)
        terms = (curve[..., None, :] * powers[..., None]).flatten(-2)
        value: Tensor = self.mix(terms.to(self.mix.weight.dtype))
        return value.to(offset.dtype)


class SeparableCiaoSR(nn.Module):
    """Attention over the four codes around a query, with coordinate weights that factor by axis.

    As in CiaoSR (Cao et al., arXiv 2212.04362, equations 4 and 5) the ensemble weights are
    softmax(Q . K_j) of a query code and four keys, and keys and values are scaled by weights that
    depend on offset and cell. Three things differ. The weights depend on coordinates only and are
    sums of products f(y) g(x), so Q . K_j and V_j become short sums over products of two small
    tables. The query code is that of the gap between the four codes, instead of the nearest
    code, so the picture has no seam half-way. All layers that see features run per LR pixel, as
    in latent modulation (arXiv 2404.16451), and so the map from value to colour is linear.

    ``slope`` is what the one ReLU lets through of negative values.

    features (B, C, h, w) -> latent maps; per output pixel: 4 * 4 * rank^2 multiplications at most.
    """

    def __init__(
        self,
        latent_dim: int,
        hidden: int = 64,
        key_dim: int = 32,
        rank: int = 4,
        slope: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 <= slope <= 1:
            raise OptionError(f"ciaosr-separable: slope {slope} is outside 0 to 1")
        self.slope = slope
        self.halo = 2  # LR pixels: one for the 3x3 convolution, one for the codes around a gap
        self.footprint = Footprint(14 * rank * rank + 2 * hidden + 6 * key_dim, 6)
        self.rank = rank
        self.trunk = nn.Conv2d(latent_dim, hidden, 3, padding=1)
        self.scale = nn.Linear(2, hidden)
        self.value = nn.Conv2d(hidden, 3 * rank * rank, 1)
        self.key = nn.Conv2d(hidden, key_dim, 1)
        self.gap_query = nn.Conv2d(hidden, key_dim, 2)
        self.logit = nn.Conv2d(key_dim, rank * rank, 1)
        self.basis = OffsetBasis(2 * rank)

    def prepare(self, features: Tensor, cell: Tensor, view: View) -> Latent:
        """Values per code and logits per gap.

        value (B, 3 * r * r, h + 2, w + 2), borders repeated; logit (B, 4 * r * r, h + 1, w + 1);
        cell (B, 2) in LR pixels.
        """
        relative = cell * constant(view.lr_size, cell)  # (B, 2): 2 / scale
        scale = self.scale(relative.to(features.dtype))[..., None, None]
        trunk = F.leaky_relu(self.trunk(features) + scale, self.slope, inplace=True)
        trunk = F.pad(trunk, (1, 1, 1, 1), mode="replicate")
        query, key = self.gap_query(trunk), self.key(trunk)
        height, width = query.shape[-2:]
        logits = [self.logit(query * key[..., y : y + height, x : x + width]) for y, x in CORNERS]
        return {
            "value": self.value(trunk).float(),
            "logit": torch.cat(logits, dim=1).float(),
            "cell": relative,
        }

    def query(self, latent: Latent, coord: Tensor, cell: Tensor) -> Tensor:
        """Colour at scattered points, by the definition: coord (B, Q, 2) -> (B, Q, 3)."""
        value, logit = latent["value"], latent["logit"]
        size = constant([logit.shape[-2] - 1, logit.shape[-1] - 1], coord)
        position = (coord + 1) * (size / 2) - 0.5
        lower = position.floor()
        offset = (position - lower)[..., None, :] - constant([[0.0], [1.0]], coord)
        basis = self.basis(offset, latent["cell"][:, None, None, :].expand_as(offset))
        gap = lower.long() + 1  # gap i lies between codes i - 1 and i
        keys = _pick(logit, gap).unflatten(-1, (4, -1))  # (B, Q, 4, rank^2)
        logits, colors = [], []
        for index, (y, x) in enumerate(CORNERS):
            f, g = basis[:, :, y, 0], basis[:, :, x, 1]  # (B, Q, 2 * rank) each
            of_key, of_value = (
                (a[..., :, None] * b[..., None, :]).flatten(-2)
                for a, b in zip(f.split(self.rank, -1), g.split(self.rank, -1), strict=True)
            )
            logits.append((keys[:, :, index] * of_key).sum(dim=-1))
            code = _pick(value, gap + constant([y, x], gap)).unflatten(-1, (3, -1))
            colors.append((code * of_value[..., None, :]).sum(dim=-1))
        weights = torch.stack(logits).softmax(dim=0).unsqueeze(-1)
        return (torch.stack(colors) * weights).sum(dim=0)

    def decode(self, latent: Latent, rows: Axis, columns: Axis) -> Tensor:
        """Colour on a grid as two rounds of small dense products: down the columns, then across.

        Works through gap rows in blocks that stay in cache; equals ``query`` up to rounding.
        """
        value, logit = latent["value"], latent["logit"]
        if fused := dispatch.fused_twin("separable_attention", value, self.basis.mix.weight):
            taps = []
            for axis, cell in ((rows, latent["cell"][0, 0]), (columns, latent["cell"][0, 1])):
                gap, of_key, of_value = self._tables(axis, cell)
                taps.append(fused.GapTaps(placed(gap, value.device), of_key, of_value))
            with dispatch.PlainIfItFails("separable_attention"):
                fast: Tensor = fused.separable_attention(value, logit, *taps)
                return fast
        size = BLOCK.get(value.device.type, max(BLOCK.values()))
        down = self._down_table(rows, latent["cell"][0, 0], size)
        across = self._across_table(columns, latent["cell"][0, 1], logit.shape[-1])
        r = self.rank
        # (B, row, a, channel, column, b): a meets the table of rows, b that of columns
        codes = value.unflatten(1, (3, r, r)).permute(0, 4, 2, 1, 5, 3).contiguous()
        gaps = logit.unflatten(1, (2, 2, r, r)).permute(1, 0, 5, 3, 2, 6, 4).contiguous()
        sr = value.new_empty(len(value), 3, len(rows), len(columns))
        for index, first in enumerate(range(0, len(down.gap), size)):
            block = slice(first, first + size)
            at = placed(down.gap[block], value.device)
            lines = [
                (
                    _down(codes[:, at + y], down.of_value[y, block]),
                    _down(gaps[y][:, at], down.of_key[y, block]),
                )
                for y in (0, 1)
            ]
            picture = self._across(lines, across)
            picture = picture.index_select(2, placed(down.kept[index], value.device))
            start = int(down.start[index])
            sr[:, :, start : start + picture.shape[2]] = picture[..., : len(columns)]
        return sr

    def _across(self, lines: list[tuple[Tensor, Tensor]], table: "AcrossTable") -> Tensor:
        """From rows of sums to colour: (B, 3, rows, tiles * tile)."""
        logits, colors = [], []
        for of_value, of_key in lines:
            batch, _, count = of_value.shape[:3]
            window = of_value[..., table.code, :].flatten(-2)  # (B, 3, rows, tiles, K)
            picked = torch.matmul(_tiles_first(window), table.of_value)
            colors.extend(picked.unflatten(1, (batch, 3, count)).chunk(2, dim=-1))
            for x in (0, 1):
                window = of_key[:, x][..., table.gap, :].flatten(-2)  # (B, rows, tiles, K)
                picked = torch.matmul(_tiles_first(window), table.of_key[x])
                logits.append(picked.unflatten(1, (batch, count)))
        weights = torch.stack(logits).softmax(dim=0).unsqueeze(3)  # (4, tiles, B, 1, rows, tile)
        picture = colors[0] * weights[0]
        for color, weight in zip(colors[1:], weights[1:], strict=True):
            picture.addcmul_(color, weight)
        return torch.flatten(picture.permute(1, 2, 3, 0, 4), -2)

    def _tables(self, axis: Axis, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gap of each query, and basis values for keys and values: (N,), (2, N, rank) twice."""
        gap, into = gaps(axis)
        offset = placed(torch.stack([into, into - 1]), cell.device)
        basis = self.basis(offset, cell.expand_as(offset))
        of_key, of_value = basis.split(self.rank, dim=-1)
        return gap, of_key, of_value

    def _down_table(self, rows: Axis, cell: Tensor, size: int) -> "DownTable":
        gap, of_key, of_value = self._tables(rows, cell)
        present, inverse, counts = gap.unique_consecutive(return_inverse=True, return_counts=True)
        slots = int(counts.max())
        slot = torch.arange(len(gap)) - (counts.cumsum(0) - counts)[inverse]
        at, among = placed(inverse, of_key.device), placed(slot, of_key.device)
        tables = []
        for basis in (of_key, of_value):
            table = basis.new_zeros(2, len(present), slots, self.rank)
            table[:, at, among] = basis
            tables.append(table)
        blocks = (inverse // size).unique_consecutive(return_counts=True)[1]
        kept = (inverse % size * slots + slot).split(blocks.tolist())
        return DownTable(present, tables[0], tables[1], tuple(kept), blocks.cumsum(0) - blocks)

    def _across_table(self, columns: Axis, cell: Tensor, gaps: int) -> "AcrossTable":
        gap, of_key, of_value = self._tables(columns, cell)
        count = len(gap)
        tile = min(TILE, count)
        tiles = -(-count // tile)
        lowest = gap[::tile]  # the first gap that each tile reads
        inside = gap - lowest.repeat_interleave(tile)[:count]
        span = int(inside.max()) + 1
        reach = lowest[:, None] + torch.arange(span + 1)
        device = of_key.device
        query, inside = torch.arange(count, device=device), placed(inside, device)
        key_table = of_key.new_zeros(2, tiles, span, self.rank, tile)
        value_table = of_value.new_zeros(tiles, span + 1, self.rank, 2, tile)
        for x in (0, 1):
            key_table[x, query // tile, inside, :, query % tile] = of_key[x]
            value_table[query // tile, inside + x, :, x, query % tile] = of_value[x]
        return AcrossTable(
            code=placed(reach.clamp(max=gaps), device),
            gap=placed(reach[:, :-1].clamp(max=gaps - 1), device),
            of_key=key_table.flatten(2, 3),
            of_value=value_table.flatten(3, 4).flatten(1, 2),
        )


@dataclass(frozen=True, slots=True, eq=False)
class DownTable:
    """What the rows of a grid need: rows of one gap share the codes they read.

    gap (G,): the gaps that hold rows; of_key, of_value (2, G, slots, rank): their basis values,
    zero where a gap holds fewer rows than another; kept: for each block of gaps, where its rows
    are among all its slots; start: its first row.
    """

    gap: Tensor
    of_key: Tensor
    of_value: Tensor
    kept: tuple[Tensor, ...]
    start: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class AcrossTable:
    """What the columns of a grid need, in tiles that each read a short run of codes.

    code (tiles, span + 1) and gap (tiles, span): which are read; of_key (2, tiles,
    span * rank, tile) and of_value (tiles, (span + 1) * rank, 2 * tile): basis values, mostly zero.
    """

    code: Tensor
    gap: Tensor
    of_key: Tensor
    of_value: Tensor


def _down(codes: Tensor, table: Tensor) -> Tensor:
    """codes (B, G, a, C, w, b) times table (G, slots, a) -> (B, C, G * slots, w, b)."""
    lines = torch.matmul(table, codes.flatten(3))  # (B, G, slots, C * w * b)
    split = torch.unflatten(lines, -1, codes.shape[3:])
    return torch.flatten(split.permute(0, 3, 1, 2, 4, 5), 2, 3)


def _tiles_first(window: Tensor) -> Tensor:
    """(..., tiles, K) -> (tiles, everything else, K)."""
    return torch.flatten(window.movedim(-2, 0), 1, -2)


def _pick(grid: Tensor, index: Tensor) -> Tensor:
    """Rows of a map: grid (B, C, h, w), index (B, Q, 2) -> (B, Q, C)."""
    batch, channels, height, width = grid.shape
    index = index[..., 0].clamp(0, height - 1) * width + index[..., 1].clamp(0, width - 1)
    flat = (index + torch.arange(batch, device=grid.device)[:, None] * (height * width)).flatten()
    rows = grid.permute(0, 2, 3, 1).reshape(-1, channels)
    return rows.index_select(0, flat).view(batch, -1, channels)
