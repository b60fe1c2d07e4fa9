"""The grain of a source, from pairs of frames that follow each other.

What differs between two frames is grain, or something moved, or a codec coded it anew. Of these
grain alone is equally strong wherever luma is: so in each band of luma the quietest blocks are
looked at, and they count only if they are about equally quiet. Texture that moves is not, nor is
what a quantiser leaves here and takes away there; what a codec repeats from frame to frame is no
difference at all. Of all pairs the quieter ones are believed, since movement only adds.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ciaovideo.color import ColorSpec, PixelLayout
from ciaovideo.color.coefficients import Coefficients
from ciaovideo.grain.octaves import OCTAVES, block_energies, block_means, block_spans, variance

BANDS = 8  # of luma, equally wide
STEPS = 255.0  # from black to white
REC709 = (0.7152, 0.0722, 0.2126)  # weights of G, B, R in luma
LEAST_BLOCKS = 20  # of a band in a pair, to say anything
QUIET = (0.05, 0.25)  # the share of a band's blocks, by their finest octave, that is looked at
# By how much the last of them may exceed the first. White noise: 1.15, grain of 2 px: 1.25, real
# film: 1.4 to 2.0; texture that pans: 1.9 to 3, what H.264 leaves at crf 30: 2 to 60.
SPREAD = 2.0
SELECTED = 1.07  # by how much the finest octave of white noise exceeds that of its quiet blocks
BELIEVED = 0.25  # the quantile of the pairs that is taken
LEAST_READINGS = 2  # pairs that a band needs, and LEAST_SHARE of all; else it is not known
LEAST_SHARE = 1 / 6
SMOOTHING = 0.75  # bands: the width of the Gaussian that joins a band to its neighbours
FAINT = 0.15  # steps of 8 bits: a standard deviation below it is no grain


@dataclass(frozen=True, slots=True, eq=False)
class GrainCurve:
    """Grain by luma: ``energies`` (BANDS, OCTAVES), and the ``weight`` (BANDS) of the evidence."""

    energies: Tensor
    weight: Tensor

    @property
    def mean(self) -> Tensor:
        """The energies (OCTAVES) over all bands, each as its evidence weighs."""
        total = self.weight.sum().clamp(min=1)
        return (self.energies * self.weight[:, None]).sum(dim=0) / total

    @property
    def sigma(self) -> float:
        """The standard deviation over all bands, in steps of 8 bits; 0 for what is too faint."""
        sigma = float(variance(self.mean).sqrt())
        return sigma if sigma >= FAINT else 0.0


class GrainSample:
    """Pairs of frames of a source, and the grain that they show together.

    ``step`` lies between two codes of the source, in steps of 8 bits.
    """

    def __init__(self, step: float) -> None:
        self._rounding = step**2 / 12  # the variance of what rounding adds
        self._readings: list[list[Tensor]] = [[] for _ in range(BANDS)]
        self._pairs = 0

    def add(self, before: Tensor, after: Tensor) -> None:
        """Note two frames that follow each other: luma (h, w) each."""
        difference = (after - before) / 2**0.5
        if not difference.any():
            return  # a frame that is shown twice says nothing
        self._pairs += 1
        energies = block_energies(difference)
        bands = (block_means(before) * (BANDS / (STEPS + 1))).long().clamp(0, BANDS - 1)
        bands[block_spans(before) + block_spans(after) == 0] = -1  # bars, titles, drawings
        for band, readings in enumerate(self._readings):
            reading = self._reading(energies[bands == band])
            if reading is not None:
                readings.append(reading)

    def curve(self) -> GrainCurve:
        """The grain of the source; bands without evidence have that of those near them."""
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
        reading = energies[order].mean(dim=0)
        reading[0] *= SELECTED
        return (reading - self._rounding).clamp(min=0)


def smoothed(energies: Tensor, weight: Tensor) -> Tensor:
    """Energies (BANDS, OCTAVES), each band joined with those near it as their evidence weighs."""
    if not weight.any():
        return torch.zeros_like(energies)
    band = torch.arange(BANDS, dtype=torch.float64)
    near = torch.exp(-((band[:, None] - band) ** 2) / (2 * SMOOTHING**2)) * weight.double()
    return (near / near.sum(dim=1, keepdim=True)).float() @ energies


def code_step(layout: PixelLayout, color: ColorSpec) -> float:
    """What lies between two codes of luma, in steps of 8 bits."""
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
