"""What happens to a frame between decoder and encoder."""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ciaovideo.color import ColorSpec, Dither, PixelLayout, from_rgb
from ciaovideo.engine.engine import Engine
from ciaovideo.engine.picture import PlaneFormat, codes_from_rgb, enlarge_opacity, rgb_from_codes
from ciaovideo.engine.workers import ThreadStreams
from ciaovideo.media.frame import Frame, PlanePool
from ciaovideo.pipeline.changes import STEP, ChangeFinder
from ciaovideo.storage.segments import Tally
from ciaovideo.tiling import Rect


@dataclass(frozen=True, slots=True)
class Job:
    """A frame to compute: ``parts`` of the output may differ from the frame before's."""

    frame: Frame
    parts: tuple[Rect, ...]


@dataclass(frozen=True, slots=True)
class Patch:
    """A computed part of an output frame: its planes, and the box of each in the frame's plane."""

    planes: tuple[Tensor, ...]
    boxes: tuple[Rect, ...]

    @torch.inference_mode()  # planes that were made in it may be written in it only
    def paste(self, planes: tuple[Tensor, ...]) -> None:
        """Write it over what a frame's planes hold there."""
        for target, source, box in zip(planes, self.planes, self.boxes, strict=True):
            target[box.slices].copy_(source)


@dataclass(frozen=True, slots=True)
class Made:
    """A frame computed: the job, and either all its HR planes or the patches that are new."""

    job: Job
    planes: tuple[Tensor, ...] = ()
    patches: tuple[Patch, ...] = ()


@dataclass(slots=True)
class Work:
    """What was done so far, for output frames of ``area`` pixels."""

    area: int
    frames: int = 0
    computed: int = 0  # frames of which anything was
    pixels: int = 0

    def count(self, job: Job) -> None:
        """Count a frame that is finished."""
        self.frames += 1
        self.computed += bool(job.parts)
        self.pixels += sum(part.area for part in job.parts)

    @property
    def tally(self) -> Tally:
        """What of it was not taken from the frame before."""
        return Tally(self.computed, self.pixels)

    @property
    def reused(self) -> float:
        """The share of output pixels that were taken from the frame before."""
        return max(0.0, 1 - self.pixels / (self.frames * self.area)) if self.frames else 0.0


@dataclass(slots=True)
class StageClock:
    """Seconds spent in each stage, summed over its threads."""

    seconds: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Count the time inside the block for a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - started)

    def add(self, stage: str, seconds: float) -> None:
        """Count seconds for a stage."""
        with self._lock:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds


def mark_changes(
    frames: Iterable[Frame], finder: ChangeFinder, clock: StageClock, *, afresh: int = 0
) -> Iterator[Job]:
    """Find what of each frame differs from the one before, so that nothing is computed twice.

    One frame in ``afresh``, the first one included, is computed whole all the same.
    """
    before: tuple[Tensor, ...] | None = None
    source = iter(frames)
    number = 0
    while True:
        if afresh and not number % afresh:
            before = None
        with clock.measure("decode"):
            frame = next(source, None)
            if frame is None:
                return
            parts = finder.parts(frame.planes, before)
        before = frame.planes
        number += 1
        yield Job(frame, parts)


def in_batches(jobs: Iterable[Job], count: int, *, afresh: int = 0) -> Iterator[tuple[Job, ...]]:
    """Groups of at most ``count`` frames to be computed at once; none goes past ``afresh`` frames.

    A group's size may change the last bits of a picture.
    """
    group: list[Job] = []
    for number, job in enumerate(jobs, 1):
        group.append(job)
        if len(group) == count or (afresh and not number % afresh):
            yield tuple(group)
            group.clear()
    if group:
        yield tuple(group)


class FrameWorker:
    """Planes to larger planes: upload, colour to R'G'B', network, colour back, download.

    Opacity, where the source has it and the output holds it, is enlarged apart. Called from
    several threads at once. On a GPU each thread has its own CUDA stream, and copies go through
    pinned memory.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        layouts: tuple[PixelLayout, PixelLayout],
        specs: tuple[ColorSpec, ColorSpec],
        out_size: tuple[int, int],
        outputs: PlanePool,
        clock: StageClock,
        dither: bool = False,
    ) -> None:
        self.dither = dither
        self.engine = engine
        self.layout, self.out_layout = layouts
        self.spec, self.out_spec = specs
        self.out_size = out_size
        self._outputs = outputs
        self._clock = clock
        self._cuda_streams = ThreadStreams(engine.device)

    def __call__(self, jobs: tuple[Job, ...]) -> list[Made]:
        """Compute what is new in a group of frames."""
        whole = (Rect(0, 0, *self.out_size),)
        with self._clock.measure("compute"), self._cuda_streams.own(), torch.inference_mode():
            frames = [job.frame for job in jobs if job.parts == whole]
            made = iter(self._compute(frames) if frames else [])
            return [
                Made(job, next(made))
                if job.parts == whole
                else Made(job, patches=self._patches(job))
                for job in jobs
            ]

    def _compute(self, frames: list[Frame]) -> list[tuple[Tensor, ...]]:
        lr = torch.cat([self._upload(frame) for frame in frames])
        sr, finite = self.engine.start(lr, self.out_size)
        shapes = self.out_layout.plane_shapes(*self.out_size)
        results = [self._outputs.acquire(shapes, self.out_layout.dtype) for _ in frames]
        self._fill(results, frames, sr)
        if not bool(finite):  # to know it on a GPU is to wait for all that was begun before
            self._fill(results, frames, self.engine.exact(lr, self.out_size))
            self._cuda_streams.wait()
        return results

    def _fill(self, results: list[tuple[Tensor, ...]], frames: list[Frame], sr: Tensor) -> None:
        """The pictures as planes; from a GPU they are still on their way."""
        dither = Dither() if self.dither else None
        for planes, frame, picture in zip(results, frames, sr.split(1), strict=True):
            batch = [plane.unsqueeze(0) for plane in planes]
            if self.out_layout.alpha:
                batch.pop().copy_(self._opacity(frame), non_blocking=True)
            if self.engine.device.type == "cpu":
                from_rgb(picture, self.out_layout.opaque, self.out_spec, out=batch, dither=dither)
                continue
            made = codes_from_rgb(picture, self.out_layout.opaque, self.out_spec, dither)
            for target, source in zip(batch, made, strict=True):
                target.copy_(source, non_blocking=True)

    def _patches(self, job: Job) -> tuple[Patch, ...]:
        """The parts of a frame."""
        if not job.parts:
            return ()
        lr = self._upload(job.frame)
        patches, finite = [], []
        for part in job.parts:
            rgb, good = self.engine.start(lr, self.out_size, self._read(part))
            patches.append(self._patch(job.frame, rgb, part))
            finite.append(good)
        if not bool(torch.stack(finite).all()):  # on a GPU this waits for all patches
            patches = [
                self._patch(job.frame, self.engine.exact(lr, self.out_size, self._read(part)), part)
                for part in job.parts
            ]
            self._cuda_streams.wait()
        return tuple(patches)

    def _read(self, part: Rect) -> Rect:
        """What a part is cut from: a little more, because the chroma filter reads more."""
        return part.grown(2 * STEP, Rect(0, 0, *self.out_size))

    def _patch(self, frame: Frame, rgb: Tensor, part: Rect) -> Patch:
        read = self._read(part)
        dither = Dither((read.top, read.left)) if self.dither else None
        made = codes_from_rgb(rgb, self.out_layout.opaque, self.out_spec, dither)
        opacity = (self._opacity(frame, read),) if self.out_layout.alpha else ()
        planes, boxes = [], []
        for index, plane in enumerate((*made, *opacity)):
            log2 = self.out_layout.plane_log2(index)
            box, origin = part.halved(log2), read.halved(log2)
            own = box.moved(-origin.top, -origin.left)
            planes.append(self._fetched(plane[(0, *own.slices)]))
            boxes.append(box)
        return Patch(tuple(planes), tuple(boxes))

    def _fetched(self, plane: Tensor) -> Tensor:
        """The plane in CPU memory; from a GPU it is still on its way."""
        if plane.device.type == "cpu":
            return plane
        pinned = self.engine.device.type == "cuda"
        fetched = torch.empty(plane.shape, dtype=plane.dtype, pin_memory=pinned)
        return fetched.copy_(plane, non_blocking=True)

    def _upload(self, frame: Frame) -> Tensor:
        """A frame as rgb (1, 3, h, w) on the engine's device."""
        colors = frame.planes[:-1] if self.layout.alpha else frame.planes
        planes = [self._sent(plane) for plane in colors]
        return rgb_from_codes(planes, self.layout.opaque, self.spec)

    def _opacity(self, frame: Frame, part: Rect | None = None) -> Tensor:
        """The frame's last plane enlarged, or a part of it: (1, H, W)."""
        formats = PlaneFormat.of_opacity(self.layout), PlaneFormat.of_opacity(self.out_layout)
        plane = frame.planes[-1].unsqueeze(0)
        return enlarge_opacity(self.engine, plane, formats, self.out_size, part)

    def _sent(self, plane: Tensor) -> Tensor:
        """A plane on the device, as a batch of one."""
        return plane.to(self.engine.device, non_blocking=True).unsqueeze(0)
