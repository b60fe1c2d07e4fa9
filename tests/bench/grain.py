"""The grain of videos, by luma and octave, and what adding grain costs.

    python tests/bench/grain.py SOURCE [OUTPUT...] [--frames 24]
    python tests/bench/grain.py --cost

A line for the source and for each output, which is reduced to the source's size first: standard
deviations in steps of 8 bits, in all, of details of 2, 4 and 8 px, and by band of luma where pairs
of frames tell it. ``--cost`` prints the seconds of one core that a frame takes at some sizes.
"""

import argparse
import time
from fractions import Fraction
from pathlib import Path

import torch

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
from ciaovideo.grain.octaves import OCTAVES, variance
from ciaovideo.media.read.reader import VideoReader

SIZES = (((576, 720), (1152, 1440)), ((540, 960), (1080, 1920)), ((1080, 1920), (2160, 3840)))
TARGET = (1.5, 8.0, 20.0)  # energies by octave: film grain of two pixels
TIMES = 5


def curve_of(path: Path, count: int, size: tuple[int, int] | None) -> tuple[GrainCurve, int, int]:
    """The grain of a file's first frames, reduced to a size if one is given, and its own size."""
    with VideoReader(path) as reader:
        info = reader.info
        layout = PixelLayout.of(info.pix_fmt)
        color = info.color.resolved(info.height, info.width, layout, info.codec)[0]
        sample, before = GrainSample(code_step(layout, color)), None
        for frame in reader.frames(count):
            luma = luma_steps(frame.planes, layout, frame.color or color)
            luma = luma if size is None else reduced(luma, size)
            if before is not None:
                sample.add(before, luma)
            before = luma
        return sample.curve(), info.height, info.width


def line(path: Path, curve: GrainCurve) -> str:
    """What was measured of one file."""
    octaves = " ".join(f"{float(one):.2f}" for one in curve.mean.sqrt())
    bands = zip(variance(curve.energies).sqrt().tolist(), curve.weight.tolist(), strict=True)
    told = " ".join(f"{sigma:.2f}" if weight else "-" for sigma, weight in bands)
    return f"{path.name}: {curve.sigma:.2f}, of 2, 4, 8 px {octaves}, from dark to bright {told}"


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


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", nargs="?", type=Path)
    parser.add_argument("outputs", nargs="*", type=Path)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--cost", action="store_true")
    arguments = parser.parse_args()
    if arguments.cost:
        cost()
    if arguments.source is None:
        return
    curve, height, width = curve_of(arguments.source, arguments.frames, None)
    print(line(arguments.source, curve))
    for output in arguments.outputs:
        print(line(output, curve_of(output, arguments.frames, (height, width))[0]))


if __name__ == "__main__":
    main()
