"""Upscales many files: hands tasks to workers and records the results."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ciaovideo.errors import (
    CiaoVideoError,
    SegmentError,
)
from ciaovideo.findings import without_repeats
from ciaovideo.jobs import tasks
from ciaovideo.jobs.forecast import Forecast
from ciaovideo.jobs.job import BatchOptions, Event, Job, file_stamp
from ciaovideo.jobs.ledger import FOLDER, PATIENCE_S, BatchLedger, FileRow, is_unchanged
from ciaovideo.jobs.lock import batch_lock
from ciaovideo.jobs.progress import Progress, Snapshot, WorkerState
from ciaovideo.jobs.provenance import write_manifest, write_report
from ciaovideo.jobs.work import FileWork, Task
from ciaovideo.jobs.workers.protocol import Workers
from ciaovideo.pipeline.segmenting import SegmentPlan
from ciaovideo.storage.claims import ledger_path, remove_leftovers
from ciaovideo.storage.segments import remove_empty, remove_unfinished

log = logging.getLogger(__name__)

TICK_S = 1.0  # between two checks of the workers
MOST_OPEN = 4  # files per worker, including those that wait for a new attempt
SOME_FAILED = 7  # exit code
OF_STOPS = ("finished frames", "temporary file")  # findings that do not apply to a batch


class Batch:
    """Carries out jobs with workers, and keeps a ledger in ``folder``.

    ``on_event`` gets each event, ``on_tick`` a snapshot about once a second. ``stop`` lets
    running tasks finish and starts no others. An exception, even an interrupt, ends the workers;
    finished segments are kept either way.
    """

    def __init__(
        self,
        folder: Path,
        workers: Workers,
        options: BatchOptions = BatchOptions(),
        *,
        on_event: Callable[[Event], None] = lambda _: None,
        on_tick: Callable[[Snapshot], None] = lambda _: None,
    ) -> None:
        self.folder = folder
        self.options = options
        self.stopping = False
        self._workers = workers
        self._on_event, self._on_tick = on_event, on_tick
        self._works: dict[str, FileWork] = {}
        self._tasks: dict[str, Task] = {}  # by worker
        self._last: dict[str, tuple[str, int]] = {}  # by worker: its last file and frame
        self._progress = Progress(Forecast())
        self._away_since: float | None = None
        self._started = self._told = time.monotonic()

    def stop(self) -> None:
        """Start no more tasks; ``run`` returns when the running ones have ended."""
        self.stopping = True

    def run(self, jobs: Sequence[Job], forecast: Forecast | None = None) -> int:
        """Make missing outputs; returns the exit code: 0, 7 if some failed, or the first error's.

        Raises LockedJobError while another command works on the batch.
        """
        self._progress = Progress(forecast or Forecast())
        with BatchLedger(self.folder) as ledger, batch_lock(self.folder / FOLDER / "lock") as dead:
            if dead:
                log.warning("taken over from %s, which died", dead)
            self._ledger = ledger
            ledger.begin(jobs, {"software": version("ciaovideo")})
            self._tell("begin", files=len(jobs))
            try:
                self._work()
            except BaseException:
                self._workers.stop()
                self._clean()
                raise
            write_manifest(ledger)
            if self.options.report:
                write_report(ledger)
            code = self._exit_code()
            self._tell("end", exit_code=code, stopped=self.stopping, **asdict(ledger.counts()))
            return code

    def _work(self) -> None:
        """Hand out tasks until all is done, or ``stop`` was called."""
        self._started = time.monotonic()
        while True:
            for worker in sorted(self._workers.free, key=self._comes_new):
                if not self.stopping:
                    self._give(worker)
            if self._tasks:
                for worker, outcome in self._workers.finished(TICK_S):
                    self._take(worker, outcome)
            elif self.stopping or not (self._works or self._ledger.waiting()):
                return
            else:
                time.sleep(min(TICK_S, max(0.0, self._next_due() - time.monotonic())))
            self._tick()

    def _comes_new(self, worker: str) -> bool:
        """Whether a worker has no open file: those that have one choose first."""
        return self._last.get(worker, ("", 0))[0] not in self._works

    def _next_due(self) -> float:
        """When the next file may continue, in monotonic seconds; a tick from now without files."""
        return min((w.due for w in self._works.values()), default=time.monotonic() + TICK_S)

    def _give(self, worker: str) -> None:
        """Give a free worker a task, if there is one."""
        name, at = self._last.get(worker, ("", 0))
        ready = [work for work in self._works.values() if work.due <= time.monotonic()]
        own = self._works.get(name)
        if own in ready and (segment := own.next_segment(at)) and segment.start == at:
            self._make(worker, own, segment)
            return
        for work in ready:
            if self._finishing(worker, work):
                return
        if self._begin_another(worker):
            return
        for work in ready:
            if segment := work.next_segment():
                self._make(worker, work, segment)
                return
        for work in ready:
            if work.worth_splitting and self._workers.count > 1:
                work.splitting = True
                self._submit(worker, "split", work, None, tasks.split, work.task_job)
                return

    def _finishing(self, worker: str, work: FileWork) -> bool:
        """Plan, join or clean a file, if that is due."""
        mixed = self.options.mixed
        if work.stage == "waiting":
            work.stage = "planning"
            row = self._ledger.row(work.job.name)
            self._submit(worker, "plan", work, None, tasks.plan, work.job, self._terms(row))
        elif work.complete and work.total is not None:
            work.stage = "joining"
            named = {"mixed": mixed, "report": self.options.report}
            self._submit(worker, "join", work, None, tasks.join, work.task_job, work.total, **named)
        elif work.untrue_from is not None and not work.taken and work.stage == "making":
            work.stage = "forgetting"
            self._submit(
                worker, "forget", work, None, tasks.forget, work.task_job, work.untrue_from
            )
        else:
            return False
        return True

    def _begin_another(self, worker: str) -> bool:
        """Begin the next file to make, unless there are enough open ones."""
        at_work = sum(work.due <= time.monotonic() for work in self._works.values())
        if at_work >= self._workers.count or len(self._works) >= MOST_OPEN * self._workers.count:
            return False
        while found := self._ledger.waiting():
            job, row = found
            self._progress.begin(job.name)
            if is_unchanged(job, row) and not self._lacks_report(row):
                self._ledger.update(job.name, state="done", done=row.frames)
                self._tell("skip", job.name, output=str(job.output), frames=row.frames)
                continue
            self._ledger.update(job.name, state="working")
            expected = self._progress.forecast.files.get(job.name)
            work = self._works[job.name] = FileWork.of(job, expected)
            return self._finishing(worker, work)
        return False

    def _lacks_report(self, row: FileRow) -> bool:
        """Whether a finished file gets the report that it was made without."""
        return self.options.report and "report" not in row.result

    def _terms(self, row: FileRow) -> tasks.Terms:
        return tasks.Terms(
            folder=self.folder,
            mixed=self.options.mixed,
            redo=self.options.redo,
            report=self._lacks_report(row),
            made_from=row.fingerprint if row.output_stamp else None,
            made_as=row.output_stamp,
            joined_from=row.fingerprint if row.done >= row.frames > 0 else None,
        )

    def _make(self, worker: str, work: FileWork, segment: SegmentPlan) -> None:
        work.taken.add(segment.start)
        mixed = self.options.mixed
        self._submit(worker, "make", work, segment, tasks.make, work.task_job, segment, mixed=mixed)

    def _submit(
        self,
        worker: str,
        kind: str,
        work: FileWork,
        segment: SegmentPlan | None,
        task: Callable[..., Any],
        *words: Any,
        **named: Any,
    ) -> None:
        self._tasks[worker] = Task(kind, work, segment, time.monotonic())
        self._workers.submit(worker, task, *words, **named)

    def _take(self, worker: str, outcome: Callable[[], Any]) -> None:
        """Record how a task ended."""
        task = self._tasks.pop(worker)
        kind, work = task.kind, task.work
        if task.segment:
            work.taken.discard(task.segment.start)
        try:
            result = outcome()
        except SegmentError as error:
            log.warning("%s", error)
            work.distrust()
        except CiaoVideoError as error:
            self._failed(work, kind, error)
        except Exception as error:
            log.debug("a task failed", exc_info=error)
            problem = f"{work.job.source}: {type(error).__name__}: {error}"
            self._failed(
                work, kind, CiaoVideoError(problem, "this is a bug in ciaovideo: report it")
            )
        else:
            self._learn(worker, task, result)
            if kind == "forget":
                work.forget()
            else:
                getattr(self, f"_took_{kind}")(worker, work, result)

    def _learn(self, worker: str, task: Task, result: Any) -> None:
        """Learn from the time that a task took."""
        work, seconds = task.work, time.monotonic() - task.began
        match task.kind, result:
            case "plan", tasks.Planned(whole=False):
                if worker in self._last:  # its first task begins its process, too
                    self._progress.learn("plan", work.cost_class, 0, seconds)
            case "make", tasks.Made():
                frames = result.stop - result.start
                self._progress.learn("make", work.cost_class, frames, seconds)
            case "join", _:
                self._progress.learn("join", work.cost_class, work.frames, seconds)

    def _took_plan(self, worker: str, work: FileWork, planned: tasks.Planned) -> None:
        name = work.job.name
        if planned.whole:
            frames = planned.adopted.get("frames", planned.frames)
            self._ledger.planned(name, planned.fingerprint, frames, frames)
            known = {**planned.adopted, "findings": []}
            if not planned.adopted:
                known = self._ledger.row(name).result
            self._ledger.update(name, result={**known, **planned.told})
            stamps = file_stamp(work.job.source), file_stamp(work.job.output)
            self._finish(work, *stamps, settings=work.job.settings)
            self._tell("skip", name, output=str(work.job.output), frames=planned.frames)
            return
        work.begin(planned)
        self._ledger.planned(name, planned.fingerprint, work.frames, work.done)
        self._last[worker] = name, work.first_missing()
        self._tell(
            "plan",
            name,
            source=str(work.job.source),
            frames=work.frames,
            finished=work.done,
            model=planned.model,
            in_size=planned.in_size,
            out_size=planned.out_size,
            findings=[finding.plain() for finding in planned.findings],
        )

    def _took_split(
        self, worker: str, work: FileWork, planned: tuple[SegmentPlan, ...] | None
    ) -> None:
        work.split(planned)
        self._ledger.update(work.job.name, frames=work.frames)

    def _took_make(self, worker: str, work: FileWork, made: tasks.Made) -> None:
        if work.untrue_from is not None and made.start >= work.untrue_from:
            return
        work.made(made.start, made.stop, ended=made.ended)
        work.findings |= dict.fromkeys(made.findings)
        work.seconds += made.seconds
        self._progress.made(made.stop - made.start)
        self._last[worker] = work.job.name, made.stop
        where = f"{made.host} {worker}"
        values = made.start, made.stop, where, made.machine, made.seconds, made.size
        self._ledger.segment(work.job.name, values, work.done)
        self._tell(
            "segment",
            work.job.name,
            start=made.start,
            stop=made.stop,
            worker=worker,
            host=made.host,
            seconds=made.seconds,
            bytes=made.size,
        )

    def _took_join(self, worker: str, work: FileWork, joined: tasks.Joined) -> None:
        found = without_repeats((*work.findings, *joined.findings))
        findings = [one.plain() for one in found if one.subject not in OF_STOPS]
        result = {**joined.facts, "findings": findings}
        name, frames = work.job.name, joined.facts["frames"]
        self._ledger.update(name, frames=frames, done=frames, result=result)
        self._finish(work, joined.source_stamp, joined.stamp, settings=work.job.settings)
        self._tell("done", name, seconds=work.seconds, **result)

    def _finish(self, work: FileWork, source: str, output: str, *, settings: str) -> None:
        self._ledger.update(
            work.job.name,
            state="done",
            ended=time.time(),
            settings=settings,
            source_stamp=source,
            output_stamp=output,
        )
        self._works.pop(work.job.name, None)

    def _failed(self, work: FileWork, kind: str, error: CiaoVideoError) -> None:
        """Schedule another attempt at a file, or give it up."""
        if self._works.get(work.job.name) is not work:
            return  # it was given up before
        wait_s = work.failed(kind, error, retries=self.options.retries, away=self._is_away(work))
        if wait_s is None:
            self._ledger.failed(work.job.name, error)
            del self._works[work.job.name]
            remove_empty(ledger_path(work.job.output))
            self._tell("fail", work.job.name, problem=error.problem, hint=error.hint)
            return
        work.due = time.monotonic() + wait_s
        self._tell("retry", work.job.name, problem=error.problem, wait_s=wait_s)

    def _is_away(self, work: FileWork) -> bool:
        """Whether a folder is gone, as network storage may be for a while."""
        if self.folder.is_dir() and work.job.source.parent.is_dir():
            self._away_since = None
            return False
        self._away_since = self._away_since or time.monotonic()
        return time.monotonic() - self._away_since < PATIENCE_S

    def _exit_code(self) -> int:
        counts = self._ledger.counts()
        first = self._ledger.first_failure()
        if first is None:
            return 0
        return SOME_FAILED if counts.failed < counts.files else first.exit_code

    def _clean(self) -> None:
        """Remove unfinished segments of killed workers; finished ones stay."""
        for work in self._works.values():
            with suppress(OSError, CiaoVideoError):
                remove_leftovers(work.job.output)
            remove_unfinished(ledger_path(work.job.output))

    def _tell(self, kind: str, name: str = "", **facts: Any) -> None:
        self._on_event(Event(kind=kind, name=name, facts=facts))

    def _tick(self) -> None:
        now = time.monotonic()
        if now - self._told >= TICK_S:
            self._told = now
            told = self._progress.snapshot(
                self._ledger.counts(),
                [*self._states(now)],
                self._works,
                workers=self._workers.count,
                elapsed_s=now - self._started,
            )
            self._on_tick(told)

    def _states(self, now: float) -> Iterator[WorkerState]:
        """Each busy worker."""
        for worker, task in self._tasks.items():
            yield task.state(worker, self._workers.frames(worker), now)
