"""Batches of LR patches and HR query points, cut from pictures on the device they lie on."""

import math
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from ciaovideo.data.degradation.chain import Degrader
from ciaovideo.data.images import PictureStore
from ciaovideo.grid import placed


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """The batch of a training step.

    lr (B, 3, p, p) in [0, 1] in steps of 1/255; coord (B, Q, 2); cell (B, 2); rgb (B, Q, 3), the
    true colours there; natural (B, Q, 3) the same without the unsharp mask that ``rgb`` may have.
    """

    lr: Tensor
    coord: Tensor
    cell: Tensor
    rgb: Tensor
    natural: Tensor

    def part(self, samples: slice) -> "Batch":
        """Some of the samples."""
        return Batch(*(getattr(self, field.name)[samples] for field in fields(self)))


def bicubic_matrix(source: int, target: int) -> Tensor:
    """Weights (target, source) of anti-aliased bicubic reduction along one axis, float32.

    Keys' kernel with a = -0.5, widened by the factor, normalised at the borders: what Pillow and
    Matlab do.
    """
    scale = source / target
    support = max(scale, 1.0)
    centre = (torch.arange(target, dtype=torch.float64) + 0.5) * scale
    sample = torch.arange(source, dtype=torch.float64) + 0.5
    x = ((sample - centre[:, None]) / support).abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    weight = torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
    return (weight / weight.sum(dim=1, keepdim=True)).float()


def draw_sides(
    patch: int,
    scales: tuple[float, float],
    count: int,
    generator: torch.Generator,
    whole_scales: bool,
) -> Tensor:
    """Sides (count,) in px of crops that become ``patch`` px, at scales drawn evenly."""
    low, high = scales
    scale = torch.rand(count, generator=generator)
    if whole_scales:
        scale = (low + (high - low + 1) * scale).floor().clamp_(max=high)
    else:
        scale = low + (high - low) * scale
    return (patch * scale).round().long().clamp_(max=round(patch * high))


class Sampler:
    """Draws batches as in LIIF (Chen et al., arXiv 2012.09161, section 4): a scale per sample.

    Each sample: a picture (drawn by area), a scale drawn evenly from ``scales`` (with
    ``whole_scales`` from the whole numbers there), an HR crop of round(patch * scale) px, one of
    eight orientations, the LR patch by anti-aliased bicubic rounded to 8 bit, and ``queries`` HR
    pixels drawn evenly: independently, or with ``distinct`` none of them twice, or with ``window``
    a square of neighbours, row by row, for losses on neighbourhoods. With ``degrader``, its LR
    patches and targets instead. All draws come from one generator on the CPU, so that a run can be
    resumed exactly. No picture may be smaller than round(patch * scales[1]).
    """

    def __init__(
        self,
        store: PictureStore,
        *,
        patch: int,
        queries: int,
        scales: tuple[float, float],
        distinct: bool = False,
        window: bool = False,
        degrader: Degrader | None = None,
        whole_scales: bool = False,
    ) -> None:
        self.whole_scales = whole_scales
        self.store = store
        self.patch = patch
        self.queries = queries
        self.scales = scales
        self.distinct = distinct
        self.window = math.isqrt(queries) if window else 0
        self.degrader = degrader
        self.largest = round(patch * scales[1])
        self._areas = (store.heights * store.widths).double().cpu()
        self._device = store.samples.device
        self._reductions = _reductions(patch, self.largest).to(self._device)

    def draw(self, batch: int, generator: torch.Generator, part: slice = slice(None)) -> Batch:
        """A batch of ``batch`` samples, or a part of it, with the whole batch's random draws."""
        degrader = self.degrader
        which, side, place, turn = self._places(batch, generator)
        points = self._points(side, generator)
        first = part if degrader is None else slice(None)  # the degrader draws for the whole batch
        which, side, place, turn, points = (
            placed(drawn[first], self._device) for drawn in (which, side, place, turn, points)
        )
        crop = self._crop(which, side, place, turn)  # (B, 3, S, S), its border beyond each side
        if degrader is None:
            return self._pairs(crop, side, points)
        made = degrader(crop / 255, side, generator)
        batch_of_pairs = self._pairs(made.natural * 255, side, points)
        sharp = self._picked(made.sharp, side, points)
        return replace(batch_of_pairs, lr=made.lr, rgb=sharp).part(part)

    def _places(self, batch: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Pictures, sides, places and orientations of crops, on the CPU."""
        which = torch.multinomial(self._areas, batch, replacement=True, generator=generator)
        side = draw_sides(self.patch, self.scales, batch, generator, self.whole_scales)
        place = torch.rand(batch, 2, generator=generator)
        turn = torch.randint(8, (batch,), generator=generator)
        return which, side, place, turn

    def _points(self, side: Tensor, generator: torch.Generator) -> Tensor:
        """The selected pixels of each crop, counted row by row: (B, Q)."""
        area = (side * side)[:, None]
        if self.window:
            corner = (
                torch.rand(len(side), 2, generator=generator) * (side - self.window + 1)[:, None]
            )
            step = torch.arange(self.window)
            y, x = (corner[:, axis, None].long() + step for axis in range(2))
            return (y[:, :, None] * side[:, None, None] + x[:, None, :]).flatten(1)
        if not self.distinct:
            return (torch.rand(len(side), self.queries, generator=generator) * area).long()
        order = torch.rand(len(side), self.largest**2, generator=generator)
        order.masked_fill_(torch.arange(self.largest**2) >= area, -1)
        return order.topk(self.queries, sorted=False).indices

    def _crop(self, which: Tensor, side: Tensor, place: Tensor, turn: Tensor) -> Tensor:
        """HR crops in [0, 255], oriented: (B, 3, S, S) float."""
        store = self.store
        step = torch.arange(self.largest, device=self._device)
        last = side[:, None] - 1
        ahead = torch.minimum(step, last)  # (B, S); beyond the crop, its border is read
        back = last - ahead
        down = torch.where((turn & 1).bool()[:, None], back, ahead)
        right = torch.where((turn & 2).bool()[:, None], back, ahead)
        height, width = store.heights[which], store.widths[which]
        top = (place[:, 0] * (height - side + 1)).long()
        left = (place[:, 1] * (width - side + 1)).long()
        first = store.starts[which] + (top * width + left) * 3
        rows = first[:, None] + down * (width * 3)[:, None]
        index = rows[:, :, None] + right[:, None, :] * 3  # (B, S, S), of red samples
        rgb = torch.stack([store.samples[index + channel] for channel in range(3)], dim=1)
        swap = (turn & 4).bool()[:, None, None, None]
        return torch.where(swap, rgb.transpose(2, 3), rgb).float()

    def _pairs(self, crop: Tensor, side: Tensor, flat: Tensor) -> Batch:
        """The LR patch of each crop, and the colours at its pixels ``flat`` (B, Q)."""
        reduce = self._reductions[side - self.patch]  # (B, p, S)
        lr = reduce[:, None] @ crop @ reduce[:, None].transpose(2, 3)
        y, x = flat // side[:, None], flat % side[:, None]
        rgb = self._picked(crop, side, flat) / 255
        count = side.to(torch.float32)[:, None, None]
        coord = (-1 + 1 / count) + (2 / count) * torch.stack([y, x], dim=-1)
        cell = (2 / count[:, 0]).expand(-1, 2)
        return Batch(lr.round_().clamp_(0, 255) / 255, coord, cell, rgb, rgb)

    def _picked(self, crop: Tensor, side: Tensor, flat: Tensor) -> Tensor:
        """The colours of each crop at its pixels ``flat`` (B, Q): (B, Q, 3)."""
        at = flat // side[:, None] * self.largest + flat % side[:, None]
        return crop.flatten(2).gather(2, at[:, None].expand(-1, 3, -1)).transpose(1, 2)


def _reductions(patch: int, largest: int) -> Tensor:
    """Every bicubic reduction to ``patch`` from crops of patch to largest px, zero-padded."""
    table = torch.zeros(largest - patch + 1, patch, largest)
    for side in range(patch, largest + 1):
        table[side - patch, :, :side] = bicubic_matrix(side, patch)
    return table
