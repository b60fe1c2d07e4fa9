"""What the VapourSynth filter costs beside the network: vspipe to null, and the network alone.

``python tests/bench/vspipe.py [--size 320x180] [--scale 2.5] [--frames 24] [--pairs 5]``

The first table runs both in turn on one clip, a frame a core each, and gives medians; start-up is
taken out by running vspipe on two numbers of frames and dividing the difference. The second table
is the detour alone: the network is replaced by a picture that is there already, so that what is
left is planes to R'G'B' and back, copies, and the host. CPU time counts all threads.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from ciaovideo import Upscaler
from tests.media import make_clip

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(sysconfig.get_path("scripts"))
FIRST = 4  # frames of the shorter run

CLIP = """
import vapoursynth as vs
from vsciaovideo import upscale
clip = vs.core.bs.VideoSource(source, cachemode=0)
upscale(clip, float(scale), device="cpu").set_output()
"""
DETOUR = """
from functools import cache
import torch
import vapoursynth as vs
from ciaovideo.engine.engine import Engine
from vsciaovideo import upscale
there = cache(lambda size: torch.rand(1, 3, *size))
Engine.__call__ = lambda self, lr, out_size: there(out_size)
clip = vs.core.std.BlankClip(
    format=getattr(vs, name), width=int(width), height=int(height), length=10000, keep=True
)
matrix = 0 if clip.format.color_family == vs.RGB else 1
upscale(clip.std.SetFrameProps(_Matrix=matrix), float(scale), device="cpu").set_output()
"""
DETOUR_RUNS = 3
DETOURS = (  # input width and height, scale
    (1920, 1080, 1),
    (1920, 1080, 2),
    (3840, 2160, 1),
)

type Cost = tuple[float, float]
"""Wall and CPU seconds a frame."""


def clock() -> Cost:
    """Now: wall and CPU seconds of this process and of the children it waited for."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(kind) for kind in kinds]
    return time.perf_counter(), sum(each.ru_utime + each.ru_stime for each in used)


def since(begun: Cost, frames: int) -> Cost:
    """What a frame took on average."""
    wall, cpu = clock()
    return (wall - begun[0]) / frames, (cpu - begun[1]) / frames


def network(upscaler: Upscaler, lr: torch.Tensor, frames: int) -> Cost:
    """The network alone, on as many frames at once as there are cores."""
    begun = clock()
    for future in [upscaler.submit(lr) for _ in range(frames)]:
        future.result()
    return since(begun, frames)


def vspipe(script: str, folder: Path, frames: int, **arguments: object) -> Cost:
    """The script's frames to null, without what starting takes."""
    path = folder / "script.vpy"
    path.write_text(script, encoding="utf-8")
    words = [word for name, value in arguments.items() for word in ("-a", f"{name}={value}")]
    totals = []
    for count in (FIRST, FIRST + frames):
        begun = clock()
        subprocess.run(
            [PROGRAMS / "vspipe", *words, "-e", str(count - 1), path, "--"],
            check=True,
            capture_output=True,
            env={
                **os.environ,
                "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins' / 'vapoursynth'}",
                "XDG_CONFIG_HOME": str(folder),
            },
        )
        totals.append(since(begun, frames))
    return totals[1][0] - totals[0][0], totals[1][1] - totals[0][1]


def whole(folder: Path, size: tuple[int, int], given: argparse.Namespace) -> None:
    """Print the first table: network alone and vspipe, in turn."""
    source = folder / "clip.mkv"
    seconds = (FIRST + given.frames) / 24
    make_clip(source, width=size[0], height=size[1], seconds=seconds)
    upscaler = Upscaler(scale=given.scale, device="cpu", workers=None)
    lr = torch.rand(1, 3, size[1], size[0])
    network(upscaler, lr, FIRST)  # warm
    pairs = [
        (
            network(upscaler, lr, given.frames),
            vspipe(CLIP, folder, given.frames, source=source, scale=given.scale),
        )
        for _ in range(given.pairs)
    ]
    print(f"{given.size}, x{given.scale:g}, {given.frames} frames, {given.pairs} pairs of runs,")
    print(f"{upscaler.model} in {upscaler.engine.precision}, {upscaler.workers} at once\n")
    print("| ms a frame | network only | vspipe to null | network / vspipe (median of pairs) |")
    print("|---|---|---|---|")
    for kind, name in enumerate(("wall", "CPU")):
        alone, hosted = ([1000 * run[which][kind] for run in pairs] for which in (0, 1))
        ratios = [one / other for one, other in zip(alone, hosted, strict=True)]
        print(
            f"| {name} | {statistics.median(alone):.1f} | {statistics.median(hosted):.1f}"
            f" | {statistics.median(ratios):.0%} |",
            flush=True,
        )


def detour(folder: Path, given: argparse.Namespace) -> None:
    """Print the second table: the way through the filter without the network."""
    print("\n| detour, CPU ms a frame | YUV420P8 | YUV420P16 | RGBS |")
    print("|---|---|---|---|")
    for width, height, scale in DETOURS:
        cells = []
        for name in ("YUV420P8", "YUV420P16", "RGBS"):
            about = {"name": name, "width": width, "height": height, "scale": scale}
            runs = [vspipe(DETOUR, folder, given.frames, **about) for _ in range(DETOUR_RUNS)]
            cells.append(f"{1000 * statistics.median(cpu for _, cpu in runs):.1f}")
        made = f"{width * scale}x{height * scale}"
        print(f"| {width}x{height} to {made} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="320x180")
    parser.add_argument("--scale", type=float, default=2.5)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--pairs", type=int, default=5)
    given = parser.parse_args()
    width, height = map(int, given.size.split("x"))
    with TemporaryDirectory() as folder:
        whole(Path(folder), (width, height), given)
        detour(Path(folder), given)


if __name__ == "__main__":
    main()
