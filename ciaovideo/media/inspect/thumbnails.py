"""Decoded pictures of a file, kept as thumbnails with their tags.

Like ``scan``, this does not use the reader, so that the reader's results can be checked against it.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from ciaovideo.color import ColorSpec, Matrix, Primaries, Range, Siting, Transfer
from ciaovideo.errors import OpenError
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.hdr import Hdr10, read_hdr10
from ciaovideo.media.inspect.scan import FileScan, decoded_pictures
from ciaovideo.media.margins import Margins
from ciaovideo.media.side_data import turn_of, without_shift
from ciaovideo.media.source.opening import open_source
from ciaovideo.media.source.pictures import retagged

SIDE = 24  # rows and columns: enough to distinguish pictures, too coarse for detail
STEP_BACK = Fraction(2)  # seconds to seek further back after a seek past the picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnail:
    """One decoded picture: a small copy of its ``luma``, (rows, columns) in [0, 1], and its tags.

    ``size`` is the picture's own, (height, width). ``turn`` is the display matrix without its
    shift, from bitstream or container, empty if upright. ``opacity`` has the size and range of
    ``luma``, or is None without alpha. ``around`` is the mean luma of the removed margins.
    """

    size: tuple[int, int]
    pix_fmt: str
    color: ColorSpec
    damaged: bool
    interlaced: bool
    hdr10: Hdr10 | None
    turn: tuple[int, ...]
    luma: NDArray[np.float64]
    opacity: NDArray[np.float64] | None = None
    around: float = 0.0


def thumbnails_by_time(
    scan: FileScan, wanted: Sequence[int], *, in_turn: bool = False
) -> dict[int, Thumbnail]:
    """The pictures at these ticks, each decoded from the nearest keyframe before it.

    With ``in_turn``, one pass decodes from the beginning to the last of them. Pictures that are not
    found or cannot be decoded are missing from the result.
    """
    found: dict[int, Thumbnail] = {}
    with (
        av_errors("opening", scan.path, OpenError),
        open_source(scan.path, scan.opening) as container,
    ):
        if in_turn:
            with suppress(av.error.FFmpegError):
                for shown in _pictures(container, scan):
                    if shown.pts is not None and shown.pts in wanted:
                        found[shown.pts] = _thumbnail(shown, scan.cut)
                    if len(found) == len(wanted):
                        break
            return found
        for pts in wanted:
            with suppress(av.error.FFmpegError):
                picture = _seek(container, scan, pts)
                if picture is not None:
                    found[pts] = _thumbnail(picture, scan.cut)
    return found


def thumbnails_by_number(scan: FileScan, wanted: Sequence[int]) -> dict[int, Thumbnail]:
    """The pictures with these numbers, by decoding from the beginning to the last of them.

    The result ends where decoding fails.
    """
    found: dict[int, Thumbnail] = {}
    stop = max(wanted, default=-1) + 1
    with (
        av_errors("opening", scan.path, OpenError),
        open_source(scan.path, scan.opening) as container,
        suppress(av.error.FFmpegError),
    ):
        for number, picture in enumerate(islice(_pictures(container, scan), stop)):
            if number in wanted:
                found[number] = _thumbnail(picture, scan.cut)
    return found


def _seek(container: InputContainer, scan: FileScan, pts: int) -> av.VideoFrame | None:
    """The picture at a time, or None; a seek past it is repeated from further back."""
    av_stream = container.streams[scan.main]
    back = int(STEP_BACK / scan.video.tick)
    for start in (pts, pts - back, min(0, min(scan.video.pts, default=0))):
        container.seek(start, stream=av_stream, backward=True)
        for number, picture in enumerate(_pictures(container, scan, "SLICE")):
            if picture.pts == pts:
                return picture
            if picture.pts is not None and picture.pts > pts:
                if number:
                    return None
                break
    return None


def _pictures(
    container: InputContainer, scan: FileScan, threads: str = "AUTO"
) -> Iterator[av.VideoFrame]:
    return retagged(decoded_pictures(container, scan.main, threads), scan.opening)


def _thumbnail(picture: av.VideoFrame, cut: Margins) -> Thumbnail:
    full = picture.format.name.startswith("yuvj")
    color = ColorSpec(
        matrix=Matrix(picture.colorspace),
        color_range=Range.FULL if full else Range(picture.color_range),
        primaries=Primaries(picture.color_primaries),
        transfer=Transfer(picture.color_trc),
        siting=Siting(picture.chroma_location),
    )
    picture.colorspace = Matrix.UNSPECIFIED  # or the gray would depend on it (measured: by 7 %)
    return Thumbnail(
        size=cut.inner(picture.height, picture.width),
        pix_fmt=picture.format.name,
        color=color,
        damaged=picture.is_corrupt,
        interlaced=picture.interlaced_frame,
        hdr10=read_hdr10(picture.side_data.values()),
        turn=without_shift(turn_of(picture)),
        luma=_small(picture, "gray16le", cut),
        opacity=_opacity(picture, cut),
        around=_around(picture, cut),
    )


def _small(picture: av.VideoFrame, pix_fmt: str, cut: Margins) -> NDArray[np.float64]:
    """A small copy of a picture without its margins, each sample in [0, 1].

    In 8 bits swscale is off by up to 3 of 255 in dark pictures, differently for each size.
    """
    if cut:
        whole = picture.reformat(format=pix_fmt, threads=1).to_ndarray()
        height, width = cut.inner(picture.height, picture.width)
        left = whole[cut.top : cut.top + height, cut.left : cut.left + width]
        samples = np.ascontiguousarray(left, dtype=np.uint16)
        picture = av.VideoFrame.from_ndarray(samples, format=pix_fmt)
    small = picture.reformat(
        SIDE, SIDE, format=pix_fmt, interpolation=Interpolation.AREA, threads=1
    )
    shares: NDArray[np.float64] = small.to_ndarray().astype(np.float64) / 65535
    return shares


def _around(picture: av.VideoFrame, cut: Margins) -> float:
    """The mean luma of the margins, in [0, 1]; 0 without margins."""
    if not cut:
        return 0.0
    whole = picture.reformat(format="gray16le", threads=1).to_ndarray().astype(np.float64)
    height, width = cut.inner(picture.height, picture.width)
    inner = whole[cut.top : cut.top + height, cut.left : cut.left + width]
    return float((whole.sum() - inner.sum()) / (whole.size - inner.size) / 65535)


def _opacity(picture: av.VideoFrame, cut: Margins) -> NDArray[np.float64] | None:
    if not any(component.is_alpha for component in picture.format.components):
        return None
    return _small(picture, "rgba64le", cut)[..., 3]
