"""A survey of all files before the first is made: time, memory, disk and losses."""

import logging
import math
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Any

import psutil

from ciaovideo.errors import CiaoVideoError, DecodeError, EncodeError
from ciaovideo.findings import Finding, Kind, thing_of
from ciaovideo.jobs import tasks
from ciaovideo.jobs.forecast import CostClass, Expected, Forecast, Rate
from ciaovideo.jobs.inputs import Found, draft_jobs, make_jobs
from ciaovideo.jobs.job import Job
from ciaovideo.jobs.workers.protocol import Workers
from ciaovideo.media.pictures.framemd5 import write_framemd5
from ciaovideo.media.sequence.numbered import source_files
from ciaovideo.media.write.encoder import FrameEncoder
from ciaovideo.media.write.muxer import Muxer
from ciaovideo.media.write.output import Destination
from ciaovideo.models.weights import file_sha256
from ciaovideo.options import UpscaleOptions
from ciaovideo.pipeline.decide import decide
from ciaovideo.pipeline.fingerprint import LedgerAccess, reproducible
from ciaovideo.pipeline.segmenting import SegmentPlan
from ciaovideo.pipeline.session import UpscaleRun
from ciaovideo.pipeline.source import InputWishes, RunSource
from ciaovideo.storage.ledger import LENGTH
from ciaovideo.storage.segments import Segment, joined

log = logging.getLogger(__name__)

TICK_S = 1.0
SAMPLES = 3  # classes of files that are timed: those with the most work
SAMPLE_S = 5.0  # of computing for each
MOST_SAMPLED = 48  # frames
INTO_S = 60  # seconds: a sample begins here or at a third, after titles
SPARE = 0.02  # share of a disk that is left free


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyedFile:
    """Facts of a file before it is made.

    ``full_size`` is ``out_size`` with padding; ``memory`` in bytes, of a worker and its GPU.
    ``probe_s`` are the seconds that the survey of the file took.
    """

    frames: int
    duration_s: float
    in_size: tuple[int, int]
    out_size: tuple[int, int]
    full_size: tuple[int, int]
    model: str
    codec: str
    memory: int
    source_bytes: int
    probe_s: float
    findings: tuple[Finding, ...]

    @property
    def cost_class(self) -> CostClass:
        """The class of files with the same time per frame."""
        return self.model, self.in_size, self.out_size, self.codec

    @property
    def pixels(self) -> int:
        """Output pixels of all frames."""
        return self.frames * math.prod(self.out_size)


type Look = SurveyedFile | CiaoVideoError
"""A file that was surveyed, or why it cannot be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Cost of some frames: seconds to make and to join them, and coded bytes, per output pixel.

    ``memory`` in bytes is that of the worker's whole process.
    """

    seconds: float
    bytes: float
    memory: int
    join_s: float = 0.0


@dataclass(slots=True)
class Example:
    """A file of a class, its duration, and the output pixels of all files of that class."""

    job: Job
    duration_s: float
    pixels: int = 0


@dataclass(slots=True)
class Survey:
    """The estimate for a whole batch.

    ``files`` can be made, of which some are ``finished``; ``problems`` are the others with their
    errors. ``seconds`` and ``disk`` are estimates from ``samples`` for unfinished files: until all
    workers are done, and for the outputs' video with the segments of open files. ``expected`` has
    these files by the names of their jobs.
    """

    files: int = 0
    finished: int = 0
    frames: int = 0
    pixels: int = 0
    duration_s: float = 0.0
    source_bytes: int = 0
    memory: int = 0
    seconds: float = 0.0
    disk: int = 0
    disk_free: int = 0
    losses: Counter[tuple[Kind, str]] = field(default_factory=Counter)
    problems: dict[str, CiaoVideoError] = field(default_factory=dict)
    cost_classes: dict[CostClass, Example] = field(default_factory=dict)
    samples: dict[CostClass, Sample] = field(default_factory=dict)
    largest: list[int] = field(default_factory=list)  # pixels of files, largest first
    expected: dict[str, Expected] = field(default_factory=dict)
    probes_s: list[float] = field(default_factory=list)

    def add(self, job: Job, file: SurveyedFile, workers: int, *, finished: bool = False) -> None:
        """Count a file; one that is ``finished`` takes neither time nor disk."""
        self.files += 1
        self.frames += file.frames
        self.pixels += file.pixels
        self.duration_s += file.duration_s
        self.source_bytes += file.source_bytes
        self.memory = max(self.memory, file.memory)
        self.losses.update({(one.kind, thing_of(one.subject)) for one in file.findings})
        self.finished += finished
        if finished:
            return
        known = self.cost_classes.setdefault(file.cost_class, Example(job, file.duration_s))
        known.pixels += file.pixels
        self.expected[job.name] = Expected(
            cost_class=file.cost_class, frames=file.frames, length=job.options.segment or LENGTH
        )
        self.probes_s.append(file.probe_s)
        self.largest = sorted([*self.largest, file.pixels], reverse=True)[:workers]

    def estimate(self, folder: Path, workers: int) -> None:
        """Estimate time and disk from the samples."""
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        self.disk_free = shutil.disk_usage(there).free
        if not self.samples:
            return
        self.seconds = self.forecast().makespan(workers)
        for cost_class, known in self.cost_classes.items():
            self.disk += int(known.pixels * self.sample_of(cost_class).bytes)
        coded = max(sample.bytes for sample in self.samples.values())
        self.disk += int(sum(self.largest) * coded)
        self.memory = max(self.memory, *(sample.memory for sample in self.samples.values()))

    def sample_of(self, cost_class: CostClass) -> Sample:
        """The sample of a class; without one the most costly of its model and encoder.

        Without these, the most costly of all; there must be one.
        """
        if cost_class in self.samples:
            return self.samples[cost_class]
        model, *_, codec = cost_class
        alike = [
            one for other, one in self.samples.items() if (other[0], other[3]) == (model, codec)
        ]
        return max(alike or self.samples.values(), key=lambda sample: sample.seconds)

    def forecast(self, made: int = 0) -> Forecast:
        """The estimate for a batch; ``made`` are the frames of finished files."""
        samples = {one: self.sample_of(one) for one in (self.cost_classes if self.samples else ())}
        return Forecast(
            frames=self.frames + made,
            files=self.expected,
            rates={one: Rate(make=s.seconds, join=s.join_s) for one, s in samples.items()},
            plan_s=median(self.probes_s) if self.probes_s else 0.0,
        )

    def check_disk(self, folder: Path) -> None:
        """Raise EncodeError if the outputs do not fit on the disk."""
        if self.disk > self.disk_free * (1 - SPARE):
            raise EncodeError(
                f"the batch needs about {self.disk / 1e9:.1f} GB in {folder}, and"
                f" {self.disk_free / 1e9:.1f} GB are free",
                "free some, choose another folder, or skip this check",
            )


def survey(
    jobs: Iterable[Job],
    workers: Workers,
    folder: Path,
    on_file: Callable[[Job, Look], None] = lambda *_: None,
    known: Mapping[str, Look] = MappingProxyType({}),
    *,
    finished: Collection[str] = (),
) -> Survey:
    """Survey all files, one per worker at a time, and time some frames.

    Files that are ``known``, by the names of their jobs, are not surveyed again; no time is
    estimated for ``finished`` ones.
    """
    found, jobs = Survey(), list(jobs)
    told = [(job, known[job.name]) for job in jobs if job.name in known]
    unknown = [job for job in jobs if job.name not in known]
    for job, file in chain(told, _looks_at(unknown, workers)):
        if isinstance(file, CiaoVideoError):
            found.problems[job.name] = file
        else:
            found.add(job, file, workers.count, finished=job.name in finished)
        on_file(job, file)
    ordered = (job.name for job in jobs if job.name in found.expected)
    found.expected = {name: found.expected[name] for name in ordered}
    most = sorted(found.cost_classes.items(), key=lambda item: -item[1].pixels)[:SAMPLES]
    tried = ((known.job, sample, (known.job, known.duration_s)) for _, known in most)
    by_example = {known.job.name: cost_class for cost_class, known in most}
    for job, result in _spread(workers, tried):
        if isinstance(result, Sample):
            found.samples[by_example[job.name]] = result
        else:
            log.warning("no frame of %s could be timed: %s", job.source, result)
    found.estimate(folder, workers.count)
    return found


def jobs_by_size(
    found: Sequence[Found],
    output: Path,
    options: UpscaleOptions,
    name: str,
    workers: Workers,
    *,
    on_look: Callable[[], None] = lambda: None,
) -> tuple[list[Job], dict[str, Look]]:
    """Jobs whose names have their outputs' sizes, and the files that were surveyed for these.

    A file that fails has 0 in its name; the batch tries it again, and tells why. ``on_look`` is
    called after each.
    """
    drafts = draft_jobs(found, output, options, name)
    looks: dict[str, Look] = {}
    for draft, look in _looks_at(drafts, workers):
        looks[draft.name] = look
        on_look()
    sizes = [
        look.full_size if isinstance(look, SurveyedFile) else (0, 0)
        for look in (looks[draft.name] for draft in drafts)
    ]
    jobs = make_jobs(found, output, options, name=name, sizes=sizes)
    known = {job.name: looks[draft.name] for job, draft in zip(jobs, drafts, strict=True)}
    return jobs, known


def _looks_at(jobs: Iterable[Job], workers: Workers) -> Iterator[tuple[Job, Look]]:
    """Each file as it is surveyed, or why it cannot be made."""
    return _spread(workers, ((job, survey_file, (job,)) for job in jobs))


def survey_file(job: Job) -> SurveyedFile:
    """Plan a file without writing anything, in a worker; raises CiaoVideoError."""
    started = time.perf_counter()
    destination = Destination.of(job.output)
    destination.check_segments()
    # Grain changes neither sizes nor losses, and costs more to measure than all the rest.
    encode = replace(job.options.encode, grain="off")
    options = reproducible(job.source, replace(job.options, resume=True, encode=encode))
    wishes = InputWishes(options=options.input, count=options.frames, strict=options.streams.strict)
    with tasks.context.lock, RunSource(job.source, wishes, described=True) as source:
        plan = decide(
            source, destination, options, lambda model: tasks.context.engine(model, options)
        ).plan
        frames = min(plan.frames, options.frames) if options.frames else plan.frames
        rate = float(plan.info.frame_rate or 0)
        return SurveyedFile(
            frames=frames,
            duration_s=frames / rate if rate else plan.info.duration_s or 0.0,
            in_size=(plan.info.height, plan.info.width),
            out_size=plan.out_size,
            full_size=plan.full_size,
            model=plan.model,
            codec=plan.encoding.codec.name,
            memory=psutil.Process().memory_info().rss + plan.memory.bytes * plan.workers,
            source_bytes=sum(file.stat().st_size for file in source_files(job.source)),
            probe_s=time.perf_counter() - started,
            findings=plan.findings,
        )


def sample(job: Job, duration_s: float) -> Sample:
    """Make some frames of a file as a run would, in a temporary folder; in a worker.

    ``duration_s`` is the length of the selected part.
    """
    with tasks.context.lock, tempfile.TemporaryDirectory(prefix="ciaovideo-sample-") as folder:
        output = Path(folder) / job.output.name
        options = replace(job.options, resume=True, overwrite=False, frames=None, segment=None)
        into = options.input.times[0] + int(min(INTO_S, duration_s / 3))
        options = replace(options, input=replace(options.input, start=into))
        with UpscaleRun(
            job.source, output, options, tasks.context.session, access=LedgerAccess(read=False)
        ) as run:
            ledger = run.ledger
            assert ledger is not None
            ledger.open()
            warm = _timed(run, SegmentPlan(start=0, stop=run.plan.workers))
            first = (
                _timed(run, SegmentPlan(start=run.plan.workers, stop=2 * run.plan.workers)) or warm
            )
            if first is None:
                raise DecodeError(f"{job.source} has no frame after {into} s", "check the file")
            each = first[0] / run.plan.workers
            at = 2 * run.plan.workers
            count = max(run.plan.workers, min(MOST_SAMPLED, int(SAMPLE_S / max(each, 1e-6))))
            seconds, made = _timed(run, SegmentPlan(start=at, stop=at + count)) or first
            pixels = made.frames * math.prod(run.plan.out_size)
            return Sample(
                seconds=seconds / pixels,
                bytes=made.path.stat().st_size / pixels,
                memory=psutil.Process().memory_info().rss,
                join_s=_joined_s(run, made, output) / pixels,
            )


def _timed(run: UpscaleRun, segment: SegmentPlan) -> tuple[float, Segment] | None:
    """A segment, and the seconds to make it; None if the source ended before it."""
    started = time.perf_counter()
    made = run.make(segment).segment
    return None if made is None else (time.perf_counter() - started, made)


def _joined_s(run: UpscaleRun, segment: Segment, output: Path) -> float:
    """The seconds that a join spends on the frames of a segment: to copy, list and hash them."""
    started = time.perf_counter()
    with FrameEncoder(run.target) as speaker, Muxer(output, speaker) as muxer:
        muxer.add(joined([segment]))
    write_framemd5(output, output.with_name("frames"))
    file_sha256(output)
    return time.perf_counter() - started


def _spread(
    workers: Workers, work: Iterable[tuple[Job, Callable[..., Any], tuple[Any, ...]]]
) -> Iterator[tuple[Job, Any]]:
    """Results of tasks, or their CiaoVideoError, as they end."""
    left = iter(work)
    busy: dict[str, Job] = {}
    while True:
        for worker in workers.free:
            item = next(left, None)
            if item is None:
                break
            busy[worker] = item[0]
            workers.submit(worker, item[1], *item[2])
        if not busy:
            return
        for worker, outcome in workers.finished(TICK_S):
            try:
                result = outcome()
            except CiaoVideoError as error:
                result = error
            yield busy.pop(worker), result
