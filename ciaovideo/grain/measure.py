"""The grain of a source, from pairs of consecutive frames.

Two frames differ by grain, by movement and by coding. Only grain is equally strong in all places of
equal luma. So in each band of luma the quietest blocks are measured, and they count only if they
are about equally quiet. Moving texture and quantisation are not; a codec's repeated blocks do not
differ at all. Even texture is about equally strong, too: where the picture moves as a whole, a band
counts only if it differs as much once the frames are aligned. The quieter pairs are used, since
movement only adds differences.

The quietest blocks have less than the mean, by more, the coarser the grain. The error follows from
the noise itself: noise of the measured spectrum is measured in the same way.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import torch
from torch import Tensor

from ciaovideo.color import ColorSpec, PixelLayout
from ciaovideo.color.coefficients import Coefficients
from ciaovideo.grain.motion import global_shift, overlap
from ciaovideo.grain.noise import fitted
from ciaovideo.grain.octaves import (
    BLOCK,
    OCTAVES,
    block_energies,
    block_means,
    block_spans,
    variance,
)

BANDS = 8  # of luma, equally wide
STEPS = 255.0  # from black to white
REC709 = (0.7152, 0.0722, 0.2126)  # weights of G, B, R in luma
LEAST_BLOCKS = 20  # of a band in a pair, to count
QUIET = (0.05, 0.25)  # of a band's blocks, by their finest octave: the quantiles that are used
# By how much the last of them may exceed the first. White noise: 1.15, grain of 2 px: 1.25, real
# film: 1.4 to 2.0; texture that pans: 1.9 to 3, what H.264 leaves at crf 30: 2 to 60.
SPREAD = 2.0
ALIKE = (0.5, 2.0)  # of a band's reading: blocks that differ so much show grain and little else
TEXTURE = 0.8  # a variance that falls below this share of itself by aligning frames was no grain
MOST_SAMPLES = 1 << 21  # of a frame that are looked at: of larger ones, some rows of blocks
BELIEVED = 0.25  # the quantile of the pairs that is taken
LEAST_READINGS = 2  # pairs that a band needs, and LEAST_SHARE of all; else it is not known
LEAST_SHARE = 1 / 6
SMOOTHING = 0.75  # bands: the width of the Gaussian that joins a band to its neighbours
FAINT = 0.15  # steps of 8 bits: a standard deviation below it is no grain
TRIAL_BLOCKS = (8, 24)  # along a side of the noise that is measured, at least and at most
TRIAL_TIMES = tuple(Fraction(-10 - number) for number in range(9))  # of it: no frame's
TRIAL_LUMA = STEPS * 7 / 16  # in the middle of a band


@dataclass(frozen=True, slots=True, eq=False)
class GrainCurve:
    """Grain by luma: ``energies`` (BANDS, OCTAVES), and the ``weight`` (BANDS) of the evidence."""

    energies: Tensor
    weight: Tensor

    @property
    def mean(self) -> Tensor:
        """The energies (OCTAVES) over all bands, weighted by their evidence."""
        total = self.weight.sum().clamp(min=1)
        return (self.energies * self.weight[:, None]).sum(dim=0) / total

    @property
    def sigma(self) -> float:
        """The standard deviation over all bands, in steps of 8 bits; 0 if it is too faint."""
        sigma = float(variance(self.mean).sqrt())
        return sigma if sigma >= FAINT else 0.0


class GrainSample:
    """Collects pairs of a source's frames, and measures their grain.

    ``step`` is the distance of two codes of the source, in steps of 8 bits.
    """

    def __init__(self, step: float) -> None:
        self._rounding = step**2 / 12  # the variance of rounding
        self._readings: list[list[Tensor]] = [[] for _ in range(BANDS)]
        self._blocks: list[int] = []  # of each reading
        self._pairs = 0

    def add(self, before: Tensor, after: Tensor) -> list[Tensor | None]:
        """Note two frames that follow each other, luma (h, w) each; the reading of each band."""
        if torch.equal(before, after):
            return [None] * BANDS  # a frame that is shown twice says nothing
        self._pairs += 1
        found = self._look(before, after)
        shift = global_shift(before, after)
        if any(shift):
            aligned = self._look(*overlap(before, after, shift))
            found = [_grain_of(*pair) for pair in zip(found, aligned, strict=True)]
        for readings, reading in zip(self._readings, found, strict=True):
            if reading is not None:
                readings.append(reading)
        return found

    def curve(self) -> GrainCurve:
        """The grain of the source; bands without evidence have that of those near them."""
        found = self._believed()
        return replace(found, energies=found.energies / self._bias(found))

    def _look(self, before: Tensor, after: Tensor) -> list[Tensor | None]:
        """What a pair tells of each band."""
        energies, bands = _blocks_of(_thinned(before), _thinned(after))
        found = [self._reading(energies[bands == band]) for band in range(BANDS)]
        known = [band for band, reading in enumerate(found) if reading is not None]
        self._blocks += [int((bands == band).sum()) for band in known]
        return found

    def grainy(self, before: Tensor, after: Tensor, readings: Sequence[Tensor | None]) -> Tensor:
        """Which blocks of two frames show grain and little else: (rows, columns), True or False.

        ``readings`` are those of the pair.
        """
        energies, bands = _blocks_of(before, after)
        low, high = torch.full((2, BANDS), math.inf)
        for band, reading in enumerate(readings):
            if reading is not None:
                low[band], high[band] = ((reading[0] + self._rounding) * by for by in ALIKE)
        among: Tensor = (
            (energies[:, 0] >= low[bands]) & (energies[:, 0] <= high[bands]) & (bands >= 0)
        )
        return among.view(before.shape[0] // BLOCK, -1)

    def _believed(self) -> GrainCurve:
        """The quieter readings."""
        weight = torch.tensor([float(len(readings)) for readings in self._readings])
        weight[weight < max(LEAST_READINGS, self._pairs * LEAST_SHARE)] = 0
        energies = torch.zeros(BANDS, OCTAVES)
        for band, readings in enumerate(self._readings):
            if weight[band]:
                energies[band] = torch.stack(readings).quantile(BELIEVED, dim=0)
        return GrainCurve(smoothed(energies, weight), weight)

    def _reading(self, energies: Tensor) -> Tensor | None:
        """The grain (OCTAVES) of the blocks (N, OCTAVES) of a band; None where they disagree."""
        count = len(energies)
        if count < LEAST_BLOCKS:
            return None
        first, last = (int(share * count) for share in QUIET)
        order = energies[:, 0].argsort()[first : last + 1]
        quiet, loud = energies[order[0], 0], energies[order[-1], 0]
        if loud > SPREAD * quiet.clamp(min=self._rounding):
            return None
        return (energies[order].mean(dim=0) - self._rounding).clamp(min=0)

    def _bias(self, found: GrainCurve) -> Tensor:
        """What this measurement finds of noise of such energies (OCTAVES), as a share of it."""
        if not found.sigma:
            return torch.ones(OCTAVES)
        blocks = math.isqrt(sum(self._blocks) // len(self._blocks))
        side = BLOCK * min(max(blocks, TRIAL_BLOCKS[0]), TRIAL_BLOCKS[1])
        noise = replace(fitted(found.mean, (side, side), (side, side)), out_size=(side, side))
        fields = [TRIAL_LUMA + noise.at(time) for time in TRIAL_TIMES]
        trial = GrainSample(0.0)
        for before, after in pairwise(fields):
            trial.add(before, after)
        true = [block_energies((after - before) / 2**0.5) for before, after in pairwise(fields)]
        measured: Tensor = trial._believed().mean
        return measured / torch.cat(true).mean(dim=0).clamp(min=1e-9)


def _blocks_of(before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    """The energies (blocks, OCTAVES) of what differs between two frames, and each block's band.

    -1 is the band of what has no grain: bars, titles, drawings.
    """
    energies = block_energies((after - before) / 2**0.5)
    bands = (block_means(before) * (BANDS / (STEPS + 1))).long().clamp(0, BANDS - 1)
    bands[block_spans(before) + block_spans(after) == 0] = -1
    return energies, bands


def _thinned(luma: Tensor) -> Tensor:
    """Luma (h, w), of a large frame every so many rows of blocks."""
    rows, width = luma.shape[0] // BLOCK, luma.shape[1]
    step = -(-luma.numel() // MOST_SAMPLES)
    return luma[: rows * BLOCK].view(rows, BLOCK, width)[::step].reshape(-1, width)


def _grain_of(still: Tensor | None, aligned: Tensor | None) -> Tensor | None:
    """The grain (OCTAVES) of a band in a picture that moves; None where that was texture.

    From readings of the frames as they are, and laid over each other: grain does not mind.
    """
    if still is None or aligned is None:
        return still
    if variance(aligned) < TEXTURE * variance(still):
        return None
    return min(still, aligned, key=lambda one: float(variance(one)))


def smoothed(energies: Tensor, weight: Tensor) -> Tensor:
    """Energies (BANDS, OCTAVES), each band averaged with nearby ones by their evidence."""
    if not weight.any():
        return torch.zeros_like(energies)
    band = torch.arange(BANDS, dtype=torch.float64)
    near = torch.exp(-((band[:, None] - band) ** 2) / (2 * SMOOTHING**2)) * weight.double()
    return (near / near.sum(dim=1, keepdim=True)).float() @ energies


def code_step(layout: PixelLayout, color: ColorSpec) -> float:
    """The distance of two codes of luma, in steps of 8 bits."""
    return STEPS / Coefficients.of(layout.opaque, color).luma_gain


def luma_steps(planes: tuple[Tensor, ...], layout: PixelLayout, color: ColorSpec) -> Tensor:
    """Luma (h, w) of a picture in steps of 8 bits: its first plane, or the sum of G, B and R."""
    coefficients = Coefficients.of(layout.opaque, color)
    if coefficients.luma is None:
        luma = sum(
            (plane.float() * weight for plane, weight in zip(planes, REC709, strict=False)),
            torch.zeros(()),
        )
    else:
        luma = planes[0].float()
    return (luma - coefficients.luma_zero) * (STEPS / coefficients.luma_gain)
