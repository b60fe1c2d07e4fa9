"""What a batch's parts cost, in this process: the command, each kind of task, and a forecast.

    python -m tests.bench.batch_costs command 1000,10000  # segments that cost nothing to make
    python -m tests.bench.batch_costs scheduler 200,400   # the same by a Dask cluster, local:2
    python -m tests.bench.batch_costs tasks 48,96         # frames of a clip that becomes 1920x1080
    python -m tests.bench.batch_costs left 1,2            # workers: the time left, said and true

``s`` is wall time; processor time alone compares on a busy machine.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from ciaovideo.jobs import tasks
from ciaovideo.jobs.batch import Batch
from ciaovideo.jobs.inputs import find_sources, make_jobs
from ciaovideo.jobs.job import Job, file_stamp
from ciaovideo.jobs.progress import Snapshot
from ciaovideo.jobs.survey import survey, survey_file
from ciaovideo.jobs.workers.local import LocalWorkers
from ciaovideo.options import UpscaleOptions
from ciaovideo.pipeline.keywords import with_fields
from ciaovideo.pipeline.segmenting import SegmentPlan
from ciaovideo.storage.ledger import LENGTH
from tests.bench.batches import loopback_bytes
from tests.media import make_clip

WORKERS = 100  # of the command that is measured without them
EACH = 100  # segments of a file there
MIXED = ((64, 48, 3), (160, 96, 2), (96, 96, 3), (64, 48, 6), (160, 96, 4))  # width, height, s
SHOWN = range(1, 10)  # tenths of the time


class Idle:
    """Workers whose tasks are done at once, without any work: the command's own is left."""

    count = WORKERS

    def __init__(self) -> None:
        self._tasks: dict[str, tuple[str, tuple[Any, ...]]] = {}

    @property
    def free(self) -> list[str]:
        return [name for name in map(str, range(self.count)) if name not in self._tasks]

    def submit(self, worker: str, task: Callable[..., Any], *words: Any, **_: Any) -> None:
        self._tasks[worker] = task.__name__, words

    def finished(self, timeout_s: float) -> Iterator[tuple[str, Callable[[], Any]]]:
        worker, (kind, words) = next(iter(self._tasks.items()))
        del self._tasks[worker]
        yield worker, partial(getattr(self, kind), *words)

    def frames(self, worker: str) -> int:
        return 0

    def stop(self) -> None:
        self._tasks = {}

    def plan(self, *_: Any) -> tasks.Planned:
        return tasks.Planned(
            whole=False,
            adopted={},
            told={},
            segments={},
            frames=EACH * LENGTH,
            length=LENGTH,
            fingerprint={"source": "none"},
            findings=(),
            in_size=(1, 1),
            out_size=(2, 2),
            model="none",
            codec="none",
        )

    def split(self, _: Job) -> tuple[SegmentPlan, ...]:
        return tuple(parts_of(EACH * LENGTH))

    def make(self, job: Job, part: SegmentPlan) -> tasks.Made:
        return idle_make(job, part)

    def join(self, job: Job, frames: int) -> tasks.Joined:
        facts = {"frames": frames}
        return tasks.Joined(facts=facts, findings=(), stamp="", source_stamp=file_stamp(job.source))


def idle_make(_: Job, part: SegmentPlan) -> tasks.Made:
    """A segment that costs nothing."""
    return tasks.Made(
        start=part.start,
        stop=part.stop,
        ended=part.stop == EACH * LENGTH,
        size=1,
        seconds=1.0,
        host="none",
        machine="none",
        findings=(),
    )


def parts_of(frames: int) -> list[SegmentPlan]:
    """The segments of a file, in order."""
    return [SegmentPlan(start=at, stop=min(at + LENGTH, frames)) for at in range(0, frames, LENGTH)]


def jobs_of(source: Path, output: Path, **fields: Any) -> list[Job]:
    """Those of a file or folder."""
    options = with_fields(UpscaleOptions(), fields)
    return make_jobs(find_sources([str(source)], output).found, output, options)


def command(count: int, folder: Path) -> None:
    """What the command itself takes for each segment."""
    output = folder / f"out{count}"
    options = with_fields(UpscaleOptions(), {"resume": True})
    names = [f"{number:05}.mkv" for number in range(max(1, count // EACH))]
    jobs = [
        Job(name=name, source=folder / name, output=output / name, options=options)
        for name in names
    ]
    began, used = time.monotonic(), time.process_time()
    Batch(output, Idle()).run(jobs)
    seconds, cpu = time.monotonic() - began, time.process_time() - used
    made = len(names) * EACH
    size = (output / ".ciaovideo" / "batch.sqlite").stat().st_size
    print(
        f"{made} segments: {seconds:.1f} s, {made / seconds:.0f} a second, {1e3 * cpu / made:.2f}"
        f" CPU ms and {size / made:.0f} bytes of ledger a segment",
        flush=True,
    )


def scheduler(count: int, folder: Path) -> None:
    """What Dask takes for each segment: of all processes, and over the network."""
    from ciaovideo.jobs.workers.cluster import ClusterWorkers

    options = with_fields(UpscaleOptions(), {"resume": True})
    job = Job(name="a.mkv", source=folder / "a.mkv", output=folder / "b.mkv", options=options)
    parts = parts_of(count * LENGTH)
    with ClusterWorkers("local:2") as workers:
        began, used, sent = time.monotonic(), processor_time(), loopback_bytes()
        left = len(parts)
        while left:
            for worker in workers.free:
                if parts:
                    workers.submit(worker, idle_make, job, parts.pop())
            for _, outcome in workers.finished(1.0):
                outcome()
                left -= 1
        seconds, cpu = time.monotonic() - began, processor_time() - used
        sent = loopback_bytes() - sent
    print(
        f"{count} segments: {seconds:.1f} s, {1e3 * cpu / count:.1f} CPU ms and"
        f" {sent / count / 1e3:.1f} kB over the loopback a segment",
        flush=True,
    )


def processor_time() -> float:
    """Seconds of this process and of those that it began, while they live."""
    own = psutil.Process()
    times = [process.cpu_times() for process in (own, *own.children(recursive=True))]
    return float(sum(one.user + one.system for one in times))


def each_task(frames: int, folder: Path) -> None:
    """Processor time of each kind of task, for a clip that is doubled to 1920x1080."""
    make_clip(source := folder / f"{frames}.mkv", width=960, height=540, seconds=frames / 24)
    (job,) = jobs_of(source, output := folder / "out", model="bicubic")
    output.mkdir(exist_ok=True)
    work: dict[str, Callable[[], object]] = {
        "survey": lambda: survey_file(job),
        "plan": lambda: tasks.plan(job, tasks.Terms(folder=output)),
        "make": lambda: [tasks.make(job, part) for part in parts_of(frames)],
        "join": lambda: tasks.join(job, frames),
    }
    tasks.context.engine(job.options.model, job.options)  # made once in a worker
    for kind, task in work.items():
        began, used = time.monotonic(), time.process_time()
        task()
        seconds, cpu = time.monotonic() - began, time.process_time() - used
        print(f"{frames} frames, {kind}: {cpu:.2f} CPU s, {seconds:.1f} s", flush=True)
    print(f"{frames} frames, output: {job.output.stat().st_size / 1e6:.2f} MB", flush=True)


def left(workers: int, folder: Path) -> None:
    """The time that is said to be left, and that was left, after each tenth of the time."""
    source = folder / "mixed"
    source.mkdir(exist_ok=True)
    for number, (width, height, seconds) in enumerate(MIXED):
        make_clip(source / f"{number}.mkv", width=width, height=height, seconds=seconds)
    output = folder / f"out{workers}"
    jobs = jobs_of(source, output, segment=12)
    told: list[Snapshot] = []
    with LocalWorkers(workers) as local:
        found = survey(jobs, local, output)
        began = time.monotonic()
        Batch(output, local, on_tick=told.append).run(jobs, found.forecast())
        took = time.monotonic() - began
    print(f"{workers} workers: {took:.0f} s, foreseen {found.seconds:.0f} s")
    for tenth in SHOWN:
        now = next((now for now in told if now.elapsed_s >= tenth / 10 * took), None)
        if now and now.left_s is not None:
            true = took - now.elapsed_s
            print(f"{tenth}0 %: {now.left_s:.0f} s said, {true:.0f} s true", flush=True)


KINDS = {"command": command, "scheduler": scheduler, "tasks": each_task, "left": left}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("counts", help="numbers of segments, frames or workers, with commas")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for count in arguments.counts.split(","):
            KINDS[arguments.kind](int(count), Path(folder))


if __name__ == "__main__":
    main()
