"""How far a batch is: frames made, files that wait, the time left."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from ciaovideo.jobs.forecast import CostClass, Expected, Forecast, Pace, Rate, Rest
from ciaovideo.jobs.progress import Counts, Progress, WorkerState

DEAR: CostClass = ("dear", (1, 1), (1, 1), "ffv1")
CHEAP: CostClass = ("cheap", (1, 1), (1, 1), "ffv1")
RATES = {DEAR: Rate(make=2.0, join=0.1), CHEAP: Rate(make=1.0)}


@dataclass
class Open:
    """A file of which 100 frames are not begun."""

    cost_class: CostClass | None

    def rest(self, pace: Pace, tasks: Sequence[WorkerState]) -> Rest:
        assert self.cost_class is not None
        running = [pace.seconds("make", self.cost_class, one.total - one.frames) for one in tasks]
        file = Expected(cost_class=self.cost_class, frames=0, length=100)
        return Rest.of(pace, file, 100, running=running)


def forecast_of(files: int, cost_class: CostClass) -> Forecast:
    file = Expected(cost_class=cost_class, frames=50, length=100)
    named = {f"{number}.mkv": file for number in range(files)}
    return Forecast(frames=50 * files, files=named, rates=RATES, plan_s=3.0)


def test_frames_are_those_made_and_those_in_tasks() -> None:
    progress = Progress(forecast_of(4, CHEAP))
    progress.made(40)
    busy = WorkerState(worker="1", task="make", name="a", frames=5, total=10)
    counts = Counts(waiting=1, working=1, frames=200, frames_done=50)
    told = progress.snapshot(counts, [busy], {}, workers=1, elapsed_s=9)
    assert (told.frames, told.total, told.new_frames, told.workers) == (55, 200, 45, (busy,))


def test_the_time_left_is_that_of_files_begun_and_of_those_that_wait() -> None:
    progress = Progress(forecast_of(100, CHEAP))
    for name in ("0.mkv", "1.mkv", "no video.mkv"):
        progress.begin(name)
    busy = WorkerState(worker="1", task="make", name="a", frames=0, total=10)
    given_up = WorkerState(worker="2", task="make", name="b", frames=5, total=9, elapsed_s=1)
    files = {"a": Open(DEAR), "unknown": Open(None)}
    told = progress.snapshot(Counts(), [busy, given_up], files, workers=1, elapsed_s=1)
    assert told.left_s == pytest.approx((10 + 100) * 2 + 3 + 98 * (3 + 50 + 3))


def test_a_segment_at_work_tells_how_fast_it_goes() -> None:
    progress = Progress(forecast_of(0, DEAR))
    took = 3 * 2.0 * 40.5  # three times the forecast
    busy = WorkerState(worker="1", task="make", name="a", frames=40, total=100, elapsed_s=took)
    told = progress.snapshot(Counts(), [busy], {"a": Open(DEAR)}, workers=1, elapsed_s=took)
    assert told.left_s == pytest.approx(3 * (2.0 * 160 + 3), rel=0.1)


def test_a_batch_without_a_forecast_has_no_time_left() -> None:
    progress = Progress(Forecast())
    progress.made(3)
    counts = Counts(working=1, frames=9, frames_done=3)
    told = progress.snapshot(counts, [], {"a": Open(None)}, workers=1, elapsed_s=1)
    assert (told.frames, told.total, told.left_s) == (3, 9, None)
    counts = Counts(waiting=1, frames=9, frames_done=3)
    assert progress.snapshot(counts, [], {}, workers=1, elapsed_s=1).total == 0
