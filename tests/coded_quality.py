"""How near a coded clip is to what went into the encoder."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch

from ciaovideo.color import PixelLayout
from ciaovideo.media.codecs.choice import choose_codec
from ciaovideo.media.frame import Frame, VideoInfo
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.write.writer import VideoTarget, VideoWriter
from ciaovideo.metrics.psnr import psnr
from ciaovideo.metrics.ssim import ssim
from ciaovideo.options import EncodeOptions
from tests.places import container_of

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
