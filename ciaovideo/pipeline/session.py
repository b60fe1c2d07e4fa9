"""One source to one output, with progress and a summary."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

import torch

from ciaovideo.color import PixelLayout, PlaneFormat
from ciaovideo.engine.engine import Engine
from ciaovideo.engine.renderer import Renderer
from ciaovideo.engine.upscaler import load_network
from ciaovideo.engine.workers import WorkerPool
from ciaovideo.errors import MediaError, OptionError, VerificationError
from ciaovideo.findings import Finding, Kind, without_repeats
from ciaovideo.media.frame import Frame, PlanePool, StreamInfo
from ciaovideo.media.read.probe import SourceFacts, probe
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.selection import Selection
from ciaovideo.media.streams.source import StreamSource
from ciaovideo.media.write.output import Destination, check_output
from ciaovideo.options import EngineOptions, ModelOptions, UpscaleOptions
from ciaovideo.pipeline.changes import ChangeFinder
from ciaovideo.pipeline.decide import UpscalePlan, decide
from ciaovideo.pipeline.destination import check_result, open_writer
from ciaovideo.pipeline.fingerprint import find_ledger, reproducible
from ciaovideo.pipeline.keywords import UpscaleFields, with_fields
from ciaovideo.pipeline.prefetch import ordered_map
from ciaovideo.pipeline.stages import (
    FrameWorker,
    Rendered,
    RunCounts,
    StageClock,
    in_batches,
    mark_changes,
)
from ciaovideo.pipeline.verification.contract import Verification
from ciaovideo.pipeline.witness import Witness
from ciaovideo.storage.atomic import atomic_output
from ciaovideo.storage.claims import kept, leftovers
from ciaovideo.storage.endpoints import reads_once

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands: frames written, frames expected (0: unknown), seconds since it began.

    A resumed run reports first when computing begins.
    """

    frames: int
    total: int
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a run did: how many frames, what else went along, and all that was found on the way.

    ``computed`` counts the frames that were not just their predecessor again; ``reused`` is the
    share of all output pixels that were taken from the frame before.
    """

    source: Path
    output: Path
    frames: int
    computed: int
    reused: float
    out_size: tuple[int, int]
    model: str
    device: str
    precision: str
    seconds: float
    stage_seconds: dict[str, float]
    kept: tuple[StreamInfo, ...]
    dropped: tuple[StreamInfo, ...]
    findings: tuple[Finding, ...]
    verification: Verification


class Session:
    """Networks and engines, made once for any number of runs that ask for the same.

    What an engine had to change on the way, such as a kernel that cannot be compiled, holds for
    all later runs on it and is among the findings of each.
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
    """One run from a source to an output: plan it, look at the plan, then carry it out.

    A context manager, which holds the source open. Raises on construction whatever can be known
    to go wrong before any work: paths, sizes, codec, container, colour, interlacing, weights.
    Runs of one ``session`` share their engine; they are carried out one after the other.
    """

    def __init__(
        self,
        source: Path,
        output: Path,
        options: UpscaleOptions = UpscaleOptions(),
        session: Session | None = None,
    ) -> None:
        destination = Destination.of(output)
        if reads_once(source) or source.is_file():
            check_output(source, destination, overwrite=options.overwrite)
        self.options = options = reproducible(source, destination, options)
        session = session or Session()
        self.clock = StageClock()
        self._fresh = True  # no frame of the source was used up
        with ExitStack() as stack:
            self._witness = None if reads_once(source) else Witness.of(source)
            facts = None if reads_once(source) else probe(source, _asked(options), options.input)
            self._reader = stack.enter_context(self._open(facts or source))
            self._others = stack.enter_context(StreamSource(facts)) if facts else None
            plan, self.engine = decide(
                self._reader,
                destination,
                options,
                lambda: session.engine(options.model, options.engine),
                self._others,
            )
            self._ledger = find_ledger(plan, self.engine, options) if options.resume else None
            found = (*plan.findings, *leftovers(output), *self._kept(output))
            self.plan = replace(plan, findings=found, finished=self.finished)
            self._stack = stack.pop_all()

    def __enter__(self) -> "UpscaleRun":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def finished(self) -> int:
        """How many frames are kept for a run that goes on if this one is stopped."""
        return self._ledger.frames if self._ledger else 0

    def estimate(self) -> UpscalePlan:
        """The plan with the seconds that a frame takes, from computing the first one now.

        A first call warms up, and a second one is timed. A run may follow.
        """
        self._rewind()
        frame = self._reader.peek()
        worker = self._worker(PlanePool(2), StageClock())
        tasks = tuple(mark_changes([frame], self._finder(), StageClock()))
        with WorkerPool(self.engine, self.plan.workers) as pool:  # on its part of the cores
            pool.enqueue(lambda: worker(tasks)).result()
            started = time.perf_counter()
            pool.enqueue(lambda: worker(tasks)).result()
            seconds = (time.perf_counter() - started) / self.plan.workers
        return replace(self.plan, seconds_per_frame=seconds)

    def run(self, on_progress: Callable[[Progress], None] = lambda _: None) -> Summary:
        """Compute every frame and write the output, which appears whole or not at all.

        Into a pipe each frame goes when it is made; BrokenPipeError when nobody reads any more.
        """
        plan, started = self.plan, time.perf_counter()
        self._rewind()
        self._fresh = False
        ledger = self._ledger
        work = RunCounts(math.prod(plan.out_size), self.finished, *(ledger.tally if ledger else ()))
        with ExitStack() as stack:
            temporary = stack.enter_context(
                atomic_output(plan.output, overwrite=self.options.overwrite)
            )
            pool = stack.enter_context(WorkerPool(self.engine, plan.workers))

            def tell() -> None:
                on_progress(Progress(work.frames, plan.frames, time.perf_counter() - started))

            with open_writer(
                temporary,
                plan,
                self.options,
                self._others,
                ledger=ledger,
                done=lambda: work.tally,
            ) as writer:
                for rendered, frame in self._missing(pool, tell):
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
        """The output held against the source, and what became of that meanwhile.

        Where it cannot be read any more, VerificationError: the finished file is kept.
        """
        witness = self._witness
        decoded = self._reader.decoded if self._reader.piped else None
        try:
            if witness and not self.plan.piped_out:
                witness.require(temporary)
            verification = check_result(temporary, self.plan, self.options, (frames, decoded))
        except MediaError as error:
            changed = witness.findings() if witness else ()
            if not changed:
                raise
            text = f"{changed[0]}; {error.problem}"
            raise VerificationError(text, f"the file is kept as {temporary}") from error
        changed = witness.findings() if witness else ()
        return replace(verification, findings=(*verification.findings, *changed))

    def _open(self, source: Path | SourceFacts) -> VideoReader:
        options = self.options
        return VideoReader(source, options=options.input, strict=options.streams.strict)

    def _rewind(self) -> None:
        """Open the source anew if it was read; raises OptionError for a pipe."""
        if not self._fresh:
            if self._reader.facts is None:
                raise OptionError(
                    f"{self._reader.path} is a pipe, and was read already", "make a new run"
                )
            self._reader.close()
            self._reader = self._stack.enter_context(self._open(self._reader.facts))
            self._fresh = True

    def _missing(
        self, pool: WorkerPool, tell: Callable[[], None]
    ) -> Iterator[tuple[Rendered, Frame]]:
        """HR frames that no stopped run has finished, in order; ``tell`` when those are passed."""
        at = 0
        for start, stop in self._ledger.missing() if self._ledger else [(0, None)]:
            if start > at:
                self._pass_over(start - at)
                tell()
            limits = [end for end in (stop, self.options.frames) if end is not None]
            yield from self._frames(pool, min(limits) - start if limits else None)
            at = start if stop is None else stop

    def _pass_over(self, count: int) -> None:
        """Decode frames that are finished, here and not in a thread: an interrupt ends it."""
        pool = PlanePool(1)
        self._reader.use(pool)
        with self.clock.measure("decode"):
            for frame in self._reader.frames(count):
                pool.release(frame.planes)

    def _frames(self, pool: WorkerPool, limit: int | None) -> Iterator[tuple[Rendered, Frame]]:
        """HR frames in order, at most ``limit``.

        A frame's planes may be overwritten once the next is asked for.
        """
        plan = self.plan
        depth = plan.workers + 1  # groups between decoder and encoder
        pinned = plan.device.startswith("cuda")
        inputs = PlanePool((depth + 1) * plan.batch + 2, pinned=pinned)
        outputs = PlanePool((depth + 1) * plan.batch + 1, pinned=pinned)
        self._reader.use(inputs)
        afresh = self._ledger.length if self._ledger else 0
        frames = self._reader.frames(limit)
        tasks = mark_changes(frames, self._finder(), self.clock, afresh=afresh)
        groups = ordered_map(
            self._worker(outputs, self.clock),
            in_batches(tasks, plan.batch, afresh=afresh),
            pool=pool,
            depth=depth,
            interrupt=self._reader.interrupt,
        )
        before: Frame | None = None  # its planes were compared with the next frame's by then
        shown: tuple[torch.Tensor, ...] = ()
        with closing(groups):
            for rendered in (rendered for group in groups for rendered in group):
                if rendered.planes:
                    if shown:
                        outputs.release(shown)
                    shown = rendered.planes
                for patch in rendered.patches:  # over the frame before: the encoder has copied it
                    patch.paste(shown)
                yield rendered, replace(rendered.task.frame, planes=shown)
                if before is not None:
                    inputs.release(before.planes)
                before = rendered.task.frame

    def _kept(self, output: Path) -> tuple[Finding, ...]:
        """A finding if a stopped run finished some frames."""
        if self._ledger is None:
            return kept(output)
        done = self.finished
        how = "going on after them, once the input is decoded up to there"
        text = f"{done} frames are finished: {how}"
        return (Finding(kind=Kind.CHOSEN, subject="finished frames", text=text),) if done else ()

    def _worker(self, outputs: PlanePool, clock: StageClock) -> FrameWorker:
        plan = self.plan
        renderer = Renderer(
            self.engine,
            PlaneFormat(PixelLayout.of(plan.info.pix_fmt), plan.color),
            PlaneFormat(PixelLayout.of(plan.encoding.pix_fmt), plan.out_color),
            dither=self.options.encode.dither == "ordered",
        )
        return FrameWorker(renderer, plan.out_size, outputs, clock)

    def _finder(self) -> ChangeFinder:
        """What tells the parts of a frame that need no computing, the same for every frame."""
        info = self.plan.info
        return ChangeFinder(
            PixelLayout.of(info.pix_fmt),
            (info.height, info.width),
            self.plan.out_size,
            self.engine.reach((info.height, info.width), self.plan.out_size),
        )

    def _summary(self, work: RunCounts, seconds: float, verification: Verification) -> Summary:
        plan = self.plan
        findings = (
            *plan.findings,
            *self._reader.findings,
            *(self._others.findings if self._others else ()),
            *(
                Finding(kind=Kind.FELL_BACK, subject="computing", text=text)
                for text in self.engine.notices
            ),
            *verification.findings,
        )
        return Summary(
            source=plan.source,
            output=plan.output,
            frames=work.frames,
            computed=work.computed,
            reused=work.reused,
            out_size=plan.out_size,
            model=plan.model,
            device=plan.device,
            precision=plan.precision,
            seconds=seconds,
            stage_seconds=dict(self.clock.seconds),
            kept=plan.streams.kept,
            dropped=plan.streams.dropped,
            findings=without_repeats(findings),
            verification=verification,
        )


def _asked(options: UpscaleOptions) -> Selection:
    return Selection.asked(options.input, options.frames)


def upscale(
    src: str | Path,
    dst: str | Path,
    *,
    options: UpscaleOptions = UpscaleOptions(),
    on_progress: Callable[[Progress], None] = lambda _: None,
    **values: Unpack[UpscaleFields],
) -> Summary:
    """Upscale the main video of a file into another file, with everything else in it kept.

    Options are given by name, ``scale=2.5, crf=14, codec="libx265"``, over those in ``options``.
    ``"-"`` in place of a file is standard input or output, as YUV4MPEG2; so are named pipes and
    devices. Raises CiaoVideoError, and leaves nothing under ``dst``, if anything goes wrong.
    """
    with UpscaleRun(Path(src), Path(dst), with_fields(options, values)) as run:
        return run.run(on_progress)
