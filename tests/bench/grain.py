"""The grain of videos, by luma and octave, and what adding grain costs.

    python tests/bench/grain.py SOURCE [OUTPUT...] [--frames 24] [--still]
    python tests/bench/grain.py --cost

A line for the source and for each output, which is reduced to the source's size first: standard
deviations in steps of 8 bits, in all, of details of 2, 4 and 8 px, and by band of luma where pairs
of frames tell it. Of a picture that does not move (``--still``), all that differs between frames
is grain: the mean over all blocks is printed, too. ``--cost`` prints the seconds of one core that a
frame takes at some sizes, and that a pair of frames takes to be measured.
"""

import argparse
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from ciaovideo.color import ColorSpec, Matrix, PixelLayout, Range, Siting
from ciaovideo.grain.adding import Grain
from ciaovideo.grain.measure import (
    BANDS,
    GrainCurve,
    GrainSample,
    code_step,
    luma_steps,
)
from ciaovideo.grain.noise import reduced
from ciaovideo.grain.octaves import OCTAVES, block_energies, variance
from ciaovideo.media.read.reader import VideoReader

SIZES = (((576, 720), (1152, 1440)), ((540, 960), (1080, 1920)), ((1080, 1920), (2160, 3840)))
TARGET = (1.5, 8.0, 20.0)  # energies by octave: film grain of two pixels
TIMES = 5


@dataclass(frozen=True, slots=True)
class Found:
    """The grain of a file, its mean energies over all blocks, and the size of its pictures."""

    curve: GrainCurve
    mean: Tensor
    size: tuple[int, int]


def grain_of(path: Path, count: int, size: tuple[int, int] | None) -> Found:
    """The grain of a file's first frames, reduced to a size if one is given."""
    with VideoReader(path) as reader:
        info = reader.info
        layout = PixelLayout.of(info.pix_fmt)
        color = info.color.resolved(info.height, info.width, layout, info.codec)[0]
        sample, before = GrainSample(code_step(layout, color)), None
        energies = []
        for frame in reader.frames(count):
            luma = luma_steps(frame.planes, layout, frame.color or color)
            luma = luma if size is None else reduced(luma, size)
            if before is not None:
                sample.add(before, luma)
                energies.append(block_energies((luma - before) / 2**0.5))
            before = luma
        return Found(sample.curve(), torch.cat(energies).mean(dim=0), (info.height, info.width))


def line(path: Path, found: Found, *, still: bool) -> str:
    """What was measured of one file."""
    curve = found.curve
    octaves = " ".join(f"{float(one):.2f}" for one in curve.mean.sqrt())
    bands = zip(variance(curve.energies).sqrt().tolist(), curve.weight.tolist(), strict=True)
    told = " ".join(f"{sigma:.2f}" if weight else "-" for sigma, weight in bands)
    text = f"{path.name}: {curve.sigma:.2f}, of 2, 4, 8 px {octaves}, from dark to bright {told}"
    if still:
        octaves = " ".join(f"{float(one):.2f}" for one in found.mean.sqrt())
        text += f"; all blocks {float(variance(found.mean)) ** 0.5:.2f}, of 2, 4, 8 px {octaves}"
    return text


def cost() -> None:
    """Print the seconds of one core for a frame, the least of a few."""
    torch.set_num_threads(1)
    color = ColorSpec(Matrix.BT709, Range.LIMITED, siting=Siting.LEFT)
    layout = PixelLayout.of("yuv420p")
    curve = GrainCurve(torch.tensor([TARGET] * BANDS), torch.ones(BANDS))
    assert len(TARGET) == OCTAVES
    for lr_size, out_size in SIZES:
        grain = Grain.of(curve, lr_size, out_size, layout, color)
        assert grain is not None
        shapes = layout.plane_shapes(*out_size)
        planes = tuple(torch.full(shape, 120, dtype=torch.uint8) for shape in shapes)
        seconds = []
        for number in range(TIMES):
            started = time.process_time()
            grain.added(planes, Fraction(number, 24))
            seconds.append(time.process_time() - started)
        print(f"{out_size[1]}x{out_size[0]}: {min(seconds):.3f} s")
        frames = [torch.rand(out_size) * 20 + 100 for _ in range(2)]
        started = time.process_time()
        GrainSample(1.0).add(*frames)
        print(f"  measured: {time.process_time() - started:.3f} s for a pair")


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", nargs="?", type=Path)
    parser.add_argument("outputs", nargs="*", type=Path)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--still", action="store_true")
    parser.add_argument("--cost", action="store_true")
    arguments = parser.parse_args()
    if arguments.cost:
        cost()
    if arguments.source is None:
        return
    source = grain_of(arguments.source, arguments.frames, None)
    print(line(arguments.source, source, still=arguments.still))
    for output in arguments.outputs:
        found = grain_of(output, arguments.frames, source.size)
        print(line(output, found, still=arguments.still))


if __name__ == "__main__":
    main()
