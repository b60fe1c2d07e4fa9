"""Which values of the encoders' own quality scales look alike: the table in ``media/codec_table``.

``python tests/bench/quality.py CLIP...`` codes each clip (4:2:0, without loss: what an encoder gets
here is an enlarged picture, so make them with ``ciaovideo IN CLIP.mkv --codec ffv1``) at many
values with the encoders' default presets, and measures luma against what went in: the mean SSIM of
the frames as decibels, -10 log10(1 - SSIM), and their mean PSNR. For each crf of libx264 the table
gives the value of another encoder with the same SSIM: the median over the clips, the least and the
greatest, and the median by PSNR instead. Standard error gets a line for each coded clip.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, median
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from ciaovideo.color import PixelLayout
from ciaovideo.media.codecs.choice import choose_codec
from ciaovideo.media.frame import Frame, VideoInfo
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.write.writer import VideoTarget, VideoWriter
from ciaovideo.metrics.psnr import psnr
from ciaovideo.metrics.ssim import ssim
from ciaovideo.options import EncodeOptions
from tests.places import container_of

REFERENCE = "libx264"
VALUES = {  # tried of each encoder
    REFERENCE: range(10, 35, 4),
    "libx265": range(6, 43, 6),
    "libsvtav1": (1, 3, 5, *range(7, 64, 8)),
}
LOOK_AT = 3  # every third frame is compared: of all kinds, for encoders repeat theirs by twos


class Quality(NamedTuple):
    """How near a coded clip is to the clip, in dB, and its size in bytes."""

    ssim: float
    psnr: float
    size: int


def read(path: Path) -> tuple[VideoInfo, list[Frame]]:
    """A clip as a whole."""
    with VideoReader(path) as reader:
        return reader.info, list(reader.frames())


def coded(info: VideoInfo, frames: Sequence[Frame], codec: str, value: float) -> Quality:
    """A clip coded at a value of the encoder's own scale, with its default preset."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "coded.mkv"
        options = EncodeOptions(codec=codec, codec_option=(f"crf={value}",))
        size = info.height, info.width
        choice = choose_codec(options, container_of(path), info.pix_fmt, *size, color=info.color)
        with VideoWriter(path, VideoTarget.of(info, choice, size)) as writer:
            for frame in frames:
                writer.write(frame)
        pairs = list(zip(read(path)[1], frames, strict=True))[1::LOOK_AT]
        return Quality(
            ssim=-10 * np.log10(1 - fmean(compared(ssim, pairs, info))),
            psnr=fmean(compared(psnr, pairs, info)),
            size=path.stat().st_size,
        )


def compared(metric: object, pairs: list[tuple[Frame, Frame]], info: VideoInfo) -> Iterator[float]:
    """A metric of the luma of each pair of frames, taken for a gray picture."""
    peak = PixelLayout.of(info.pix_fmt).peak
    for pair in pairs:
        grays = [(f.planes[0].to(torch.float64) / peak).expand(1, 3, -1, -1) for f in pair]
        yield float(metric(*grays, border=0))  # type: ignore[operator]


def same(quality: Sequence[float], values: Sequence[float], wanted: float) -> float | None:
    """The value at which quality, falling from its best, is the wanted one; None where it never is.

    libsvtav1's is not best at its least value: 10 bits get worse below 7.
    """
    best = quality.index(max(quality))
    quality, values = quality[best:], values[best:]
    if not quality[-1] <= wanted <= quality[0]:
        return None
    return float(np.interp(wanted, quality[::-1], values[::-1]))


def table(found: dict[str, dict[str, list[Quality]]]) -> Iterator[str]:
    """The rows, of a result for each clip, encoder and value in ``VALUES``."""
    for codec in VALUES:
        if codec == REFERENCE:
            continue
        yield f"{codec:>10}   by SSIM (least to greatest)   by PSNR   clips"
        for place, crf in enumerate(VALUES[REFERENCE]):
            by: tuple[list[float], list[float]] = ([], [])
            for clip in found.values():
                for index, alike in enumerate(by):
                    falling = [quality[index] for quality in clip[codec]]
                    value = same(falling, list(VALUES[codec]), clip[REFERENCE][place][index])
                    alike += [] if value is None else [value]
            if by[0] and by[1]:
                yield (
                    f"{crf:>10}   {median(by[0]):7.2f} ({min(by[0]):5.2f} to {max(by[0]):5.2f})"
                    f"           {median(by[1]):7.2f}   {len(by[0]):5}"
                )


def main() -> None:
    """Measure, then print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("clips", type=Path, nargs="+")
    found: dict[str, dict[str, list[Quality]]] = {}
    for path in parser.parse_args().clips:
        info, frames = read(path)
        found[path.name] = {}
        for codec, values in VALUES.items():
            results = found[path.name][codec] = []
            for value in values:
                results.append(coded(info, frames, codec, value))
                words = " ".join(f"{number:.3f}" for number in results[-1])
                print(path.stem, codec, value, words, file=sys.stderr, flush=True)
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
