"""How far a batch is: frames made, seconds of work, the time left."""

import pytest

from ciaovideo.jobs.progress import Counts, Forecast, Progress, WorkerState

RATE = 0.5  # seconds of the clock for a second of forecast work


def test_the_time_left_goes_by_expected_seconds_and_not_by_frames() -> None:
    """100 dear frames of 2 s and 100 cheap ones of 1 s; 10 dear ones were there before."""
    progress = Progress(Forecast(frames=200, seconds=300))
    progress.found(10, 2.0)
    progress.made(40, 2.0)
    busy = WorkerState(worker="1", task="make", name="dear", frames=5, total=10)
    counts = Counts(waiting=1, working=1, frames=200, frames_done=50)
    told = progress.snapshot(counts, [(busy, 2.0)], RATE * 90)
    assert (told.frames, told.total, told.new_frames) == (55, 200, 45)
    assert (told.work, told.work_left) == (90, 190)
    assert told.left_s == pytest.approx(RATE * 190)
    assert told.workers == (busy,)


def test_a_batch_without_a_forecast_has_no_time_left() -> None:
    progress = Progress(Forecast())
    progress.made(3, 0.0)
    told = progress.snapshot(Counts(working=1, frames=9, frames_done=3), [], 1.0)
    assert (told.frames, told.total, told.left_s) == (3, 9, None)
