"""Videos with a known truth: quality of each frame, and of changes between frames."""

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ciaovideo.color import PixelLayout, to_rgb
from ciaovideo.data.pairs import crop_size, lr_size
from ciaovideo.data.sampling import bicubic_matrix
from ciaovideo.evaluate.protocol import FrameScore, OnSample, Sample, Score, Upscale, naming
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.metrics import METRICS
from ciaovideo.metrics.temporal import temporal_error


def clip(
    upscale: Upscale,
    path: Path,
    scale: float,
    *,
    frames: int | None = None,
    ssim: bool = False,
    on_sample: OnSample = lambda _: None,
) -> Score:
    """A video of true frames, such as those of Vid4: PSNR, SSIM and temporal error on Y.

    Each frame is measured as ``benchmark`` measures a picture, border and cropping included; LR is
    anti-aliased bicubic of the decoded R'G'B', rounded to 8 bit (``reduced``). ``frames`` limits
    their number. Published tables on Vid4 differ in borders and skipped frames, so none is
    comparable.
    """
    with naming(path.name):
        pairs = _pairs(path, scale, frames)
        return mean_score(
            list(frame_scores(upscale, pairs, math.ceil(scale), ssim=ssim, on_sample=on_sample))
        )


def frame_scores(
    upscale: Upscale,
    pairs: Iterable[tuple[Tensor, Tensor]],
    border: int,
    *,
    ssim: bool,
    on_sample: OnSample,
) -> Iterator[FrameScore]:
    """The measures of each frame of a clip; ``pairs`` are LR (1, 3, h, w) and HR (1, 3, H, W)."""
    before: tuple[Tensor, Tensor] | None = None
    for number, (lr, hr) in enumerate(pairs):
        sr = upscale(lr, (hr.shape[-2], hr.shape[-1])).cpu()
        change = None
        if before is not None:
            two = (torch.cat(each) for each in zip(before, (sr, hr), strict=True))
            change = temporal_error(*two, border=border).item()
        before = sr, hr
        on_sample(Sample(f"frame {number}", lr, sr, hr))
        yield FrameScore(
            psnr=METRICS["psnr"](sr, hr, border=border).item(),
            ssim=METRICS["ssim"](sr, hr, border=border).item() if ssim else None,
            temporal=change,
            shift=color_shift(sr, lr),
            true_shift=color_shift(sr, hr),
        )


def color_shift(sr: Tensor, other: Tensor) -> float:
    """The largest difference of two pictures' mean R', G' or B', in 8-bit steps."""
    means = (picture.mean(dim=(-2, -1)) for picture in (sr.clamp(0, 1), other))
    return float(next(means).sub(next(means)).abs().max() * 255)


def mean_score(scores: Sequence[FrameScore]) -> Score:
    """The means over frames, and the largest shifts of colour."""
    likeness = [score.ssim for score in scores if score.ssim is not None]
    changes = [score.temporal for score in scores if score.temporal is not None]
    shifts = [score.shift for score in scores if score.shift is not None]
    true_shifts = [score.true_shift for score in scores if score.true_shift is not None]
    return Score(
        psnr=statistics.fmean(score.psnr for score in scores),
        ssim=statistics.fmean(likeness) if likeness else None,
        pictures=len(scores),
        temporal=statistics.fmean(changes) if changes else None,
        shift=max(shifts, default=None),
        true_shift=max(true_shifts, default=None),
        frames=tuple(scores),
    )


def _pairs(path: Path, scale: float, frames: int | None) -> Iterator[tuple[Tensor, Tensor]]:
    """LR and HR of each frame of a video."""
    for picture in true_frames(path, frames):
        height, width = crop_size((picture.shape[-2], picture.shape[-1]), scale)
        hr = picture[..., :height, :width]
        yield reduced(hr, lr_size((height, width), scale)), hr


def reduced(hr: Tensor, size: tuple[int, int]) -> Tensor:
    """LR of (height, width) by anti-aliased bicubic, in steps of 1/255: (B, 3, h, w)."""
    down = bicubic_matrix(hr.shape[-2], size[0])
    across = bicubic_matrix(hr.shape[-1], size[1])
    lr: Tensor = (down @ hr @ across.T * 255).round_().clamp_(0, 255) / 255
    return lr


def count_frames(path: Path, limit: int | None) -> int:
    """Approximate number of frames in a video; raises the errors of opening it."""
    with VideoReader(path) as reader:
        count = reader.info.frame_count
    return count if limit is None else min(count or limit, limit)


def true_frames(path: Path, limit: int | None) -> Iterator[Tensor]:
    """R'G'B' of each frame, (1, 3, H, W) in [0, 1]."""
    with VideoReader(path) as reader:
        info = reader.info
        layout = PixelLayout.of(info.pix_fmt)
        color, _ = info.color.resolved(info.height, info.width, layout)
        for frame in reader.frames(limit):
            yield to_rgb([plane[None] for plane in frame.planes], layout, color).clamp_(0, 1)
