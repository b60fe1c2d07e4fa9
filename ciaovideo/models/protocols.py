"""The interfaces: of a network for the engine, and of its halves for a network."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from torch import Tensor, nn

from ciaovideo.grid import Axis, View
from ciaovideo.options import MAX_SCALE
from ciaovideo.tiling import Rect

Latent = dict[str, Tensor]
"""Tensors at LR resolution, each (B, C, h, w), from which any point can be decoded."""

Statistics = Mapping[str, Tensor]
"""Sums over all pixels or queries of a frame, each with the batch first."""

NOTHING: Statistics = MappingProxyType({})
"""Given to a network that gets no sums; an empty table says that sums will follow."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Floats alive at the peak of computing: per LR pixel read, per output pixel made, and fixed.

    Measured upper bounds for one picture, from which the engine fits tiles to memory.
    """

    lr_pixel: int
    out_pixel: int
    fixed: int = 0


@dataclass(frozen=True, slots=True)
class Reach:
    """How far around its own pixel a colour depends on others, in LR px, and where tiles begin.

    ``halo`` is None where it depends on the whole frame. Tiles begin at multiples of
    ``alignment``.
    """

    halo: int | None
    alignment: int = 1

    def within(self, lr_size: tuple[int, int]) -> int:
        """The halo in a frame of this size."""
        return max(lr_size) if self.halo is None else self.halo

    def __add__(self, other: "Reach") -> "Reach":
        """That of one part behind another."""
        halo = None if self.halo is None or other.halo is None else self.halo + other.halo
        return Reach(halo, math.lcm(self.alignment, other.alignment))

    def __or__(self, other: "Reach") -> "Reach":
        """That of one part beside another."""
        halo = None if self.halo is None or other.halo is None else max(self.halo, other.halo)
        return Reach(halo, math.lcm(self.alignment, other.alignment))


WHOLE = Reach(None)


@dataclass(frozen=True, slots=True)
class Scales:
    """The scales that a network can do: all from ``least`` to ``most``, or ``only`` those listed.

    A listed scale holds for both sides, each off by at most one pixel of rounding.
    """

    least: float = 1.0
    most: float = MAX_SCALE
    only: tuple[float, ...] = ()

    def hold(self, lr_size: tuple[int, int], out_size: tuple[int, int]) -> bool:
        """Whether a frame of one size can be made one of the other."""
        sides = list(zip(lr_size, out_size, strict=True))
        if self.only:
            return any(all(abs(old * s - new) <= 1 for old, new in sides) for s in self.only)
        return all(old * self.least <= new <= old * self.most for old, new in sides)

    def __str__(self) -> str:
        if self.only:
            *others, last = (f"{scale:g}" for scale in self.only)
            return f"{', '.join(others)} or {last}" if others else last
        return f"{self.least:g} to {self.most:g}"


@dataclass(frozen=True, slots=True)
class Core:
    """The part that a tile owns: the queries on ``rows`` and ``columns``, and ``pixels``.

    ``pixels`` is a box of the latent map at hand. Over all tiles each query and each LR pixel of
    the frame comes exactly once.
    """

    pixels: Rect
    rows: Axis
    columns: Axis


class Encoder(nn.Module, ABC):
    """LR image (B, 3, h, w) with the mean subtracted -> features (B, out_channels, h, w).

    ``halo``: how many LR pixels around a pixel its features depend on, None for all. ``alignment``:
    tiles must begin at multiples of it. ``floats``: alive at the peak, per LR pixel.
    """

    out_channels: int
    halo: int | None
    alignment: int
    floats: int

    @classmethod
    @abstractmethod
    def small(cls) -> Self:
        """One for tests: all its parts, each as small as it can be."""


class Decoder(nn.Module, ABC):
    """Latent codes to colour at any point.

    With ``passes``, ``summarize`` is called for every tile, and added up, so many times before
    the first is decoded; ``decode`` finds the sums in the latent. With ``sums_at_hand``, ``decode``
    makes those it does not find from the grid it is given, which then is the whole picture.
    """

    passes: int = 0
    sums_at_hand: bool = False

    @classmethod
    @abstractmethod
    def small(cls, latent_dim: int = 8) -> Self:
        """One for tests: all its parts, each as small as it can be."""

    @abstractmethod
    def reach(self, view: View) -> Reach:
        """How far around a code a colour next to it depends on others."""

    @abstractmethod
    def footprint(self, view: View) -> Footprint:
        """What computing takes beside the features."""

    @abstractmethod
    def prepare(self, features: Tensor, cell: Tensor, view: View) -> Latent:
        """All work per LR pixel: features (B, C, h, w), cell (B, 2) -> latent."""

    @abstractmethod
    def query(self, latent: Latent, coord: Tensor, cell: Tensor) -> Tensor:
        """Colour at scattered points, for training: coord (B, Q, 2), cell (B, 2) -> (B, Q, 3)."""

    @abstractmethod
    def decode(self, latent: Latent, rows: Axis, columns: Axis) -> Tensor:
        """Colour on a rectangular grid, the fast way: -> (B, 3, rows, columns)."""

    def summarize(self, latent: Latent, core: Core) -> Statistics:
        """Sums over what a tile owns; the engine adds those of all tiles."""
        raise NotImplementedError


class Network(nn.Module, ABC):
    """LR image in, colour at any point of its ``scales`` out: what an engine runs.

    A network whose colours depend on statistics of the whole frame has ``passes``: before the
    first tile is decoded the engine encodes every tile, adds up what ``summarize`` returns for it,
    and hands the sums to the next pass and to all that follows. So the picture is the same tiled or
    whole. A second pass may depend on the sums of the first.

    With ``sums_at_hand``, a network that is given NOTHING takes its statistics from what it has
    before it: a frame in one piece then needs no passes, and training works on patches.
    """

    scales: Scales = Scales()
    passes: int = 0
    sums_at_hand: bool = False

    def passes_at(self, view: View) -> int:
        """How many passes there are at these sizes."""
        return self.passes

    @classmethod
    @abstractmethod
    def small(cls) -> Self:
        """One for tests: all its parts, each as small as it can be."""

    @abstractmethod
    def reach(self, view: View) -> Reach:
        """How far around its own LR pixel a colour depends on others, sums left aside."""

    @abstractmethod
    def footprint(self, view: View) -> Footprint:
        """What computing one picture takes."""

    @abstractmethod
    def encode(self, lr: Tensor, view: View, statistics: Statistics = NOTHING) -> Latent:
        """All work per LR pixel of a tile: lr (B, 3, h, w) in [0, 1] -> latent, sums included."""

    def summarize(self, latent: Latent, core: Core) -> Statistics:
        """Sums over what a tile owns; the engine adds those of all tiles."""
        raise NotImplementedError

    @abstractmethod
    def decode(self, latent: Latent, rows: Axis, columns: Axis) -> Tensor:
        """The picture at these rows and columns: (B, 3, rows, columns) fp32, not clamped."""
