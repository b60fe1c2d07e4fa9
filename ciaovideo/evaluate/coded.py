"""Realistic videos: reduced, coded at known qualities, and enlarged again."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from ciaovideo.color import ColorSpec, Matrix, PixelLayout, Range, Siting, from_rgb, to_rgb
from ciaovideo.data.images import list_pictures, read_picture
from ciaovideo.data.pairs import crop_size, lr_size
from ciaovideo.errors import OptionError
from ciaovideo.evaluate.clips import frame_scores, mean_score, reduced, true_frames
from ciaovideo.evaluate.protocol import FrameScore, OnSample, Score, Upscale, naming
from ciaovideo.media.write.recompress import KINDS, recompress

FRAMES = 8  # of a clip, by default
PAN = (3, 2)  # HR px per frame by which a still is panned: right, down
LAYOUT = PixelLayout.of("yuv420p")
COLOR = ColorSpec(matrix=Matrix.SMPTE170M, color_range=Range.LIMITED, siting=Siting.LEFT)
NAMES = {"h264": "x264", "h265": "x265", "vp9": "VP9", "mpeg2": "MPEG-2", "mpeg4": "MPEG-4"}
QUANTISED = frozenset({"mpeg2", "mpeg4"})  # codecs whose quality is the quantiser itself


@dataclass(frozen=True, slots=True, order=True)
class Coding:
    """A clip's codec and quality: ``kind`` is one of ``recompress.KINDS``, "" for uncoded."""

    kind: str = ""
    quality: int = 0

    @property
    def axis(self) -> str:
        """The unit of its quality."""
        if not self.kind:
            return "clean"
        return f"{NAMES[self.kind]} {'q' if self.kind in QUANTISED else 'crf'}"

    def __str__(self) -> str:
        return f"{self.axis} {self.quality}" if self.kind else self.axis

    @classmethod
    def of(cls, text: str) -> "Coding":
        """``clean``, or a codec and its quality, such as ``h264:23``; raises OptionError."""
        kind, _, quality = text.partition(":")
        if text == "clean":
            return cls()
        if kind not in NAMES:
            raise OptionError(
                f"{text!r}: unknown codec {kind!r}", f"use clean, or one of {', '.join(NAMES)}"
            )
        qualities = KINDS[kind][2]
        if not quality.isdecimal() or int(quality) not in qualities:
            raise OptionError(
                f"{text!r}: {kind} does not have this quality",
                f"write {kind}: and {qualities[0]} to {qualities[-1]}",
            )
        return cls(kind, int(quality))


CODINGS = (
    Coding(),
    *(Coding("h264", crf) for crf in (18, 23, 28, 33)),
    *(Coding("h265", crf) for crf in (23, 28)),
    *(Coding("mpeg2", quantiser) for quantiser in (4, 8)),
)


def coded_clip(
    upscale: Upscale,
    path: Path,
    scale: float,
    coding: Coding,
    *,
    frames: int | None = None,
    ssim: bool = False,
    on_sample: OnSample = lambda _: None,
) -> Score:
    """A video of true frames, or a folder of pictures that are panned, after ``coding``.

    Each frame of at most ``frames`` (8) is cropped so that LR has whole, even sides, and reduced by
    anti-aliased bicubic. LR is BT.601, limited range, 4:2:0 (chroma sited left), coded as one clip
    with the encoder's default settings; ``clean`` skips the coding and 4:2:0. Measured on Y without
    the border (PSNR, SSIM, temporal error); the shift of colour is the largest difference of a
    frame's mean R', G' or B' from that of its LR, in 8-bit steps. Encoders shift colours as well,
    so the difference from HR's is measured separately.
    """
    count = frames or FRAMES
    coded = _coded(path, count, scale, coding)
    scores: list[FrameScore] = []
    with naming(path.name):
        for lr, hr in zip(coded, _clips(path, count, scale), strict=True):
            pairs = zip(lr.split(1), hr.split(1), strict=True)
            border = math.ceil(scale)
            scores += frame_scores(upscale, pairs, border, ssim=ssim, on_sample=on_sample)
    return mean_score(scores)


def count_frames(path: Path, frames: int | None) -> int:
    """The largest number of frames that are measured."""
    count = frames or FRAMES
    return count if path.is_file() else count * len(list_pictures(path))


def _clips(path: Path, frames: int, scale: float) -> Iterator[Tensor]:
    """True frames (T, 3, H, W) in [0, 1] of each clip, with sides that fit the scale."""
    if path.is_file():
        whole = torch.cat(list(islice(true_frames(path, frames), frames)))
        height, width = crop_size((whole.shape[-2], whole.shape[-1]), scale, even=True)
        yield whole[..., :height, :width]
        return
    for file in list_pictures(path):
        with naming(file.name):
            yield _panned(read_picture(file).float() / 255, frames, scale)


def _panned(picture: Tensor, frames: int, scale: float) -> Tensor:
    """A still (1, 3, H, W) seen through a window that moves by whole pixels."""
    room = [step * (frames - 1) for step in PAN]
    left = (picture.shape[-2] - room[1], picture.shape[-1] - room[0])
    height, width = crop_size(left, scale, even=True)
    views = [
        picture[..., time * PAN[1] :, time * PAN[0] :][..., :height, :width]
        for time in range(frames)
    ]
    return torch.cat(views)


@lru_cache(maxsize=1)
def _coded(path: Path, frames: int, scale: float, coding: Coding) -> list[Tensor]:
    """LR of each clip (T, 3, h, w) as a decoder gives it, in R'G'B'.

    Kept for the next method: all should see the same LR, and encoders may be non-deterministic.
    """
    made = []
    for clip in _clips(path, frames, scale):
        small = reduced(clip, lr_size((clip.shape[-2], clip.shape[-1]), scale))
        if coding.kind:
            planes = [plane.contiguous() for plane in from_rgb(small, LAYOUT, COLOR)]
            codes = recompress(planes, coding.kind, coding.quality, as_shared=True)
            small = to_rgb(codes, LAYOUT, COLOR).clamp(0, 1)
        made.append(small)
    return made
