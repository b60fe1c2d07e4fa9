"""Previews a few places of a film with the chosen settings, before a long run.

At each place a few frames are enlarged, encoded and decoded again. So pictures, bytes and seconds
are those of the output's frames.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ciaovideo.color import PixelLayout, PlaneFormat, to_rgb
from ciaovideo.engine.engine import Engine
from ciaovideo.engine.model_choice import restores
from ciaovideo.engine.renderer import Renderer
from ciaovideo.engine.workers import WorkerPool
from ciaovideo.errors import OptionError
from ciaovideo.media.frame import Frame, VideoInfo
from ciaovideo.media.inspect.sizes import bytes_per_second, packet_sizes
from ciaovideo.media.pictures.webp import encode_webp
from ciaovideo.media.read.probe import SourceFacts, probe
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.selection import Selection
from ciaovideo.models.networks.interpolation import KERNELS
from ciaovideo.options import EngineOptions, InputOptions, ModelOptions, UpscaleOptions
from ciaovideo.pipeline.frames.frame_maker import FrameMaker
from ciaovideo.pipeline.frames.stages import StageClock
from ciaovideo.pipeline.plan import UpscalePlan
from ciaovideo.pipeline.session import Progress, Session, UpscaleRun
from ciaovideo.pipeline.writers import open_writer
from ciaovideo.storage.endpoints import reads_once

PLACES = 10
BUDGET_S = 90.0  # for the frames after the second of each place
MOST_FRAMES = 12  # of one place
CROP = (640, 960)  # px of the output, at most
DETAIL = 16  # px of the source: blocks whose detail is compared
QUALITY = 95
THUMBNAIL = 320  # px across
KEY_EVERY = 250  # frames, if the encoder chooses
STRENGTHS = (0.0, 1.0, 0.5)  # shown beside the chosen one, the ends first
NEAR = 0.1  # strengths nearer than this look the same
SOURCE, CHOSEN = "source", "chosen settings"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the page: its name, and the network that makes its pictures."""

    name: str
    model: ModelOptions


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A place of the film: WebP files by column, of a crop of (height, width) ``size``.

    ``time`` in seconds from the first frame; ``whole`` is the whole picture, small.
    """

    time: float
    size: tuple[int, int]
    views: dict[str, bytes]
    whole: bytes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Preview:
    """A few places of a run's output, and estimates of its size and time.

    ``bytes`` is for the whole output; it and ``seconds`` are 0 if the number of frames is unknown.
    """

    plan: UpscalePlan
    places: tuple[Place, ...]
    bytes: float
    seconds: float
    seconds_per_frame: float


@dataclass(slots=True)
class _Tally:
    """Frames made so far: their seconds, and bytes of key frames and of others."""

    frames: int = 0
    seconds: float = 0.0
    keys: list[int] = field(default_factory=list)
    others: list[int] = field(default_factory=list)

    @property
    def per_frame(self) -> float:
        """Seconds that one frame takes."""
        return self.seconds / self.frames if self.frames else 0.0

    def bytes_for(self, frames: int) -> float:
        """About how many bytes so many frames take."""
        key = sum(self.keys) / max(len(self.keys), 1)
        other = sum(self.others) / len(self.others) if self.others else key
        keys = max(1.0, frames / KEY_EVERY)
        return keys * key + (frames - keys) * other


def columns(model: ModelOptions, device: str, restore: float) -> tuple[Column, ...]:
    """The columns beside the source and the chosen settings, with the strength ``restore``.

    They are two other strengths, if the network has several.
    """
    others = [value for value in STRENGTHS if abs(value - restore) > NEAR][:2]
    return (
        Column("bicubic", ModelOptions(model="bicubic")),
        *(
            Column(f"restore {value:g}", replace(model, restore=value))
            for value in sorted(others)
            if restores(model, device)
        ),
    )


def preview(
    source: str | Path,
    output: str | Path | None = None,
    *,
    options: UpscaleOptions = UpscaleOptions(),
    places: int = PLACES,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Preview:
    """Enlarge a few frames at places evenly spread over a film or the selected part.

    ``output`` is the film's output; only its suffix counts, and nothing is written there. Raises
    the errors of ``UpscaleRun``, and OptionError for a pipe or a film of unknown length.
    """
    given = Path(source)
    if reads_once(given):
        raise OptionError(f"{given} is a pipe: a preview has to seek", "name a file")
    options = replace(options, resume=False, overwrite=True)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="ciaovideo-") as folder, ExitStack() as stack:
        wanted = Path(output) if output else Path(f"{given.stem}.mkv")
        session = Session()
        run = stack.enter_context(UpscaleRun(given, Path(folder) / wanted.name, options, session))
        options = run.options  # with the box of an automatic crop
        times = _places(run.plan, options.input, places)
        facts = probe(given, Selection(start=times[-1]), options.input)
        others = [
            (column.name, session.engine(column.model, _computing(column, options.engine))[1])
            for column in columns(options.model, options.engine.device, run.plan.restore)
        ]
        maker = _PlaceMaker(run, options, others, Path(folder) / f"part{wanted.suffix}")
        shown = []
        for number, at in enumerate(times):
            shown.append(maker.make(facts, at, len(times)))
            on_progress(Progress(number + 1, len(times), time.perf_counter() - begun))
        plan, tally = run.plan, maker.tally
    beside = bytes_per_second(
        given, {info.index for info in plan.streams.kept}, times, plan.streams.opening
    )
    lasts = float(plan.frames / plan.info.frame_rate) if plan.info.frame_rate else 0.0
    return Preview(
        plan=plan,
        places=tuple(shown),
        bytes=tally.bytes_for(plan.frames) + beside * lasts if plan.frames else 0.0,
        seconds=tally.per_frame * plan.frames,
        seconds_per_frame=tally.per_frame,
    )


def _computing(column: Column, options: EngineOptions) -> EngineOptions:
    """The engine options of a column; bicubic, for comparison, is never made consistent."""
    return replace(options, consistent=options.consistent and column.model.model not in KERNELS)


def _places(plan: UpscalePlan, asked: InputOptions, count: int) -> list[Fraction]:
    """The times of the places, in seconds from the first frame: the middles of equal parts."""
    info = plan.info
    start, end = asked.times
    if end is None and info.duration_s:
        end = Fraction(info.duration_s)
    if end is None and info.frame_rate and plan.frames:
        end = start + plan.frames / info.frame_rate
    if end is None or end <= start:
        raise OptionError(f"{plan.source} states no duration", "give an end")
    if plan.frames and info.frame_rate:
        end = min(end, start + plan.frames / info.frame_rate)
    last = 1 / info.frame_rate if info.frame_rate else 0  # no frame begins after it
    span = max(end - start - last, Fraction(0))
    return [start + span * (2 * n + 1) / (2 * count) for n in range(count)]


class _PlaceMaker:
    """Makes places with the plan and the engines of a run."""

    def __init__(
        self,
        run: UpscaleRun,
        options: UpscaleOptions,
        others: Sequence[tuple[str, Engine]],
        file: Path,
    ) -> None:
        self._run, self._options, self._others, self._file = run, options, others, file
        self._plan = run.plan
        self._maker = FrameMaker(
            run.plan,
            run.engine,
            StageClock(),
            dither=options.encode.dither == "ordered",
            grain=run.grain,
            afresh=0,
        )
        self.tally = _Tally()
        self._warm = False

    def make(self, facts: SourceFacts, at: Fraction, count: int) -> Place:
        """Make one place: encode a few of its frames, and keep the first one's pictures."""
        asked = replace(self._options.input, start=at, end=None)
        with VideoReader(facts, options=asked) as reader:
            shown = float(reader.peek().time)
            lr = self._coded(reader, self._length(count))
        with VideoReader(self._file, options=InputOptions(deinterlace="off", force=True)) as made:
            chosen = _rgb(made.peek(), made.info)
        sizes = packet_sizes(self._file)
        self._file.unlink()
        self.tally.keys += [size for size, key in sizes if key]
        self.tally.others += [size for size, key in sizes if not key]
        return self._place(shown, lr, chosen)

    def _length(self, places: int) -> int:
        """The number of frames of a place, by the time for one."""
        if not self.tally.per_frame:
            return 2
        return min(MOST_FRAMES, max(2, int(BUDGET_S / places / self.tally.per_frame)))

    def _coded(self, reader: VideoReader, count: int) -> Frame:
        """Write frames into the file; returns the source's first one."""
        plan, first = self._plan, None
        started = time.perf_counter()
        with (
            open_writer(self._file, plan, self._run.target, None) as writer,
            WorkerPool(self._run.engine, plan.workers) as pool,
        ):
            frames = 0
            for rendered, frame in self._maker.frames(reader, pool, count):
                if first is None:
                    given = rendered.task.frame
                    first = replace(given, planes=tuple(plane.clone() for plane in given.planes))
                writer.write(frame)
                frames += 1
        if self._warm:  # the first place includes loading and compiling
            self.tally.frames += frames
            self.tally.seconds += time.perf_counter() - started
        self._warm = True
        assert first is not None
        return first

    @torch.inference_mode()
    def _place(self, at: float, lr: Frame, chosen: Tensor) -> Place:
        plan, size = self._plan, self._plan.out_size
        given = _rgb(lr, plan.info)
        rows, columns = _busiest(given, size)
        pictures = {SOURCE: F.interpolate(given, size, mode="nearest-exact")}
        for name, engine in self._others:
            pictures[name] = self._by(engine, lr)
        pictures[CHOSEN] = chosen
        views = {
            name: encode_webp(picture[0, :, rows, columns], QUALITY)
            for name, picture in pictures.items()
        }
        width = min(THUMBNAIL, size[1])
        small = F.interpolate(chosen, (max(1, size[0] * width // size[1]), width), mode="area")
        crop = rows.stop - rows.start, columns.stop - columns.start
        return Place(at, crop, views, encode_webp(small[0], QUALITY))

    def _by(self, engine: Engine, lr: Frame) -> Tensor:
        """The picture by another network, not encoded."""
        plan = self._plan
        layout = PixelLayout.of("gbrp16le")
        color = replace(plan.out_color, matrix=type(plan.out_color.matrix).RGB)
        target = PlaneFormat(layout, replace(color, color_range=type(color.color_range).FULL))
        source = PlaneFormat(PixelLayout.of(plan.info.pix_fmt).opaque, plan.color)
        planes = lr.planes[: len(lr.planes) - PixelLayout.of(plan.info.pix_fmt).alpha]
        made = Renderer(engine, source, target).of(lr.color).render(planes, plan.out_size)
        return to_rgb([plane[None] for plane in made], layout, target.color)


def _rgb(frame: Frame, info: VideoInfo) -> Tensor:
    """R'G'B' (1, 3, h, w) of a frame."""
    layout = PixelLayout.of(info.pix_fmt)
    color = info.color.resolved(info.height, info.width, layout, info.codec)[0]
    planes = frame.planes[: len(frame.planes) - layout.alpha]
    return to_rgb([plane[None] for plane in planes], layout.opaque, frame.color or color)


def _busiest(given: Tensor, size: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the crop with the most detail."""
    luma = given.mean(dim=1, keepdim=True)
    detail = torch.zeros_like(luma)
    detail[..., 1:, :] += luma.diff(dim=-2).abs()
    detail[..., 1:] += luma.diff(dim=-1).abs()
    spans = [min(limit, side) for limit, side in zip(CROP, size, strict=True)]
    least = given.shape[-2:]
    windows = [
        max(1, span * short // side) for span, short, side in zip(spans, least, size, strict=True)
    ]
    step = min(DETAIL, *windows)
    means = F.avg_pool2d(detail, windows, stride=step)[0, 0]
    row, column = divmod(int(means.argmax()), means.shape[1])
    starts = [
        min(at * step * side // short, side - span)
        for at, short, side, span in zip((row, column), least, size, spans, strict=True)
    ]
    rows, columns = (slice(at, at + span) for at, span in zip(starts, spans, strict=True))
    return rows, columns
