"""How long a batch takes: costs by a sample, corrected by what its tasks took.

A batch takes longer than its work divided by its workers: its last files do not end at once, and
one worker alone plans or joins a file. So the rest is handed out here in expected seconds, by the
rules of ``Batch``: a file for each worker and, when none is waiting, segments of others' files.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush, heapreplace
from typing import Literal, Self

# Files of one class have the same time per frame: model, sizes in and out, encoder.
type CostClass = tuple[str, tuple[int, int], tuple[int, int], str]
type TaskKind = Literal["plan", "make", "join"]

TRUST_S = 5.0  # seconds of work that count as much as the sample does
WORTH_SPLITTING = 2  # segments left for which a second worker is called
ROUNDS = 20  # tasks of each worker that the end of a batch is divided into, at least


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Seconds of a worker for an output pixel: to make it, and to join it."""

    make: float = 0.0
    join: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A file that nobody has begun: its class, its frames, and those of a segment."""

    cost_class: CostClass
    frames: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is expected of a batch.

    ``frames`` are those of all files; ``files`` are the unfinished ones, by the names of their jobs
    in order. ``plan_s`` seconds go by until a file is opened and planned.
    """

    frames: int = 0
    files: Mapping[str, Expected] = field(default_factory=dict)
    rates: Mapping[CostClass, Rate] = field(default_factory=dict)
    plan_s: float = 0.0

    def seconds(self, kind: TaskKind, cost_class: CostClass, frames: float) -> float:
        """The expected time of a task; an unknown class costs what the most costly one does."""
        if kind == "plan":
            return self.plan_s
        most = max(self.rates.values(), key=lambda rate: rate.make, default=Rate())
        rate = self.rates.get(cost_class, most)
        pixels = frames * math.prod(cost_class[2])
        if kind == "make":
            return pixels * rate.make
        return self.plan_s + pixels * rate.join  # who joins a file opens it again

    def makespan(self, workers: int) -> float:
        """The expected seconds of the whole batch."""
        pace = Pace(self)
        return makespan([], [pace.rest_of(file) for file in self.files.values()], workers)


class Pace:
    """The time of tasks: the forecast's, corrected by what such tasks took.

    The correction is that of tasks of the same kind on files of the same class. Where few of these
    are known, those of all classes count, too, and for other tasks those that make segments.
    """

    def __init__(self, forecast: Forecast) -> None:
        self.forecast = forecast
        self._known: dict[tuple[TaskKind, CostClass | None], tuple[float, float]] = {}

    def copy(self) -> "Pace":
        """A copy, for what is known of unfinished tasks."""
        made = Pace(self.forecast)
        made._known = dict(self._known)
        return made

    def learn(self, kind: TaskKind, cost_class: CostClass, frames: float, seconds: float) -> None:
        """Take the time that a task took for so many frames."""
        expected = self.forecast.seconds(kind, cost_class, frames)
        for key in ((kind, None), (kind, cost_class)):
            before = self._known.get(key, (0.0, 0.0))
            self._known[key] = before[0] + expected, before[1] + seconds

    def seconds(self, kind: TaskKind, cost_class: CostClass, frames: float) -> float:
        """The time that a task will take."""
        factor = 1.0
        for key in dict.fromkeys([("make", None), (kind, None), (kind, cost_class)]):
            expected, took = self._known.get(key, (0.0, 0.0))
            if expected and took:
                share = took / (took + TRUST_S)
                factor = factor ** (1 - share) * (took / expected) ** share
        return factor * self.forecast.seconds(kind, cost_class, frames)

    def rest_of(self, file: Expected) -> "Rest":
        """A whole file, to be planned first."""
        planning = self.seconds("plan", file.cost_class, file.frames)
        return Rest.of(self, file, file.frames, running=[planning])

    def work_of(self, cost_class: CostClass, files: int, frames: int) -> float:
        """The seconds of one worker for whole files of a class."""
        planned = files * self.seconds("plan", cost_class, 0)
        made = self.seconds("make", cost_class, frames)
        joined = (files - 1) * self.seconds("join", cost_class, 0)
        return planned + made + joined + self.seconds("join", cost_class, frames)


@dataclass(slots=True, kw_only=True)
class Rest:
    """What is left of a file, in seconds of one worker.

    ``running`` are its tasks at work. Then come ``pieces`` segments of ``piece_s``, the last of
    ``last_s``, then ``join_s``. Segments of one that is ``alone`` are made in order; others become
    ``listed`` when a second worker comes.
    """

    running: list[float] = field(default_factory=list)
    pieces: int = 0
    piece_s: float = 0.0
    last_s: float = 0.0
    join_s: float = 0.0
    alone: bool = False
    listed: bool = False

    @classmethod
    def of(cls, pace: Pace, file: Expected, frames: int, *, running: list[float]) -> Self:
        """What is left of a file of which so many frames are not begun."""
        frame_s = pace.seconds("make", file.cost_class, 1)
        length = max(1, file.length)
        pieces = -(-frames // length)
        return cls(
            running=running,
            pieces=pieces,
            piece_s=length * frame_s,
            last_s=(frames - max(0, pieces - 1) * length) * frame_s,
            join_s=pace.seconds("join", file.cost_class, file.frames),
        )

    @property
    def make_s(self) -> float:
        """The time of all segments that are not begun."""
        return (self.pieces - 1) * self.piece_s + self.last_s if self.pieces else 0.0

    @property
    def alone_s(self) -> float:
        """The time that one worker needs for all."""
        return sum(self.running[:1]) + self.make_s + self.join_s

    def after(self, seconds: float) -> "Rest":
        """What is left when one worker has been at it for some time."""
        left = sum(self.running[:1]) - seconds
        if left > 0:
            return replace(self, running=[left])
        if -left < self.make_s:
            begun = min(int(-left / self.piece_s) + 1, self.pieces)
            until = begun * self.piece_s if begun < self.pieces else self.make_s
            return replace(self, running=[until + left], pieces=self.pieces - begun)
        return Rest(running=[max(0.0, self.alone_s - seconds)])

    def in_pieces(self, least_s: float) -> "Rest":
        """The same in segments that take some time, at least."""
        together = int(least_s / self.piece_s) if self.piece_s else 1
        if together < 2 or not self.pieces:
            return replace(self, running=[*self.running])
        pieces = -(-self.pieces // together)
        piece_s = together * self.piece_s
        last_s = self.make_s - (pieces - 1) * piece_s
        return replace(self, running=[*self.running], pieces=pieces, piece_s=piece_s, last_s=last_s)

    def take(self) -> float:
        """Take a segment: its time."""
        self.pieces -= 1
        return self.piece_s if self.pieces else self.last_s


def makespan(
    files: Sequence[Rest], waiting: Sequence[Rest], workers: int, more_s: float = 0.0
) -> float:
    """The seconds until workers have done all.

    ``files`` are begun, ``waiting`` are not; others, which take one worker ``more_s``, come before
    these.
    """
    at = 0.0
    if waiting:
        at, files = _until_all_are_begun(files, waiting, workers, more_s)
    return at + _shared(files, workers)


def _until_all_are_begun(
    files: Sequence[Rest], waiting: Sequence[Rest], workers: int, more_s: float
) -> tuple[float, list[Rest]]:
    """When a worker finds no file waiting, and what is left of the begun ones then."""
    own = [rest for rest in files if rest.running]
    own += [Rest(running=[seconds]) for rest in files for seconds in rest.running[1:]]
    own += [Rest() for _ in range(workers - len(own))]
    level = _level([rest.alone_s for rest in own], more_s)
    # Of each worker: when it is free, the number of its file, when it began that, and the file.
    busy = [
        (rest.alone_s, number, 0.0, rest)
        if rest.alone_s >= level
        else (level, number, level, Rest())
        for number, rest in enumerate(own)
    ]
    heapify(busy)
    queue = [*(rest for rest in files if not rest.running), *waiting]
    for number, rest in enumerate(queue, len(own)):
        at = busy[0][0]
        heapreplace(busy, (at + rest.alone_s, number, at, rest))
    at = busy[0][0]
    begun = sorted(busy, key=lambda one: one[1])
    return at, [rest.after(at - began) for free, _, began, rest in begun if free > at]


def _level(free: Iterable[float], work: float) -> float:
    """When workers that are free at these times have done some work that they divide evenly."""
    times = sorted(free)
    for count, (at, following) in enumerate(zip(times, [*times[1:], math.inf], strict=True), 1):
        if count * (following - at) >= work:
            return at + work / count
        work -= count * (following - at)
    return 0.0


def _shared(files: Iterable[Rest], workers: int) -> float:
    """The seconds until workers have done these files, with one another's segments."""
    files = list(files)
    least_s = sum(rest.make_s for rest in files) / (ROUNDS * workers)
    files = [rest.in_pieces(least_s) for rest in files]
    at_work = [len(rest.running) for rest in files]
    ends = [(seconds, number) for number, rest in enumerate(files) for seconds in rest.running]
    heapify(ends)
    at = 0.0
    while True:
        while len(ends) < workers and (task := _next_task(files, at_work)):
            number, seconds = task
            at_work[number] += 1
            heappush(ends, (at + seconds, number))
        if not ends:
            return at
        at, number = heappop(ends)
        at_work[number] -= 1


def _next_task(files: Sequence[Rest], at_work: Sequence[int]) -> tuple[int, float] | None:
    """The next task of a free worker: the number of its file, and its time."""
    for number, rest in enumerate(files):
        if not at_work[number] and not rest.pieces and rest.join_s:
            seconds, rest.join_s = rest.join_s, 0.0
            return number, seconds
    for number, rest in enumerate(files):
        if not at_work[number] and rest.pieces:
            return number, rest.take()
    for number, rest in enumerate(files):
        least = 1 if rest.listed else WORTH_SPLITTING
        if not rest.alone and rest.pieces >= least:
            rest.listed = True
            return number, rest.take()
    return None
