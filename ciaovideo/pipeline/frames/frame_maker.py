"""Enlarges frames in order: the part of a run between reader and writer."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import torch

from ciaovideo.color import PixelLayout, PlaneFormat
from ciaovideo.engine.engine import Engine
from ciaovideo.engine.renderer import Renderer
from ciaovideo.engine.workers import WorkerPool
from ciaovideo.grain.adding import Grain
from ciaovideo.media.frame import Frame, PlanePool
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.write.framing import Padder
from ciaovideo.pipeline.frames.changes import ChangeFinder
from ciaovideo.pipeline.frames.prefetch import ordered_map
from ciaovideo.pipeline.frames.stages import (
    FrameWorker,
    Rendered,
    StageClock,
    in_batches,
    mark_changes,
)
from ciaovideo.pipeline.plan import UpscalePlan


class FrameMaker:
    """Computes the frames of a plan. One frame in ``afresh`` depends on none before it.

    ``grain`` is added to all of them, also to those that are the frame before again.
    """

    def __init__(
        self,
        plan: UpscalePlan,
        engine: Engine,
        clock: StageClock,
        *,
        dither: bool,
        grain: Grain | None,
        afresh: int,
    ) -> None:
        self._plan, self._engine, self._clock = plan, engine, clock
        self._dither, self._grain, self._afresh = dither, grain, afresh

    def frames(
        self, reader: VideoReader, pool: WorkerPool, limit: int | None = None
    ) -> Iterator[tuple[Rendered, Frame]]:
        """HR frames of a reader's next frames, in order, at most ``limit``.

        A frame's planes may be overwritten once the next is asked for.
        """
        plan = self._plan
        depth = plan.workers + 1  # groups between decoder and encoder
        pinned = plan.device.startswith("cuda")
        inputs = PlanePool((depth + 1) * plan.batch + 2, pinned=pinned)
        outputs = PlanePool((depth + 1) * plan.batch + 1, pinned=pinned)
        reader.use(inputs)
        frames = reader.frames(limit)
        tasks = mark_changes(frames, self.finder(), self._clock, afresh=self._afresh)
        groups = ordered_map(
            self.worker(outputs, self._clock),
            in_batches(tasks, plan.batch, afresh=self._afresh),
            pool=pool,
            depth=depth,
            interrupt=reader.interrupt,
        )
        padder = Padder(
            plan.pad, plan.out_size, PixelLayout.of(plan.encoding.pix_fmt), plan.out_color
        )
        before: Frame | None = None  # released once compared with the next frame
        shown: tuple[torch.Tensor, ...] = ()
        with closing(groups):
            for rendered in (rendered for group in groups for rendered in group):
                if rendered.planes:
                    if shown:
                        outputs.release(shown)
                    shown = rendered.planes
                for patch in rendered.patches:  # over the frame before: the encoder has copied it
                    patch.paste(shown)
                frame = replace(rendered.task.frame, planes=shown)
                yield rendered, padder.padded(self._grained(frame))
                if before is not None:
                    inputs.release(before.planes)
                before = rendered.task.frame

    def _grained(self, frame: Frame) -> Frame:
        """The frame with grain, in planes of its own: the next frame is made over these."""
        if self._grain is None:
            return frame
        with self._clock.measure("grain"):
            return replace(frame, planes=self._grain.added(frame.planes, frame.time))

    def worker(self, outputs: PlanePool, clock: StageClock) -> FrameWorker:
        """A worker that computes groups of frames, in planes of a pool."""
        plan = self._plan
        renderer = Renderer(
            self._engine,
            PlaneFormat(PixelLayout.of(plan.info.pix_fmt), plan.color),
            PlaneFormat(PixelLayout.of(plan.encoding.pix_fmt), plan.out_color),
            dither=self._dither,
        )
        return FrameWorker(renderer, plan.out_size, outputs, clock)

    def finder(self) -> ChangeFinder:
        """The finder of changed parts, the same for every frame."""
        info = self._plan.info
        return ChangeFinder(
            PixelLayout.of(info.pix_fmt),
            (info.height, info.width),
            self._plan.out_size,
            self._engine.reach((info.height, info.width), self._plan.out_size),
        )
