"""The measures of a protocol, and their number of pictures.

Videos are read and coded with PyAV; pictures are measured without it.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ciaovideo.data.images import list_pictures
from ciaovideo.errors import OptionError
from ciaovideo.evaluate.equivariance import Measuring, with_equivariance
from ciaovideo.evaluate.protocol import PROTOCOLS, OnSample, Score, Upscale
from ciaovideo.metrics.lpips import LPIPS

if TYPE_CHECKING:
    from types import ModuleType

    from ciaovideo.evaluate.coded import Coding

VIDEO = "video"  # the protocol for coded LR


def choose_measures(
    protocol: str,
    codings: str | None = None,
    *,
    frames: int | None = None,
    ssim: bool = False,
    lpips: Sequence[Path] | None = None,
    equivariance: bool = False,
    skip_small: bool = False,
) -> Mapping[str, Measuring]:
    """The measures by the coding of LR, "" for none.

    ``codings`` is a list such as "clean,h264:23", for the protocol "video" only; ``lpips`` are the
    two files of LPIPS's weights; ``equivariance`` is measured on uncoded LR, with ``skip_small``
    not at scales that leave nothing of a picture. Raises OptionError.
    """
    if equivariance:
        plain = choose_measures(protocol, codings, frames=frames, ssim=ssim, lpips=lpips)
        return {
            coding: with_equivariance(measure, skip_small=skip_small)
            for coding, measure in plain.items()
        }
    if protocol != VIDEO:
        if codings:
            raise OptionError("codings apply to the protocol video only")
        return {"": _plain(protocol, frames, lpips, ssim=ssim)}
    if lpips:
        raise OptionError("LPIPS is not measured by the protocol video")
    coded = _with_pyav("coded", "videos are coded")
    wanted = [coded.Coding.of(text) for text in codings.split(",")] if codings else coded.CODINGS

    def of(coding: "Coding") -> Measuring:
        def measure(path: Path, scale: float, upscale: Upscale, seen: OnSample) -> Score:
            score: Score = coded.coded_clip(
                upscale, path, scale, coding, frames=frames, ssim=ssim, on_sample=seen
            )
            return score

        return measure

    return {str(coding): of(coding) for coding in wanted}


def count_pictures(path: Path, protocol: str, frames: int | None) -> int:
    """The largest number of pictures of a folder, or frames of a video, that are measured."""
    count: int
    if protocol == VIDEO:
        count = _with_pyav("coded", "videos are coded").count_frames(path, frames)
    elif path.is_file():
        count = _with_pyav("clips", f"{path}: videos are read").count_frames(path, frames)
    else:
        count = len(list_pictures(path))
    return count


def _plain(
    protocol: str, frames: int | None, lpips: Sequence[Path] | None, *, ssim: bool
) -> Measuring:
    """The measure of uncoded videos, and of pictures by a protocol."""
    judge = LPIPS.load(*lpips) if lpips else None
    pictures = PROTOCOLS[protocol]

    def measure(path: Path, scale: float, upscale: Upscale, seen: OnSample) -> Score:
        if path.is_file():
            clips = _with_pyav("clips", f"{path}: videos are read")
            score: Score = clips.clip(
                upscale, path, scale, frames=frames, ssim=ssim, on_sample=seen
            )
            return score
        return pictures(upscale, path, scale, ssim=ssim, lpips=judge, on_sample=seen)

    return measure


def _with_pyav(module: str, what: str) -> "ModuleType":
    """A module of this folder; raises OptionError if PyAV is not installed."""
    try:
        return import_module(f"ciaovideo.evaluate.{module}")
    except ImportError as cause:
        raise OptionError(
            f"{what} with PyAV, which is not installed",
            "install it, or name folders of pictures and another protocol",
        ) from cause
