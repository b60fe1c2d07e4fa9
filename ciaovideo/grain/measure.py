"""The grain of a source, from pairs of consecutive frames.

Two frames differ by grain, by movement and by coding. Only grain is equally strong in all places of
equal luma. So in each band of luma the quietest blocks are measured, and they count only if they
are about equally quiet. Moving texture and quantisation are not; a codec's repeated blocks do not
differ at all. The quieter pairs are used, since movement only adds differences.
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
LEAST_BLOCKS = 20  # of a band in a pair, to count
QUIET = (0.05, 0.25)  # of a band's blocks, by their finest octave: the quantiles that are used
# By how much the last of them may exceed the first. White noise: 1.15, grain of 2 px: 1.25, real
# film: 1.4 to 2.0; texture that pans: 1.9 to 3, what H.264 leaves at crf 30: 2 to 60.
SPREAD = 2.0
SELECTED = 1.07  # by how much the finest octave of white noise exceeds that of its quiet blocks
BELIEVED = 0.25  # the quantile of the pairs that is used
LEAST_READINGS = 2  # pairs that a band needs, and LEAST_SHARE of all; else it is unknown
LEAST_SHARE = 1 / 6
SMOOTHING = 0.75  # bands: the width of the Gaussian that joins a band to its neighbours
FAINT = 0.15  # steps of 8 bits: a smaller standard deviation does not count as grain


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
        self._pairs = 0

    def add(self, before: Tensor, after: Tensor) -> None:
        """Add two consecutive frames: luma (h, w) each."""
        difference = (after - before) / 2**0.5
        if not difference.any():
            return  # a repeated frame tells nothing
        self._pairs += 1
        energies = block_energies(difference)
        bands = (block_means(before) * (BANDS / (STEPS + 1))).long().clamp(0, BANDS - 1)
        bands[block_spans(before) + block_spans(after) == 0] = -1  # bars, titles, drawings
        for band, readings in enumerate(self._readings):
            reading = self._reading(energies[bands == band])
            if reading is not None:
                readings.append(reading)

    def curve(self) -> GrainCurve:
        """The grain of the source; bands without evidence get that of nearby ones."""
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
