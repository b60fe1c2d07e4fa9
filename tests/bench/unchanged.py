"""What it saves, and costs, not to compute again what equals the frame before.

``python tests/bench/unchanged.py [--size 640x360] [--frames 12] [--pairs 5]`` makes four clips and
runs each with and without the search, in turn; the table gives the median of the paired ratios of
CPU seconds. Without the search, every frame is computed whole.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import av
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

import ciaovideo
from ciaovideo.options import UpscaleOptions
from ciaovideo.pipeline.frames.changes import ChangeFinder
from ciaovideo.tiling import Rect
from tests.street import scene

type Picture = NDArray[np.uint8]


def clips(height: int, width: int) -> dict[str, Callable[[int], Picture]]:
    """A picture (height, width, 3) for each number of a frame, by the name of the clip."""

    def moving(number: int) -> Picture:
        return (np.clip(scene(height, width, number), 0, 1) * 255).astype(np.uint8)

    def letterboxed(number: int) -> Picture:
        picture = moving(number)
        bar = (height - round(width / 2.39)) // 2
        picture[:bar] = picture[height - bar :] = 16
        return picture

    def titles(number: int) -> Picture:
        picture = moving(0)
        side = height // 12
        left = width // 3 + 2 * number
        picture[side : 2 * side, left : left + 2 * side] = 235
        return picture

    return {
        "moving": moving,
        "letterboxed": letterboxed,
        "small thing moves": titles,
        "static": lambda _: moving(0),
    }


def write(path: Path, picture: Callable[[int], Picture], frames: int) -> None:
    """A clip without loss, so that what is still is still."""
    height, width, _ = picture(0).shape
    with av.open(path, "w") as container:
        video = container.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture(number), "rgb24")))
        container.mux(video.encode(None))


def cpu_seconds(source: Path, output: Path, scale: float) -> tuple[float, float]:
    """CPU seconds of one run, and the share that was taken from the frame before."""
    started = time.process_time()
    summary = ciaovideo.upscale(source, output, scale=scale, options=UpscaleOptions(overwrite=True))
    return time.process_time() - started, summary.reused


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--scale", type=float, default=2)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--pairs", type=int, default=5)
    given = parser.parse_args()
    width, height = map(int, given.size.split("x"))
    print(f"{given.size}, x{given.scale:g}, {given.frames} frames, {given.pairs} pairs of runs\n")
    print("| clip | taken over | CPU s without | with | ratio (median of pairs) |")
    print("|---|---|---|---|---|")
    with TemporaryDirectory() as folder:
        source, output = Path(folder) / "in.mkv", Path(folder) / "out.mkv"
        for name, picture in clips(height, width).items():
            write(source, picture, given.frames)
            cpu_seconds(source, output, given.scale)  # warm
            plain, searched, ratios, share = [], [], [], 0.0
            for _ in range(given.pairs):
                with patch.object(
                    ChangeFinder, "parts", lambda self, *_: (Rect(0, 0, *self.out_size),)
                ):
                    plain.append(cpu_seconds(source, output, given.scale)[0])
                seconds, share = cpu_seconds(source, output, given.scale)
                searched.append(seconds)
                ratios.append(seconds / plain[-1])
            print(
                f"| {name} | {share:.0%} | {statistics.median(plain):.2f}"
                f" | {statistics.median(searched):.2f} | {statistics.median(ratios):.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
