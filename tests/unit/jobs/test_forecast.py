"""How long a batch takes: foreseen, and while workers are at it, on a clock that tasks move."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ciaovideo.jobs import batch as batch_module
from ciaovideo.jobs import ledger as ledger_module
from ciaovideo.jobs import tasks
from ciaovideo.jobs.batch import Batch
from ciaovideo.jobs.forecast import CostClass, Expected, Forecast, Pace, Rate, Rest, makespan
from ciaovideo.jobs.job import Job, file_stamp
from ciaovideo.jobs.progress import Snapshot
from ciaovideo.options import UpscaleOptions
from ciaovideo.pipeline.segmenting import SegmentPlan
from tests.batches import Clock

LENGTH = 120  # frames of a segment
DEAR: CostClass = ("dear", (1, 1), (1, 1), "ffv1")  # of one pixel: a rate is that of a frame
CHEAP: CostClass = ("cheap", (1, 1), (1, 1), "ffv1")
USUAL: CostClass = ("usual", (1, 1), (1, 1), "ffv1")
RATES = {
    DEAR: Rate(make=2.0, join=0.2),
    CHEAP: Rate(make=0.3, join=0.1),
    USUAL: Rate(make=1.0, join=0.1),
}
PLAN_S = 1.5
SLOWER = 1.5  # than foreseen, in all: other programs run as well
WRONG = {DEAR: 1.1, CHEAP: 0.9, USUAL: 1.0}  # how much more than that a class takes to make
BEGIN_S = 6.0  # of a worker's process
NOISE = 0.1  # share by which a task takes more or less


@dataclass
class Doing:
    """A task of a worker: from when to when, its frames, and its result."""

    began: float
    ends: float
    frames: int
    result: Any


class Simulated:
    """Workers whose tasks only take time: as long as costs say that are not those foreseen."""

    def __init__(self, clock: Clock, count: int, films: dict[str, Expected]) -> None:
        self.count = count
        self._clock, self._films = clock, films
        self._doing: dict[str, Doing] = {}
        self._begun: set[str] = set()
        self._noise = random.Random(16)

    @property
    def free(self) -> list[str]:
        return [name for name in map(str, range(self.count)) if name not in self._doing]

    def submit(
        self, worker: str, task: Callable[..., Any], job: Job, *words: Any, **_: Any
    ) -> None:
        film = self._films[job.name]
        rate, wrong = RATES[film.cost_class], WRONG[film.cost_class]
        frames = 0
        result: Any
        match task.__name__, words:
            case "plan", _:
                seconds, result = PLAN_S, planned(film)
            case "split", _:
                seconds, result = 0.0, parts_of(film)
            case "make", (part,):
                frames = min(part.stop, film.frames) - part.start
                seconds, result = frames * rate.make * wrong, made(film, part)
            case "join", _:
                seconds = PLAN_S + film.frames * rate.join
                result = joined(job, film)
            case _:
                raise AssertionError(task)
        seconds *= SLOWER * self._noise.uniform(1 - NOISE, 1 + NOISE)
        seconds += 0.0 if worker in self._begun else BEGIN_S
        self._begun.add(worker)
        self._doing[worker] = Doing(self._clock.now, self._clock.now + seconds, frames, result)

    def finished(self, timeout_s: float) -> Iterator[tuple[str, Callable[[], Any]]]:
        first = min(doing.ends for doing in self._doing.values())
        self._clock.now = min(max(first, self._clock.now), self._clock.now + timeout_s)
        for worker, doing in [*self._doing.items()]:
            if doing.ends <= self._clock.now:
                del self._doing[worker]
                yield worker, partial(lambda result: result, doing.result)

    def frames(self, worker: str) -> int:
        doing = self._doing[worker]
        share = (self._clock.now - doing.began) / max(doing.ends - doing.began, 1e-9)
        return int(doing.frames * share)

    def stop(self) -> None:
        self._doing = {}


def planned(film: Expected) -> tasks.Planned:
    model, in_size, out_size, codec = film.cost_class
    return tasks.Planned(
        whole=False,
        adopted={},
        told={},
        segments={},
        frames=film.frames,
        length=film.length,
        fingerprint={"source": "none"},
        findings=(),
        in_size=in_size,
        out_size=out_size,
        model=model,
        codec=codec,
    )


def parts_of(film: Expected) -> tuple[SegmentPlan, ...]:
    starts = range(0, film.frames, film.length)
    return tuple(SegmentPlan(start=at, stop=min(at + film.length, film.frames)) for at in starts)


def made(film: Expected, part: SegmentPlan) -> tasks.Made:
    return tasks.Made(
        start=part.start,
        stop=min(part.stop, film.frames),
        ended=part.stop >= film.frames,
        size=1,
        seconds=1.0,
        host="none",
        machine="none",
        findings=(),
    )


def joined(job: Job, film: Expected) -> tasks.Joined:
    facts = {"frames": film.frames}
    return tasks.Joined(facts=facts, findings=(), stamp="", source_stamp=file_stamp(job.source))


def films_of(*frames: int, **kinds: tuple[int, ...]) -> dict[str, Expected]:
    """Files of so many frames, in order: ``dear`` and ``cheap`` ones by number, others usual."""
    classes = {number: kind for kind in (DEAR, CHEAP) for number in kinds.get(kind[0], ())}
    return {
        f"{number:03}.mkv": Expected(
            cost_class=classes.get(number, USUAL), frames=count, length=LENGTH
        )
        for number, count in enumerate(frames)
    }


MIXED = (3000, 240, 60, 1200, 600, 120, 60, 2400, 90, 700)
BATCHES = {
    "even": films_of(*[480] * 12),
    "mixed": films_of(*MIXED, cheap=(0, 2, 3, 7, 9), dear=(1, 4, 5, 6, 8)),
    "short": films_of(*[30] * 40, cheap=(*range(0, 40, 3),), dear=(*range(1, 40, 3),)),
    "long last": films_of(*[200] * 10, 4000, dear=(10,)),
    "long first": films_of(4000, *[200] * 10, cheap=(1, 2, 3, 4, 5)),
    "one": films_of(6000),
}


class Told:
    """What a simulated batch told: the time left, and when."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.told: list[tuple[float, Snapshot]] = []

    def __call__(self, snapshot: Snapshot) -> None:
        self.told.append((self._clock.now, snapshot))

    def errors(self, began: float) -> list[float]:
        """How wrong the time left was at each tenth of the time: 0.2 is 20 % too much."""
        took = self._clock.now - began
        found = []
        for tenth in range(1, 10):
            at, snapshot = next(one for one in self.told if one[0] - began >= took * tenth / 10)
            assert snapshot.left_s is not None
            found.append(snapshot.left_s / (self._clock.now - at) - 1)
        return found


def carried_out(
    films: dict[str, Expected], workers: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> list[float]:
    """The errors of the time left at each tenth of a simulated batch."""
    monkeypatch.setattr(batch_module, "time", clock := Clock())
    monkeypatch.setattr(batch_module, "TICK_S", 10.0)
    unsynced = f"PRAGMA synchronous = OFF; {ledger_module.SCHEMA}"  # this ledger survives nothing
    monkeypatch.setattr(ledger_module, "SCHEMA", unsynced)
    options = UpscaleOptions(resume=True)
    jobs = [
        Job(name=name, source=folder / "in" / name, output=folder / name, options=options)
        for name in films
    ]
    forecast = Forecast(
        frames=sum(film.frames for film in films.values()),
        files=films,
        rates=RATES,
        plan_s=PLAN_S,
    )
    told = Told(clock)
    began = clock.now
    batch = Batch(folder, Simulated(clock, workers, films), on_tick=told)
    assert batch.run(jobs, forecast) == 0
    return told.errors(began)


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("films", BATCHES)
def test_the_time_left_is_right_within_a_fifth_from_the_first_tenth_on(
    films: str, workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine slower than foreseen, with samples that were wrong, and joins to come."""
    errors = carried_out(BATCHES[films], workers, tmp_path, monkeypatch)
    assert max(map(abs, errors)) < 0.2, [f"{error:+.0%}" for error in errors]


def rest(*running: float, pieces: int = 0, **given: Any) -> Rest:
    """A file with segments of 10 s, and a join of 5 s."""
    times = {"piece_s": 10.0, "last_s": 10.0, "join_s": 5.0, **given}
    return Rest(running=[*running], pieces=pieces, **times)


@pytest.mark.parametrize(
    ("files", "waiting", "workers", "seconds"),
    [
        ([rest(4, pieces=3)], [], 1, 39),
        ([rest(4, pieces=3)], [rest(1, pieces=2)], 1, 65),
        ([rest(4, pieces=3)], [], 4, 15),  # three others begin at once
        ([rest(4, pieces=3, alone=True)], [], 4, 39),
        ([rest(4, pieces=1)], [], 4, 19),  # nobody lists the segments for one
        ([rest(4, pieces=1, listed=True)], [], 4, 15),
        ([rest(pieces=5, last_s=2.0)], [], 2, 27),
        ([rest(3, 7, join_s=0.0)], [], 2, 7),
        ([rest(pieces=1), rest(pieces=1)], [], 2, 15),
        ([], [rest(0, pieces=2), rest(0, pieces=2), rest(0, pieces=2)], 2, 50),
        ([], [rest(0, pieces=3), rest(0, pieces=3), rest(0, pieces=3)], 2, 60),
        ([rest(30, join_s=0.0)], [rest(0, pieces=1), rest(0, pieces=1)], 2, 30),
    ],
)
def test_the_end_of_a_batch(
    files: list[Rest], waiting: list[Rest], workers: int, seconds: float
) -> None:
    assert makespan(files, waiting, workers) == pytest.approx(seconds)


def test_files_that_are_not_counted_one_by_one_go_to_whoever_is_free() -> None:
    last = rest(0, pieces=1)
    assert makespan([rest(60, join_s=0)], [last], 2, 45) == pytest.approx(60)
    assert makespan([rest(60, join_s=0)], [last], 2, 100) == pytest.approx(80 + 15)


def test_long_segments_of_many_files_are_counted_in_fewer_pieces() -> None:
    files = [rest(pieces=9000) for _ in range(3)]
    assert makespan(files, [], 2) == pytest.approx(3 * 90005 / 2, rel=0.05)


def test_a_pace_is_that_of_tasks_alike() -> None:
    pace = Pace(Forecast(rates=RATES, plan_s=PLAN_S))
    unknown: CostClass = ("unknown", (1, 1), (1, 1), "ffv1")
    assert pace.seconds("make", unknown, 10) == 20
    pace.learn("make", DEAR, 10_000, 60_000)
    pace.learn("make", CHEAP, 10_000, 3000)
    pace.learn("join", CHEAP, 10_000, 5000)
    assert pace.seconds("make", DEAR, 1) == pytest.approx(6, rel=0.01)
    assert pace.seconds("make", CHEAP, 1) == pytest.approx(0.3, rel=0.01)
    assert pace.seconds("make", USUAL, 1) == pytest.approx(63 / 23, rel=0.01)
    assert pace.seconds("join", DEAR, 1000) == pytest.approx(5 * (PLAN_S + 200), rel=0.01)
