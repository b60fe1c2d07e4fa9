"""A very small network for every pixel, modulated by the four codes around it, on a grid.

A pixel is rendered from each of the four codes around it: x <- relu((W x + b) * scale + shift) in
every layer, scale and shift those of the code, b part of the shift. The last hidden values are
blended bilinearly before the colour's linear layer. A scale and shift are fetched once for all
queries between two rows of codes. The definition at scattered points is ``LMCiaoSR.query``.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from ciaovideo.grid import placed
from ciaovideo.ops import dispatch

BLOCK = {"cpu": (1, 1024), "cuda": (64, 1 << 14)}  # gap rows and columns: on a CPU, for its cache


class GapTaps(NamedTuple):
    """One axis: ``gap`` (N,) of each query, and how far into it, ``offset`` (N,) in [0, 1).

    They lie on the CPU, where they are counted with.
    """

    gap: Tensor
    offset: Tensor


class RenderWeights(NamedTuple):
    """offset (width, 2) over offsets (y, x), layers (depth - 1, width, width), color (3, width).

    The biases of all but the last layer are in the shifts.
    """

    offset: Tensor
    layers: Tensor
    color: Tensor
    color_bias: Tensor


def modulated_render(
    scale: Tensor, shift: Tensor, rows: GapTaps, columns: GapTaps, weights: RenderWeights
) -> Tensor:
    """scale and shift (B, depth * width, h + 2, w + 2) -> (B, 3, rows, columns)."""
    width, depth = len(weights.offset), len(weights.layers) + 1
    fused = dispatch.fused_twin("modulated_render", scale, *weights)
    if fused and fused.fits(width):
        with dispatch.PlainIfItFails("modulated_render"):
            return cast(Tensor, fused.modulated_render(scale, shift, rows, columns, weights))
    gap_rows, block_columns = BLOCK.get(scale.device.type, BLOCK["cuda"])
    down, across = _Along(rows, scale), _Along(columns, scale)
    sr = scale.new_empty(len(scale), 3, len(rows.gap), len(columns.gap))
    for picture, *maps in zip(sr, scale, shift, strict=True):
        tables = [
            table.unflatten(0, (depth, width)).permute(0, 2, 3, 1).contiguous() for table in maps
        ]  # (depth, h + 2, w + 2, width)
        for first in range(0, len(down.present), gap_rows):
            band = slice(first, first + gap_rows)
            lines = [table[:, down.rows(band)] for table in tables]
            for start in range(0, len(columns.gap), block_columns):
                part = slice(start, start + block_columns)
                _render_block(lines, picture, (down, band), (across, part), weights)
    return sr


def _render_block(
    lines: Sequence[Tensor],
    picture: Tensor,
    down: "tuple[_Along, slice]",
    across: "tuple[_Along, slice]",
    network: RenderWeights,
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
    weight = 2 * network.offset.to(scale.dtype)
    of_y = torch.stack([into_y, into_y - 1], dim=1)[..., None] * weight[:, 0]
    of_x = torch.stack([into_x, into_x - 1])[..., None] * weight[:, 1]  # (2, columns, width)
    hidden = torch.addcmul(shift[0], of_y[..., None, None, :] + of_x, scale[0]).relu_()
    for index, weights in enumerate(network.layers, start=1):
        change = torch.mm(hidden.view(-1, len(network.offset)), weights.to(scale.dtype).T)
        hidden = torch.addcmul(shift[index], change.view_as(hidden), scale[index]).relu_()
    blended = torch.lerp(hidden[..., 0, :, :], hidden[..., 1, :, :], into_x[:, None])
    blended = torch.lerp(blended[:, 0], blended[:, 1], into_y[..., None, None])
    colors = F.linear(blended, network.color.to(scale.dtype), network.color_bias.to(scale.dtype))
    own = colors.flatten(0, 1).index_select(0, kept)
    picture[:, first : first + len(kept), part] = own.permute(2, 0, 1)


class _Along:
    """Queries along one axis of a grid: the gap of each, and how far it is into that gap.

    gap (N,) and offset (N,) as of ``grid.gaps``; present: the gaps that hold queries, each once.
    Tables lie on the device of ``like``, counts on the CPU: no GPU synchronisation.
    """

    def __init__(self, axis: GapTaps, like: Tensor) -> None:
        gap, self._offset = axis
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
