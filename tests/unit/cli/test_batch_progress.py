"""What a batch draws and prints while its workers are at it."""

import re

import pytest

from ciaovideo.cli.batch import progress as progress_module
from ciaovideo.cli.batch.progress import BatchPrinter, described
from ciaovideo.cli.progress import LINE_EVERY_S
from ciaovideo.jobs.progress import Counts, Snapshot, WorkerState


def snapshot(*workers: WorkerState, left_s: float | None = 3725.0, total: int = 200) -> Snapshot:
    counts = Counts(waiting=3, working=1, done=2, failed=1)
    return Snapshot(
        counts=counts,
        frames=30,
        total=total,
        new_frames=20,
        left_s=left_s,
        elapsed_s=10.0,
        workers=workers,
    )


def test_bars_have_one_time_left_and_no_rate_of_a_worker(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """tqdm's would go by frames, and a worker's bar is older than its task."""
    monkeypatch.setattr(progress_module, "has_width", lambda: True)
    name = "a/folder/whose/name/is/long/and/a/film.mkv"
    busy = WorkerState(worker="1", task="make", name=name, frames=5, total=12)
    other = WorkerState(worker="2", task="join", name="b.mkv")
    with BatchPrinter(quiet=False, events=False) as printer:
        printer.tick(snapshot(total=0, left_s=None))
        printer.tick(snapshot(busy, other))
        printer.tick(snapshot(busy))
    lines = [line for line in re.split(r"[\r\n]+|\x1b\[A", capsys.readouterr().err) if line.strip()]
    whole = [line for line in lines if line.startswith("2/7 files")]
    assert re.fullmatch(
        r"2/7 files:  15%\|.*\| 30/200 \[[\d:]+, .*1:02:05 left, 1 failed\]", whole[-1]
    )
    assert not any("<" in line for line in lines)
    workers = [line for line in lines if line.startswith("worker")]
    assert not any("/s" in line for line in workers)
    assert any(re.search(r"make \.\.\..*/a/film\.mkv: .*\| 5/12 frames", line) for line in workers)
    assert any("worker 2: join b.mkv" in line for line in workers)
    assert any("worker 2: idle" in line for line in workers)


def test_without_a_terminal_a_line_a_minute_tells_all(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    with BatchPrinter(quiet=False, events=False, clock=lambda: now) as printer:
        for moment in (1.0, LINE_EVERY_S, LINE_EVERY_S + 1, 2 * LINE_EVERY_S):
            now = moment
            printer.tick(snapshot())
    line = "2 of 7 files, 30 frames of 200, 2.00 frames/s, 1:02:05 left, 1 failed\n"
    assert capsys.readouterr().err == 2 * line
    assert (
        described(snapshot(left_s=None, total=0))
        == "2 of 7 files, 30 frames, 2.00 frames/s, 1 failed"
    )
