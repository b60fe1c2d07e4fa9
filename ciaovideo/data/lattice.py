"""Batches whose targets lie on lattices: the crossings of some rows and columns of HR pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ciaovideo.data.degradation.mixture import Degrades
from ciaovideo.data.images import PictureStore
from ciaovideo.data.sampling import bicubic_matrix, draw_sides
from ciaovideo.grid import centres, placed

STEP = 2  # px between the samples by which a crop's detail is measured


@dataclass(frozen=True, slots=True, eq=False)
class Lattice:
    """The targets of some consecutive samples that share a scale.

    rows (N,) and columns (M,): HR coordinates in ascending order; rgb (b, 3, N, M), the true
    colours there; natural the same without the unsharp mask that ``rgb`` may have. A ``twin`` has
    the same targets as the lattice before it, seen in another frame of the same scenes.
    """

    rows: Tensor
    columns: Tensor
    rgb: Tensor
    natural: Tensor
    twin: bool = False

    @property
    def samples(self) -> int:
        """The number of its samples in the batch."""
        return len(self.rgb)


@dataclass(frozen=True, slots=True, eq=False)
class LatticeBatch:
    """The batch of a training step: lr (B, 3, p, p) in [0, 1], cell (B, 2), and the targets."""

    lr: Tensor
    cell: Tensor
    targets: tuple[Lattice, ...]

    def part(self, samples: slice) -> "LatticeBatch":
        """Some samples of a batch of one group, and of its twin."""
        targets = tuple(
            replace(target, rgb=target.rgb[samples], natural=target.natural[samples])
            for target in self.targets
        )
        lr, cell = (
            torch.cat([some[samples] for some in whole.chunk(len(targets))])
            for whole in (self.lr, self.cell)
        )
        return LatticeBatch(lr, cell, targets)

    def parts(self, count: int) -> list["LatticeBatch"]:
        """Divide it into at most ``count`` batches with similar numbers of groups."""
        begins = torch.tensor([at for at, each in enumerate(self.targets) if not each.twin])
        made, first = [], 0
        for groups in begins.tensor_split(min(count, len(begins))):
            after = begins[begins > groups[-1]]
            stop = int(after[0]) if len(after) else len(self.targets)
            targets = self.targets[int(groups[0]) : stop]
            last = first + sum(target.samples for target in targets)
            made.append(LatticeBatch(self.lr[first:last], self.cell[first:last], targets))
            first = last
        return made


class LatticeSampler:
    """Draws batches in which each of some groups of samples has a scale of its own.

    Each sample: of ``candidates`` crops of round(patch * scale) px (pictures drawn by area) the
    one with the largest differences between neighbours, in one of eight orientations; the LR patch
    by anti-aliased bicubic rounded to 8 bit, or as ``degrader`` makes it; as targets the pixels at
    the crossings of ``side`` rows and columns: drawn evenly from equal parts of the crop, or with
    ``window`` neighbours. All draws come from one generator on the CPU, so that a run can be
    resumed exactly. No picture may be smaller than round(patch * scales[1]).
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
        whole_scales: bool = False,
        degrader: Degrades | None = None,
    ) -> None:
        self.store = store
        self.patch = patch
        self.side = side
        self.scales = scales
        self.groups = groups  # as even as possible; in a small batch some groups are empty
        self.candidates = candidates
        self.window = window
        self.whole_scales = whole_scales
        self.degrader = degrader
        self._areas = (store.heights * store.widths).double().cpu()
        facts = (store.starts.tolist(), store.heights.tolist(), store.widths.tolist())
        self._pictures: list[tuple[int, int, int]] = list(zip(*facts, strict=True))
        self._device = store.samples.device
        self._reductions: dict[int, Tensor] = {}

    def draw(
        self, batch: int, generator: torch.Generator, part: slice = slice(None)
    ) -> LatticeBatch:
        """A batch of ``batch`` samples, or a part of it, with the whole batch's random draws."""
        count = batch * self.candidates
        which = torch.multinomial(self._areas, count, replacement=True, generator=generator)
        place = torch.rand(count, 2, generator=generator)
        turn = torch.randint(8, (batch,), generator=generator).tolist()
        sides = draw_sides(self.patch, self.scales, self.groups, generator, self.whole_scales)
        lines = torch.rand(self.groups, 2, self.side, generator=generator)
        crops = list(zip(which.tolist(), place.tolist(), strict=True))
        wanted = range(batch)[part]
        made = []
        for group, side in enumerate(sides.tolist()):
            whole = range(group * batch // self.groups, (group + 1) * batch // self.groups)
            mine = range(max(whole.start, wanted.start), min(whole.stop, wanted.stop))
            samples = mine if self.degrader is None else whole  # it draws for the whole batch
            if not samples:
                continue
            views = [self._livelier(crops[i * self.candidates :], side) for i in samples]
            turned = [_turned(view, turn[i]) for view, i in zip(views, samples, strict=True)]
            of_group = self._made(torch.stack(turned).float(), lines[group], generator)
            if mine:
                first = mine.start - samples.start
                made.append(of_group.part(slice(first, first + len(mine))))
        return joined(made)

    def _made(self, crop: Tensor, lines: Tensor, generator: torch.Generator) -> LatticeBatch:
        """One group of crops (b, 3, S, S) in [0, 255]."""
        side = crop.shape[-1]
        rows, columns = (self._lines(at, side) for at in lines)
        twin, shift = None, (0.0, 0.0)
        if self.degrader is None:
            reduce = self._reduction(side)
            lr = (reduce @ crop @ reduce.mT).round_().clamp_(0, 255).div_(255)
            sharp = natural = crop[:, :, rows[:, None], columns].div_(255)
        else:
            sides = torch.full((len(crop),), side, device=self._device)
            degraded = self.degrader(crop / 255, sides, generator)
            lr, twin, shift = degraded.lr, degraded.twin, degraded.shift
            sharp, natural = (
                picture[:, :, rows[:, None], columns]
                for picture in (degraded.sharp, degraded.natural)
            )
        at = placed(centres(side), self._device)
        cell = torch.full((len(crop), 2), 2 / side, device=self._device)
        target = Lattice(at[rows], at[columns], sharp, natural)
        alone = LatticeBatch(lr, cell, (target,))
        return alone if twin is None else _with_twin(alone, twin, shift)

    def _lines(self, at: Tensor, side: int) -> Tensor:
        """The selected rows or columns of a crop, in ascending order."""
        count = min(self.side, side)
        step = torch.arange(count)
        if self.window:
            return placed(step + int(at[0] * (side - count + 1)), self._device)
        spread = ((step + at[:count]) * (side / count)).long().clamp_(max=side - 1)
        return placed(spread, self._device)

    def _livelier(self, crops: Sequence[tuple[int, Sequence[float]]], side: int) -> Tensor:
        """The crop with the most detail of the first ``candidates``."""
        views = [self._crop(which, place, side) for which, place in crops[: self.candidates]]
        return views[0] if len(views) == 1 else max(views, key=_liveliness)

    def _crop(self, which: int, place: Sequence[float], side: int) -> Tensor:
        """(S, S, 3) uint8, a view of the store."""
        start, height, width = self._pictures[which]
        top, left = int(place[0] * (height - side + 1)), int(place[1] * (width - side + 1))
        first = start + (top * width + left) * 3
        return self.store.samples.as_strided((side, side, 3), (width * 3, 3, 1), first)

    def _reduction(self, side: int) -> Tensor:
        if side not in self._reductions:
            self._reductions[side] = bicubic_matrix(side, self.patch).to(self._device)
        return self._reductions[side]


def _with_twin(batch: LatticeBatch, lr: Tensor, shift: tuple[float, float]) -> LatticeBatch:
    """A batch of one group and its twin, at lines inside both frames."""
    [target] = batch.targets
    down, right = (2 * way / side for way, side in zip(shift, lr.shape[-2:], strict=True))
    rows = (target.rows + down).abs() < 1
    columns = (target.columns + right).abs() < 1
    rgb, natural = (colors[:, :, rows][..., columns] for colors in (target.rgb, target.natural))
    mine = Lattice(target.rows[rows], target.columns[columns], rgb, natural)
    other = replace(mine, rows=mine.rows + down, columns=mine.columns + right, twin=True)
    return LatticeBatch(
        torch.cat([batch.lr, lr]), torch.cat([batch.cell, batch.cell]), (mine, other)
    )


def joined(batches: Sequence[LatticeBatch]) -> LatticeBatch:
    """The batches joined."""
    return LatticeBatch(
        torch.cat([batch.lr for batch in batches]),
        torch.cat([batch.cell for batch in batches]),
        tuple(target for batch in batches for target in batch.targets),
    )


def _turned(crop: Tensor, turn: int) -> Tensor:
    """One of eight orientations: (S, S, 3) -> (3, S, S)."""
    axes = [axis for axis in (0, 1) if turn & (1 << axis)]
    if axes:
        crop = crop.flip(axes)
    return crop.permute(2, 1, 0) if turn & 4 else crop.permute(2, 0, 1)


def _liveliness(crop: Tensor) -> float:
    """The detail of a crop (S, S, 3) uint8: mean absolute difference of neighbours in green."""
    green = crop[::STEP, ::STEP, 1].to(torch.int16)
    across, down = green[:, 1:] - green[:, :-1], green[1:] - green[:-1]
    return float(across.abs().sum() + down.abs().sum()) / green.numel()
