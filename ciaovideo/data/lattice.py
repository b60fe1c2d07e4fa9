"""Batches whose targets lie on lattices: some rows and columns of HR pixels, where they cross."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ciaovideo.data.images import PictureStore
from ciaovideo.data.sampling import bicubic_matrix
from ciaovideo.grid import centres

STEP = 2  # px between the samples that a crop's liveliness is measured on


@dataclass(frozen=True, slots=True, eq=False)
class Lattice:
    """The targets of some consecutive samples that share a scale.

    rows (N,) and columns (M,): HR coordinates in ascending order; rgb (b, 3, N, M), the true
    colours there; natural the same, but for the unsharp mask that ``rgb`` may have.
    """

    rows: Tensor
    columns: Tensor
    rgb: Tensor
    natural: Tensor

    @property
    def samples(self) -> int:
        """How many of the batch."""
        return len(self.rgb)


@dataclass(frozen=True, slots=True, eq=False)
class LatticeBatch:
    """What one training step sees: lr (B, 3, p, p) in [0, 1], cell (B, 2), and the targets."""

    lr: Tensor
    cell: Tensor
    targets: tuple[Lattice, ...]

    def parts(self, count: int) -> list["LatticeBatch"]:
        """At most so many batches of about as many groups each, in order."""
        made, first = [], 0
        for groups in torch.arange(len(self.targets)).tensor_split(min(count, len(self.targets))):
            targets = self.targets[int(groups[0]) : int(groups[-1]) + 1]
            last = first + sum(target.samples for target in targets)
            made.append(LatticeBatch(self.lr[first:last], self.cell[first:last], targets))
            first = last
        return made


class LatticeSampler:
    """Draws batches in which ``scales`` groups of samples have a scale each.

    Each sample: of ``candidates`` crops of round(patch * scale) px (pictures drawn by area) the
    one with the largest differences between neighbours, in one of eight orientations; the LR patch
    by anti-aliased bicubic rounded to 8 bit; as targets the pixels at the crossings of ``side``
    rows and columns: drawn evenly from equal parts of the crop, or with ``window`` neighbours.
    """

    def __init__(
        self,
        store: PictureStore,
        *,
        patch: int,
        side: int,
        scales: tuple[float, float],
        groups: int,
        candidates: int = 1,
        window: bool = False,
    ) -> None:
        self.store = store
        self.patch = patch
        self.side = side
        self.scales = scales
        self.groups = groups
        self.candidates = candidates
        self.window = window
        self.largest = round(patch * scales[1])
        self._areas = (store.heights * store.widths).double().cpu()
        self._table = list(zip(store.starts.tolist(), store.heights.tolist(), store.widths.tolist()))
        self._device = store.samples.device
        self._reductions: dict[int, Tensor] = {}

    def draw(
        self, batch: int, generator: torch.Generator, part: slice = slice(None)
    ) -> LatticeBatch:
        """One batch of ``batch`` samples, or a part of it: the draws are those of the whole."""
        count = batch * self.candidates
        which = torch.multinomial(self._areas, count, replacement=True, generator=generator)
        place = torch.rand(count, 2, generator=generator)
        turn = torch.randint(8, (batch,), generator=generator).tolist()
        low, high = self.scales
        scale = low + (high - low) * torch.rand(self.groups, generator=generator)
        sides = (self.patch * scale).round().long().clamp_(max=self.largest).tolist()
        where = torch.rand(self.groups, 2, self.side, generator=generator)
        each = batch // self.groups
        which = which.view(batch, -1).tolist()
        place = place.view(batch, -1, 2).tolist()
        lr, cells, targets = [], [], []
        wanted = range(batch)[part]
        for group, side in enumerate(sides):
            inside = range(max(group * each, wanted.start), min((group + 1) * each, wanted.stop))
            if not inside:
                continue
            crops = [self._turned(self._pick(which[i], place[i], side), turn[i]) for i in inside]
            crop = torch.stack(crops).float()  # (b, 3, S, S)
            reduce = self._reduction(side)
            lr.append((reduce @ crop @ reduce.mT).round_().clamp_(0, 255).div_(255))
            rows, columns = (self._lines(at, side) for at in where[group])
            rgb = crop[:, :, rows[:, None], columns].div_(255)
            at = centres(side).to(self._device)
            targets.append(Lattice(at[rows], at[columns], rgb, rgb))
            cells += [2 / side] * len(inside)
        cell = torch.tensor(cells)[:, None].expand(-1, 2)
        return LatticeBatch(torch.cat(lr), cell.to(self._device), tuple(targets))

    def _lines(self, at: Tensor, side: int) -> Tensor:
        count = min(self.side, side)
        step = torch.arange(count)
        if self.window:
            return step + int(at[0] * (side - count + 1))
        return ((step + at[:count]) * (side / count)).long().clamp_(max=side - 1)

    def _pick(self, which: Sequence[int], place: Sequence[Sequence[float]], side: int) -> Tensor:
        crops = [self._crop(*each, side) for each in zip(which, place)]
        if len(crops) == 1:
            return crops[0]
        return max(crops, key=_liveliness)

    def _crop(self, which: int, place: Sequence[float], side: int) -> Tensor:
        """(S, S, 3) uint8, a view of the store."""
        start, height, width = self._table[which]
        top, left = int(place[0] * (height - side + 1)), int(place[1] * (width - side + 1))
        first = start + (top * width + left) * 3
        return self.store.samples.as_strided((side, side, 3), (width * 3, 3, 1), first)

    def _turned(self, crop: Tensor, turn: int) -> Tensor:
        axes = [axis for axis in (0, 1) if turn & (1 << axis)]
        if axes:
            crop = crop.flip(axes)
        return crop.permute(2, 1, 0) if turn & 4 else crop.permute(2, 0, 1)

    def _reduction(self, side: int) -> Tensor:
        if side not in self._reductions:
            self._reductions[side] = bicubic_matrix(side, self.patch).to(self._device)
        return self._reductions[side]


def _liveliness(crop: Tensor) -> float:
    """Mean absolute difference of neighbours of a crop (S, S, 3) uint8, of its green."""
    green = crop[::STEP, ::STEP, 1].to(torch.int16)
    across, down = green[:, 1:] - green[:, :-1], green[1:] - green[:-1]
    return float(across.abs().sum() + down.abs().sum()) / green.numel()
