"""All that is decided before the first frame is computed."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ciaovideo.color import ColorSpec, PixelLayout, Range, Siting
from ciaovideo.engine.engine import Engine
from ciaovideo.engine.model_choice import restores, settled
from ciaovideo.engine.workers import usual_workers
from ciaovideo.errors import ColorError, LossError, OptionError, TimestampError
from ciaovideo.findings import Finding, Kind, strict_findings, without_repeats
from ciaovideo.media.clock import FALLBACK_RATE, average_rate, constant_rate
from ciaovideo.media.containers import YUV4MPEG, Clock, Container, Fate
from ciaovideo.media.ffmpeg.program import find_encoder
from ciaovideo.media.ffmpeg.trial import held_by
from ciaovideo.media.ffmpeg.writer import try_out
from ciaovideo.media.frame import VideoInfo
from ciaovideo.media.inspect.borders import settle_crop
from ciaovideo.media.inspect.scan import scan_file
from ciaovideo.media.margins import Margins
from ciaovideo.media.read.probe import SourceFacts
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.streams.plan import StreamPlan
from ciaovideo.media.streams.source import StreamSource
from ciaovideo.media.streams.steady import uneven_ends
from ciaovideo.media.video_stream import USUAL, as_hdr10
from ciaovideo.media.write.choice import (
    Encoding,
    choose_codec,
    sides_to_round,
)
from ciaovideo.media.write.codecs import VIA_FFMPEG, Y4M
from ciaovideo.media.write.colors import check_tags
from ciaovideo.media.write.framing import crop_findings, margins_around, padding_findings
from ciaovideo.media.write.output import Destination
from ciaovideo.models.restoration import anchored
from ciaovideo.options import CROP_AUTO, InputOptions, ModelOptions, UpscaleOptions
from ciaovideo.pipeline.plan import UpscalePlan, assumed_matrices, output_tags, target_of

GPU_BATCH_PIXELS = 1 << 19  # LR pixels in a batch that keep a GPU busy
MAX_BATCH = 8


def settled_input(
    facts: SourceFacts | None, source: Path, options: InputOptions
) -> tuple[InputOptions, tuple[Finding, ...]]:
    """The options with a box in place of an automatic crop, which a pipe cannot be searched for."""
    if facts is not None:
        return settle_crop(facts, options)
    if options.crop == CROP_AUTO:
        raise OptionError(f"{source} is a pipe: bars cannot be looked for", "give the box to keep")
    return options, ()


def decide(
    reader: VideoReader,
    destination: Destination,
    options: UpscaleOptions,
    find_engine: Callable[[ModelOptions], tuple[str, Engine]],
    others: StreamSource | None = None,
) -> tuple[UpscalePlan, Engine]:
    """Decide everything for a source that was probed, and name the engine that the plan is for.

    ``find_engine`` gives the engine of a network and its name, when all else is decided.
    ``others`` are the source's other streams, of which a pipe has none.
    Raises whatever can be known to go wrong: size, codec, container, colour, weights, device.
    """
    video = _video(reader, destination.container, options)
    streams = _streams(reader, destination.container, options, others)
    wanted, restored = _restoring(reader, options)
    findings = without_repeats((*reader.findings, *video.findings, *streams.findings, *restored))
    _refuse(findings, options)
    model, engine = find_engine(wanted)
    lr_size = video.info.height, video.info.width
    workers, batch = _shared(engine, options, lr_size, video.out_size)
    plan = UpscalePlan(
        source=reader.path,
        output=destination.path,
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
        piped_out=destination.piped,
        findings=findings,
    )
    return _tried(plan, options), engine


@dataclass(frozen=True, slots=True, kw_only=True)
class _Video:
    """What is decided of the main video alone; names as in ``UpscalePlan``."""

    info: VideoInfo
    frames: int
    out_size: tuple[int, int]
    pad: Margins
    color: ColorSpec
    out_color: ColorSpec
    encoding: Encoding
    findings: tuple[Finding, ...]


def _video(reader: VideoReader, container: Container, options: UpscaleOptions) -> _Video:
    """Size, rate, codec and colour of the output's video."""
    if reader.facts:
        reader.facts.jumps.refuse(reader.path, container, reader.info.time_base)
    info, expected, retimed = _rated(reader, container, options)
    _refuse_unviewable(info, options)
    layout = PixelLayout.of(info.pix_fmt)
    spec, guesses = info.color.resolved(*info.stored_size, layout, info.codec)
    out_size, encoding = _size_and_encoding(info, container, options, spec)
    full, target = options.size.padded(out_size), PixelLayout.of(encoding.pix_fmt)
    pad = margins_around(out_size, full, target, fields=info.interlaced)
    chosen = replace(spec, siting=encoding.siting)
    if encoding.codec.rgb:  # whose codes are of full range by its standard
        chosen = replace(chosen, color_range=Range.FULL, siting=Siting.UNSPECIFIED)
    out_spec, sited = chosen.resolved(*info.stored_size, target)
    return _Video(
        info=info,
        frames=expected or min(info.frame_count, options.frames or info.frame_count),
        out_size=out_size,
        pad=pad,
        color=spec,
        out_color=out_spec,
        encoding=encoding,
        findings=(
            *_rounding(options, info, out_size, encoding),
            *guesses,
            *(replace(one, kind=Kind.CHOSEN) for one in sited),  # by us, for chroma made here
            *_retagging(info, encoding, full),
            *padding_findings(pad, out_size, info),
            *encoding.findings,
            *retimed,
            *_unturned(info, container),
            *crop_findings(info, container, options.encode, out_size),
        ),
    )


def _restoring(
    reader: VideoReader, options: UpscaleOptions
) -> tuple[ModelOptions, tuple[Finding, ...]]:
    """The network with a strength of restoring, and why that one, where nobody chose it."""
    model, device = options.model, options.engine.device
    if model.restore != "auto":
        return model, ()
    if model.weights is None and (family := anchored(model.model)):
        text = f"{model.model} is {family[0]} at restore {family[1]:g}"
        return settled(model, device), (Finding(kind=Kind.CHOSEN, subject="model", text=text),)
    if not restores(model, device):
        return settled(model, device), ()
    coding = reader.facts.coding if reader.facts else None
    wanted = settled(model, device, coding.qp if coding else None)
    why = str(coding) if coding else "a pipe does not tell how it was coded"
    text = f"restore {wanted.restore or 0:g}: {why}"
    return wanted, (Finding(kind=Kind.CHOSEN, subject="restore", text=text),)


def _rated(
    reader: VideoReader, container: Container, options: UpscaleOptions
) -> tuple[VideoInfo, int, tuple[Finding, ...]]:
    """For an output without times: the video at one rate, how many frames it has, what is lost.

    The times come from a look at the source's packets of its own. Raises TimestampError where
    they vary, unless that is forced. Other outputs, and pipes as sources, stay as they are.
    """
    info = reader.info
    if container.clock is not Clock.NUMBERS or reader.piped:
        return info, 0, ()
    selection = replace(reader.selection, count=options.frames)
    scan = scan_file(
        reader.path,
        None if selection.cut else selection.frames_read,
        selection.end,
        opening=reader.facts.opening if reader.facts else USUAL,
    )
    frames = [pts * scan.video.tick for pts in sorted(scan.video.pts)]
    times, fields = replace(selection, every_field=False).times(frames), selection.per_frame
    claimed = (info.frame_rate or FALLBACK_RATE) / fields
    if not scan.timed or len(times) < 2:
        return replace(info, frame_rate=claimed * fields), 0, ()
    losses = []
    rate = constant_rate(times, scan.video.tick, claimed)
    if rate is None:
        if not options.input.force:
            raise TimestampError(
                f"the frame times of {reader.path} vary, and {container} holds one constant rate",
                "name a file such as .mkv as the output, or force it",
            )
        rate = average_rate(times)
        off = max(abs(time - times[0] - n / rate) for n, time in enumerate(times))
        losses.append(
            f"{container} cannot hold varying frame times: frames go out at {rate} a second,"
            f" up to {float(off):.3f} s from their time"
        )
    if times[0] and selection.start is None and container.bare:
        losses.append(
            f"{container} begins at 0: the first frame's {float(times[0]):g} s are left out"
        )
    found = [Finding(kind=Kind.LOST, subject="frame times", text=text) for text in losses]
    if container.in_step:
        found += uneven_ends(scan, selection.end or times[-1] + 1 / rate, selection)
    total = replace(selection, film=False).total(times)  # they are film's already
    return replace(info, frame_rate=rate * fields), total, tuple(found)


def _size_and_encoding(
    info: VideoInfo, container: Container, options: UpscaleOptions, spec: ColorSpec
) -> tuple[tuple[int, int], Encoding]:
    """The output (height, width), sides rounded for its layout's chroma, and the encoder."""
    even = sides_to_round(options.encode, container, info.pix_fmt)
    out_size = options.size.resolve(info.height, info.width, even=even, sar=info.sar)
    encoding = _encoding(info, container, options, out_size, spec)
    needed = PixelLayout.of(encoding.pix_fmt).even_sides
    if even == needed or (even == (False, False) and options.size.pad is None):
        return out_size, encoding
    # Chroma became finer for an odd side that was asked for: the other side can be odd as well.
    height, width = (one and other for one, other in zip(even, needed, strict=True))
    even = needed if options.size.pad else (height, width)
    out_size = options.size.resolve(info.height, info.width, even=even, sar=info.sar)
    return out_size, _encoding(info, container, options, out_size, spec)


def _encoding(
    info: VideoInfo,
    container: Container,
    options: UpscaleOptions,
    out_size: tuple[int, int],
    spec: ColorSpec,
) -> Encoding:
    if container is YUV4MPEG:
        if options.streams.tag_guessed:
            raise OptionError(f"{container} has no colour tags", "leave tagging out")
        spec = replace(spec, matrix=info.color.matrix)  # what was guessed is not lost
    return choose_codec(
        options.encode,
        container,
        info.pix_fmt,
        *options.size.padded(out_size),
        color=spec,
        hdr10=info.hdr10,
        rate=info.frame_rate,
    )


def _streams(
    reader: VideoReader, container: Container, options: UpscaleOptions, others: StreamSource | None
) -> StreamPlan:
    """What becomes of the other streams; a pipe has none."""
    if others is None:
        return StreamPlan(source=reader.path, main=0, container=container, kept=(), dropped=())
    selection = replace(reader.selection, count=options.frames)
    plan = others.plan(container, selection, options.streams.audio)
    words, sound = options.encode.via_ffmpeg, options.streams.audio
    return plan if words is None else held_by(find_encoder(words), plan, sound)


def _unturned(info: VideoInfo, container: Container) -> Iterator[Finding]:
    """The rotation and the mark of a stereo video, where the output goes on without."""
    marks = info.marks
    if info.display_matrix and container.rotation is Fate.LOST:
        text = f"{container} cannot hold the rotation by {info.rotation:g} degrees"
        yield Finding(kind=Kind.LOST, subject="rotation", text=text)
    if marks.stereo and not (container.stereo and marks.stereo_tag):
        text = f"the stereo mark ({marks.stereo}) is not carried over"
        yield Finding(kind=Kind.LOST, subject="stereo", text=text)


def _refuse_unviewable(info: VideoInfo, options: UpscaleOptions) -> None:
    """Raise ColorError for a video whose samples are not colours before Dolby Vision's formulas."""
    found = info.marks.dolby_vision
    if found is None or found.viewable or options.input.force:
        return
    raise ColorError(
        f"{info.path} is {found}: without Dolby Vision its samples are no Y'CbCr, and show as"
        " green and purple",
        f"make HDR10 of it first: {as_hdr10(Path(info.path), info.index)} (or force it as it is)",
    )


def _tried(plan: UpscalePlan, options: UpscaleOptions) -> UpscalePlan:
    """The plan with what a system ffmpeg makes of it, if one is asked for.

    What the machine lacks is said here, after what is wrong with the command itself. A loss is
    refused under ``strict``. Raises ColorError for colour tags that a container stores only
    together.
    """
    words, choice = options.encode.via_ffmpeg, plan.encoding
    if words is None:
        target_of(plan, options).check_shape()
        tags = output_tags(plan, tag_guessed=options.streams.tag_guessed)
        check_tags(choice.codec, choice.container, choice.pix_fmt, tags)
        return plan
    external = try_out(find_encoder(words), target_of(plan, options))
    found = external.findings
    if plan.info.interlaced:
        text = "interlaced: ffmpeg is not told that frames hold two fields"
        found += (Finding(kind=Kind.LOST, subject="interlacing", text=text),)
    _refuse(found, options)
    return replace(plan, external=external, findings=without_repeats((*plan.findings, *found)))


def _refuse(findings: Iterable[Finding], options: UpscaleOptions) -> None:
    """Raise LossError if the run is strict, and a strict run refuses any."""
    refused = strict_findings(findings) if options.streams.strict else ()
    if refused:
        count = f"{len(refused)} things" if len(refused) > 1 else "one thing"
        told = "; ".join(map(str, refused))
        raise LossError(f"strict: {count} would be lost or guessed: {told}")


def _batch(device: torch.device, lr_size: tuple[int, int]) -> int:
    """Frames to compute at once: on a GPU enough to keep it busy, on a CPU one a core."""
    if device.type != "cuda":
        return 1
    return max(1, min(MAX_BATCH, GPU_BATCH_PIXELS // (lr_size[0] * lr_size[1])))


def _shared(
    engine: Engine, options: UpscaleOptions, lr_size: tuple[int, int], out_size: tuple[int, int]
) -> tuple[int, int]:
    """How many threads compute at once, and how many frames each.

    As many threads as memory lets work on whole frames.
    """
    batch = options.engine.batch or _batch(engine.device, lr_size)
    most = usual_workers(engine.device)
    for workers in range(max(1, min(most, options.frames or most)), 0, -1):
        engine.share(workers)
        if engine.fixed_tile or not engine.plan(batch, lr_size, out_size).tile:
            return workers, batch
    return 1, batch


def _rounding(
    options: UpscaleOptions, info: VideoInfo, out_size: tuple[int, int], encoding: Encoding
) -> tuple[Finding, ...]:
    exact = options.size.resolve(info.height, info.width, sar=info.sar)
    if exact == out_size:
        return ()
    foreign = encoding.codec in (Y4M, VIA_FFMPEG)  # coded later, by a program we do not know
    taker = "encoders take" if foreign else f"{encoding.codec.name} takes"
    text = (
        f"{exact[1]}x{exact[0]} is rounded to {out_size[1]}x{out_size[0]}:"
        f" of {encoding.pix_fmt} {taker}"
        " even sides only; a size given as such is kept"
    )
    return (Finding(kind=Kind.CHOSEN, subject="size", text=text),)


def _retagging(
    info: VideoInfo, encoding: Encoding, out_size: tuple[int, int]
) -> tuple[Finding, ...]:
    """A finding if players would guess another colour matrix at the output's size.

    Left untagged, such a file would change its colours by being enlarged. YUV4MPEG2 cannot be
    tagged, and R'G'B' has none.
    """
    here, there = assumed_matrices(info, out_size)
    if here == there or encoding.codec.rgb:
        return ()
    if encoding.codec is Y4M:
        text = f"the output is {here.name}, and untagged: players would take it for {there.name}"
    else:
        text = f"the output is tagged {here.name}: untagged, players would take it for {there.name}"
    return (Finding(kind=Kind.CHANGED, subject="color matrix", text=text),)
