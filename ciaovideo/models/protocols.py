"""What the engine may rely on in any network, and what a network may rely on in its halves."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ciaovideo.grid import Axis, View

Latent = dict[str, Tensor]
"""Tensors at LR resolution, each (B, C, h, w), from which any point can be decoded."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Floats alive at the peak of computing: per LR pixel read, per output pixel made, and fixed.

    Measured upper bounds for one picture, from which the engine fits tiles to memory.
    """

    lr_pixel: int
    out_pixel: int
    fixed: int = 0


class Encoder(Protocol):
    """LR image (B, 3, h, w) with the mean subtracted -> features (B, out_channels, h, w).

    ``halo``: how many LR pixels around a pixel its features depend on. ``alignment``: tiles must
    begin at multiples of it. ``floats``: alive at the peak, per LR pixel.
    """

    out_channels: int
    halo: int
    alignment: int
    floats: int

    def __call__(self, lr: Tensor) -> Tensor:
        """Features at the same height and width."""
        ...


class Decoder(Protocol):
    """Latent codes to colour at any point; ``halo`` in LR pixels around the codes it reads."""

    halo: int
    footprint: Footprint

    def prepare(self, features: Tensor, cell: Tensor, view: View) -> Latent:
        """All work per LR pixel: features (B, C, h, w), cell (B, 2) -> latent."""
        ...

    def query(self, latent: Latent, coord: Tensor, cell: Tensor) -> Tensor:
        """Colour at scattered points, for training: coord (B, Q, 2), cell (B, 2) -> (B, Q, 3)."""
        ...

    def decode(self, latent: Latent, rows: Axis, columns: Axis) -> Tensor:
        """Colour on a rectangular grid, the fast way: -> (B, 3, rows, columns)."""
        ...
