"""What consistent pictures cost, and what they change.

    python tests/bench/consistency.py PATH... [--scales 2,3,4] [--codings h264:23] [--frames 4]

Each path is a folder of HR pictures or an HR video. A line for each model (``ciaosr-fast:0.5`` is
one at that strength of restoring), with and without: PSNR on Y, temporal error of videos, how far
the output in 8 bits, reduced again, is from its LR (mean, and the 99.9th percentile, in codes), and
the seconds of one core that a million output pixels take. ``--codings`` has LR coded first, as
``ciaovideo evaluate --protocol video`` does.
"""

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ciaovideo.data.sampling import bicubic_matrix
from ciaovideo.engine.engine import Engine
from ciaovideo.engine.model_choice import load_network
from ciaovideo.evaluate.clips import clip
from ciaovideo.evaluate.coded import Coding, coded_clip
from ciaovideo.evaluate.protocol import Sample, Score, Upscale, benchmark
from ciaovideo.options import EngineOptions, ModelOptions


@dataclass(slots=True)
class Tally:
    """What was seen of one method: differences in codes by picture, seconds and pixels."""

    mean: list[float] = field(default_factory=list)
    most: list[float] = field(default_factory=list)
    seconds: float = 0.0
    pixels: int = 0

    def see(self, sample: Sample) -> None:
        """Reduce what an 8-bit file would hold, and compare it with LR."""
        held = (sample.sr.clamp(0, 1) * 255).round()
        sides = zip(held.shape[-2:], sample.lr.shape[-2:], strict=True)
        down, across = (bicubic_matrix(*pair) for pair in sides)
        off = (down @ held @ across.T - sample.lr * 255).abs().flatten()
        self.mean.append(float(off.mean()))
        self.most.append(float(off.kthvalue(int(0.999 * (len(off) - 1)) + 1).values))

    def timed(self, engine: Engine) -> Upscale:
        """The engine, whose time on its thread is counted."""

        def upscale(lr: Tensor, out_size: tuple[int, int]) -> Tensor:
            started = time.thread_time()
            made = engine(lr, out_size)
            self.seconds += time.thread_time() - started
            self.pixels += out_size[0] * out_size[1]
            return made

        return upscale


def score(
    path: Path, scale: float, coding: str, frames: int, engine: Engine, tally: Tally
) -> Score:
    """Measure one engine on one path."""
    upscale = tally.timed(engine)
    if coding:
        known = Coding.of(coding)
        return coded_clip(upscale, path, scale, known, frames=frames, on_sample=tally.see)
    if path.is_file():
        return clip(upscale, path, scale, frames=frames, on_sample=tally.see)
    return benchmark(upscale, path, scale, on_sample=tally.see)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--scales", default="2,3,4")
    parser.add_argument("--codings", default="")
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--models", default="ciaosr-fast:0")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    names = "set, coding, scale, model, consistent, PSNR, temporal, off: mean, 99.9 %, s/Mpx"
    print(f"| {names.replace(',', ' |')} |")
    print("|---" * (names.count(",") + 1) + "|")
    for path in arguments.paths:
        for coding in arguments.codings.split(","):
            for scale in map(float, arguments.scales.split(",")):
                for model in arguments.models.split(","):
                    report(path, coding, scale, model, arguments.frames)


def report(path: Path, coding: str, scale: float, model: str, frames: int) -> None:
    """Two lines of the table."""
    name, _, strength = model.partition(":")
    _, network = load_network(ModelOptions(model=name, restore=float(strength or 0)), "cpu")
    for consistent in (False, True):
        engine, tally = Engine(network, EngineOptions(device="cpu", consistent=consistent)), Tally()
        found = score(path, scale, coding, frames, engine, tally)
        temporal = "" if found.temporal is None else f"{found.temporal:.2f}"
        means = (sum(values) / len(values) for values in (tally.mean, tally.most))
        off = " | ".join(f"{value:.2f}" for value in means)
        print(
            f"| {path.stem} | {coding or 'clean'} | {scale:g} | {model} |"
            f" {'yes' if consistent else 'no'} | {found.psnr:.2f} | {temporal} | {off} |"
            f" {tally.seconds / tally.pixels * 1e6:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    with torch.inference_mode():
        main()
