"""The grain of a run: the source's, the part that the network keeps, and the part to add.

It is measured in places all over the source, before the first frame is computed. The part that a
network keeps is measured on a ramp of grays with noise like the source's, enlarged like a frame and
reduced again. So every frame gets the same kind of grain, independent of all others.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise

import numpy as np
import torch
from torch import Tensor

from ciaovideo.color import ColorSpec, PixelLayout
from ciaovideo.engine.engine import Engine
from ciaovideo.errors import MediaError, OptionError
from ciaovideo.findings import Finding, Kind
from ciaovideo.grain.adding import Grain
from ciaovideo.grain.measure import (
    BANDS,
    STEPS,
    GrainCurve,
    GrainSample,
    code_step,
    luma_steps,
)
from ciaovideo.grain.noise import fitted, reduced
from ciaovideo.grain.octaves import BLOCK, OCTAVES, block_energies, variance
from ciaovideo.media.frame import Frame
from ciaovideo.pipeline.plan import GrainFacts, UpscalePlan
from ciaovideo.pipeline.segmenting import plan_segments
from ciaovideo.pipeline.source import RunSource

PLACES = 8  # where frames are measured
FRAMES = 4  # consecutive ones at each place
APART = 24  # frames between places if segments are unknown
RAMP = (8 * BLOCK, BANDS * 2 * BLOCK)  # (height, width) of the ramp, source px
TIMES = (Fraction(-2), Fraction(-3))  # of the noise on the ramp, which no frame has


@dataclass(frozen=True, slots=True, eq=False)
class GrainChoice:
    """The grain to add, None for none, with its facts and findings."""

    grain: Grain | None = None
    facts: GrainFacts | None = None
    findings: tuple[Finding, ...] = ()


def choose_grain(
    source: RunSource, engine: Engine, plan: UpscalePlan, factor: float
) -> GrainChoice:
    """Grain for the frames of a plan: with the kept part, ``factor`` times the source's.

    Reads the source and rewinds it. Raises OptionError for a pipe.
    """
    if not factor:
        return GrainChoice()
    if source.reader.piped:
        raise OptionError(
            f"{plan.source} is a pipe: its grain cannot be measured first", "name a file"
        )
    info, layout = plan.info, PixelLayout.of(plan.encoding.pix_fmt)
    lr_size = info.height, info.width
    curve = measured(source, plan)
    if not curve.sigma:
        return GrainChoice(
            facts=GrainFacts(source=0.0, left=0.0, added=0.0),
            findings=(_finding("no grain was found in the source: none is added"),),
        )
    left = curve.energies * kept_share(curve, engine, lr_size, plan.out_size)
    lacking = GrainCurve((curve.energies * factor**2 - left).clamp(min=0), curve.weight)
    grain = Grain.of(lacking, lr_size, plan.out_size, layout, plan.out_color)
    facts = GrainFacts(
        source=round(curve.sigma, 2),
        left=round(GrainCurve(left, curve.weight).sigma, 2),
        added=round(lacking.sigma, 2),
    )
    text = (
        f"grain of the source: {facts.source:.2f} of 255 (standard deviation in luma); the network"
        f" leaves {facts.left:.2f}, {facts.added:.2f} is added"
    )
    return GrainChoice(grain, facts, (_finding(text),))


def measured(source: RunSource, plan: UpscalePlan) -> GrainCurve:
    """The grain of a source, in steps of 8 bits; none if no pair of frames has evidence."""
    layout = PixelLayout.of(plan.info.pix_fmt)
    sample = GrainSample(code_step(layout, plan.color))
    for before, after in _pairs(source):
        sample.add(*(_luma(frame, layout, plan.color) for frame in (before, after)))
    curve = sample.curve()
    return GrainCurve((curve.energies * 100).round() / 100, curve.weight)


def kept_share(
    curve: GrainCurve, engine: Engine, lr_size: tuple[int, int], out_size: tuple[int, int]
) -> Tensor:
    """The share of such grain's energy in an enlarged picture, reduced again: (BANDS, OCTAVES)."""
    rows, columns = RAMP
    down, across = (out / lr for out, lr in zip(out_size, lr_size, strict=True))
    size = round(rows * down), round(columns * across)
    noise = fitted(curve.mean, RAMP, RAMP)
    ramp = torch.linspace(0, STEPS, columns)
    centres = (np.arange(BANDS) + 0.5) * (STEPS / BANDS)
    strength = (variance(curve.energies) / variance(curve.mean)).sqrt().numpy()
    by_column = torch.from_numpy(np.interp(ramp.numpy(), centres, strength)).float()
    had, has = [], []
    for time in TIMES:
        luma = (ramp + noise.at(time) * by_column).clamp(0, STEPS)
        made = engine((luma / STEPS).expand(1, 3, rows, columns), size)
        had.append(luma)
        has.append(reduced(made[0].float().mean(dim=0).cpu() * STEPS, RAMP))
    share = _by_band(has[1] - has[0]) / _by_band(had[1] - had[0]).clamp(min=1e-6)
    return (share * 50).round() / 50


def _by_band(difference: Tensor) -> Tensor:
    """The energies (BANDS, OCTAVES) of a difference between two ramps."""
    energies = block_energies(difference).view(RAMP[0] // BLOCK, BANDS, 2, OCTAVES)
    return energies.mean(dim=(0, 2))


def _luma(frame: Frame, layout: PixelLayout, color: ColorSpec) -> Tensor:
    return luma_steps(frame.planes, layout, frame.color or color)


def _pairs(source: RunSource) -> Iterator[tuple[Frame, Frame]]:
    """Consecutive frames, in some places of the selected part."""
    limit, count = source.asked.count, source.reader.info.frame_count
    expected = min(count, limit) if limit and count else count or limit or 0
    segments = plan_segments(source.reader, limit, max(FRAMES, -(-expected // PLACES)))
    if segments is None:
        frames = source.reader.frames(min(limit or PLACES * APART, PLACES * APART))
        for number, pair in enumerate(pairwise(frames)):
            if number % APART < FRAMES - 1:
                yield pair
    for segment in islice(segments or (), PLACES):
        try:
            source.stand_before(segment)
            frames = source.reader.frames(FRAMES)
            yield from pairwise(frames)
        except MediaError:
            pass  # the run reports damage
        source.at = None
    source.at = None
    source.rewind()


def _finding(text: str) -> Finding:
    return Finding(kind=Kind.CHOSEN, subject="grain", text=text)
