"""Makes all decisions of a run before the first frame is computed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch

from ciaovideo.engine.engine import Engine
from ciaovideo.engine.model_choice import restores, settled
from ciaovideo.engine.workers import usual_workers
from ciaovideo.errors import LossError
from ciaovideo.findings import Finding, Kind, strict_findings, without_repeats
from ciaovideo.grain.adding import Grain
from ciaovideo.media.codecs.colors import check_colors
from ciaovideo.media.ffmpeg.program import find_encoder
from ciaovideo.media.ffmpeg.trial import held_by
from ciaovideo.media.ffmpeg.writer import try_out
from ciaovideo.media.streams.plan import StreamPlan
from ciaovideo.media.write.encoder import VideoTarget
from ciaovideo.media.write.output import Destination
from ciaovideo.models.weights import anchored
from ciaovideo.options import ModelOptions, UpscaleOptions
from ciaovideo.pipeline.decide_video import OutputWishes, decide_video
from ciaovideo.pipeline.grain import GrainChoice, choose_grain
from ciaovideo.pipeline.plan import UpscalePlan, describe_run, target_of
from ciaovideo.pipeline.source import RunSource
from ciaovideo.storage.ledger import Ledger

GPU_BATCH_PIXELS = 1 << 19  # LR pixels in a batch that keep a GPU busy
MAX_BATCH = 8

type FindEngine = Callable[[ModelOptions], tuple[str, Engine]]
type FindLedger = Callable[[UpscalePlan, Engine], Ledger | None]


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """A plan, its engine, the target of the written video, its grain and its ledger.

    The last two are None where there are none.
    """

    plan: UpscalePlan
    engine: Engine
    target: VideoTarget
    grain: Grain | None = None
    ledger: Ledger | None = None


def decide(
    source: RunSource,
    destination: Destination,
    options: UpscaleOptions,
    find_engine: FindEngine,
    find_ledger: FindLedger = lambda *_: None,
) -> Decision:
    """Decide everything for a probed source.

    ``find_engine`` returns a network's name and its engine; it is called late. ``find_ledger``
    returns the ledger of a plan, which may know its grain. Raises all errors that can be known in
    advance: size, codec, container, colour, weights, device.
    """
    reader = source.reader
    asked = options.size, options.encode, options.streams, options.input.force
    wishes = OutputWishes(destination.container, *asked)
    video = decide_video(source, wishes)
    streams = _streams(source, wishes)
    wanted, restored = _restoring(source, options.model, options.engine.device)
    findings = without_repeats((*reader.findings, *video.findings, *streams.findings, *restored))
    _refuse(findings, strict=options.streams.strict)
    model, engine = find_engine(wanted)
    lr_size = video.info.height, video.info.width
    workers, batch = _shared(engine, source.asked.count, lr_size, video.out_size)
    plan = UpscalePlan(
        source=reader.path,
        destination=destination,
        info=video.info,
        out_size=video.out_size,
        pad=video.pad,
        model=model,
        restore=0.0 if wanted.restore == "auto" else wanted.restore,
        consistent=options.engine.consistent,
        device=str(engine.device),
        precision=engine.precision,
        workers=workers,
        batch=batch,
        memory=engine.plan(batch, lr_size, video.out_size),
        color=video.color,
        out_color=video.out_color,
        encoding=video.encoding,
        streams=streams,
        frames=video.frames,
        piped_in=reader.piped,
        findings=findings,
    )
    return _completed(source, plan, engine, options, find_ledger(plan, engine))


def _completed(
    source: RunSource,
    plan: UpscalePlan,
    engine: Engine,
    options: UpscaleOptions,
    ledger: Ledger | None,
) -> Decision:
    """The decision with its grain, which is measured unless the ledger knows it."""
    known = {} if ledger is None else ledger.known
    choice = choose_grain(source, engine, plan, options.encode.grain_factor, known)
    plan = _grained(plan, choice, options)
    return replace(_aimed(plan, engine, options), grain=choice.grain, ledger=ledger)


def _grained(plan: UpscalePlan, choice: GrainChoice, options: UpscaleOptions) -> UpscalePlan:
    """The plan with its grain, and with what the output's metadata say of the run by then."""
    found = without_repeats((*plan.findings, *choice.findings))
    plan = replace(plan, grain=choice.facts, findings=found)
    if options.resume and options.streams.provenance:
        plan = replace(plan, provenance=describe_run(plan, options.model.weights))
    return plan


def _aimed(plan: UpscalePlan, engine: Engine, options: UpscaleOptions) -> Decision:
    """The decision with the target of the written video; a system ffmpeg is tried.

    Raises ColorError for colour tags that a container stores only together.
    """
    words, strict = options.encode.via_ffmpeg, options.streams.strict
    target = target_of(
        plan,
        tag_guessed=options.streams.tag_guessed,
        square_pixels=options.size.square_pixels,
        reproducible=options.engine.deterministic,
    )
    if words is None:
        target.check_shape()
        encoding = plan.encoding
        check_colors(encoding.codec, encoding.container, encoding.pix_fmt, target.color)
        return Decision(plan, engine, target)
    return Decision(_tried(plan, target, words, strict=strict), engine, target)


def _streams(source: RunSource, wishes: OutputWishes) -> StreamPlan:
    """The plan of the other streams; a pipe has none."""
    path, container = source.reader.path, wishes.container
    if source.others is None:
        return StreamPlan(source=path, main=0, container=container, kept=(), dropped=())
    words, sound = wishes.encode.via_ffmpeg, wishes.streams.audio
    plan = source.others.plan(container, source.selection, sound)
    return plan if words is None else held_by(find_encoder(words), plan, sound)


def _restoring(
    source: RunSource, model: ModelOptions, device: str
) -> tuple[ModelOptions, tuple[Finding, ...]]:
    """The network with a restoring strength, and a finding if that was chosen automatically."""
    if model.restore != "auto":
        return model, ()
    if model.weights is None and (family := anchored(model.model)):
        text = f"{model.model} is {family[0]} at restore {family[1]:g}"
        return settled(model, device), (Finding(kind=Kind.CHOSEN, subject="model", text=text),)
    if not restores(model, device):
        return settled(model, device), ()
    facts = source.reader.facts
    evidence = facts.quantiser if facts else None
    wanted = settled(model, device, evidence.qp if evidence else None)
    why = str(evidence) if evidence else "the coding of a pipe's source is unknown"
    text = f"restore {wanted.restore or 0:g}: {why}"
    return wanted, (Finding(kind=Kind.CHOSEN, subject="restore", text=text),)


def _tried(plan: UpscalePlan, target: VideoTarget, words: str, *, strict: bool) -> UpscalePlan:
    """The plan after a trial of a system ffmpeg with these options.

    Problems of the machine are raised here, after those of the command itself. Raises LossError for
    a loss if ``strict``.
    """
    external = try_out(find_encoder(words), target)
    found = external.findings
    if plan.info.interlaced:
        text = "interlaced: the frames go to ffmpeg without their field order"
        found += (Finding(kind=Kind.LOST, subject="interlacing", text=text),)
    _refuse(found, strict=strict)
    return replace(plan, external=external, findings=without_repeats((*plan.findings, *found)))


def _refuse(findings: Iterable[Finding], *, strict: bool) -> None:
    """Raise LossError if ``strict`` and any finding is one that a strict run refuses."""
    refused = strict_findings(findings) if strict else ()
    if refused:
        count = f"{len(refused)} things" if len(refused) > 1 else "one thing"
        told = "; ".join(map(str, refused))
        raise LossError(f"strict: {count} would be lost or guessed: {told}")


def _batch(device: torch.device, lr_size: tuple[int, int]) -> int:
    """Frames to compute at once: on a GPU enough to keep it busy, on a CPU one per core."""
    if device.type != "cuda":
        return 1
    return max(1, min(MAX_BATCH, GPU_BATCH_PIXELS // (lr_size[0] * lr_size[1])))


def _shared(
    engine: Engine, count: int | None, lr_size: tuple[int, int], out_size: tuple[int, int]
) -> tuple[int, int]:
    """The number of threads, and of frames that each computes at once.

    As many threads as can work on whole frames in memory, and no more than the run's ``count``.
    """
    batch = engine.options.batch or _batch(engine.device, lr_size)
    most = usual_workers(engine.device)
    for workers in range(max(1, min(most, count or most)), 0, -1):
        engine.share(workers)
        if engine.fixed_tile or not engine.plan(batch, lr_size, out_size).tile:
            return workers, batch
    return 1, batch
