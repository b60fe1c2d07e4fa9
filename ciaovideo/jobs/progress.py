"""How far a batch is, and how long the rest will take."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# Files of one class have the same time per frame: model, sizes in and out, encoder.
type CostClass = tuple[str, tuple[int, int], tuple[int, int], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is expected: frames of all files, and seconds of all workers for the unfinished ones.

    ``rates`` are seconds for an output pixel, by the class of a file.
    """

    frames: int = 0
    seconds: float = 0.0
    rates: Mapping[CostClass, float] = field(default_factory=dict)

    def seconds_per_frame(self, cost_class: CostClass) -> float:
        """The forecast for a class; for an unknown one the largest of all, 0 without any."""
        rate = self.rates.get(cost_class, max(self.rates.values(), default=0.0))
        return math.prod(cost_class[2]) * rate

    def total(self, counts: "Counts") -> int:
        """The frames of all files of a batch; 0 while some are unknown."""
        if counts.waiting and not self.frames:
            return 0
        return max(counts.frames, self.frames)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Counts of a batch: files in each state, and known frames."""

    waiting: int = 0
    working: int = 0
    done: int = 0
    failed: int = 0
    frames: int = 0
    frames_done: int = 0

    @property
    def files(self) -> int:
        """All of them."""
        return self.waiting + self.working + self.done + self.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """A worker's state: the file's name, the task, frames done and frames in it."""

    worker: str
    task: str = ""
    name: str = ""
    frames: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state of a batch: counts, frames with those in tasks, seconds, and each worker.

    ``new_frames`` are those that this command made. ``work`` is the time expected for these,
    ``work_left`` for the remaining ones, in seconds; the real times are in proportion.
    """

    counts: Counts
    frames: int
    total: int
    new_frames: int
    work: float
    work_left: float
    elapsed_s: float
    workers: tuple[WorkerState, ...]

    @property
    def left_s(self) -> float | None:
        """The remaining seconds at the rate up to now; None if unknown."""
        if not self.work or not self.work_left:
            return None
        return self.work_left * self.elapsed_s / self.work


class Progress:
    """Counts what a batch's workers have made against what was forecast.

    Frames of different files cost differently, so the time left goes by the seconds that each was
    expected to take.
    """

    def __init__(self, forecast: Forecast) -> None:
        self.forecast = forecast
        self._expected_s = forecast.seconds
        self._frames, self._made_s = 0, 0.0

    def found(self, frames: int, frame_s: float) -> None:
        """Frames that were finished before this command, each expected to take ``frame_s``."""
        self._expected_s -= frames * frame_s

    def made(self, frames: int, frame_s: float) -> None:
        """Frames that a worker has finished, each expected to take ``frame_s``."""
        self._frames += frames
        self._made_s += frames * frame_s

    def snapshot(
        self, counts: Counts, workers: Sequence[tuple[WorkerState, float]], elapsed_s: float
    ) -> Snapshot:
        """The state now; each busy worker comes with the seconds that a frame should take it."""
        inside = sum(state.frames for state, _ in workers)
        work = sum((state.frames * frame_s for state, frame_s in workers), self._made_s)
        return Snapshot(
            counts=counts,
            frames=counts.frames_done + inside,
            total=self.forecast.total(counts),
            new_frames=self._frames + inside,
            work=work,
            work_left=max(0.0, self._expected_s - work),
            elapsed_s=elapsed_s,
            workers=tuple(state for state, _ in workers),
        )
