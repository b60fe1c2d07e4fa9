"""Noise like grain, with given strengths in three octaves, at the scale of an output.

Grain belongs to the picture, so it is enlarged with it: a grain that covers two pixels of the
source covers four of an output at x2. Noise is drawn on a lattice as fine as the source's, or up to
twice as fine. Its step is a power of two of output pixels, for which interpolation gives all of
them the same variance; any other step would show as a grid. If the lattice is finer than the
source, frequencies that the source cannot hold are filtered out.

Each octave's strength is found iteratively: noise is made, reduced to the source's size, and
measured like the source.
"""

import hashlib
import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ciaovideo.grain.octaves import BLOCK, OCTAVES, block_energies

FILTERED = 4  # lattice points that the filters remove at each side
MARGIN = FILTERED + 1  # beyond the picture: interpolation reads one more point
BYTES = 4  # uniform bytes whose sum is one sample of approximately Gaussian noise
BYTES_SIGMA = math.sqrt(BYTES * (256**2 - 1) / 12)
TRIAL_SIDE = 1024  # approximate output px of a trial
ROUNDS = 12  # rounds: each at least halves an octave's error
TRIAL = Fraction(-1)  # the time of a trial, which no frame has


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise for pictures of ``out_size`` (height, width), enlarged from the source.

    ``lattice`` is the distance (y, x) of two points in output px, ``softening`` the weight of the
    two neighbours in the filter against detail finer than the source; ``strengths`` are the
    amplitudes of the octaves, the finest first.
    """

    out_size: tuple[int, int]
    lattice: tuple[int, int]
    softening: tuple[float, float]
    strengths: tuple[float, ...]

    def at(self, time: Fraction) -> Tensor:
        """The noise (H, W) fp32 of a frame: equal for equal times, different for others."""
        shape = [
            -(-side // step) + 2 * MARGIN
            for side, step in zip(self.out_size, self.lattice, strict=True)
        ]
        white = _softened(_white(time, (shape[0], shape[1])), self.softening)
        field = _shaped(white, self.strengths)  # without what is FILTERED
        wide = F.interpolate(
            field[None, None], scale_factor=self.lattice, mode="bicubic", align_corners=False
        )
        (top, left), (height, width) = self.lattice, self.out_size
        return wide[0, 0, top : top + height, left : left + width]


def fitted(target: Tensor, lr_size: tuple[int, int], out_size: tuple[int, int]) -> Noise:
    """Noise that has the energies ``target`` (OCTAVES) when reduced to the source's size.

    If octaves differ extremely, the weaker ones become too strong.
    """
    scale = [out / lr for out, lr in zip(out_size, lr_size, strict=True)]
    side = max(4 * BLOCK, min(16 * BLOCK, int(TRIAL_SIDE / max(scale)) // BLOCK * BLOCK))
    lattice = (_step(scale[0]), _step(scale[1]))
    # A lattice as fine as the source's needs no filter, one twice as fine that of weights 1, 2, 1.
    softening = tuple((1 - step / one) / 2 for step, one in zip(lattice, scale, strict=True))
    noise = Noise(
        out_size=(round(side * scale[0]), round(side * scale[1])),
        lattice=lattice,
        softening=(softening[0], softening[1]),
        strengths=tuple(target.clamp(min=0).sqrt().tolist()),
    )
    for _ in range(ROUNDS):
        made = block_energies(reduced(noise.at(TRIAL), (side, side))).mean(dim=0)
        change = (target.clamp(min=0) / made.clamp(min=1e-12)).sqrt().tolist()
        better = tuple(old * by for old, by in zip(noise.strengths, change, strict=True))
        noise = replace(noise, strengths=better)
    return replace(noise, out_size=out_size)


def reduced(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """A picture (H, W) at a smaller size, by anti-aliased bicubic."""
    if tuple(picture.shape) == size:
        return picture
    small = F.interpolate(
        picture[None, None], size=size, mode="bicubic", align_corners=False, antialias=True
    )
    return small[0, 0]


def _step(scale: float) -> int:
    """The largest power of two that is no more than the scale."""
    return 1 << max(0, int(math.log2(scale + 1e-9)))


def _white(time: Fraction, shape: tuple[int, int]) -> Tensor:
    """White noise of variance 1 for a time; integers until the last division."""
    digest = hashlib.sha256(f"{time.numerator}/{time.denominator}".encode()).digest()
    random = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
    drawn = np.frombuffer(random.bytes(BYTES * shape[0] * shape[1]), np.uint8)
    total = drawn.reshape(BYTES, *shape).sum(axis=0, dtype=np.int16)
    return torch.from_numpy(total).float().sub_(BYTES * 255 / 2).div_(BYTES_SIGMA)


def _softened(white: Tensor, weights: tuple[float, float]) -> Tensor:
    """White noise (h, w) -> (h - 2, w - 2), each sample with weighted neighbours (y, x)."""
    made = white
    for dim, weight in enumerate(weights):
        inner = made.narrow(dim, 1, made.shape[dim] - 2)
        if weight:
            ends = made.narrow(dim, 0, inner.shape[dim]) + made.narrow(dim, 2, inner.shape[dim])
            inner = ends.mul_(weight).add_(inner, alpha=1 - 2 * weight)
        made = inner
    return made


def _shaped(white: Tensor, strengths: tuple[float, ...]) -> Tensor:
    """White noise (h, w) -> (h - 6, w - 6), of an amplitude in each octave.

    Two low-pass filters divide it: the first removes the finest octave, the second the next one,
    and the last octave remains.
    """
    assert len(strengths) == OCTAVES
    fine = _binomial(white, 1)
    coarse = _binomial(fine, 2)
    made = white[3:-3, 3:-3] * strengths[0]
    made.add_(fine[2:-2, 2:-2], alpha=strengths[1] - strengths[0])
    return made.add_(coarse, alpha=strengths[2] - strengths[1])


def _binomial(field: Tensor, step: int) -> Tensor:
    """Samples ``step`` apart by weights 1, 2, 1 along both axes: 2 steps less on each side."""
    rows = field[: -2 * step] + field[2 * step :]
    rows.add_(field[step:-step], alpha=2)
    made = rows[:, : -2 * step] + rows[:, 2 * step :]
    return made.add_(rows[:, step:-step], alpha=2).div_(16)
