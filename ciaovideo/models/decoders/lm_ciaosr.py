"""A CiaoSR decoder with its attention on the LR grid and a very small network per output pixel."""

from collections.abc import Iterator, Sequence
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ciaovideo.grid import Axis, View, constant, gaps, placed
from ciaovideo.models.parts.cross_scale_attention import CrossScaleAttention
from ciaovideo.models.parts.mlp import MLP
from ciaovideo.models.protocols import Footprint, Latent
from ciaovideo.ops import dispatch
from ciaovideo.ops.linear import Layer, linear, perceptron

CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))  # (y, x) of the four codes around a query
LEAST_CELL = 0.5  # in half LR pixels: beyond scale 4 the network is told 4 (LTE, arXiv 2111.08918)
WHOLE_FRAME = 1 << 20  # a halo wider than any frame: every tile reads all of it
BLOCK = {"cpu": (1, 1024), "cuda": (64, 1 << 14)}  # gap rows and columns: on a CPU, for its cache
CUDA_BLOCK_FLOATS = 6 << 28


class Gate(nn.Module):
    """What a key or a value is multiplied by: an MLP over a code and its place.

    codes (..., inputs), place (B, 4): offset and cell, both (y, x), in half LR pixels.
    """

    def __init__(self, block: int, extra: int, hidden: int) -> None:
        super().__init__()
        self.block = nn.Linear(block, hidden)
        self.extra = nn.Linear(extra, hidden, bias=False) if extra else None
        self.place = nn.Linear(4, hidden, bias=False)
        self.last = nn.Linear(hidden, block + extra)


class Render(nn.Module):
    """The network that all output pixels share: hidden layers of ``width``, then a colour."""

    keep_fp32 = True  # a few thousand weights; they are cast to what the latent maps are made of

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.offset = nn.Linear(2, width, bias=False)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth - 1))
        self.color = nn.Linear(width, 3)

    def linears(self) -> list[Layer]:
        """Weight (width, width) and bias (width,) of each hidden layer but the first."""
        return [_layer(layer) for layer in self.layers if isinstance(layer, nn.Linear)]


class LMCiaoSR(nn.Module):
    """CiaoSR by latent modulation (He and Jin, arXiv 2404.16451, LM-CiaoSR).

    Attention as in CiaoSR (arXiv 2212.04362, equation 5), but at the LR pixels: a pixel attends to
    the four overlapping 2x2 blocks of the 3x3 codes around it, values with the non-local features
    appended. What it gathers becomes a code of ``code`` values, and a scale and a shift for every
    hidden unit of a small network that renders the picture: x <- relu((W x + b) * scale + shift).
    A query is rendered from each of the four codes around it, with its offset from that code, and
    the hidden values are blended bilinearly before the last, linear layer.

    ``non_local_scales``, ``window`` and ``window_margin`` are those of the cross-scale attention.
    ``query`` is the definition; ``decode`` is the same on a grid, where a scale and shift are
    fetched once for all queries between two rows of codes.
    """

    def __init__(
        self,
        latent_dim: int,
        *,
        hidden: int = 256,
        code: int = 32,
        width: int = 16,
        depth: int = 8,
        non_local_scales: Sequence[int] = (2,),
        window: int | None = 48,
        window_margin: int = 8,
    ) -> None:
        super().__init__()
        self.width, self.depth = width, depth
        extra = latent_dim * len(non_local_scales)
        self.non_local: CrossScaleAttention | None = None
        sees, floats = 0, 0  # how far the non-local features of a pixel see, LR px; what they take
        if non_local_scales:
            self.non_local = CrossScaleAttention(
                latent_dim, scales=non_local_scales, window=window, margin=window_margin
            )
            sees = WHOLE_FRAME if window is None else window - 1 + window_margin
            floats = self.non_local.floats
        outputs = 2 * width * depth + code
        self.pixel_first = nn.Conv2d(latent_dim, hidden, 3, padding=1)
        self.pixel_last = nn.Linear(hidden, 4 * latent_dim)
        self.key = Gate(4 * latent_dim, 0, hidden)
        self.value = Gate(4 * latent_dim, extra, hidden)
        self.modulation = MLP(4 * latent_dim + extra, (outputs,), outputs)
        self.code = nn.Linear(code, width)
        self.render = Render(width, depth)
        self.halo = 1 + max(sees, 1)  # the codes around a gap, and what a code is made of
        attention = (
            20 * latent_dim + 10 * extra + 5 * hidden + outputs
        )  # the value blocks being gathered
        self.footprint = Footprint(max(floats, attention), 6, CUDA_BLOCK_FLOATS)

    def prepare(self, features: Tensor, cell: Tensor, view: View) -> Latent:
        """Scale and shift of every hidden unit: each (B, depth * width, h + 2, w + 2).

        Borders are repeated, so that every query lies between four codes. The first layer's bias
        and code, and the biases of the others, are part of the shifts.
        """
        relative = (cell * constant(view.lr_size, cell)).clamp(min=LEAST_CELL)
        non_local = None if self.non_local is None else self.non_local(features, view)
        mixed = self._attend(features, relative.to(features.dtype), non_local)
        code, scale, shift = perceptron(mixed, self.modulation.linears()).split(
            [self.code.in_features, *[self.depth * self.width] * 2], dim=-1
        )
        scale = 1 + scale
        biases = [bias.to(code.dtype) for _, bias in self.render.linears()]
        bias = torch.cat([self.code.bias.to(code.dtype), *biases])
        first = F.pad(F.linear(code, self.code.weight), (0, (self.depth - 1) * self.width))
        shift = torch.addcmul(shift, first + bias, scale)
        latent = {"scale": scale, "shift": shift}
        if features.device.type == "cpu":  # where nothing is gained by rendering in less
            latent = {name: table.float() for name, table in latent.items()}
        # Padded as (h, w, channels): so they stay, and the values of a code lie side by side.
        return {
            name: F.pad(table, (0, 0, 1, 1, 1, 1), mode="replicate").permute(0, 3, 1, 2)
            for name, table in latent.items()
        }

    def _attend(self, features: Tensor, cell: Tensor, non_local: Tensor | None) -> Tensor:
        """What each pixel gathers from the four blocks around it: (B, h, w, 4 C + extra)."""
        height, width = features.shape[-2:]
        pixel = self.pixel_first(features).relu_().permute(0, 2, 3, 1)
        pixel = linear(pixel, _layer(self.pixel_last))
        framed = F.pad(features, (1, 1, 1, 1)).permute(0, 2, 3, 1)
        blocks = torch.cat(
            [framed[:, y : y + height + 1, x : x + width + 1] for y, x in CORNERS], dim=-1
        )  # (B, h + 1, w + 1, 4 C): one for every gap between codes
        logits = [
            (block * gate * pixel).sum(dim=-1)
            for block, gate in _gated(self.key, blocks, cell, None)
        ]
        weights = torch.stack(logits).softmax(dim=0, dtype=torch.float32).to(features.dtype)
        own = None if non_local is None else non_local.permute(0, 2, 3, 1)
        mixed: Tensor | None = None
        for index, (block, gate) in enumerate(_gated(self.value, blocks, cell, own)):
            value = block if own is None else torch.cat([block, own], dim=-1)
            value = value * gate * weights[index].unsqueeze(-1)
            mixed = value if mixed is None else mixed + value
        assert mixed is not None
        return mixed

    def query(self, latent: Latent, coord: Tensor, cell: Tensor) -> Tensor:
        """Colour at scattered points, by the definition: coord (B, Q, 2) -> (B, Q, 3)."""
        size = constant([side - 2 for side in latent["scale"].shape[-2:]], coord)
        position = (coord + 1) * (size / 2) - 0.5
        lower = position.floor()
        blended: Tensor | None = None
        for y, x in CORNERS:
            corner = constant([y, x], lower)
            code = (lower + 1 + corner).long()
            scale, shift = (
                _pick(latent[name], code).unflatten(-1, (self.depth, self.width))
                for name in ("scale", "shift")
            )
            offset = position - lower - corner  # LR pixels
            weight = (1 - offset.abs()).prod(dim=-1, keepdim=True)
            hidden = self.render.offset(2 * offset.to(scale.dtype))
            hidden = torch.addcmul(shift[:, :, 0], hidden, scale[:, :, 0]).relu()
            for index, (weights, _) in enumerate(self.render.linears(), start=1):
                change = F.linear(hidden, weights.to(hidden.dtype))
                hidden = torch.addcmul(shift[:, :, index], change, scale[:, :, index]).relu()
            hidden = hidden * weight.to(hidden.dtype)
            blended = hidden if blended is None else blended + hidden
        color: Tensor = self.render.color(blended)
        return color

    def decode(self, latent: Latent, rows: Axis, columns: Axis) -> Tensor:
        """Colour on a grid, block by block: -> (B, 3, rows, columns)."""
        like = latent["scale"]
        fused = dispatch.fused_twin("modulated_render", like, *self.render.parameters())
        if fused and fused.fits(self.width):
            with dispatch.PlainIfItFails("modulated_render"):
                return self._render_fused(fused, latent, rows, columns)
        gap_rows, block_columns = BLOCK.get(like.device.type, BLOCK["cuda"])
        down, across = _Along(rows, like), _Along(columns, like)
        sr = like.new_empty(len(like), 3, len(rows), len(columns))
        for picture, *maps in zip(sr, latent["scale"], latent["shift"], strict=True):
            tables = [
                table.unflatten(0, (self.depth, self.width)).permute(0, 2, 3, 1).contiguous()
                for table in maps
            ]  # (depth, h + 2, w + 2, width)
            for first in range(0, len(down.present), gap_rows):
                band = slice(first, first + gap_rows)
                lines = [table[:, down.rows(band)] for table in tables]
                for start in range(0, len(columns), block_columns):
                    part = slice(start, start + block_columns)
                    self._render_block(lines, picture, (down, band), (across, part))
        return sr

    def _render_fused(self, fused: ModuleType, latent: Latent, rows: Axis, columns: Axis) -> Tensor:
        device, color = latent["scale"].device, self.render.color
        taps = [
            fused.GapTaps(*(placed(tensor, device) for tensor in gaps(axis)))
            for axis in (rows, columns)
        ]
        first = self.render.offset.weight
        layers = [weight for weight, _ in self.render.linears()]
        stack = torch.stack(layers) if layers else first.new_empty(0, self.width, self.width)
        weights = fused.RenderWeights(first, stack, color.weight, color.bias)
        sr: Tensor = fused.modulated_render(latent["scale"], latent["shift"], *taps, weights)
        return sr

    def _render_block(
        self,
        lines: Sequence[Tensor],
        picture: Tensor,
        down: "tuple[_Along, slice]",
        across: "tuple[_Along, slice]",
    ) -> None:
        """The rows in a band of gaps, at a part of the columns, into the picture (3, H, W).

        lines (depth, G, 2, w + 2, width). Hidden values are (G, 2, slots, 2, columns, width): a
        slot for each row in a gap, and each of the four codes around it.
        """
        (y, band), (x, part) = down, across
        gap = x.gap[part]
        codes = torch.cat([gap, gap + 1])
        scale, shift = (
            line.index_select(3, codes).unflatten(3, (2, -1)).unsqueeze(3) for line in lines
        )
        into_y, kept, first = y.slots(band)
        into_x = x.offset[part]
        weight = 2 * self.render.offset.weight.to(scale.dtype)
        of_y = torch.stack([into_y, into_y - 1], dim=1)[..., None] * weight[:, 0]
        of_x = torch.stack([into_x, into_x - 1])[..., None] * weight[:, 1]  # (2, columns, width)
        hidden = torch.addcmul(shift[0], of_y[..., None, None, :] + of_x, scale[0]).relu_()
        for index, (weights, _) in enumerate(self.render.linears(), start=1):
            change = torch.mm(hidden.view(-1, self.width), weights.to(scale.dtype).T)
            hidden = torch.addcmul(shift[index], change.view_as(hidden), scale[index]).relu_()
        blended = torch.lerp(hidden[..., 0, :, :], hidden[..., 1, :, :], into_x[:, None])
        blended = torch.lerp(blended[:, 0], blended[:, 1], into_y[..., None, None])
        color = self.render.color
        colors = F.linear(blended, color.weight.to(scale.dtype), color.bias.to(scale.dtype))
        own = colors.flatten(0, 1).index_select(0, kept)
        picture[:, first : first + len(kept), part] = own.permute(2, 0, 1)


def _gated(
    gate: Gate, blocks: Tensor, cell: Tensor, own: Tensor | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """The block at each corner of every pixel, and what it is multiplied by."""
    height, width = blocks.shape[1] - 1, blocks.shape[2] - 1
    first = linear(blocks, _layer(gate.block))
    extra = None if own is None or gate.extra is None else gate.extra(own)
    for y, x in CORNERS:
        offset = constant([1 - 2 * y, 1 - 2 * x], cell).expand_as(cell)
        place = gate.place(torch.cat([offset, cell], dim=-1))[:, None, None]
        hidden = first[:, y : y + height, x : x + width] + place
        hidden = (hidden if extra is None else hidden + extra).relu_()
        yield blocks[:, y : y + height, x : x + width], linear(hidden, _layer(gate.last))


def _layer(layer: nn.Linear) -> Layer:
    return layer.weight, layer.bias


class _Along:
    """Queries along one axis of a grid: the gap of each, and how far it is into that gap.

    gap (N,) and offset (N,) as of ``grid.gaps``; present: the gaps that hold queries, each once.
    Tables lie on the device of ``like``, and what is counted with on the CPU: nobody waits.
    """

    def __init__(self, axis: Axis, like: Tensor) -> None:
        gap, self._offset = gaps(axis)
        present, inverse, counts = gap.unique_consecutive(return_inverse=True, return_counts=True)
        first = counts.cumsum(0) - counts
        self._like = like
        self.offset = placed(self._offset.to(like.dtype), like.device)
        self.gap, self.present = placed(gap, like.device), placed(present, like.device)
        self._place, self._slot = inverse, torch.arange(len(gap)) - first[inverse]
        self._first = [*first.tolist(), len(gap)]

    def rows(self, band: slice) -> Tensor:
        """The codes on both sides of the gaps in a band: (G, 2)."""
        rows: Tensor = self.present[band, None] + torch.arange(2, device=self.present.device)
        return rows

    def slots(self, band: slice) -> tuple[Tensor, Tensor, int]:
        """Offsets (G, slots) in a band of gaps, where among them the queries are; the first."""
        start, stop = self._first[band.start], self._first[min(band.stop, len(self._first) - 1)]
        gaps, slot = self._place[start:stop] - band.start, self._slot[start:stop]
        slots = int(slot.max()) + 1
        kept = gaps * slots + slot
        offsets = torch.zeros((int(gaps[-1]) + 1) * slots, dtype=self._like.dtype)
        offsets[kept] = self._offset[start:stop].to(offsets)
        device = self._like.device
        return placed(offsets.view(-1, slots), device), placed(kept, device), start


def _pick(table: Tensor, index: Tensor) -> Tensor:
    """Values of a map at codes: table (B, C, h, w), index (B, Q, 2) -> (B, Q, C)."""
    batch, channels, height, width = table.shape
    index = index[..., 0].clamp(0, height - 1) * width + index[..., 1].clamp(0, width - 1)
    flat = (index + torch.arange(batch, device=table.device)[:, None] * (height * width)).flatten()
    rows = table.permute(0, 2, 3, 1).reshape(-1, channels)
    return rows.index_select(0, flat).view(batch, -1, channels)
