"""What happens to a frame between decoder and encoder."""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import batched

import torch
from torch import Tensor

from ciaovideo.color import ColorSpec, PixelLayout, from_rgb, to_rgb
from ciaovideo.engine.engine import Engine
from ciaovideo.engine.picture import codes_from_rgb
from ciaovideo.media.frame import Frame, PlanePool


@dataclass(frozen=True, slots=True)
class Job:
    """A frame to compute; ``repeat`` says that its samples are its predecessor's, byte for byte."""

    frame: Frame
    repeat: bool


@dataclass(frozen=True, slots=True)
class Made:
    """A frame computed: the job, and its HR planes (none for a repeat)."""

    job: Job
    planes: tuple[Tensor, ...]


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


def mark_repeats(frames: Iterable[Frame], clock: StageClock) -> Iterator[Job]:
    """Find frames that equal the one before, so that they are computed once."""
    previous: Frame | None = None
    source = iter(frames)
    while True:
        with clock.measure("decode"):
            frame = next(source, None)
            if frame is None:
                return
            same = previous is not None and all(
                torch.equal(now, before)
                for now, before in zip(frame.planes, previous.planes, strict=True)
            )
        previous = frame
        yield Job(frame, same)


def in_batches(jobs: Iterable[Job], count: int) -> Iterator[tuple[Job, ...]]:
    """Groups of at most ``count`` frames to be computed at once."""
    return batched(jobs, count) if count > 1 else ((job,) for job in jobs)


class FrameWorker:
    """Planes to larger planes: upload, colour to R'G'B', network, colour back, download.

    Called from several threads at once. On a GPU each thread has its own CUDA stream, and copies
    go through pinned memory.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        layouts: tuple[PixelLayout, PixelLayout],
        spec: ColorSpec,
        out_size: tuple[int, int],
        outputs: PlanePool,
        clock: StageClock,
    ) -> None:
        self.engine = engine
        self.layout, self.out_layout = layouts
        self.spec = spec
        self.out_size = out_size
        self._outputs = outputs
        self._clock = clock
        self._own = threading.local()

    def __call__(self, jobs: tuple[Job, ...]) -> list[Made]:
        """Compute the frames of a group that are not repeats."""
        fresh = [job.frame for job in jobs if not job.repeat]
        with self._clock.measure("compute"), self._cuda_stream(), torch.inference_mode():
            made = iter(self._compute(fresh) if fresh else [])
        return [Made(job, () if job.repeat else next(made)) for job in jobs]

    def _compute(self, frames: list[Frame]) -> list[tuple[Tensor, ...]]:
        device = self.engine.device
        lr = torch.cat(
            [
                to_rgb(
                    [plane.to(device, non_blocking=True).unsqueeze(0) for plane in frame.planes],
                    self.layout,
                    self.spec,
                )
                for frame in frames
            ]
        )
        sr = self.engine(lr, self.out_size)
        shapes = self.out_layout.plane_shapes(*self.out_size)
        results = []
        for picture in sr.split(1):
            planes = self._outputs.acquire(shapes, self.out_layout.dtype)
            batch = [plane.unsqueeze(0) for plane in planes]
            if device.type == "cpu":
                from_rgb(picture, self.out_layout, self.spec, out=batch)
            else:
                made = codes_from_rgb(picture, self.out_layout, self.spec)
                for target, source in zip(batch, made, strict=True):
                    target.copy_(source, non_blocking=True)
            results.append(planes)
        if device.type == "cuda":
            torch.cuda.current_stream(device).synchronize()
        return results

    def _cuda_stream(self) -> AbstractContextManager[object]:
        """The CUDA stream of the calling thread; nothing on other devices."""
        if self.engine.device.type != "cuda":
            return nullcontext()
        if not hasattr(self._own, "cuda_stream"):
            self._own.cuda_stream = torch.cuda.Stream(self.engine.device)
        return torch.cuda.stream(self._own.cuda_stream)
