"""Protocols of published tables: cropping of HR, making of LR, and the measures."""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor

from ciaovideo.data.images import list_pictures, read_picture
from ciaovideo.data.pairs import pair
from ciaovideo.errors import OptionError
from ciaovideo.metrics import METRICS, Metric

Upscale = Callable[[Tensor, tuple[int, int]], Tensor]
"""lr (1, 3, h, w) in [0, 1] and (height, width) -> sr (1, 3, height, width)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameScore:
    """One frame of a video: PSNR in dB, SSIM, and temporal error against the frame before.

    ``shift`` is the distance of its mean colour from its LR's, in 8-bit steps, and ``true_shift``
    from HR's: encoders shift colours, too.
    """

    psnr: float
    ssim: float | None = None
    temporal: float | None = None
    shift: float | None = None
    true_shift: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Means over a set: PSNR in dB, SSIM if requested; ``pictures`` is 0 if unknown.

    LPIPS if its weights were given. A video also has the mean temporal error (8-bit steps of
    Y), and the scores of each frame; a coded one also the largest shifts of a frame's colour.
    ``equivariance`` is an error in dB, if requested.
    """

    psnr: float
    ssim: float | None = None
    lpips: float | None = None
    equivariance: float | None = None
    pictures: int = 0
    temporal: float | None = None
    shift: float | None = None
    true_shift: float | None = None
    frames: tuple[FrameScore, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One measured picture: lr (1, 3, h, w), sr and hr (1, 3, H, W), all in [0, 1]."""

    name: str
    lr: Tensor
    sr: Tensor
    hr: Tensor


OnSample = Callable[[Sample], None]


class Measure(Protocol):
    """Signature of a protocol for pictures."""

    def __call__(
        self,
        upscale: Upscale,
        folder: Path,
        scale: float,
        *,
        ssim: bool = False,
        lpips: Metric | None = None,
        on_sample: OnSample = lambda _: None,
    ) -> Score:
        """The means over the pictures of a folder."""
        ...


def benchmark(
    upscale: Upscale,
    folder: Path,
    scale: float,
    *,
    ssim: bool = False,
    lpips: Metric | None = None,
    on_sample: OnSample = lambda _: None,
) -> Score:
    """Set5, Set14, B100 and similar: Y of BT.601, without ceil(scale) pixels of border.

    CiaoSR (Cao et al., arXiv 2212.04362), tables 2, 3, 6 and 8, as LIIF (Chen et al., arXiv
    2012.09161) defines it: HR is cropped so that LR has whole sides (``crop_step``), LR is Pillow's
    bicubic of it in 8 bit, and the result is clamped but not rounded. Published tables made LR of
    x2 to x4 with Matlab, whose bicubic differs in the last bit: 0.02 dB for bicubic itself on Set5.
    """
    metrics = _metrics("psnr", ssim=ssim, lpips=lpips)
    return _means(upscale, pairs(folder, scale), metrics, math.ceil(scale), on_sample)


def div2k(
    upscale: Upscale,
    folder: Path,
    scale: float,
    *,
    ssim: bool = False,
    lpips: Metric | None = None,
    on_sample: OnSample = lambda _: None,
) -> Score:
    """2K pictures such as DIV2K's validation set: RGB, without ceil(scale) + 6 px of border.

    CiaoSR (arXiv 2212.04362), table 1, as LIIF (arXiv 2012.09161) defines it, LR by Pillow as
    there. SSIM is on Y; that table has none.
    """
    metrics = _metrics("psnr_rgb", ssim=ssim, lpips=lpips)
    return _means(upscale, pairs(folder, scale), metrics, math.ceil(scale) + 6, on_sample)


def eqsr(
    upscale: Upscale,
    folder: Path,
    scale: float,
    *,
    ssim: bool = False,
    lpips: Metric | None = None,
    on_sample: OnSample = lambda _: None,
) -> Score:
    """Non-integer scales, on Y: x1.4 to x6.75 of EQSR (Wang et al., CVPR 2023).

    As ``benchmark``, except for the border of that paper's configurations: 4 px up to x4, 6 up to
    x6, 8 beyond. The paper does not state the cropping of HR at such scales; here LR has whole
    sides.
    """
    metrics = _metrics("psnr", ssim=ssim, lpips=lpips)
    border = 4 if scale <= 4 else 6 if scale <= 6 else 8
    return _means(upscale, pairs(folder, scale), metrics, border, on_sample)


PROTOCOLS: Mapping[str, Measure] = {"benchmark": benchmark, "div2k": div2k, "eqsr": eqsr}
CHANNELS: Mapping[str, str] = {"benchmark": "Y", "div2k": "RGB", "eqsr": "Y"}


def in_steps(upscale: Upscale, steps: tuple[float, ...]) -> Upscale:
    """The method applied several times: to each scale of ``steps``, then to the final size.

    CiaoSR (arXiv 2212.04362), table 6: x12 at once against x2, x4, x12. Steps at or above
    the final scale are skipped. Between steps the picture is clamped, and stays in floats.
    """

    def enlarge(lr: Tensor, out_size: tuple[int, int]) -> Tensor:
        start = lr.shape[-2], lr.shape[-1]
        for step in steps:
            size = (round(start[0] * step), round(start[1] * step))
            if size[0] < out_size[0] and size[1] < out_size[1]:
                lr = upscale(lr, size).clamp(0, 1)
        return upscale(lr, out_size)

    return enlarge


def pairs(folder: Path, scale: float) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Name, LR and HR, in [0, 1], of every picture in a folder."""
    for path in list_pictures(folder):
        with naming(path.name):
            hr, lr = pair(read_picture(path), scale)
        yield path.name, lr.float() / 255, hr.float() / 255


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Context manager: prefix an OptionError with the name of its picture or video."""
    try:
        yield
    except OptionError as cause:
        raise OptionError(f"{what}: {cause.problem}", cause.hint) from cause


def _metrics(psnr: str, *, ssim: bool, lpips: Metric | None) -> dict[str, Metric]:
    """The metrics by their field of ``Score``."""
    metrics = {"psnr": METRICS[psnr]}
    if ssim:
        metrics["ssim"] = METRICS["ssim"]
    if lpips is not None:
        metrics["lpips"] = lpips
    return metrics


def _means(
    upscale: Upscale,
    pictures: Iterable[tuple[str, Tensor, Tensor]],
    metrics: Mapping[str, Metric],
    border: int,
    on_sample: OnSample,
) -> Score:
    """Means over pictures of each metric."""
    values: dict[str, list[float]] = {field: [] for field in metrics}
    for name, lr, hr in pictures:
        sr = upscale(lr, (hr.shape[-2], hr.shape[-1])).cpu()
        with naming(name):
            for field, metric in metrics.items():
                values[field].append(metric(sr, hr, border=border).item())
        on_sample(Sample(name, lr, sr, hr))
    means = {field: statistics.fmean(each) for field, each in values.items()}
    return Score(
        psnr=means["psnr"],
        ssim=means.get("ssim"),
        lpips=means.get("lpips"),
        pictures=len(values["psnr"]),
    )
