"""Growth of the network's time with input and output pixels, and of a run's with its length."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ciaovideo.bench.harness import measure
from ciaovideo.engine.engine import Engine
from ciaovideo.options import UpscaleOptions
from ciaovideo.pipeline.session import UpscaleRun

LR_SIZES = ((90, 160), (135, 240), (180, 320), (270, 480))  # (height, width)
SCALES = (1.25, 1.5, 2.0, 2.5, 3.0, 4.0)
LENGTHS = (8, 24, 72)  # frames


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One measurement: pixels in and out of a frame, or frames of a run, and its CPU seconds."""

    lr_pixels: int
    out_pixels: int
    frames: int
    cpu_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Measurements and fits.

    A frame takes ``start + per_lr * LR pixels + per_out * output pixels`` seconds of CPU, a run
    ``run_start + per_frame * frames``. ``error``: mean relative distance of the
    frame's fit from its points.
    """

    points: tuple[Point, ...]
    start: float
    per_lr: float
    per_out: float
    error: float
    run_start: float
    per_frame: float


def measure_growth(engine: Engine, source: Path, options: UpscaleOptions, folder: Path) -> Growth:
    """Measure the network at LR_SIZES and SCALES, and whole runs on a file at LENGTHS.

    In CPU seconds, which a busy machine disturbs less; on a GPU in wall seconds.
    """
    frames = tuple(_frames(engine))
    runs = tuple(_runs(source, options, folder))
    columns = [[1, point.lr_pixels, point.out_pixels] for point in frames]
    start, per_lr, per_out = _fit(columns, [point.cpu_s for point in frames])
    fitted = np.array(columns) @ [start, per_lr, per_out]
    measured = np.array([point.cpu_s for point in frames])
    run_start, per_frame = _fit([[1, run.frames] for run in runs], [run.cpu_s for run in runs])
    return Growth(
        points=frames + runs,
        start=start,
        per_lr=per_lr,
        per_out=per_out,
        error=float(np.mean(np.abs(fitted - measured) / measured)),
        run_start=run_start,
        per_frame=per_frame,
    )


def _frames(engine: Engine) -> Iterator[Point]:
    for height, width in LR_SIZES:
        lr = torch.rand(1, 3, height, width, device=engine.device)
        for scale in SCALES:
            out_size = round(height * scale), round(width * scale)
            result = measure(
                "network", partial(_compute, engine, lr, out_size), device=engine.device
            )
            yield Point(
                lr_pixels=height * width,
                out_pixels=out_size[0] * out_size[1],
                frames=1,
                cpu_s=result.cpu_s if engine.device.type == "cpu" else result.wall_s,
            )


def _compute(engine: Engine, lr: Tensor, out_size: tuple[int, int]) -> int:
    return len(engine(lr, out_size))


def _runs(source: Path, options: UpscaleOptions, folder: Path) -> Iterator[Point]:
    """Whole runs, from opening the file to the verified output."""
    for length in LENGTHS:
        started = time.process_time()
        with UpscaleRun(source, folder / f"{length}.mkv", replace(options, frames=length)) as run:
            summary = run.run()
            pixels = run.plan.info.height * run.plan.info.width
        yield Point(
            lr_pixels=pixels,
            out_pixels=math.prod(summary.out_size),
            frames=summary.frames,
            cpu_s=time.process_time() - started,
        )


def _fit(columns: Sequence[Sequence[float]], values: Sequence[float]) -> list[float]:
    """Least-squares factors of the columns; errors are relative to each value."""
    weights = 1 / np.array(values)
    factors, *_ = np.linalg.lstsq(np.array(columns) * weights[:, None], np.ones(len(values)))
    return [float(factor) for factor in factors]
