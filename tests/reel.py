"""Numbered pictures for tests: counters painted into R'G'B', written as DPX, TIFF or PNG."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray

from ciaovideo.media.sequence.dpx import DpxHead, later, whole_file
from tests.media import paint_counter

CODERS = {
    "dpx": ("dpx", "gbrp10le", 10),
    "png": ("png", "rgb48be", 16),
    "tif": ("tiff", "rgb48le", 16),
}
HEAD = DpxHead(transfer=3, timecode="01:02:03:22", reel="A001_C002", rate=Fraction(24))


def samples(number: int, bits: int, size: tuple[int, int] = (48, 64)) -> NDArray[np.uint16]:
    """The picture of a number as codes (3, height, width): R, G, B."""
    height, width = size
    rng = np.random.default_rng(number)
    rgb = np.kron(rng.random((3, height // 8, width // 8)), np.ones((8, 8))) * 0.6
    picture = np.array(rgb.transpose(1, 2, 0), dtype=np.float64)
    paint_counter(picture, number)
    codes: NDArray[np.uint16] = np.round(picture.transpose(2, 0, 1) * ((1 << bits) - 1)).astype(
        np.uint16
    )
    return codes


def make_reel(
    folder: Path,
    kind: str = "dpx",
    *,
    count: int = 6,
    first: int = 1001,
    head: DpxHead = HEAD,
    name: str = "shot.%06d",
    size: tuple[int, int] = (48, 64),
) -> Path:
    """A sequence of so many pictures in a new folder; its name with a place for the number."""
    folder.mkdir(parents=True, exist_ok=True)
    codec, pix_fmt, bits = CODERS[kind]
    context = cast(VideoCodecContext, av.CodecContext.create(codec, "w"))
    (context.height, context.width), context.pix_fmt = size, pix_fmt
    context.time_base = Fraction(1, 24)
    for number in range(count):
        picture = picture_of(samples(number, bits, size), pix_fmt)
        picture.pts = number
        (packet, *_) = [*context.encode(picture)] or [*context.encode(None)]
        file = folder / f"{name % (first + number)}.{kind}"
        data = bytes(packet)
        if kind == "dpx":
            data = whole_file(data, later(replace(head), number), file.name)
        file.write_bytes(data)
    return folder / f"{name}.{kind}"


def picture_of(codes: NDArray[np.uint16], pix_fmt: str) -> av.VideoFrame:
    """R, G, B codes as a picture."""
    height, width = codes.shape[1:]
    if pix_fmt == "gbrp10le":
        picture = av.VideoFrame(width, height, pix_fmt)
        for plane, channel in zip(picture.planes, codes[[1, 2, 0]], strict=True):
            rows = np.zeros((height, plane.line_size // 2), "<u2")
            rows[:, :width] = channel
            plane.update(rows.tobytes())
        return picture
    packed: Any = np.ascontiguousarray(codes.transpose(1, 2, 0))
    return av.VideoFrame.from_ndarray(packed, format="rgb48le").reformat(format=pix_fmt)
