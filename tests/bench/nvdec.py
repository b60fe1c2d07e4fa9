"""Decoding by the GPU's own decoder beside decoding in software: the same pictures, and how fast.

``python -m tests.bench.nvdec CLIP...`` says for each clip whether a GPU decodes it, through PyAV's
``HWAccel``, to the same samples as software does, and how many frames a second each comes to, all
samples copied into tensors as in a run. Where there is no device, or the device does not decode a
codec, it says so. The project decodes in software until these figures speak for the GPU.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import av
import torch
from av.codec.hwaccel import HWAccel, hwdevices_available
from torch import Tensor

from ciaovideo.color import PixelLayout
from ciaovideo.media.layouts import copy_planes, planar_layout

DEVICE = "cuda"


def pictures(clip: Path, frames: int, *, hardware: bool) -> Iterator[tuple[Tensor, ...]]:
    """The planes of the first frames of a clip, as a run copies them."""
    way = HWAccel(DEVICE, allow_software_fallback=False) if hardware else None
    with av.open(clip, hwaccel=way) as container:
        stream = container.streams.video[0]
        if hardware and not stream.codec_context.is_hwaccel:  # another video in the file may be
            raise ValueError(f"it does not decode {stream.codec_context.name}")
        stream.thread_type = "AUTO"
        for picture in islice(container.decode(stream), frames):
            yield copy_planes(picture, PixelLayout.of(planar_layout(picture)), fresh)


def fresh(shapes: Sequence[tuple[int, int]], kind: torch.dtype) -> tuple[Tensor, ...]:
    """Tensors to copy a picture into."""
    return tuple(torch.empty(shape, dtype=kind) for shape in shapes)


def rate(clip: Path, frames: int, *, hardware: bool) -> float:
    """Frames a second, opening the file not counted, and the first frame neither."""
    each = pictures(clip, frames, hardware=hardware)
    next(each, None)
    began = time.perf_counter()
    count = sum(1 for _ in each)
    return count / (time.perf_counter() - began)


def compare(clip: Path, frames: int) -> str:
    """One line about a clip."""
    if DEVICE not in hwdevices_available():
        return f"no: this PyAV was built without {DEVICE}"
    try:
        count = 0
        ways = (pictures(clip, frames, hardware=hardware) for hardware in (True, False))
        for count, (hard, soft) in enumerate(zip(*ways, strict=True), start=1):
            if len(soft) != len(hard) or not all(map(torch.equal, soft, hard)):
                return f"no: frame {count - 1} differs from software's"
        hard_rate, soft_rate = (rate(clip, frames, hardware=way) for way in (True, False))
    except (av.FFmpegError, RuntimeError, ValueError) as problem:
        return f"no, by {DEVICE}: {problem}"
    return f"the same {count} frames; {hard_rate:.0f} a second, {soft_rate:.0f} in software"


def main() -> None:
    """A line for each clip."""
    parser = argparse.ArgumentParser()
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--frames", type=int, default=200)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("there is no GPU here")
    if missing := [str(clip) for clip in arguments.clips if not clip.is_file()]:
        parser.error(f"no such file: {', '.join(missing)}")
    for clip in arguments.clips:
        print(f"{clip.name}: {compare(clip, arguments.frames)}")


if __name__ == "__main__":
    main()
