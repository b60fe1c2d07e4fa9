"""All that is decided before the first frame is computed."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ciaovideo.color import ColorSpec, PixelLayout
from ciaovideo.engine.engine import Engine, EnginePlan
from ciaovideo.engine.upscaler import load_network
from ciaovideo.errors import LossError
from ciaovideo.media.codecs import CodecChoice, choose_codec
from ciaovideo.media.frame import VideoInfo
from ciaovideo.media.reader import VideoReader
from ciaovideo.media.stream_plan import StreamPlan, plan_streams
from ciaovideo.options import UpscaleOptions

GPU_WORKERS = 3  # one frame uploads, one computes, one downloads
GPU_BATCH_PIXELS = 1 << 19  # LR pixels in a batch that keep a GPU busy
MAX_BATCH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class UpscalePlan:
    """All that is decided before the first frame is computed."""

    source: Path
    output: Path
    info: VideoInfo
    out_size: tuple[int, int]
    model: str
    device: str
    precision: str
    workers: int
    batch: int
    memory: EnginePlan
    color: ColorSpec
    codec: CodecChoice
    streams: StreamPlan
    frames: int
    notes: tuple[str, ...]
    seconds_per_frame: float | None = None


def make_plan(
    reader: VideoReader, output: Path, options: UpscaleOptions
) -> tuple[UpscalePlan, Engine]:
    """Decide everything for an opened source, and make the engine that the plan is for.

    Raises whatever can be known to go wrong: size, codec, container, colour, weights, device.
    """
    info, source = reader.info, reader.path
    layout = PixelLayout.of(info.pix_fmt)
    spec, guesses = info.color.resolved(info.height, info.width, layout)
    lr_size = (info.height, info.width)
    out_size = options.size.resolve(*lr_size, even=any(layout.even_sides), sar=info.sar)
    codec = choose_codec(
        options.encode, output, info.pix_fmt, *out_size, color=spec, hdr10=info.hdr10
    )
    spec, sited = spec.resolved(*lr_size, PixelLayout.of(codec.pix_fmt))
    streams = plan_streams(
        source,
        output,
        info.index,
        options.frames,
        every_field=options.input.deinterlace == "field",
        sound=options.streams.audio,
        span=reader.span,
    )
    if options.streams.strict:
        _refuse((*guesses, *sited, *reader.warnings, *codec.losses, *streams.losses))
    model, network = load_network(options.model, options.engine.device)
    engine = Engine(network, options.engine)
    frames = min(info.frame_count, options.frames or info.frame_count)
    batch = options.engine.batch or _batch(engine.device, lr_size)
    workers = _share(engine, batch, lr_size, out_size, options.frames)
    plan = UpscalePlan(
        source=source,
        output=output,
        info=info,
        out_size=out_size,
        model=model,
        device=str(engine.device),
        precision=engine.precision,
        workers=workers,
        batch=batch,
        memory=engine.plan(batch, lr_size, out_size),
        color=spec,
        codec=codec,
        streams=streams,
        frames=frames,
        notes=(
            *reader.notes,
            *_rounding(options, info, out_size),
            *guesses,
            *sited,
            *_retagging(info, layout, out_size),
            *codec.notes,
            *codec.losses,
            *streams.warnings,
            *reader.warnings,
        ),
    )
    return plan, engine


def output_tags(plan: UpscalePlan, *, tag_guessed: bool) -> ColorSpec:
    """The colour tags of the output: the input's, and a guess where none would mislead."""
    info = plan.info
    layout, color = PixelLayout.of(info.pix_fmt), info.color
    if not any(layout.log2_chroma):
        color = replace(color, siting=plan.color.siting)  # of chroma that is made coarser here
    stored_anyhow = bool(plan.codec.codec.matrices)
    if stored_anyhow or _retagging(info, layout, plan.out_size):
        color = replace(color, matrix=plan.color.matrix)
    return plan.color if tag_guessed else color


def _refuse(losses: tuple[str, ...]) -> None:
    """Raise LossError if there are any."""
    if losses:
        count = f"{len(losses)} things" if len(losses) > 1 else "one thing"
        raise LossError(f"strict: {count} would be lost or guessed: {'; '.join(losses)}")


def _batch(device: torch.device, lr_size: tuple[int, int]) -> int:
    """Frames to compute at once: on a GPU enough to keep it busy, on a CPU one a core."""
    if device.type != "cuda":
        return 1
    return max(1, min(MAX_BATCH, GPU_BATCH_PIXELS // (lr_size[0] * lr_size[1])))


def _share(
    engine: Engine,
    batch: int,
    lr_size: tuple[int, int],
    out_size: tuple[int, int],
    frames: int | None,
) -> int:
    """How many threads compute at once: as many as memory lets work on whole frames."""
    most = {"cuda": GPU_WORKERS, "cpu": torch.get_num_threads()}.get(engine.device.type, 1)
    for workers in range(max(1, min(most, frames or most)), 0, -1):
        engine.share(workers)
        if engine.options.tile or not engine.plan(batch, lr_size, out_size).tile:
            return workers
    return 1


def _rounding(
    options: UpscaleOptions, info: VideoInfo, out_size: tuple[int, int]
) -> tuple[str, ...]:
    exact = options.size.resolve(info.height, info.width, sar=info.sar)
    if exact == out_size:
        return ()
    return (
        f"{exact[1]}x{exact[0]} is rounded to {out_size[1]}x{out_size[0]}: "
        f"{info.pix_fmt} needs even sides",
    )


def _retagging(info: VideoInfo, layout: PixelLayout, out_size: tuple[int, int]) -> tuple[str, ...]:
    """A note if players would guess another colour matrix at the output's size than at the input's.

    Left untagged, such a file would change its colours by being enlarged.
    """
    here = info.color.resolved(info.height, info.width, layout)[0].matrix
    there = info.color.resolved(*out_size, layout)[0].matrix
    if here == there:
        return ()
    return (f"the output is tagged {here.name}: untagged, players would take it for {there.name}",)
