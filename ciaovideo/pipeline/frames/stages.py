"""The stages of a frame between decoder and encoder."""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby, islice

import torch
from torch import Tensor

from ciaovideo.engine.renderer import Renderer
from ciaovideo.media.frame import Frame, PlanePool
from ciaovideo.pipeline.frames.changes import ChangeFinder
from ciaovideo.storage.segments import Tally
from ciaovideo.tiling import Rect


@dataclass(frozen=True, slots=True)
class FrameTask:
    """A frame to compute: ``parts`` of the output may differ from the frame before's."""

    frame: Frame
    parts: tuple[Rect, ...]


@dataclass(frozen=True, slots=True)
class Patch:
    """A computed part of an output frame: its planes, and the box of each in the frame's plane."""

    planes: tuple[Tensor, ...]
    boxes: tuple[Rect, ...]

    @torch.inference_mode()  # planes made in inference mode can only be written in it
    def paste(self, planes: tuple[Tensor, ...]) -> None:
        """Write it into a frame's planes."""
        for target, source, box in zip(planes, self.planes, self.boxes, strict=True):
            target[box.slices].copy_(source)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A computed frame: the task, and either all its HR planes or only the new patches."""

    task: FrameTask
    planes: tuple[Tensor, ...] = ()
    patches: tuple[Patch, ...] = ()


@dataclass(slots=True)
class RunCounts:
    """Counts the work so far, for output frames of ``area`` pixels."""

    area: int
    frames: int = 0
    computed: int = 0  # frames with a computed part
    pixels: int = 0

    def count(self, task: FrameTask) -> None:
        """Count a finished frame."""
        self.frames += 1
        self.computed += bool(task.parts)
        self.pixels += sum(part.area for part in task.parts)

    @property
    def tally(self) -> Tally:
        """The frames and pixels that were computed."""
        return Tally(self.computed, self.pixels)

    @property
    def reused(self) -> float:
        """The share of output pixels copied from the frame before."""
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
) -> Iterator[FrameTask]:
    """Find the changed parts of each frame, so that nothing is computed twice.

    One frame in ``afresh``, beginning with the first, is computed completely in any case, and so is
    one whose samples have another colour interpretation than before.
    """
    before: Frame | None = None
    source = iter(frames)
    number = 0
    while True:
        if afresh and not number % afresh:
            before = None
        with clock.measure("decode"):
            frame = next(source, None)
            if frame is None:
                return
            alike = before is not None and before.color == frame.color
            parts = finder.parts(frame.planes, before.planes if before and alike else None)
        before = frame
        number += 1
        yield FrameTask(frame, parts)


def in_batches(
    tasks: Iterable[FrameTask], count: int, *, afresh: int = 0
) -> Iterator[tuple[FrameTask, ...]]:
    """Groups of at most ``count`` frames to compute at once; none crosses a multiple of ``afresh``.

    A group's size may change the last bits of a picture.
    """
    group: list[FrameTask] = []
    for number, task in enumerate(tasks, 1):
        group.append(task)
        if len(group) == count or (afresh and not number % afresh):
            yield tuple(group)
            group.clear()
    if group:
        yield tuple(group)


class FrameWorker:
    """Enlarges frames into planes of a pool. Called from several threads at once."""

    def __init__(
        self, renderer: Renderer, out_size: tuple[int, int], outputs: PlanePool, clock: StageClock
    ) -> None:
        self.renderer = renderer
        self.out_size = out_size
        self._outputs = outputs
        self._clock = clock

    def __call__(self, tasks: tuple[FrameTask, ...]) -> list[Rendered]:
        """Compute the changed parts of a group of frames."""
        whole = (Rect(0, 0, *self.out_size),)
        with self._clock.measure("compute"):
            frames = [task.frame for task in tasks if task.parts == whole]
            planes = iter(self._compute(frames) if frames else [])
            return [
                Rendered(task, next(planes))
                if task.parts == whole
                else Rendered(task, patches=self._patches(task))
                for task in tasks
            ]

    def _compute(self, frames: list[Frame]) -> list[tuple[Tensor, ...]]:
        layout = self.renderer.target.layout
        shapes = layout.plane_shapes(*self.out_size)
        results = [self._outputs.acquire(shapes, layout.dtype) for _ in frames]
        left = iter(results)
        for color, group in groupby(frames, key=lambda frame: frame.color):
            pictures = [frame.planes for frame in group]
            made = list(islice(left, len(pictures)))
            self.renderer.of(color).render_into(made, pictures, self.out_size)
        return results

    def _patches(self, task: FrameTask) -> tuple[Patch, ...]:
        """The computed parts of a frame."""
        if not task.parts:
            return ()
        layout = self.renderer.target.layout
        renderer = self.renderer.of(task.frame.color)
        parts = renderer.render_parts(task.frame.planes, self.out_size, task.parts)
        return tuple(
            Patch(planes, tuple(part.halved(layout.plane_log2(i)) for i in range(len(planes))))
            for planes, part in zip(parts, task.parts, strict=True)
        )
