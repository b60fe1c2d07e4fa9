"""Pixels at the sides of a video that show no picture: black bars, and tapes' head switching.

The evidence is the key frames of the whole file, at most two a second. A row or column is a bar if
its mean is black in all of them. A video recorder switches heads in the last rows of a field and
displaces them: averaged over the file, those rows differ from the ones above more than any rows of
the picture do.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from ciaovideo.color import PixelLayout, Range
from ciaovideo.errors import DecodeError, OptionError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.clock import exact
from ciaovideo.media.frame import VideoInfo
from ciaovideo.media.layouts import repacked, samples_of
from ciaovideo.media.margins import NO_MARGINS, Margins
from ciaovideo.media.read.probe import SourceFacts
from ciaovideo.media.source.opening import main_video, open_source

STEP = Fraction(1, 2)  # seconds between two pictures of the sample
BLACK = 10.0  # of 255: the mean of a row of a bar, whose noise and coding are brighter than black
DARKEST = 24.0  # of 255: the least bright row of a film in which bars can be detected
TAPE_HEIGHTS = (480, 486, 512, 576, 608)  # rows of video from tapes
HEAD_ROWS = 24  # at the bottom: recorders switch in the last 4 to 12 rows of a field
ODD = 1.5  # rows where heads switch differ by this many times the picture's maximum
VBI_ROWS = {512: 480, 608: 576}  # rows that are stored, and those of the picture below


@dataclass(slots=True)
class _Profile:
    """Maxima over all pictures: the brightest mean of each row and column.

    ``steps`` sums how much each row differs from the one two above, the row before in its field.
    """

    rows: NDArray[np.float64]
    columns: NDArray[np.float64]
    steps: NDArray[np.float64]
    pictures: int = 0

    def add(self, luma: NDArray[np.float64]) -> None:
        """Count one picture (H, W), 0 to 255."""
        self.rows = np.maximum(self.rows, luma.mean(axis=1))
        self.columns = np.maximum(self.columns, luma.mean(axis=0))
        self.steps[2:] += np.abs(luma[2:] - luma[:-2]).mean(axis=1)
        self.pictures += 1


def find_crop(facts: SourceFacts) -> tuple[str, tuple[Finding, ...]]:
    """The box that shows the picture, in the form of the option crop, and findings on the rest.

    Raises DecodeError if the file cannot be decoded.
    """
    info = facts.info
    profile = _look(facts)
    size = info.height, info.width
    found = _margins(profile, size, fields=facts.fields.interlaced) if profile else None
    if found is None:
        texts = ["no picture is bright enough to detect black bars: nothing is cropped"]
        cut = NO_MARGINS
    else:
        cut, texts = found
    height, width = cut.inner(*size)
    box = f"{width}x{height}+{cut.left}+{cut.top}"
    told = (Finding(kind=Kind.CHOSEN, subject="crop", text=f"{text} ({box})") for text in texts)
    return box, tuple(told)


def margins_of(box: tuple[int, int, int, int], size: tuple[int, int]) -> Margins:
    """The margins around a box (width, height, left, top) in pictures of (height, width).

    Raises OptionError for a box that does not fit.
    """
    width, height, left, top = box
    margins = Margins(top, size[0] - top - height, left, size[1] - left - width)
    if min(margins) < 0:
        raise OptionError(
            f"the crop {width}x{height}+{left}+{top} does not fit into pictures of"
            f" {size[1]}x{size[0]}",
            "give width, height, left and top of the box to keep",
        )
    return margins


def vbi_rows(size: tuple[int, int]) -> int:
    """The number of rows of the vertical blanking interval in pictures of (height, width)."""
    height, width = size
    return height - VBI_ROWS[height] if width == 720 and height in VBI_ROWS else 0


def _look(facts: SourceFacts) -> _Profile | None:
    """The profile of the file's key frames; None if none can be decoded."""
    profile = None
    for picture in _pictures(facts):
        luma = _luma(picture, facts.info)
        if profile is None:
            rows, columns = luma.shape
            profile = _Profile(np.zeros(rows), np.zeros(columns), np.zeros(rows))
        if luma.shape == (len(profile.rows), len(profile.columns)):
            profile.add(luma)
    return profile


def _luma(picture: av.VideoFrame, info: VideoInfo) -> NDArray[np.float64]:
    """Y' of a picture (H, W), black 0 and white 255, or the mean of R', G' and B'."""
    layout = PixelLayout.of(info.pix_fmt)
    if picture.format.name.replace("yuvj", "yuv") != layout.name:
        picture = repacked(picture, layout.name)
    planes = [plane.numpy().astype(np.float64) for plane in samples_of(picture)]
    if layout.family == "rgb":
        return (planes[0] + planes[1] + planes[2]) * (255 / 3 / layout.peak)
    color = info.color.resolved(info.height, info.width, layout, info.codec)[0]
    step = (layout.peak + 1) / 256
    black, white = (0, layout.peak) if color.color_range == Range.FULL else (16 * step, 235 * step)
    return (planes[0] - black) * (255 / (white - black))


def _pictures(facts: SourceFacts) -> Iterator[av.VideoFrame]:
    """Key frames, each decoded alone."""
    path = facts.path
    with av_errors("decoding", path, DecodeError), open_source(path, facts.opening) as container:
        video = main_video(container, path, facts.opening)
        video.codec_context.thread_type = "SLICE"  # or pictures wait for as many as threads
        newest: Fraction | None = None
        tick = exact(video.time_base) or Fraction(0)
        for packet in container.demux(video):
            time = None if packet.dts is None else packet.dts * tick
            near = newest is not None and time is not None and 0 <= time - newest < STEP
            if packet.size and (not packet.is_keyframe or near):
                continue
            newest = time if packet.size else newest
            try:
                yield from (picture for picture in packet.decode() if not picture.is_corrupt)
            except av.error.InvalidDataError:
                continue  # the run reports damage


def _margins(
    profile: _Profile, size: tuple[int, int], *, fields: bool
) -> tuple[Margins, list[str]] | None:
    """The margins to crop, and why; None for a dark video."""
    if profile.rows.max() < DARKEST:
        return None
    height, width = size
    blank, heads = vbi_rows(size), _head_rows(profile, height)
    bright = np.flatnonzero(profile.rows[blank : height - heads] > BLACK)
    lit = np.flatnonzero(profile.columns > BLACK)
    if not len(bright) or not len(lit):
        return None
    bars = Margins(
        top=int(bright[0]), bottom=int(height - heads - blank - 1 - bright[-1]),
        left=int(lit[0]), right=int(width - 1 - lit[-1]),
    )  # fmt: skip
    texts = [f"black bars are cropped: {bars}"] if bars else []
    texts += [f"{heads} rows of head-switching noise are cropped at the bottom"] if heads else []
    texts += [f"{blank} rows of the vertical blanking interval are cropped"] if blank else []
    cut = bars._replace(top=bars.top + blank, bottom=bars.bottom + heads)
    return _even(cut, size, 4 if fields else 2), texts or [
        "no bars and no noise: nothing is cropped"
    ]


def _head_rows(profile: _Profile, height: int) -> int:
    """The number of displaced rows at the bottom, 0 without evidence."""
    if height not in TAPE_HEIGHTS or height <= 4 * HEAD_ROWS:
        return 0
    steps = profile.steps / profile.pictures
    usual = steps[HEAD_ROWS : height - HEAD_ROWS].max()
    odd = np.flatnonzero(steps[height - HEAD_ROWS :] > ODD * usual)
    return 0 if not len(odd) else HEAD_ROWS - int(odd[0])


def _even(cut: Margins, size: tuple[int, int], rows: int) -> Margins:
    """Margins rounded up, so that chroma samples and fields stay whole and the sides even.

    An axis without a margin does not change.
    """
    height, width = size
    top, bottom, left, right = cut
    if top or bottom:
        top = -(-top // rows) * rows
        bottom += (height - top - bottom) % 2
    if left or right:
        left = -(-left // 2) * 2
        right += (width - left - right) % 2
    return Margins(top, bottom, left, right)
