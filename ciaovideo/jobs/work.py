"""Progress of one file of a batch: which segments are finished, running, and left."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

from ciaovideo.errors import (
    CiaoVideoError,
    EngineError,
    LostWorkerError,
    MediaError,
    StaleLedgerError,
    VerificationError,
)
from ciaovideo.findings import Finding
from ciaovideo.jobs.forecast import WORTH_SPLITTING, CostClass, Expected, Pace, Rest
from ciaovideo.jobs.job import Job
from ciaovideo.jobs.progress import WorkerState
from ciaovideo.jobs.tasks import Planned
from ciaovideo.pipeline.segmenting import SegmentPlan

type Stage = Literal["waiting", "planning", "making", "forgetting", "joining"]

PASSING = (MediaError, EngineError, LostWorkerError)  # may be temporary: disks, memory, networks
WAITS_S = (1.0, 10.0, 60.0)  # before a new attempt at a file; the last one is repeated


@dataclass(slots=True)
class FileWork:
    """One open file of a batch.

    ``segments`` maps first frames of finished segments to the frames after their last, ``taken``
    holds the first frames of the running ones. Until all are ``planned``, one worker makes the
    segments in order. ``due`` is when work may continue after a failure, in monotonic seconds.
    """

    job: Job
    settled: Job | None = None  # the same for tasks, with what planning measured
    stage: Stage = "waiting"
    length: int = 0
    cost_class: CostClass | None = None
    expected: int = 0
    total: int | None = None
    segments: dict[int, int] = field(default_factory=dict)
    taken: set[int] = field(default_factory=set)
    planned: tuple[SegmentPlan, ...] | None = None
    splitting: bool = False  # a worker is listing the segments
    in_order: bool = False  # the beginnings of segments are unknown
    untrue_from: int | None = None  # segments from this frame on have the wrong frames
    failures: int = 0
    problem: str = ""  # the error of the last failed plan
    due: float = 0.0
    seconds: float = 0.0
    findings: dict[Finding, None] = field(default_factory=dict)  # an ordered set

    @classmethod
    def of(cls, job: Job, file: Expected | None) -> Self:
        """A file that is begun now, with what is expected of it."""
        if file is None:
            return cls(job=job)
        return cls(job=job, length=file.length, cost_class=file.cost_class, expected=file.frames)

    def begin(self, planned: Planned) -> None:
        """Take the plan of the file."""
        self.stage, self.settled = "making", planned.settled
        self.length, self.expected = planned.length, planned.frames
        self.cost_class = planned.cost_class
        self.segments = dict(planned.segments)
        self.planned, self.in_order, self.total = None, self.in_order, None
        self.findings |= dict.fromkeys(planned.findings)
        limit = self.job.options.frames
        self.expected = min(self.expected, limit) if limit and self.expected else self.expected
        for start, stop in self.segments.items():
            if stop - start < self.length or stop == limit:  # the last one
                self.total = stop

    def split(self, planned: tuple[SegmentPlan, ...] | None) -> None:
        """Take the list of segments; None if it is unknown."""
        self.splitting = False
        self.in_order = planned is None
        self.planned = planned
        if planned:
            self.total = planned[-1].stop

    def made(self, start: int, stop: int, *, ended: bool) -> None:
        """Record a finished segment; without any frame, the source ended before it."""
        self.taken.discard(start)
        if stop > start:
            self.segments[start] = stop
        if ended:
            self.total = stop

    @property
    def task_job(self) -> Job:
        """The job as tasks after planning take it."""
        return self.settled or self.job

    @property
    def done(self) -> int:
        """The number of finished frames."""
        return sum(stop - start for start, stop in self.segments.items())

    @property
    def frames(self) -> int:
        """The number of frames, as far as known."""
        return max(self.expected, self.done) if self.total is None else self.total

    @property
    def complete(self) -> bool:
        """Whether all segments are finished, and none is running."""
        there = self.stage == "making" and self.total is not None and self.untrue_from is None
        return there and not self.taken and self.first_missing() == self.total

    @property
    def left(self) -> int:
        """The approximate number of segments not begun."""
        return max(0, -(-self.frames // self.length) - len(self.segments) - len(self.taken))

    @property
    def worth_splitting(self) -> bool:
        """Whether a second worker would help, and the segments are not listed yet."""
        known = self.in_order or self.splitting or self.planned is not None
        return self.stage == "making" and not known and self.left >= WORTH_SPLITTING

    def next_segment(self, after: int | None = None) -> SegmentPlan | None:
        """The next segment to make, the one at ``after`` if that is free; None without any."""
        if self.stage != "making" or self.untrue_from is not None:
            return None
        if self.planned is None:
            return None if self.taken else self._next_in_order()
        free = [
            p for p in self.planned if p.start not in self.segments and p.start not in self.taken
        ]
        for segment in free:
            if segment.start == after:
                return segment
        return _begin_of_longest(free, self.taken, self.length)

    def failed(self, task: str, error: CiaoVideoError, *, retries: int, away: bool) -> float | None:
        """Take the error of a task: seconds until the next attempt, None to give the file up.

        ``away`` means that its folder is gone, which counts as no attempt.
        """
        self.failures += not away
        self.splitting = False
        passing = isinstance(error, PASSING) and not isinstance(error, VerificationError)
        again = passing or away or (task == "join" and isinstance(error, StaleLedgerError))
        # An error in the file itself has the same text after a wait.
        if task == "plan" and not away:
            again = again and error.problem != self.problem
            self.problem = error.problem
        if not again or self.failures > retries:
            return None
        if task in ("plan", "join"):
            self.stage = "waiting"  # a new plan finds damaged segments
        lost = isinstance(error, LostWorkerError)
        return 0.0 if lost else WAITS_S[min(max(self.failures, 1), len(WAITS_S)) - 1]

    def distrust(self) -> None:
        """Distrust segments after the first gap: they begin elsewhere than packets state."""
        first = self.first_missing()
        self.untrue_from = first if self.untrue_from is None else min(first, self.untrue_from)

    def forget(self) -> None:
        """Drop the wrong segments, which are deleted; the rest is made in order."""
        start = self.untrue_from or 0
        self.segments = {at: stop for at, stop in self.segments.items() if at < start}
        self.total, self.planned, self.in_order = None, None, True
        self.untrue_from, self.stage = None, "making"

    def first_missing(self) -> int:
        """The first frame that is not in a segment."""
        at = 0
        while at in self.segments:
            at = self.segments[at]
        return at

    def rest(self, pace: Pace, tasks: Sequence[WorkerState]) -> Rest:
        """What is left of the file beside its running tasks, which are given."""
        assert self.cost_class is not None
        file = Expected(cost_class=self.cost_class, frames=self.frames, length=self.length)
        running = [_seconds_left(state, pace, file) for state in tasks]
        begun = self.done + sum(state.total for state in tasks)
        left = Rest.of(pace, file, max(0, self.frames - begun), running=running)
        left.alone, left.listed = self.in_order, self.planned is not None
        if self.stage == "joining":
            left.join_s = 0.0
        return left

    def _next_in_order(self) -> SegmentPlan | None:
        start = self.first_missing()
        if self.total is not None and start >= self.total:
            return None
        stop = start + self.length
        limit = self.job.options.frames
        return SegmentPlan(start=start, stop=min(stop, limit) if limit else stop)


@dataclass(frozen=True, slots=True)
class Task:
    """A running task: its kind, its file, the segment that it makes, and when it began."""

    kind: str
    work: FileWork
    segment: SegmentPlan | None
    began: float

    def state(self, worker: str, frames: int, now: float) -> WorkerState:
        """The state of its worker, which has done so many frames."""
        total = 0
        if self.segment:
            total = min(self.segment.stop, self.work.frames or self.segment.stop)
            total -= self.segment.start
        return WorkerState(
            worker=worker,
            task=self.kind,
            name=self.work.job.name,
            frames=min(frames, total),
            total=total,
            elapsed_s=now - self.began,
        )


def _seconds_left(state: WorkerState, pace: Pace, file: Expected) -> float:
    """The time until a task ends; 0 where it should have, or will soon."""
    match state.task:
        case "make":
            return pace.seconds("make", file.cost_class, state.total - state.frames)
        case "plan" | "join" as kind:
            return max(0.0, pace.seconds(kind, file.cost_class, file.frames) - state.elapsed_s)
    return 0.0


def _begin_of_longest(free: list[SegmentPlan], taken: set[int], length: int) -> SegmentPlan | None:
    """The segment at which a new worker begins, in the longest gap.

    It is the gap's first segment, or the middle one if another worker is about to enter the gap.
    """
    gaps: list[list[SegmentPlan]] = []
    for segment in free:
        if gaps and gaps[-1][-1].stop == segment.start:
            gaps[-1].append(segment)
        else:
            gaps.append([segment])
    if not gaps:
        return None
    longest = max(gaps, key=len)
    reached = longest[0].start - length in taken
    return longest[len(longest) // 2] if reached else longest[0]
