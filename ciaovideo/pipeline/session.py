"""Runs one source to one output, with progress and a summary."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

from ciaovideo.engine.engine import Engine
from ciaovideo.engine.model_choice import load_network
from ciaovideo.engine.workers import WorkerPool
from ciaovideo.errors import MediaError, OptionError, VerificationError
from ciaovideo.findings import Finding, Kind, without_repeats
from ciaovideo.media.frame import Frame, PlanePool, StreamInfo
from ciaovideo.media.sequence.numbered import is_sequence
from ciaovideo.media.write.output import Destination, check_output
from ciaovideo.media.write.writer import SegmentCoder
from ciaovideo.options import EngineOptions, ModelOptions, UpscaleOptions
from ciaovideo.pipeline.decide import decide
from ciaovideo.pipeline.fingerprint import LedgerAccess, find_ledger, reproducible
from ciaovideo.pipeline.frames.frame_maker import FrameMaker
from ciaovideo.pipeline.frames.stages import Rendered, RunCounts, StageClock, mark_changes
from ciaovideo.pipeline.keywords import UpscaleFields, with_fields
from ciaovideo.pipeline.plan import GrainFacts, UpscalePlan
from ciaovideo.pipeline.segmenting import MadeSegment, SegmentPlan, plan_segments, separable
from ciaovideo.pipeline.source import InputWishes, RunSource
from ciaovideo.pipeline.verification.contract import Verification
from ciaovideo.pipeline.verification.result import check_result
from ciaovideo.pipeline.writers import open_writer, whole_output
from ciaovideo.storage.endpoints import reads_once
from ciaovideo.storage.ledger import LENGTH

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a run: frames written, frames expected (0: unknown), seconds since its start.

    A resumed run reports first when computing begins.
    """

    frames: int
    total: int
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The result of a run: its frames, the other streams, and all findings.

    ``computed`` counts the frames that differ from their predecessor; ``reused`` is the share of
    output pixels copied from the frame before. ``picture_size`` is without padding.
    """

    source: Path
    output: Path
    frames: int
    computed: int
    reused: float
    out_size: tuple[int, int]
    picture_size: tuple[int, int]
    model: str
    restore: float
    consistent: bool
    grain: GrainFacts | None
    device: str
    precision: str
    seconds: float
    stage_seconds: dict[str, float]
    kept: tuple[StreamInfo, ...]
    dropped: tuple[StreamInfo, ...]
    findings: tuple[Finding, ...]
    verification: Verification


class Session:
    """Networks and engines, made once for all runs with the same options.

    A fallback of an engine, such as for a kernel that cannot be compiled, applies to all later runs
    on it and is among the findings of each.
    """

    def __init__(self) -> None:
        self._engines: dict[tuple[ModelOptions, EngineOptions], tuple[str, Engine]] = {}

    def engine(self, model: ModelOptions, options: EngineOptions) -> tuple[str, Engine]:
        """The name of a network, and an engine that runs it; raises WeightsError."""
        key = model, options
        if key not in self._engines:
            name, network = load_network(model, options.device)
            self._engines[key] = name, Engine(network, options)
        return self._engines[key]


class UpscaleRun:
    """One run from a source to an output: make the plan, inspect it, then carry it out.

    A context manager, which keeps the source open. The constructor raises all errors that can be
    known before any work: paths, sizes, codec, container, colour, interlacing, weights. Runs of one
    ``session`` share their engine; they must not overlap. ``access`` is how a resumable run shares
    its ``ledger``, which has the finished segments.
    """

    def __init__(
        self,
        source: Path,
        output: Path,
        options: UpscaleOptions = UpscaleOptions(),
        session: Session | None = None,
        *,
        access: LedgerAccess = LedgerAccess(),
    ) -> None:
        destination = Destination.of(output)
        destination.finish_storing()
        if reads_once(source) or source.is_file() or is_sequence(source):
            check_output(source, destination, overwrite=options.overwrite)
        if options.resume:
            destination.check_segments()
        options = reproducible(source, options)
        session = session or Session()
        self.clock = StageClock()
        wishes = InputWishes(
            options=options.input, count=options.frames, strict=options.streams.strict
        )
        with ExitStack() as stack:
            self._source = stack.enter_context(RunSource(source, wishes))
            self.options = options = replace(options, input=self._source.options)
            decision = decide(
                self._source,
                destination,
                options,
                lambda model: session.engine(model, options.engine),
                lambda plan, engine: find_ledger(plan, engine, options, access),
            )
            self.engine, self.target = decision.engine, decision.target
            self.grain, self.ledger = decision.grain, decision.ledger
            plan = decision.plan
            left = destination.leftovers(resumed=self.ledger is not None)
            found = (*self._source.findings, *plan.findings, *left, *self._resumed())
            self.plan = replace(plan, findings=found, finished=self.finished)
            self._maker = FrameMaker(
                plan,
                self.engine,
                self.clock,
                dither=options.encode.dither == "ordered",
                grain=self.grain,
                afresh=self.ledger.length if self.ledger else 0,
            )
            self._stack = stack.pop_all()

    def __enter__(self) -> "UpscaleRun":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def finished(self) -> int:
        """The number of finished frames that are kept if this run stops."""
        return self.ledger.frames if self.ledger else 0

    @property
    def keepable(self) -> float:
        """The number of frames of which a run like this keeps some if it may be resumed.

        Infinite for a run that cannot be, such as one with a pipe or a system ffmpeg.
        """
        if self.plan.piped_in or self.plan.external:
            return math.inf
        try:
            self.plan.destination.check_segments()
        except OptionError:
            return math.inf
        return self.options.segment or LENGTH

    def estimate(self) -> UpscalePlan:
        """The plan with the seconds per frame, measured by computing the first one now.

        The first computation warms up, the second one is timed. ``run`` may follow.
        """
        self._source.rewind()
        frame = self._source.reader.peek()
        worker = self._maker.worker(PlanePool(2), StageClock())
        tasks = tuple(mark_changes([frame], self._maker.finder(), StageClock()))
        with WorkerPool(self.engine, self.plan.workers) as pool:  # on its part of the cores
            pool.enqueue(lambda: worker(tasks)).result()
            started = time.perf_counter()
            pool.enqueue(lambda: worker(tasks)).result()
            seconds = (time.perf_counter() - started) / self.plan.workers
        return replace(self.plan, seconds_per_frame=seconds)

    def check(self) -> Verification:
        """Compare an existing output with this run's plan; raises VerificationError."""
        asked = self._source.asked
        return check_result(self.plan.output, self.plan, self.target, asked, (0, None))

    def segments(self) -> tuple[SegmentPlan, ...] | None:
        """Segments that can be made independently, or None; reads the source's packets."""
        if not separable(self._source.reader):
            return None
        self._source.rewind()
        length = self.ledger.length if self.ledger else 0
        return plan_segments(self._source.reader, self.options.frames, length)

    def make(
        self, wanted: SegmentPlan, on_frame: Callable[[int], None] = lambda _: None
    ) -> MadeSegment:
        """Compute one segment of a resumable run, and keep it beside the output.

        ``on_frame`` gets the number of finished frames. Raises SegmentError if the segment needs
        the frames before it.
        """
        ledger, plan, source = self.ledger, self.plan, self._source
        assert ledger is not None
        with self.clock.measure("decode"):
            source.stand_before(wanted)
        source.at = None
        work = RunCounts(math.prod(plan.out_size))
        shift = int(plan.streams.offset / self.target.time_base)
        with (
            WorkerPool(self.engine, plan.workers) as pool,
            SegmentCoder(self.target, ledger, wanted.start, shift=shift) as coder,
        ):
            for rendered, frame in self._maker.frames(
                source.reader, pool, wanted.stop - wanted.start
            ):
                if not work.frames:
                    wanted.check_first(frame, plan.source)
                work.count(rendered.task)
                with self.clock.measure("encode"):
                    coder.write(frame)
                on_frame(work.frames)
            following = source.reader.ahead()
            wanted.check_next(following, source.reader)
            segment = coder.finish(work.tally) if work.frames else None
        source.at = wanted.start + work.frames
        ended = following is None or source.at == self.options.frames
        return MadeSegment(segment=segment, ended=ended, findings=self._found())

    def run(
        self,
        on_progress: Callable[[Progress], None] = lambda _: None,
        *,
        end: int | None = None,
    ) -> Summary:
        """Compute every frame and write the output, which appears complete or not at all.

        A pipe gets each frame as soon as it is computed; raises BrokenPipeError when its reader has
        closed it. ``end`` is the source's number of frames, if known: with all of them finished,
        none is decoded.
        """
        plan, started = self.plan, time.perf_counter()
        self._source.rewind()
        self._source.at = None
        ledger = self.ledger
        work = RunCounts(math.prod(plan.out_size), self.finished, *(ledger.tally if ledger else ()))
        with ExitStack() as stack:
            temporary = stack.enter_context(whole_output(plan, overwrite=self.options.overwrite))
            pool = stack.enter_context(WorkerPool(self.engine, plan.workers))

            def tell() -> None:
                on_progress(Progress(work.frames, plan.frames, time.perf_counter() - started))

            with open_writer(
                temporary,
                plan,
                self.target,
                self._source.others,
                ledger=ledger,
                done=lambda: work.tally,
            ) as writer:
                for rendered, frame in self._missing(pool, tell, end):
                    work.count(rendered.task)
                    with self.clock.measure("encode"):
                        writer.write(frame)
                    tell()
                flushing = time.perf_counter()
            self.clock.add("encode", time.perf_counter() - flushing)
            with self.clock.measure("verify"):
                verification = self._verified(temporary, work.frames)
        if ledger:
            ledger.delete()
        seconds = time.perf_counter() - started
        log.info("%s: %d frames in %.1f s", plan.output, work.frames, seconds)
        return self._summary(work, seconds, verification)

    def _verified(self, temporary: Path, frames: int) -> Verification:
        """Verify the output, and check whether the source changed meanwhile.

        Raises VerificationError if the source cannot be read any more; the finished file is kept.
        """
        witness, reader = self._source.witness, self._source.reader
        counts = frames, reader.decoded if reader.piped else None
        try:
            if witness and not self.plan.destination.piped:
                witness.require(temporary)
            asked = self._source.asked
            verification = check_result(temporary, self.plan, self.target, asked, counts)
        except MediaError as error:
            changed = witness.findings() if witness else ()
            if not changed:
                raise
            text = f"{changed[0]}; {error.problem}"
            raise VerificationError(text, f"the file is kept as {temporary}") from error
        changed = witness.findings() if witness else ()
        return replace(verification, findings=(*verification.findings, *changed))

    def _missing(
        self, pool: WorkerPool, tell: Callable[[], None], end: int | None
    ) -> Iterator[tuple[Rendered, Frame]]:
        """The missing HR frames in order; calls ``tell`` after skipping finished ones."""
        at = 0
        for start, stop in self.ledger.missing() if self.ledger else [(0, None)]:
            if start == end:
                tell()
                return
            if start > at:
                with self.clock.measure("decode"):
                    self._source.pass_over(start - at)
                tell()
            limits = [end for end in (stop, self.options.frames) if end is not None]
            limit = min(limits) - start if limits else None
            yield from self._maker.frames(self._source.reader, pool, limit)
            at = start if stop is None else stop

    def _resumed(self) -> tuple[Finding, ...]:
        """A finding if a stopped run finished some frames."""
        done = self.finished
        text = f"{done} frames are finished: resuming after them, once they are decoded again"
        return (Finding(kind=Kind.CHOSEN, subject="finished frames", text=text),) if done else ()

    def _found(self) -> tuple[Finding, ...]:
        """All findings so far."""
        source = self._source
        others = source.others.findings if source.others else ()
        fallbacks = (
            Finding(kind=Kind.FELL_BACK, subject="computing", text=text)
            for text in self.engine.fallbacks
        )
        return without_repeats((*self.plan.findings, *source.reader.findings, *others, *fallbacks))

    def _summary(self, work: RunCounts, seconds: float, verification: Verification) -> Summary:
        plan = self.plan
        return Summary(
            source=plan.source,
            output=plan.output,
            frames=work.frames,
            computed=work.computed,
            reused=work.reused,
            out_size=plan.full_size,
            picture_size=plan.out_size,
            model=plan.model,
            restore=plan.restore,
            consistent=plan.consistent,
            grain=plan.grain,
            device=plan.device,
            precision=plan.precision,
            seconds=seconds,
            stage_seconds=dict(self.clock.seconds),
            kept=plan.streams.kept,
            dropped=plan.streams.dropped,
            findings=without_repeats((*self._found(), *verification.findings)),
            verification=verification,
        )


def upscale(
    src: str | Path,
    dst: str | Path,
    *,
    options: UpscaleOptions = UpscaleOptions(),
    on_progress: Callable[[Progress], None] = lambda _: None,
    **values: Unpack[UpscaleFields],
) -> Summary:
    """Upscale the main video of a file into another file, and keep everything else in it.

    Options are given by name, ``scale=2.5, crf=14, codec="libx265"``, over those in ``options``.
    ``"-"`` in place of a file is standard input or output, as YUV4MPEG2; so are named pipes and
    devices. Raises CiaoVideoError, and leaves nothing under ``dst``, if anything goes wrong.
    """
    with UpscaleRun(Path(src), Path(dst), with_fields(options, values)) as run:
        return run.run(on_progress)
