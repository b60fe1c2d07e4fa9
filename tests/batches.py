"""Batches for tests: workers without processes, and folders of small clips."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ciaovideo import upscale
from ciaovideo.jobs import tasks
from ciaovideo.jobs.batch import Batch
from ciaovideo.jobs.inputs import find_sources, make_jobs
from ciaovideo.jobs.job import BatchOptions, Event
from ciaovideo.options import ModelOptions, UpscaleOptions
from tests.media import make_clip

SEGMENT = 8
BESIDE = (".json", ".csv", ".framemd5", ".html")  # what a batch writes besides its outputs
PLAIN = UpscaleOptions(model=ModelOptions(model="bicubic"), segment=SEGMENT)
SMALL: dict[str, Any] = {"width": 48, "height": 32}
SHORT_GROUPS = {"crf": "12", "preset": "ultrafast", "g": "6"}


class Clock:
    """A clock in place of the module ``time``: it goes on when someone sleeps, or moves ``now``."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class DirectWorkers:
    """Workers that carry out their tasks here, when they are waited for, the last one first."""

    def __init__(self, count: int = 1) -> None:
        self.count = count
        self.given: list[tuple[str, str]] = []  # workers and names of tasks, in order
        self.stopped = False
        self._contexts = {str(number): tasks.WorkerContext() for number in range(count)}
        self._tasks: dict[str, Callable[[], Any]] = {}

    @property
    def free(self) -> list[str]:
        return [worker for worker in self._contexts if worker not in self._tasks]

    def submit(self, worker: str, task: Callable[..., Any], *words: Any, **named: Any) -> None:
        self.given.append((worker, task.__name__))
        self._tasks[worker] = lambda: task(*words, **named)

    def finished(self, timeout_s: float) -> Iterator[tuple[str, Callable[[], Any]]]:
        worker, work = self._tasks.popitem()

        def outcome() -> Any:
            before, tasks.context = tasks.context, self._contexts[worker]
            try:
                return work()
            finally:
                tasks.context = before

        yield worker, outcome

    def frames(self, worker: str) -> int:
        return 0

    def stop(self) -> None:
        self.stopped = True
        for context in self._contexts.values():
            context.clear()


def make_sources(folder: Path, **frames: int) -> Path:
    """A folder with a clip of so many frames under each name, in Matroska, key frames every 6."""
    folder.mkdir()
    for name, count in frames.items():
        make_clip(folder / f"{name}.mkv", **SMALL, seconds=count / 24, options=SHORT_GROUPS)
    return folder


class Told:
    """What a batch told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def kinds(self, *kinds: str) -> list[tuple[str, str]]:
        found = [(event.kind, event.name) for event in self.events]
        return [event for event in found if event[0] in kinds]


def carry_out(
    source: Path,
    output: Path,
    workers: Any = None,
    *,
    given: UpscaleOptions = PLAIN,
    options: BatchOptions = BatchOptions(),
    on_event: Callable[[Event], None] = lambda _: None,
) -> tuple[int, Told]:
    """A batch of a folder; its exit code, and what it told."""
    told = Told()

    def tell(event: Event) -> None:
        told(event)
        on_event(event)

    workers = workers or DirectWorkers()
    batch = Batch(output, workers, options, on_event=tell)
    jobs = make_jobs(find_sources([str(source)], output).found, output, given)
    try:
        return batch.run(jobs), told
    finally:
        if isinstance(workers, DirectWorkers):
            workers.stop()


def tree(folder: Path) -> dict[str, bytes]:
    """The outputs below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".ciaovideo" not in path.parts and path.suffix not in BESIDE
    }


def singles(source: Path, folder: Path) -> dict[str, bytes]:
    """What runs of single files write, on as many threads as a worker of two has."""
    made = {}
    for path in sorted(source.iterdir()):
        upscale(path, output := folder / path.name, options=replace(PLAIN, resume=True))
        made[path.name] = output.read_bytes()
    return made


def leftovers(output: Path) -> list[Path]:
    """Hidden files and folders but the batch's own."""
    return [path for path in output.rglob(".*") if path.name != ".ciaovideo"]
