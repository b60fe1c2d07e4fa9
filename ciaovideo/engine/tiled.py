"""Runs a network over a frame tile by tile: what each reads, what each owns."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ciaovideo.grid import Axis, View, nearest_index, once_per_axis
from ciaovideo.models.protocols import NOTHING, Core, Network, Statistics
from ciaovideo.tiling import Rect, plan_tiles


@dataclass(frozen=True, slots=True)
class Tiling:
    """How a frame is cut into tiles: its view, and their side in LR px (0: one tile)."""

    view: View
    side: int


def enlarge(network: Network, lr: Tensor, tiling: Tiling, part: Rect) -> Tensor:
    """lr (B, 3, h, w) -> a part of the output, in output px, of (B, 3, H, W)."""
    statistics = NOTHING
    if network.passes_at(tiling.view):
        pieces = list(_pieces(network, tiling, Rect(0, 0, *tiling.view.out_size)))
        if network.sums_at_hand and len(pieces) == 1:
            latent = network.encode(lr, pieces[0].view)
            whole = network.decode(latent, pieces[0].core.rows, pieces[0].core.columns)
            return whole[(..., *part.slices)]
        statistics = summarize(network, lr, tiling)
    pieces = list(_pieces(network, tiling, part))
    sr = lr.new_empty(*lr.shape[:2], part.height, part.width) if len(pieces) > 1 else None
    for piece in pieces:
        latent = network.encode(lr[(..., *piece.read.slices)], piece.view, statistics)
        made = network.decode(latent, piece.core.rows, piece.core.columns)
        if sr is None:
            return made
        sr[(..., *piece.place)] = made
    assert sr is not None
    return sr


def summarize(network: Network, lr: Tensor, tiling: Tiling) -> Statistics:
    """The sums over the whole frame that a network needs, in all its passes."""
    pieces = list(_pieces(network, tiling, Rect(0, 0, *tiling.view.out_size)))
    statistics: dict[str, Tensor] = {}
    for _ in range(network.passes_at(tiling.view)):
        total: dict[str, Tensor] = {}
        for piece in pieces:
            latent = network.encode(lr[(..., *piece.read.slices)], piece.view, statistics)
            for name, share in network.summarize(latent, piece.core).items():
                total[name] = total[name] + share if name in total else share
        statistics |= total
    return statistics


@dataclass(frozen=True, slots=True)
class _Piece:
    """A tile: the LR box it reads, that box's view, the output it owns and its place."""

    read: Rect
    view: View
    core: Core
    place: tuple[slice, slice]


def _pieces(network: Network, tiling: Tiling, part: Rect) -> Iterator[_Piece]:
    view, reach = tiling.view, network.reach(tiling.view)
    rows = Owned(view.rows, part.top, part.bottom)
    columns = Owned(view.columns, part.left, part.right)
    for tile in plan_tiles(
        *view.lr_size,
        side=tiling.side,
        halo=reach.within(view.lr_size),
        alignment=reach.alignment,
        part=Rect(rows.low, columns.low, rows.high, columns.high),
    ):
        origin = tile.read.top, tile.read.left
        y, row_axis = rows.of(tile.core.top, tile.core.bottom, origin[0])
        x, column_axis = columns.of(tile.core.left, tile.core.right, origin[1])
        core = Core(tile.core.moved(-origin[0], -origin[1]), row_axis, column_axis)
        yield _Piece(tile.read, replace(view, origin=origin), core, (y, x))


class Owned:
    """Output samples [first, end) of an axis, and which LR sample each belongs to: its nearest."""

    def __init__(self, axis: Axis, first: int, end: int) -> None:
        self._axis = axis
        self._first = first
        self._owner = _owners(axis)[first:end]
        self.low = int(self._owner[0])  # LR samples [low, high) own all of them
        self.high = int(self._owner[-1]) + 1

    def of(self, start: int, stop: int, origin: int) -> tuple[slice, Axis]:
        """The output samples that LR samples [start, stop) own, and their queries.

        ``origin``: the LR sample at which the latent map at hand begins.
        """
        first, end = torch.searchsorted(self._owner, torch.tensor([start, stop])).tolist()
        queries = self._axis.part(self._first + first, self._first + end, origin)
        return slice(first, end), queries


@once_per_axis
def _owners(axis: Axis) -> Tensor:
    return nearest_index(axis.coord, axis.count)
