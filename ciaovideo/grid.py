"""Where samples sit: coordinates, cells, nearest codes. Every order of a pair is (y, x).

A frame spans [-1, 1] on each axis whatever its size; sample i of n sits at -1 + 1/n + 2i/n. All
of this is float32 arithmetic in one fixed order on every device: at scales such as 2.5 some
queries fall exactly between two codes, and there the last bit of a coordinate decides which code
they read (Chen et al., LIIF, arXiv 2012.09161; Cao et al., CiaoSR, arXiv 2212.04362).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, wraps
from typing import cast

import torch
from torch import Tensor

KEPT = 256  # tables of each kind: sizes times tiles times blocks; more are made again
NUDGE = 1e-6  # shifted queries can land on a border of cells: every tie breaks the same way


def centres(count: int) -> Tensor:
    """Centres of ``count`` equal cells over [-1, 1]: (count,) float32."""
    return (-1 + 1 / count) + (2 / count) * torch.arange(count, dtype=torch.float32)


def make_coord(height: int, width: int) -> Tensor:
    """Centres of an H x W grid of cells, in (y, x): (H, W, 2)."""
    axes = torch.meshgrid(centres(height), centres(width), indexing="ij")
    return torch.stack(axes, dim=-1)


def nearest_index(coord: Tensor, count: int) -> Tensor:
    """Index of the code nearest to a coordinate on an axis of ``count`` codes, halves to even.

    This is the rounding of a CPU ``grid_sample`` in nearest mode, which the published networks
    were trained with; a GPU's rounds another formula, so it is not used on any device.
    """
    index = ((coord + 1) * (count / 2) - 0.5).round().long()
    return index.clamp_(0, count - 1)


def code_centre(index: Tensor, count: int) -> Tensor:
    """The coordinate of a code, in the order of arithmetic of ``centres``."""
    return (-1 + 1 / count) + (2 / count) * index.to(torch.float32)


def shifted(coord: Tensor, shift: Tensor | float) -> Tensor:
    """A query moved towards one of its neighbours, kept inside the frame."""
    return (coord + (shift + NUDGE)).clamp_(-1 + NUDGE, 1 - NUDGE)


def placed(tensor: Tensor, device: torch.device) -> Tensor:
    """A small CPU tensor on a device; to a GPU it is copied asynchronously, from pinned memory."""
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def constant(values: Sequence[object], like: Tensor) -> Tensor:
    """Numbers as a tensor of another's dtype and device: ``new_tensor`` without a GPU sync."""
    return placed(torch.tensor(values, dtype=like.dtype), like.device)


@dataclass(frozen=True, slots=True)
class Axis:
    """The queries of a rectangular grid along one axis of a frame: HR samples [start, stop).

    ``count`` and ``out_count``: LR and HR samples of the whole frame. ``origin``: the LR sample at
    which the latent map at hand begins (0 unless it belongs to a tile).
    """

    count: int
    out_count: int
    start: int
    stop: int
    origin: int = 0

    @classmethod
    def whole(cls, count: int, out_count: int) -> "Axis":
        """All ``out_count`` query centres over ``count`` codes."""
        return cls(count, out_count, 0, out_count)

    def part(self, start: int, stop: int, origin: int) -> "Axis":
        """Queries [start, stop) read from a latent map that begins at LR sample ``origin``."""
        stop = min(self.start + stop, self.stop)
        return replace(self, start=self.start + start, stop=stop, origin=origin)

    @property
    def coord(self) -> Tensor:
        """Query centres in coordinates of the whole frame: (N,) float32, on the CPU."""
        return centres(self.out_count)[self.start : self.stop]

    @property
    def cell(self) -> float:
        """Size of one output sample in coordinates: 2 / out_count."""
        return 2 / self.out_count

    def __len__(self) -> int:
        return self.stop - self.start


def once_per_axis[**P, R](make: Callable[P, R]) -> Callable[P, R]:
    """Keep the tables that a function makes of an axis, for the next frame: none may be written to.

    They stay on the CPU, since on a GPU each thread has a CUDA stream of its own, and would read
    what another's has yet to write.
    """
    plain = torch.inference_mode(False)(make)  # what is made within cannot be used in training
    return cast(Callable[P, R], wraps(make)(lru_cache(KEPT)(plain)))


@dataclass(frozen=True, slots=True)
class View:
    """Which part of a frame a tensor holds, and the size that the whole frame is brought to.

    All pairs are (y, x): ``lr_size`` of the whole frame, ``out_size`` of the whole frame,
    ``origin`` of the part in LR pixels.
    """

    lr_size: tuple[int, int]
    out_size: tuple[int, int]
    origin: tuple[int, int] = (0, 0)

    @property
    def cell(self) -> tuple[float, float]:
        """Size of one output pixel in coordinates, (y, x)."""
        return 2 / self.out_size[0], 2 / self.out_size[1]

    @property
    def rows(self) -> Axis:
        """All output rows of the frame, read from this part."""
        return replace(Axis.whole(self.lr_size[0], self.out_size[0]), origin=self.origin[0])

    @property
    def columns(self) -> Axis:
        """All output columns of the frame, read from this part."""
        return replace(Axis.whole(self.lr_size[1], self.out_size[1]), origin=self.origin[1])


@once_per_axis
def linear_taps(axis: Axis) -> tuple[Tensor, Tensor, Tensor]:
    """Bilinear interpolation along an axis: lower index, upper index, weight of the upper, (N,).

    Indices are relative to the axis's origin; at the borders of the frame both are the border.
    """
    position = (axis.coord + 1) * (axis.count / 2) - 0.5
    lower = position.floor()
    weight = position - lower
    first = lower.long().clamp(0, axis.count - 1) - axis.origin
    second = (lower.long() + 1).clamp(0, axis.count - 1) - axis.origin
    return first, second, weight


@once_per_axis
def gaps(axis: Axis) -> tuple[Tensor, Tensor]:
    """The gap between codes of each query, and how far it is into it in LR px, [0, 1): (N,) twice.

    A gap is the index of its lower code in a map with borders of one.
    """
    position = (axis.coord + 1) * (axis.count / 2) - 0.5
    lower = position.floor()
    return lower.long() + (1 - axis.origin), position - lower


def bilinear_grid(image: Tensor, rows: Axis, columns: Axis) -> Tensor:
    """Bilinear interpolation with repeated borders: image (B, C, h, w) -> (B, C, rows, columns)."""
    top, bottom, weight_y = (placed(tap, image.device) for tap in linear_taps(rows))
    left, right, weight_x = (placed(tap, image.device) for tap in linear_taps(columns))
    first, second = image.index_select(-1, left), image.index_select(-1, right)
    across = torch.lerp(first, second, weight_x.to(image.dtype))
    weight_y = weight_y.to(image.dtype).unsqueeze(-1)
    return torch.lerp(across.index_select(-2, top), across.index_select(-2, bottom), weight_y)


def bilinear_at(image: Tensor, coord: Tensor) -> Tensor:
    """Bilinear interpolation at any points: image (B, C, h, w), coord (B, Q, 2) -> (B, Q, C)."""
    grid = coord.flip(-1).unsqueeze(1)  # grid_sample wants (x, y)
    picked = torch.nn.functional.grid_sample(
        image, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return picked.squeeze(2).transpose(1, 2)
