"""The tasks of a worker: plan a file, make a segment of it, join its segments.

A worker does one task at a time. It keeps its network and its run with the open source, so that the
next segment of the same file continues where the last one ended.
"""

import platform
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ciaovideo.engine.engine import Engine
from ciaovideo.errors import CiaoVideoError, EncodeError, OutputExistsError, StaleLedgerError
from ciaovideo.findings import Finding
from ciaovideo.jobs.forecast import CostClass
from ciaovideo.jobs.job import Job, file_stamp
from ciaovideo.jobs.provenance import fixity, provenance
from ciaovideo.options import ModelOptions, UpscaleOptions
from ciaovideo.pipeline.fingerprint import LedgerAccess
from ciaovideo.pipeline.plan import UpscalePlan
from ciaovideo.pipeline.segmenting import SegmentPlan
from ciaovideo.pipeline.session import Session, Summary, UpscaleRun
from ciaovideo.storage.claims import remove_leftovers
from ciaovideo.storage.ledger import Ledger

MACHINE = "machine"  # fingerprint entries that a finished output need not share


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """A command's permissions: segments of ``mixed`` machines, ``redo`` of other outputs.

    With ``report``, an output that exists gets its page. ``folder`` is the batch's, which must
    exist. ``made_from`` and ``made_as`` are the fingerprint and the stamp of an output that an
    earlier command finished. ``joined_from`` is the fingerprint of an output whose segments were
    complete when the command died.
    """

    folder: Path
    mixed: bool = False
    redo: bool = False
    report: bool = False
    made_from: dict[str, str] | None = None
    made_as: str = ""
    joined_from: dict[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """The plan of a file: its finished segments, and facts for the batch.

    ``segments`` maps the first frame of each finished segment to the one after its last. ``whole``
    means that the output exists and is verified; ``adopted`` are the facts of an output that is not
    in the ledger, ``told`` those of a report. ``frames`` is an estimate. ``settled`` is the job for
    the tasks to come, with what planning found in the whole source: the box of an automatic crop.
    """

    whole: bool
    adopted: dict[str, Any]
    told: dict[str, Any]
    segments: dict[int, int]
    frames: int
    length: int
    fingerprint: dict[str, str]
    findings: tuple[Finding, ...]
    in_size: tuple[int, int]
    out_size: tuple[int, int]
    model: str
    codec: str
    settled: Job | None = None

    @property
    def cost_class(self) -> CostClass:
        """The class of files with the same time per frame."""
        return self.model, self.in_size, self.out_size, self.codec


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A made segment. ``ended`` means that the source has no frame after it."""

    start: int
    stop: int
    ended: bool
    size: int
    seconds: float
    host: str
    machine: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """A finished output: whole, verified, and under its name."""

    facts: dict[str, Any]
    findings: tuple[Finding, ...]
    stamp: str
    source_stamp: str


class WorkerContext:
    """The state that a worker keeps between tasks.

    ``report`` is called with the number of a task's finished frames. ``device`` is the worker's,
    for jobs that do not set one.
    """

    def __init__(self, report: Callable[[int], None] = lambda _: None, *, device: str = "") -> None:
        self.report = report
        self.device = device
        self.cores = 0  # of the machine, once workers share them
        self.lock = threading.Lock()
        self.session = Session()
        self._job: Job | None = None
        self._run: UpscaleRun | None = None

    def open(self, job: Job, access: LedgerAccess, *, anew: bool = False) -> UpscaleRun:
        """The run of a job: the open one, or a new one."""
        if anew or self._run is None or self._job != job:
            self.clear()
            options = replace(job.options, resume=True, overwrite=True)  # tasks check themselves
            options = self._own(options)
            self._run = UpscaleRun(job.source, job.output, options, self.session, access=access)
            self._job = job
        return self._run

    def settle(self, job: Job) -> Job:
        """The job of the open run with the box that was found for it; the run stays open for it."""
        assert self._run is not None
        crop = replace(job.options.input, crop=self._run.options.input.crop)
        self._job = replace(job, options=replace(job.options, input=crop))
        return self._job

    def engine(self, model: ModelOptions, options: UpscaleOptions) -> tuple[str, Engine]:
        """A network on this worker's device, and its name."""
        return self.session.engine(model, self._own(options).engine)

    def _own(self, options: UpscaleOptions) -> UpscaleOptions:
        """The options, with this worker's device if they set none."""
        if self.device and options.engine.device in ("auto", "cuda"):
            return replace(options, engine=replace(options.engine, device=self.device))
        return options

    def clear(self) -> None:
        """Close the source."""
        run, self._run, self._job = self._run, None, None
        if run is not None:
            with suppress(CiaoVideoError, OSError):
                run.__exit__()


context = WorkerContext()


def plan(job: Job, terms: Terms) -> Planned:
    """Plan a file, and prepare the folder of its segments; raises CiaoVideoError.

    StaleLedgerError if existing segments have another fingerprint and are not to be redone;
    OutputExistsError if the output exists and differs.
    """
    with context.lock:
        _make_folder(job, terms)
        access = LedgerAccess(mixed=terms.mixed)
        remove_leftovers(job.output)
        try:
            run = context.open(job, access, anew=True)
        except StaleLedgerError:
            if not terms.redo:
                raise
            context.open(job, LedgerAccess(read=False), anew=True)
            _ledger_of(context.open(job, LedgerAccess(read=False))).delete()
            run = context.open(job, access, anew=True)
        ledger = _ledger_of(run)
        whole = job.output.exists() and _is_right(run, job, terms, ledger.fingerprint)
        adopted: dict[str, Any] = {}
        told: dict[str, Any] = {}
        if whole:
            ledger.delete()
            if terms.joined_from == ledger.fingerprint:
                adopted = provenance(job, run.plan)
            elif not (terms.made_from and terms.made_as == file_stamp(job.output)):
                adopted = {**fixity(job), "adopted": True}
            told = _report(job, run.plan) if terms.report else {}
        else:
            ledger.open()
        return Planned(
            whole=whole,
            adopted=adopted,
            told=told,
            segments={segment.start: segment.stop for segment in ledger.segments.values()},
            frames=run.plan.frames,
            length=ledger.length,
            fingerprint=dict(ledger.fingerprint),
            findings=run.plan.findings,
            in_size=(run.plan.info.height, run.plan.info.width),
            out_size=run.plan.out_size,
            model=run.plan.model,
            codec=run.plan.encoding.codec.name,
            settled=context.settle(job),
        )


def split(job: Job) -> tuple[SegmentPlan, ...] | None:
    """The segments of a file, so that several workers can make them; None if unknown."""
    with context.lock:
        return context.open(job, LedgerAccess(read=False)).segments()


def make(job: Job, wanted: SegmentPlan, *, mixed: bool = False) -> Made:
    """Make one segment; raises CiaoVideoError, and SegmentError if it depends on others."""
    with context.lock:
        started = time.monotonic()
        try:
            run = context.open(job, LedgerAccess(mixed=mixed, read=False))
            made = run.make(wanted, context.report)
        except BaseException:
            context.clear()  # the position of the source is unknown
            raise
        segment = made.segment
        return Made(
            start=wanted.start,
            stop=segment.stop if segment else wanted.start,
            ended=made.ended,
            size=segment.path.stat().st_size if segment else 0,
            seconds=time.monotonic() - started,
            host=socket.gethostname(),
            machine=_ledger_of(run).fingerprint[MACHINE],
            findings=made.findings,
        )


def join(job: Job, frames: int, *, mixed: bool = False, report: bool = False) -> Joined:
    """Join the output from its segments, which all exist, and verify it.

    With ``report``, a preservation report is written beside it.
    """
    with context.lock:
        try:
            run = context.open(job, LedgerAccess(mixed=mixed), anew=True)
            done = _ledger_of(run).missing()
            if done != [(frames, None)]:
                raise StaleLedgerError(
                    f"{_ledger_of(run).path} lacks frames from {done[0][0]} on", "make them again"
                )
            summary = run.run(end=frames)
            told = _report(job, run.plan, summary) if report else {}
            return Joined(
                facts={**provenance(job, run.plan), **told},
                findings=summary.findings,
                stamp=file_stamp(job.output),
                source_stamp=file_stamp(job.source),
            )
        finally:
            context.clear()


def _report(job: Job, planned: UpscalePlan, summary: Summary | None = None) -> dict[str, Any]:
    """Write a page on what was kept, changed, lost and invented; returns its numbers.

    It draws charts, so its module is loaded late.
    """
    from ciaovideo.report.page import write_report
    from ciaovideo.report.preservation import preservation_report

    told = preservation_report(
        job.source,
        job.output,
        options=job.options,
        summary=summary,
        inside=planned.out_size if planned.pad else None,
    )
    write_report(told, page := job.output.with_name(f"{job.output.name}.report.html"))
    psnr = told.fidelity.psnr
    return {
        "report": {
            "page": str(page),
            "counts": dict(told.counts),
            "psnr": [round(told.fidelity.mean_psnr, 3), round(min(psnr), 3)] if psnr else None,
        }
    }


def forget(job: Job, start: int) -> None:
    """Delete the segments of a file from a frame on: they hold the wrong frames."""
    with context.lock:
        context.clear()
        ledger = _ledger_of(context.open(job, LedgerAccess(mixed=True)))
        for segment in ledger.segments.values():
            if segment.start >= start:
                segment.path.unlink(missing_ok=True)
        context.clear()


def host() -> str:
    """The name of this worker's machine."""
    return f"{socket.gethostname()} {platform.machine()}"


def _ledger_of(run: UpscaleRun) -> Ledger:
    assert run.ledger is not None
    return run.ledger


def _make_folder(job: Job, terms: Terms) -> None:
    """Make the output's folder; the batch's own folder must exist, as it may be unmounted."""
    if not terms.folder.is_dir():
        raise EncodeError(f"the folder {terms.folder} is gone", "mount it again")
    try:
        job.output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise EncodeError(
            f"creating {job.output.parent}: {cause.strerror}",
            "check the disk's space and permissions",
        ) from cause


def _is_right(run: UpscaleRun, job: Job, terms: Terms, fingerprint: dict[str, str]) -> bool:
    """Whether an existing output is kept; False if it is to be replaced."""
    if terms.made_from is not None and terms.made_as == file_stamp(job.output):
        names = fingerprint.keys() - {MACHINE}
        other = [name for name in fingerprint if name in names]
        other = [name for name in other if fingerprint[name] != terms.made_from.get(name)]
        if other and not terms.redo:
            raise StaleLedgerError(
                f"{job.output} was made from another {' and another '.join(other)}",
                "allow redoing it, or choose another output",
            )
        return not other
    if job.options.overwrite:
        return False
    try:
        run.check()
    except CiaoVideoError as cause:
        if terms.redo:
            return False
        raise OutputExistsError(
            f"{job.output} exists and differs from the planned output: {cause.problem}",
            "choose another output, allow overwriting, or delete it",
        ) from cause
    return True
