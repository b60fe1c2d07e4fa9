"""What is measured: decoding alone, the network alone, encoding alone, and the whole."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F
from torch import Tensor

from ciaovideo.bench.harness import Result, machine, measure, peak_memory
from ciaovideo.color import PixelLayout
from ciaovideo.engine.engine import Engine
from ciaovideo.media.frame import Frame
from ciaovideo.media.reader import VideoReader
from ciaovideo.media.writer import VideoTarget, VideoWriter
from ciaovideo.options import UpscaleOptions
from ciaovideo.pipeline.plan import UpscalePlan
from ciaovideo.pipeline.upscale_video import Summary, UpscaleRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All figures of one bench run, and what they depend on.

    ``overlap`` is the whole run's wall time over that of its slowest stage: 1 is perfect.
    """

    source: str
    lr_size: tuple[int, int]
    out_size: tuple[int, int]
    frames: int
    model: str
    device: str
    precision: str
    workers: int
    machine: dict[str, str]
    results: tuple[Result, ...]
    stage_seconds: dict[str, float]
    overlap: float
    peak_bytes: int


def run_bench(source: Path, options: UpscaleOptions) -> Report:
    """Measure each stage alone on a file, then the whole run over ``options.frames`` frames."""
    with TemporaryDirectory() as folder:
        output = Path(folder) / f"out{source.suffix if source.suffix != '.y4m' else '.mkv'}"
        with UpscaleRun(source, output, options) as run:
            plan = run.plan
            results = list(_stages(source, output, run))
            cpu = time.process_time()
            summary = run.run()
            cpu = time.process_time() - cpu
    results.append(_whole(summary, cpu))
    busiest = max(
        seconds / (plan.workers if stage == "compute" else 1)
        for stage, seconds in summary.stage_seconds.items()
    )
    return Report(
        source=str(source),
        lr_size=(plan.info.height, plan.info.width),
        out_size=plan.out_size,
        frames=summary.frames,
        model=plan.model,
        device=plan.device,
        precision=plan.precision,
        workers=plan.workers,
        machine=machine(),
        results=tuple(results),
        stage_seconds=summary.stage_seconds,
        overlap=summary.seconds / busiest,
        peak_bytes=peak_memory(),
    )


def _stages(source: Path, output: Path, run: UpscaleRun) -> Iterator[Result]:
    plan, engine = run.plan, run.engine
    limit = run.options.frames
    yield measure("decode only", lambda: _decode(source, limit))
    lr = torch.rand(1, 3, plan.info.height, plan.info.width, device=engine.device)
    yield measure("network only", lambda: _network(engine, lr, plan.out_size), device=engine.device)
    yield measure("bicubic instead", lambda: _bicubic(lr, plan.out_size), device=engine.device)
    yield measure("encode only", lambda: _encode(output, plan))


def _whole(summary: Summary, cpu: float) -> Result:
    return Result(
        case="end to end",
        wall_s=summary.seconds / summary.frames,
        cpu_s=cpu / summary.frames,
        spread=0.0,
        repetitions=1,
    )


def _decode(source: Path, limit: int | None) -> int:
    with VideoReader(source) as reader:
        return sum(1 for _ in reader.frames(limit))


def _network(engine: Engine, lr: Tensor, out_size: tuple[int, int]) -> int:
    engine(lr, out_size)
    return len(lr)


def _bicubic(lr: Tensor, out_size: tuple[int, int]) -> int:
    F.interpolate(lr, out_size, mode="bicubic", antialias=False)
    return len(lr)


def _encode(output: Path, plan: UpscalePlan) -> int:
    """Code twelve frames of noise over a slope: harder than most footage."""
    layout = PixelLayout.of(plan.codec.pix_fmt)
    shapes = layout.plane_shapes(*plan.out_size)
    generator = torch.Generator().manual_seed(0)
    planes = tuple(
        (torch.linspace(0.2, 0.7, shape[1]).expand(shape) * layout.peak)
        .add(torch.randn(shape, generator=generator) * layout.peak / 64)
        .clamp(0, layout.peak)
        .to(layout.dtype)
        for shape in shapes
    )
    first = Frame(planes, 0, plan.info.time_base, 1)
    step = max(1, round(1 / (plan.info.time_base * (plan.info.frame_rate or 25))))
    target = VideoTarget.of(plan.info, plan.codec, plan.out_size)
    with VideoWriter(output.with_stem("encode"), target) as writer:
        for number in islice(range(0, 12 * step, step), 12):
            writer.write(replace(first, pts=number, duration=step))
    return 12
