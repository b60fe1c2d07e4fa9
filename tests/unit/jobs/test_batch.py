"""Batches whose workers are no processes: what is made, skipped, tried again, given up, refused."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ciaovideo import upscale
from ciaovideo.errors import EncodeError, LockedJobError, LostWorkerError
from ciaovideo.jobs import batch as batch_module
from ciaovideo.jobs import tasks, work
from ciaovideo.jobs.batch import Batch
from ciaovideo.jobs.forecast import Expected, Forecast, Rate
from ciaovideo.jobs.inputs import find_sources, make_jobs
from ciaovideo.jobs.job import BatchOptions, Event
from ciaovideo.jobs.ledger import BatchLedger, given_names, unfinished
from ciaovideo.jobs.lock import batch_lock
from ciaovideo.jobs.progress import Snapshot
from ciaovideo.media.inspect.borders import find_crop
from ciaovideo.media.read.seeking import Listing, list_video
from ciaovideo.options import EncodeOptions, InputOptions
from ciaovideo.pipeline import grain
from ciaovideo.pipeline.grain import measured
from ciaovideo.storage.claims import ledger_path
from tests.batches import (
    PLAIN,
    SEGMENT,
    SMALL,
    Clock,
    DirectWorkers,
    Told,
    carry_out,
    leftovers,
    make_sources,
    tree,
)
from tests.media import make_clip, write_gray
from tests.reel import make_reel


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "WAITS_S", (0.0,))


def alone(source: Path, output: Path, given: Any = PLAIN) -> bytes:
    """The bytes that a run of one file writes."""
    upscale(source, output, options=replace(given, resume=True))
    return output.read_bytes()


@pytest.mark.heavy
def test_outputs_have_the_bits_of_single_runs(tmp_path: Path) -> None:
    source = make_sources(tmp_path / "in", long=45, short=3)
    workers = DirectWorkers(2)
    code, told = carry_out(source, output := tmp_path / "out", workers)
    assert code == 0
    assert told.kinds("done") == [("done", "short.mkv"), ("done", "long.mkv")]
    made = tree(output)
    assert list(made) == ["long.mkv", "short.mkv"]
    for name, data in made.items():
        assert data == alone(source / name, tmp_path / name)
    makers = {worker for worker, task in workers.given if task == "make"}
    assert makers == {"0", "1"}
    assert ("0", "split") in workers.given or ("1", "split") in workers.given


@pytest.mark.parametrize("kind", ["fields", "part", "frames", "unseekable"])
@pytest.mark.heavy
def test_other_kinds_of_sources(kind: str, tmp_path: Path) -> None:
    (source := tmp_path / "in").mkdir()
    shape: dict[str, Any] = {"width": 48, "height": 32, "seconds": 45 / 24}
    given = PLAIN
    match kind:
        case "fields":
            shape["interlaced"] = True
            given = replace(given, input=InputOptions(deinterlace="field"), frames=43)
        case "part":
            given = replace(given, input=InputOptions(start="0.5", end="1.5"))
        case "frames":
            given = replace(given, frames=2 * SEGMENT)
        case "unseekable":
            shape |= {"codec": "mpeg4", "options": {"g": "6"}}
    make_clip(source / "a.mkv", **shape)
    code, _ = carry_out(source, output := tmp_path / "out", DirectWorkers(2), given=given)
    assert code == 0
    (data,) = tree(output).values()
    assert data == alone(source / "a.mkv", tmp_path / "alone.mkv", given)


@pytest.mark.heavy
def test_packets_that_lie_about_frames_are_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A packet that no picture comes of moves all that follow: then segments are made in order."""
    source = make_sources(tmp_path / "in", a=45)
    expected = alone(source / "a.mkv", tmp_path / "alone.mkv")

    def with_one_more(*words: Any) -> Listing:
        listing = list_video(*words)
        listing.frames.insert(12, listing.frames[11] + 1)
        return listing

    monkeypatch.setattr("ciaovideo.pipeline.segmenting.list_video", with_one_more)
    workers = DirectWorkers(2)
    code, _ = carry_out(source, output := tmp_path / "out", workers)
    assert code == 0
    assert "forget" in {task for _, task in workers.given}
    assert tree(output) == {"a.mkv": expected}


@pytest.mark.heavy
def test_workers_share_what_one_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    planes = [random.normal(120, 4, (80, 96)).round().astype(np.uint8) for _ in range(45)]
    (source := tmp_path / "in").mkdir()
    write_gray(source / "a.mkv", planes)
    given = replace(PLAIN, encode=EncodeOptions(grain=2))
    expected = alone(source / "a.mkv", tmp_path / "alone.mkv", given)
    measurings: list[Any] = []

    def counted(*words: Any) -> grain.SourceGrain:
        measurings.append(words)
        return measured(*words)

    monkeypatch.setattr(grain, "measured", counted)
    workers = DirectWorkers(2)
    code, _ = carry_out(source, output := tmp_path / "out", workers, given=given)
    assert code == 0
    assert {worker for worker, task in workers.given if task == "make"} == {"0", "1"}
    assert len(measurings) == 1
    assert tree(output) == {"a.mkv": expected}
    assert not leftovers(output)


@pytest.mark.heavy
def test_bars_are_looked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole file is read for that: neither other workers nor the join do it again."""
    planes = [np.full((80, 96), 120 + number, np.uint8) for number in range(45)]
    for plane in planes:
        plane[:16] = 16
    (source := tmp_path / "in").mkdir()
    write_gray(source / "a.mkv", planes)
    given = replace(PLAIN, input=InputOptions(crop="auto"))
    expected = alone(source / "a.mkv", tmp_path / "alone.mkv", given)
    looks: list[Any] = []

    def counted(facts: Any) -> Any:
        looks.append(facts)
        return find_crop(facts)

    monkeypatch.setattr("ciaovideo.pipeline.source.find_crop", counted)
    workers = DirectWorkers(2)
    code, told = carry_out(source, output := tmp_path / "out", workers, given=given)
    assert code == 0
    assert {worker for worker, task in workers.given if task == "make"} == {"0", "1"}
    assert len(looks) == 1
    assert tree(output) == {"a.mkv": expected}
    (done,) = (event.facts for event in told.events if event.kind == "done")
    assert (done["height"], done["settings"]["input"]["crop"]) == (128, "96x64+0+16")
    assert carry_out(source, output, given=given)[1].kinds("skip") == [("skip", "a.mkv")]


@pytest.mark.heavy
def test_what_is_there_is_skipped_and_what_changed_is_refused(tmp_path: Path) -> None:
    source = make_sources(tmp_path / "in", a=3, b=3)
    output = tmp_path / "out"
    assert carry_out(source, output)[0] == 0
    made = tree(output)
    workers = DirectWorkers()
    code, told = carry_out(source, output, workers)
    assert (code, workers.given) == (0, [])
    assert told.kinds("skip") == [("skip", "a.mkv"), ("skip", "b.mkv")]
    other = replace(PLAIN, encode=EncodeOptions(crf=30))
    code, told = carry_out(source, output, given=other)
    assert code == 6
    assert told.kinds("fail") == [("fail", "a.mkv"), ("fail", "b.mkv")]
    assert "another set of options" in told.events[1].facts["problem"]
    assert tree(output) == made
    code, told = carry_out(source, output, given=other, options=BatchOptions(redo=True))
    assert code == 0
    assert told.kinds("done") == [("done", "a.mkv"), ("done", "b.mkv")]
    assert all(len(data) < len(made[name]) for name, data in tree(output).items())


@pytest.mark.heavy
def test_outputs_that_others_made_are_verified(tmp_path: Path) -> None:
    source = make_sources(tmp_path / "in", a=3, b=5)
    (output := tmp_path / "out").mkdir()
    right = alone(source / "a.mkv", output / "a.mkv")
    (output / "b.mkv").write_bytes(right)
    code, told = carry_out(source, output)
    assert code == 7
    assert told.kinds("skip", "fail") == [("skip", "a.mkv"), ("fail", "b.mkv")]
    assert tree(output) == {"a.mkv": right, "b.mkv": right}
    code, told = carry_out(source, output, given=replace(PLAIN, overwrite=True))
    assert code == 0
    assert tree(output)["b.mkv"] == alone(source / "b.mkv", tmp_path / "b.mkv")


def test_the_total_counts_what_is_finished_and_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as files wait of which nobody knows the length, there is no total."""
    monkeypatch.setattr(batch_module, "TICK_S", 0.0)
    source = make_sources(tmp_path / "in", a=20)
    output = tmp_path / "out"
    assert carry_out(source, output)[0] == 0
    for name, frames in {"b": 6, "c": 5}.items():
        make_clip(source / f"{name}.mkv", **SMALL, seconds=frames / 24)
    jobs = make_jobs(find_sources([str(source)], output).found, output, PLAIN)
    left, made = unfinished(output, jobs)
    assert ([job.name for job in left], made) == (["b.mkv", "c.mkv"], 20)
    totals: dict[int, list[int]] = {}
    for frames in (0, made + 11):
        seen: list[Snapshot] = []
        workers = DirectWorkers()
        batch = Batch(output, workers, on_tick=seen.append)
        assert batch.run(jobs, Forecast(frames=frames)) == 0
        workers.stop()
        totals[frames] = [told.total for told in seen]
        (output / "b.mkv").unlink()
    assert totals[0][0] == 0
    assert totals[0][-1] == 31
    assert set(totals[31]) == {31}


@pytest.mark.heavy
def test_outputs_keep_their_names_when_files_come_that_would_share_them(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    make_clip(source / "a.ts", **SMALL, seconds=3 / 24)
    output = tmp_path / "out"

    def run() -> list[tuple[str, str]]:
        found = find_sources([str(source)], output).found
        jobs = make_jobs(found, output, PLAIN, given=given_names(output))
        workers, told = DirectWorkers(), Told()
        assert Batch(output, workers, on_event=told).run(jobs) == 0
        workers.stop()
        return sorted(told.kinds("done", "skip"))

    assert run() == [("done", "a.mkv")]
    (source / "a.m2ts").write_bytes((source / "a.ts").read_bytes())
    assert run() == [("done", "a.m2ts.mkv"), ("skip", "a.mkv")]
    (source / "a.ts").unlink()
    assert run() == [("skip", "a.m2ts.mkv")]


def test_one_bad_file_stops_no_other_and_is_tried_again(tmp_path: Path) -> None:
    source = make_sources(tmp_path / "in", a=3, c=3)
    (source / "b.mkv").write_bytes(b"no video at all" * 99)
    output = tmp_path / "out"
    code, told = carry_out(source, output, options=BatchOptions(retries=9))
    assert code == 7
    # Once: what is told in the same words after a wait will not pass.
    assert told.kinds("fail", "retry") == [("retry", "b.mkv"), ("fail", "b.mkv")]
    assert told.kinds("done") == [("done", "a.mkv"), ("done", "c.mkv")]
    with BatchLedger(output, look=True) as ledger:
        assert ledger.row("b.mkv").exit_code == 3
        assert str(source / "b.mkv") in ledger.row("b.mkv").problem
    (source / "b.mkv").write_bytes((source / "a.mkv").read_bytes())
    code, told = carry_out(source, output)
    assert code == 0
    assert told.kinds("done", "skip") == [("skip", "a.mkv"), ("done", "b.mkv"), ("skip", "c.mkv")]


def test_where_nothing_succeeds_the_first_error_is_the_exit_code(tmp_path: Path) -> None:
    (source := tmp_path / "in").mkdir()
    (source / "a.mkv").write_bytes(b"no video at all" * 99)
    assert carry_out(source, tmp_path / "out", options=BatchOptions(retries=0))[0] == 3


@pytest.mark.parametrize("error", [EncodeError("full", "free it"), LostWorkerError("died", "")])
@pytest.mark.heavy
def test_what_passes_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    source = make_sources(tmp_path / "in", a=20)
    make, failures = tasks.make, iter([None, error, None, error])

    def failing(*words: Any, **named: Any) -> Any:
        failure = next(failures, None)
        if failure:
            raise failure
        return make(*words, **named)

    monkeypatch.setattr(tasks, "make", failing)
    code, told = carry_out(source, output := tmp_path / "out")
    assert code == 0
    assert told.kinds("retry") == [("retry", "a.mkv")] * 2
    monkeypatch.setattr(tasks, "make", make)
    assert tree(output) == {"a.mkv": alone(source / "a.mkv", tmp_path / "alone.mkv")}


@pytest.mark.heavy
def test_a_damaged_segment_is_made_anew_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found when all are joined, by its digest."""
    source = make_sources(tmp_path / "in", a=20)
    output = tmp_path / "out"
    join = tasks.join
    broken: list[Path] = []

    def damaging(job: Any, *words: Any, **named: Any) -> Any:
        first = sorted(ledger_path(job.output).iterdir())[0]
        if not broken:
            broken.append(first)
            data = bytearray(first.read_bytes())
            data[-99] ^= 1
            first.write_bytes(data)
        return join(job, *words, **named)

    monkeypatch.setattr(tasks, "join", damaging)
    code, told = carry_out(source, output)
    assert code == 0
    assert told.kinds("retry") == [("retry", "a.mkv")]
    assert tree(output) == {"a.mkv": alone(source / "a.mkv", tmp_path / "alone.mkv")}


@pytest.mark.heavy
def test_stopped_after_any_step_and_given_again(tmp_path: Path) -> None:
    """By an exception in the process that runs it: at each event, one after the other."""
    source = make_sources(tmp_path / "in", a=20)
    output = tmp_path / "out"
    expected = alone(source / "a.mkv", tmp_path / "alone.mkv")
    steps = 0
    for _ in range(20):
        steps += 1
        seen = 0

        def stop(_: object) -> None:
            nonlocal seen
            seen += 1
            if seen == 3:
                raise KeyboardInterrupt

        try:
            code, _ = carry_out(source, output, on_event=stop)
        except KeyboardInterrupt:
            continue
        assert code == 0
        break
    assert steps > 3
    assert tree(output) == {"a.mkv": expected}


def test_stopping_lets_the_segment_at_work_end(tmp_path: Path) -> None:
    source = make_sources(tmp_path / "in", a=20)
    output = tmp_path / "out"
    jobs = make_jobs(find_sources([str(source)], output).found, output, PLAIN)
    workers = DirectWorkers()

    def stop(event: Event) -> None:
        if event.kind == "segment":
            batch.stop()

    batch = Batch(output, workers, on_event=stop)
    batch.run(jobs)
    workers.stop()
    assert [task for _, task in workers.given] == ["plan", "make"]
    with BatchLedger(output, look=True) as ledger:
        assert ledger.counts().frames_done == SEGMENT
    assert carry_out(source, output)[0] == 0


def test_a_second_command_is_told_who_is_at_work(tmp_path: Path) -> None:
    source = make_sources(tmp_path / "in", a=3)
    output = tmp_path / "out"
    assert carry_out(source, output)[0] == 0
    lock = output / ".ciaovideo" / "lock"
    with batch_lock(lock), pytest.raises(LockedJobError, match=f"process {os.getpid()} on"):
        carry_out(source, output)
    assert carry_out(source, output)[0] == 0


@pytest.mark.heavy
def test_a_folder_of_numbered_pictures_is_one_job(tmp_path: Path) -> None:
    """It has the bytes of a single run, and a later batch knows it again, or that it changed."""
    make_reel(tmp_path / "in" / "reel", count=20, name="%04d")
    output = tmp_path / "out"
    given = replace(PLAIN, input=InputOptions(rate="24"))
    found = find_sources([str(tmp_path / "in")], output, pictures=True).found
    jobs, told = make_jobs(found, output, given), Told()

    def code() -> int:
        workers = DirectWorkers()
        try:
            return Batch(output, workers, BatchOptions(retries=0), on_event=told).run(jobs)
        finally:
            workers.stop()

    assert code() == 0
    assert tree(output) == {"reel.mkv": alone(jobs[0].source, tmp_path / "alone.mkv", given)}
    assert code() == 0
    assert told.kinds("skip") == [("skip", "reel.mkv")]
    (tmp_path / "in" / "reel" / "1005.dpx").unlink()
    assert code() == 2
    assert "1005" in str(told.events[-2].facts["problem"])


COSTS = {"a.mkv": 10.0, "b.mkv": 1.0}  # seconds for a frame: a dear file and a cheap one


class TimedWorkers(DirectWorkers):
    """Workers whose tasks take as long as a clock has it."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(1)
        self._clock = clock
        self._name = ""

    def submit(self, worker: str, task: Any, *words: Any, **named: Any) -> None:
        self._name = words[0].name
        super().submit(worker, task, *words, **named)

    def finished(self, timeout_s: float) -> Iterator[tuple[str, Callable[[], Any]]]:
        for worker, outcome in super().finished(timeout_s):

            def timed(outcome: Callable[[], Any] = outcome) -> Any:
                result = outcome()
                if isinstance(result, tasks.Made):
                    self._clock.now += (result.stop - result.start) * COSTS[self._name]
                return result

            yield worker, timed


@pytest.mark.heavy
def test_the_time_left_goes_by_the_sorts_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine that is slower than foreseen, after the first segment of a costly file."""
    monkeypatch.setattr(batch_module, "time", clock := Clock())
    source = make_sources(tmp_path / "in", a=16, b=160)
    listing = find_sources([str(source)], output := tmp_path / "out")
    dear, cheap = make_jobs(listing.found, output, PLAIN)
    dear = replace(dear, options=replace(PLAIN, encode=EncodeOptions(codec="ffv1")))
    shape = ("bicubic", (32, 48), (64, 96))
    costly, quick = (*shape, "ffv1"), (*shape, "libx264")
    rates = {costly: Rate(make=5 / (64 * 96)), quick: Rate(make=0.5 / (64 * 96))}
    files = {
        "a.mkv": Expected(cost_class=costly, frames=16, length=SEGMENT),
        "b.mkv": Expected(cost_class=quick, frames=160, length=SEGMENT),
    }
    seen: list[tuple[Snapshot, float]] = []
    workers = TimedWorkers(clock)
    batch = Batch(output, workers, on_tick=lambda told: seen.append((told, clock.now)))
    assert batch.run([dear, cheap], Forecast(frames=176, files=files, rates=rates)) == 0
    workers.stop()
    told, at = next((told, at) for told, at in seen if told.new_frames)
    assert told.new_frames == SEGMENT
    assert told.left_s == pytest.approx(clock.now - at, rel=0.2)
