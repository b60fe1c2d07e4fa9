"""The cases: decoding, network and encoding alone, and the whole run."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from ciaovideo.bench.floor import Floor, measure_floor
from ciaovideo.bench.growth import Growth, measure_growth
from ciaovideo.bench.harness import Result, machine, measure, peak_memory
from ciaovideo.color import PixelLayout
from ciaovideo.engine.engine import Engine
from ciaovideo.engine.workers import WorkerPool
from ciaovideo.media.containers import BY_SUFFIX, YUV4MPEG
from ciaovideo.media.frame import Frame
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.write.writer import VideoTarget, VideoWriter
from ciaovideo.models.networks import NETWORKS
from ciaovideo.models.networks.interpolation import KERNELS
from ciaovideo.options import ModelOptions, UpscaleOptions
from ciaovideo.pipeline.plan import UpscalePlan
from ciaovideo.pipeline.session import Summary, UpscaleRun

WHOLE_RUNS = 3  # from file to file; the report has their median and spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All figures of a benchmark, and their conditions.

    ``floor`` is the least time for the network's work. ``overlap`` is the run's wall time over that
    of its slowest stage: 1 is perfect.
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
    floor: Floor
    growth: Growth | None
    stage_seconds: dict[str, float]
    overlap: float
    peak_bytes: int


def run_bench(source: Path, options: UpscaleOptions, *, growth: bool = False) -> Report:
    """Measure each stage alone on a file, then whole runs over ``options.frames`` frames.

    Whole runs with bicubic and Lanczos show the cost of everything but the network. ``growth`` adds
    sizes, scales and lengths.
    """
    with TemporaryDirectory() as folder:
        suffix = source.suffix.lower()
        held = not BY_SUFFIX.get(suffix, YUV4MPEG).bare
        output = Path(folder) / f"out{suffix if held else '.mkv'}"
        with UpscaleRun(source, output, options) as run:
            plan, engine = run.plan, run.engine
            results = list(_stages(source, output, run))
            floor = measure_floor(engine, (plan.info.height, plan.info.width), plan.out_size)
        result, summary = _whole("end to end", source, output, options)
        results.append(result)
        for kind in KERNELS:
            zero = replace(options, model=ModelOptions(model=kind))
            results.append(_whole(f"end to end, {kind}", source, output, zero)[0])
        grown = measure_growth(engine, source, options, Path(folder)) if growth else None
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
        floor=floor,
        growth=grown,
        stage_seconds=summary.stage_seconds,
        overlap=summary.seconds / busiest,
        peak_bytes=peak_memory(),
    )


def _stages(source: Path, output: Path, run: UpscaleRun) -> Iterator[Result]:
    plan, engine = run.plan, run.engine
    limit = run.options.frames
    yield measure("decode only", lambda: _decode(source, limit))
    lr = torch.rand(plan.batch, 3, plan.info.height, plan.info.width, device=engine.device)
    zeros = {f"{kind} only": Engine(NETWORKS[kind](), run.options.engine) for kind in KERNELS}
    for case, each in {"network only": engine, **zeros}.items():
        with WorkerPool(each, plan.workers) as pool:  # as a run computes its frames
            yield measure(case, partial(_network, pool, lr, plan.out_size), device=engine.device)
    yield measure("encode only", lambda: _encode(output, plan))


def _whole(
    case: str, source: Path, output: Path, options: UpscaleOptions
) -> tuple[Result, Summary]:
    """Several runs from file to file, start-up included; the summary is the last run's."""
    walls, cpus = [], []
    for _ in range(WHOLE_RUNS):
        with UpscaleRun(source, output, replace(options, overwrite=True)) as run:
            cpu = time.process_time()
            summary = run.run()
            cpus.append((time.process_time() - cpu) / summary.frames)
            walls.append(summary.seconds / summary.frames)
    return Result.of(case, walls, cpus), summary


def _decode(source: Path, limit: int | None) -> int:
    with VideoReader(source) as reader:
        return sum(1 for _ in reader.frames(limit))


def _network(pool: WorkerPool, lr: Tensor, out_size: tuple[int, int]) -> int:
    """Two batches for each worker, so that all are busy but for the last moment."""
    begun = [pool.enqueue(partial(pool.engine, lr, out_size)) for _ in range(2 * pool.workers)]
    for batch in begun:
        batch.result()
    return len(begun) * len(lr)


def _encode(output: Path, plan: UpscalePlan) -> int:
    """Encode twelve frames of noise over a gradient: harder than most footage."""
    layout = PixelLayout.of(plan.encoding.pix_fmt)
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
    target = VideoTarget.of(plan.info, plan.encoding, plan.out_size)
    with VideoWriter(output.with_stem("encode"), target) as writer:
        for number in islice(range(0, 12 * step, step), 12):
            writer.write(replace(first, pts=number, duration=step))
    return 12
