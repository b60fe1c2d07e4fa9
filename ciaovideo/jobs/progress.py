"""How far a batch is, and how long the rest will take."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from ciaovideo.jobs.forecast import (
    CostClass,
    Expected,
    Forecast,
    Pace,
    Rest,
    TaskKind,
    makespan,
)

LAST = 8  # files of each worker that are counted one by one at the end of a batch


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
    """A worker's state: the file's name, the task, its seconds, frames done and frames in it."""

    worker: str
    task: str = ""
    name: str = ""
    frames: int = 0
    total: int = 0
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state of a batch: counts, frames with those in tasks, seconds, and each worker.

    ``new_frames`` are those that this command made; ``total`` is 0 while files of unknown length
    wait. ``left_s`` are the remaining seconds, None without a forecast.
    """

    counts: Counts
    frames: int
    total: int
    new_frames: int
    left_s: float | None
    elapsed_s: float
    workers: tuple[WorkerState, ...]


class OpenFile(Protocol):
    """A file that was begun; its class is None if it is unknown."""

    cost_class: CostClass | None

    def rest(self, pace: Pace, tasks: Sequence[WorkerState]) -> Rest:
        """What is left of it beside its running tasks, which are given."""
        ...


class Progress:
    """Counts what a batch's workers have made against what was forecast."""

    def __init__(self, forecast: Forecast) -> None:
        self.forecast = forecast
        self.pace = Pace(forecast)
        self._frames = 0
        self._waiting = dict(forecast.files)
        self._files: Counter[CostClass] = Counter()  # that wait, by class
        self._frames_waiting: Counter[CostClass] = Counter()
        for file in forecast.files.values():
            self._files[file.cost_class] += 1
            self._frames_waiting[file.cost_class] += file.frames

    def begin(self, name: str) -> None:
        """Count a file as begun."""
        if file := self._waiting.pop(name, None):
            self._files[file.cost_class] -= 1
            self._frames_waiting[file.cost_class] -= file.frames

    def made(self, frames: int) -> None:
        """Count frames that a worker has finished."""
        self._frames += frames

    def learn(
        self, kind: TaskKind, cost_class: CostClass | None, frames: float, seconds: float
    ) -> None:
        """Take the time of a finished task; an unknown class teaches nothing."""
        if cost_class is not None:
            self.pace.learn(kind, cost_class, frames, seconds)

    def snapshot(
        self,
        counts: Counts,
        states: Sequence[WorkerState],
        files: Mapping[str, OpenFile],
        *,
        workers: int,
        elapsed_s: float,
    ) -> Snapshot:
        """The state now: of the busy workers, and of the begun files by name."""
        inside = sum(state.frames for state in states)
        total = max(counts.frames, self.forecast.frames)
        return Snapshot(
            counts=counts,
            frames=counts.frames_done + inside,
            total=0 if counts.waiting and not self.forecast.frames else total,
            new_frames=self._frames + inside,
            left_s=self._left_s(states, files, workers) if self.forecast.rates else None,
            elapsed_s=elapsed_s,
            workers=tuple(states),
        )

    def _left_s(
        self, states: Sequence[WorkerState], files: Mapping[str, OpenFile], workers: int
    ) -> float:
        """The remaining seconds, at the pace up to now."""
        tasks: dict[str, list[WorkerState]] = {name: [] for name in files}
        pace = self.pace.copy()
        for state in states:
            if state.name not in files:
                continue  # it was given up
            tasks[state.name].append(state)
            cost_class = files[state.name].cost_class
            if state.task == "make" and state.frames and cost_class is not None:
                # The next frame is half finished, on average.
                pace.learn("make", cost_class, state.frames + 0.5, state.elapsed_s)
        begun = [
            file.rest(pace, tasks[name])
            for name, file in files.items()
            if file.cost_class is not None
        ]
        last = [*islice(reversed(self._waiting.values()), LAST * workers)]
        waiting = [pace.rest_of(file) for file in reversed(last)]
        return makespan(begun, waiting, workers, self._work_before(pace, last))

    def _work_before(self, pace: Pace, last: Sequence[Expected]) -> float:
        """The seconds of one worker for the files that wait before the last ones."""
        if len(last) == len(self._waiting):
            return 0.0
        files = self._files - Counter(file.cost_class for file in last)
        frames = Counter(self._frames_waiting)
        for file in last:
            frames[file.cost_class] -= file.frames
        return sum(pace.work_of(one, count, frames[one]) for one, count in files.items())
