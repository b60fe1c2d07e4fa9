"""Adds grain to finished planes: integer noise by luma, within their legal range."""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ciaovideo.color import ColorSpec, PixelLayout
from ciaovideo.color.coefficients import Coefficients
from ciaovideo.grain.measure import BANDS, STEPS, GrainCurve
from ciaovideo.grain.noise import TRIAL, Noise, fitted
from ciaovideo.grain.octaves import variance

ROOM = 2.0  # standard deviations between a code with full grain and black or white
BAND_SAMPLES = 1 << 18  # samples processed at once: they fit a core's cache
LEVELS = 256  # of luma, each with its own strength


@dataclass(frozen=True, slots=True, eq=False)
class Grain:
    """The grain that is added to each frame of an output.

    ``sigma`` is its standard deviation over all bands of luma, in steps of 8 bits; ``strengths``
    (LEVELS) that of a code by its highest 8 bits, in codes, for ``noise`` of variance 1.
    """

    sigma: float
    noise: Noise
    layout: PixelLayout
    strengths: NDArray[np.float32]
    limits: tuple[int, int]

    @classmethod
    def of(
        cls,
        lacking: GrainCurve,
        lr_size: tuple[int, int],
        out_size: tuple[int, int],
        layout: PixelLayout,
        color: ColorSpec,
    ) -> Self | None:
        """The grain that pictures in this format have lost; None if it is none.

        Black and white are unchanged, so bars stay black. Codes near them get so little that
        clamping is invisible.
        """
        if not lacking.sigma:
            return None
        noise = fitted(lacking.mean, lr_size, out_size)
        trial = replace(noise, out_size=(min(512, out_size[0]), min(512, out_size[1])))
        spread = float(trial.at(TRIAL).std())
        noise = replace(noise, strengths=tuple(one / spread for one in noise.strengths))
        coefficients = Coefficients.of(layout.opaque, color)
        zero, gain = coefficients.luma_zero, coefficients.luma_gain
        code = (np.arange(LEVELS) + 0.5) * (layout.peak + 1) / LEVELS - 0.5
        centres = (np.arange(BANDS) + 0.5) * (STEPS + 1) / BANDS - 0.5
        by_band = np.sqrt((variance(lacking.energies) / variance(lacking.mean)).numpy())
        wanted = np.interp((code - zero) * (STEPS / gain), centres, by_band) * spread
        room = np.minimum(code - zero, zero + gain - code).clip(min=0) / ROOM
        strengths = np.minimum(wanted * (gain / STEPS), room).astype(np.float32)
        return cls(spread, noise, layout, strengths, (zero, zero + gain))

    def added(self, planes: tuple[Tensor, ...], time: Fraction) -> tuple[Tensor, ...]:
        """Planes of a frame with grain in its luma; unchanged planes are not copied.

        G, B and R get the same noise. Chroma and opacity are unchanged.
        """
        noise = self.noise.at(time).numpy()
        rgb = self.layout.family == "rgb"
        sources = [plane.numpy() for plane in planes[: 3 if rgb else 1]]
        made = [np.empty_like(source) for source in sources]
        height, width = sources[0].shape
        step = max(1, BAND_SAMPLES // width)
        for top in range(0, height, step):
            rows = slice(top, min(top + step, height))
            self._add([one[rows] for one in sources], noise[rows], [one[rows] for one in made])
        return (*map(torch.from_numpy, made), *planes[len(made) :])

    def _add(
        self, sources: list[NDArray[Any]], noise: NDArray[np.float32], out: list[NDArray[Any]]
    ) -> None:
        luma = sources[0]
        if len(sources) == 3:
            green, blue, red = (one.astype(np.uint32) for one in sources)
            luma = (183 * green + 19 * blue + 54 * red) >> 8
        if self.layout.bit_depth > 8:
            luma = luma >> (self.layout.bit_depth - 8)
        offset = np.take(self.strengths, luma, mode="clip")
        offset *= noise
        np.rint(offset, out=offset)
        for source, target in zip(sources, out, strict=True):
            # Samples beyond black or white (foot- and headroom) are unchanged.
            low, high = (np.minimum(source, self.limits[0]), np.maximum(source, self.limits[1]))
            target[:] = np.clip(source + offset, low, high)
