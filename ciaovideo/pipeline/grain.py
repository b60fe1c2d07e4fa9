"""The grain of a run: the source's, the part that the network keeps, and the part to add.

Frames are looked at in places all over the source, before the first one is computed. What a network
leaves depends on what the grain lies over: it keeps more in texture than on a wall. So it is told
by squares of those frames, enlarged as frames are and reduced again. Every frame gets the same sort
of grain, and can be made without any other.
"""

from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from ciaovideo.color import ColorSpec, PixelLayout, to_rgb
from ciaovideo.color.coefficients import Coefficients
from ciaovideo.engine.engine import Engine
from ciaovideo.errors import MediaError, OptionError
from ciaovideo.findings import Finding, Kind
from ciaovideo.grain.adding import Grain
from ciaovideo.grain.measure import (
    BANDS,
    REC709,
    STEPS,
    GrainCurve,
    GrainSample,
    code_step,
    luma_steps,
    smoothed,
)
from ciaovideo.grain.noise import reduced
from ciaovideo.grain.octaves import BLOCK, OCTAVES, block_energies, block_means
from ciaovideo.media.frame import Frame
from ciaovideo.pipeline.plan import GrainFacts, UpscalePlan
from ciaovideo.pipeline.segmenting import plan_segments
from ciaovideo.pipeline.source import RunSource

PLACES = 8  # where frames are looked at
FRAMES = 4  # at each place, one after the other
APART = 24  # frames from place to place where only those before tell where one begins
SQUARES = 16  # that are enlarged, all over the places and the pictures
SIDE, EDGE = 6, 1  # blocks of a square, and those at each side that only the network sees
GRAINY = 0.5  # of the most grainy blocks that a square has, a square has at least
GOLDEN = (5**0.5 - 1) / 2  # steps of it, from 0 to 1 and round again, lie evenly
KNOWN = "grain"  # the name of what a run keeps of its source's grain


@dataclass(frozen=True, slots=True, eq=False)
class SourceGrain:
    """The ``curve`` of a source, and the ``share`` (BANDS, OCTAVES) that an enlargement keeps."""

    curve: GrainCurve
    share: Tensor

    @classmethod
    def of_plain(cls, known: dict[str, Any]) -> Self:
        """From what ``plain`` gave."""
        curve = GrainCurve(torch.tensor(known["energies"]), torch.tensor(known["weight"]))
        return cls(curve, torch.tensor(known["share"]))

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON holds it, every bit of it."""
        found = {"energies": self.curve.energies, "weight": self.curve.weight, "share": self.share}
        return {name: values.tolist() for name, values in found.items()}


@dataclass(frozen=True, slots=True, eq=False)
class GrainChoice:
    """The grain to add, None for none, with its facts and findings."""

    grain: Grain | None = None
    facts: GrainFacts | None = None
    findings: tuple[Finding, ...] = ()


def choose_grain(
    source: RunSource,
    engine: Engine,
    plan: UpscalePlan,
    factor: float,
    known: MutableMapping[str, Any],
) -> GrainChoice:
    """Grain for the frames of a plan: with the kept part, ``factor`` times the source's.

    Looks through the source, which stands at its beginning afterwards, unless what that tells is
    ``known``; it is, afterwards. OptionError for a pipe.
    """
    if not factor:
        return GrainChoice()
    if source.reader.piped:
        raise OptionError(
            f"{plan.source} is a pipe: its grain cannot be measured first", "name a file"
        )
    found = SourceGrain.of_plain(known[KNOWN]) if KNOWN in known else measured(source, engine, plan)
    known[KNOWN] = found.plain
    info, layout = plan.info, PixelLayout.of(plan.encoding.pix_fmt)
    curve, lr_size = found.curve, (info.height, info.width)
    if not curve.sigma:
        return GrainChoice(
            facts=GrainFacts(source=0.0, left=0.0, added=0.0),
            findings=(_finding("no grain was found in the source: none is added"),),
        )
    left = curve.energies * found.share
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


def measured(source: RunSource, engine: Engine, plan: UpscalePlan) -> SourceGrain:
    """The grain of a source, in steps of 8 bits; nothing where no pair of frames tells any."""
    layout, color = PixelLayout.of(plan.info.pix_fmt), plan.color
    sample = GrainSample(code_step(layout, color))
    squares: dict[int, list[Square]] = {}  # by place
    for place, pair in _pairs(source):
        luma = [luma_steps(frame.planes, layout, frame.color or color) for frame in pair]
        readings = sample.add(luma[0], luma[1])
        if place not in squares and any(reading is not None for reading in readings):
            grainy = sample.grainy(luma[0], luma[1], readings)
            squares[place] = [*_squares(pair, grainy, layout, color, place * SQUARES)]
    curve = sample.curve()
    curve = GrainCurve((curve.energies * 100).round() / 100, curve.weight)
    if not curve.sigma:
        return SourceGrain(curve, torch.zeros(BANDS, OCTAVES))
    found = [square for place in squares.values() for square in place]
    lr_size = plan.info.height, plan.info.width
    chosen = found[:: max(1, len(found) // SQUARES)][:SQUARES]
    return SourceGrain(curve, kept_share(chosen, engine, lr_size, plan.out_size))


@dataclass(frozen=True, slots=True, eq=False)
class Square:
    """Some blocks of two frames: R'G'B' (2, 3, h, w), and which show grain (blocks).

    ``luma`` are the weights of R', G' and B' in it.
    """

    rgb: Tensor
    grainy: Tensor
    luma: Tensor

    def of_luma(self, rgb: Tensor) -> Tensor:
        """R'G'B' (..., 3, h, w) -> luma (..., h, w) in steps of 8 bits."""
        return (rgb.float().cpu() * self.luma).sum(dim=-3) * STEPS


def _squares(
    frames: Sequence[Frame], grainy: Tensor, layout: PixelLayout, color: ColorSpec, number: int
) -> Iterator[Square]:
    """Squares of two frames with many ``grainy`` blocks (rows, columns), from a ``number`` on."""
    rows, columns = (min(SIDE, side) for side in grainy.shape)
    edge = EDGE if min(rows, columns) > 2 * EDGE else 0
    inner = rows - 2 * edge, columns - 2 * edge
    counts = F.avg_pool2d(_within(grainy, edge)[None].float(), inner, stride=1)[0]
    if not counts.any():
        return
    candidates = (counts >= GRAINY * counts.max()).nonzero().tolist()
    weights = Coefficients.of(layout.opaque, color).luma or (*REC709[2:], *REC709[:2])
    luma = torch.tensor(weights).view(3, 1, 1)
    for step in range(number, number + min(SQUARES, len(candidates))):
        top, left = candidates[int(step * GOLDEN % 1 * len(candidates))]
        among = torch.zeros(rows, columns, dtype=torch.bool)
        part = grainy[top : top + rows, left : left + columns]
        _within(among, edge).copy_(_within(part, edge))
        box = top * BLOCK, left * BLOCK, rows * BLOCK, columns * BLOCK
        rgb = torch.cat([_rgb_of(frame, box, layout, frame.color or color) for frame in frames])
        yield Square(rgb, among.flatten(), luma)


def kept_share(
    squares: Sequence[Square], engine: Engine, lr_size: tuple[int, int], out_size: tuple[int, int]
) -> Tensor:
    """How much of its grain's energy an enlarged picture has, reduced again: (BANDS, OCTAVES)."""
    down, across = (out / lr for out, lr in zip(out_size, lr_size, strict=True))
    had, has = torch.zeros(2, BANDS, OCTAVES)
    counts = torch.zeros(BANDS)
    for square in squares:
        height, width = square.rgb.shape[-2:]
        size = round(height * down), round(width * across)
        luma = square.of_luma(square.rgb)
        made = [
            reduced(square.of_luma(engine(one[None], size)[0]), (height, width))
            for one in square.rgb
        ]
        before, after = block_energies(luma[1] - luma[0]), block_energies(made[1] - made[0])
        bands = (block_means(luma[0]) * (BANDS / (STEPS + 1))).long().clamp(0, BANDS - 1)
        bands = bands[square.grainy]
        counts += torch.bincount(bands, minlength=BANDS)
        had.index_add_(0, bands, before[square.grainy])
        has.index_add_(0, bands, after[square.grainy])
    each = counts.clamp(min=1)[:, None]
    share = smoothed(has / each, counts) / smoothed(had / each, counts).clamp(min=1e-6)
    return (share * 50).round() / 50


def _within(blocks: Tensor, edge: int) -> Tensor:
    """Blocks (rows, columns) without those at the edge."""
    return blocks[edge : blocks.shape[0] - edge, edge : blocks.shape[1] - edge]


def _rgb_of(
    frame: Frame, box: tuple[int, int, int, int], layout: PixelLayout, color: ColorSpec
) -> Tensor:
    """R'G'B' (1, 3, h, w) of a part of a frame: top, left, height and width are whole blocks."""
    top, left, height, width = box
    planes = []
    for index in range(1 if layout.family == "gray" else 3):
        down, across = layout.plane_log2(index)
        rows = slice(top >> down, (top + height) >> down)
        columns = slice(left >> across, (left + width) >> across)
        planes.append(frame.planes[index][None, rows, columns])
    return to_rgb(planes, layout.opaque, color)


def _pairs(source: RunSource) -> Iterator[tuple[int, tuple[Frame, Frame]]]:
    """Frames that follow each other, in numbered places all over what is asked for."""
    limit, count = source.asked.count, source.reader.info.frame_count
    expected = min(count, limit) if limit and count else count or limit or 0
    segments = plan_segments(source.reader, limit, max(FRAMES, -(-expected // PLACES)))
    if segments is None:
        frames = source.reader.frames(min(limit or PLACES * APART, PLACES * APART))
        for number, pair in enumerate(pairwise(frames)):
            if number % APART < FRAMES - 1:
                yield number // APART, pair
    for place, segment in enumerate(islice(segments or (), PLACES)):
        try:
            source.stand_before(segment)
            for pair in pairwise(source.reader.frames(FRAMES)):
                yield place, pair
        except MediaError:
            pass  # the run reports damage
        source.at = None
    source.at = None
    source.rewind()


def _finding(text: str) -> Finding:
    return Finding(kind=Kind.CHOSEN, subject="grain", text=text)
