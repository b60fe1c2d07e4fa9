"""Compares all pictures of an output with its source's: invented detail, and flicker.

Consistency: each output picture, reduced to the source's size by an anti-aliased bicubic filter, is
compared with the source's. Detail that the source does not contradict has no effect; detail that it
does lowers the PSNR.

Flicker: the change from frame to frame where nothing moves. A block of the source is still if its
mean changes by less than an 8-bit step, and its samples by less than ``STILL`` on average, which is
noise.
"""

import math
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from ciaovideo.color import Matrix, PixelLayout, to_rgb
from ciaovideo.media.frame import Frame, PlanePool, VideoInfo
from ciaovideo.media.pictures.webp import encode_webp
from ciaovideo.media.read.reader import VideoReader

BEST = 100.0  # dB: equal pictures have no finite PSNR
BLOCK = 8  # px of the source: side of a block
STILL = 4 / 255  # mean change of a sample in a still block
STILL_MEAN = 1 / 255
LEAST_STILL = 0.01  # share of a picture: below it flicker is not measured
WINDOWS = 40  # parts of the film; the worst frame of each may be shown
WORST = 10
CROP = 320  # px of the output
SHEET = 20  # pictures of the contact sheet
THUMBNAIL = 240  # px across
SHEET_QUALITY = 80
LUMA = (0.2126, 0.7152, 0.0722)  # BT.709, where R'G'B' is compared


@dataclass(frozen=True, slots=True, eq=False)
class Thumbnail:
    """One picture of the contact sheet, with its time in the source in seconds."""

    time: float
    webp: bytes


@dataclass(frozen=True, slots=True, eq=False)
class WorstFrame:
    """A frame that its source contradicts most: the worst place, as WebP files by method.

    ``place`` is (top, left) of the crop in output px, ``size`` its (height, width).
    """

    frame: int
    time: float
    psnr: float
    place: tuple[int, int]
    size: tuple[int, int]
    views: dict[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fidelity:
    """Figures of all pictures, one for each frame.

    ``times`` in seconds of the source; ``psnr`` in dB on Y', at most ``BEST``; ``flicker`` of the
    source and the output in 8-bit steps, NaN where nothing is still.
    """

    times: "array[float]"
    psnr: "array[float]"
    source_flicker: "array[float]"
    output_flicker: "array[float]"
    worst: tuple[WorstFrame, ...]
    sheet: tuple[Thumbnail, ...]

    @property
    def mean_psnr(self) -> float:
        """The mean over frames, in dB; NaN without any."""
        return _mean(self.psnr)

    @property
    def mean_flicker(self) -> tuple[float, float]:
        """Means of source and output; NaN if nothing is still."""
        return _mean(self.source_flicker), _mean(self.output_flicker)


@dataclass(slots=True, eq=False)
class _Measuring:
    """The figures and pictures so far."""

    total: int
    times: "array[float]" = field(default_factory=lambda: array("d"))
    psnr: "array[float]" = field(default_factory=lambda: array("d"))
    source_flicker: "array[float]" = field(default_factory=lambda: array("d"))
    output_flicker: "array[float]" = field(default_factory=lambda: array("d"))
    worst: dict[int, "_Kept"] = field(default_factory=dict)
    sheet: list[Thumbnail] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """A frame's crops, 8 bit (3, H, W), which may be shown or dropped later."""

    frame: int
    time: float
    psnr: float
    place: tuple[int, int]
    views: dict[str, Tensor]

    def coded(self) -> WorstFrame:
        """The frame, with its crops as WebP files."""
        height, width = self.views["output"].shape[-2:]
        views = {label: encode_webp(view / 255) for label, view in self.views.items()}
        return WorstFrame(self.frame, self.time, self.psnr, self.place, (height, width), views)


@torch.inference_mode()
def measure(
    source: VideoReader,
    output: VideoReader,
    total: int,
    *,
    limit: int | None = None,
    on_frame: Callable[[int], None] = lambda _: None,
) -> Fidelity:
    """Compare both files frame by frame, to the end or a ``limit`` of frames.

    ``total`` is the number of frames, for the choice of pictures. Raises DecodeError.
    """
    state = _Measuring(total)
    pair = _Pair(source.info, output.info)
    before: tuple[Tensor, Tensor] | None = None
    for given, made in zip(_read(source, limit), _read(output, limit), strict=False):
        lr, hr = pair.luma(given, made)
        error = (F.interpolate(hr, lr.shape[-2:], mode="bicubic", antialias=True) - lr).square_()
        mean = float(error.mean())
        state.times.append(float(given.time))
        state.psnr.append(BEST if mean <= 0 else min(BEST, -10 * math.log10(mean)))
        changes = _flicker(before, (lr, hr)) if before else (math.nan, math.nan)
        state.source_flicker.append(changes[0])
        state.output_flicker.append(changes[1])
        _keep_pictures(state, pair, (given, made), error)
        before = lr, hr
        on_frame(len(state.psnr))
    ranked = sorted(state.worst.values(), key=lambda one: one.psnr)[:WORST]
    return Fidelity(
        times=state.times,
        psnr=state.psnr,
        source_flicker=state.source_flicker,
        output_flicker=state.output_flicker,
        worst=tuple(one.coded() for one in ranked),
        sheet=tuple(state.sheet),
    )


def _read(reader: VideoReader, limit: int | None) -> Iterator[Frame]:
    """Frames in reused buffers; each is valid until the next one."""
    pool = PlanePool(2)
    reader.use(pool)
    for frame in reader.frames(limit):
        yield frame
        pool.release(frame.planes)


class _Pair:
    """Colours of a source and its output."""

    def __init__(self, given: VideoInfo, made: VideoInfo) -> None:
        self._layouts = PixelLayout.of(given.pix_fmt), PixelLayout.of(made.pix_fmt)
        self._colors = tuple(
            info.color.resolved(info.height, info.width, layout, info.codec)[0]
            for info, layout in zip((given, made), self._layouts, strict=True)
        )
        plain = all(layout.family != "rgb" for layout in self._layouts)
        matrices = {color.matrix for color in self._colors}
        gray = {layout.family for layout in self._layouts} & {"gray"}
        self._planes = plain and Matrix.RGB not in matrices and (len(matrices) == 1 or bool(gray))

    def luma(self, given: Frame, made: Frame) -> tuple[Tensor, Tensor]:
        """Y' of both, (1, 1, h, w) and (1, 1, H, W), black 0 and white 1."""
        return self._luma(given, 0), self._luma(made, 1)

    def _luma(self, frame: Frame, which: int) -> Tensor:
        layout, color = self._layouts[which], frame.color or self._colors[which]
        if not self._planes:
            red, green, blue = self.rgb(frame, which).split(1, dim=1)
            weighted: Tensor = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
            return weighted
        gray = PixelLayout("gray", "gray", layout.bit_depth)
        return to_rgb([frame.planes[0][None]], gray, color)[:, :1]

    def rgb(self, frame: Frame, which: int) -> Tensor:
        """R'G'B' (1, 3, h, w) of the source (0) or the output (1)."""
        layout, color = self._layouts[which], frame.color or self._colors[which]
        planes = frame.planes[: len(frame.planes) - layout.alpha]
        return to_rgb([plane[None] for plane in planes], layout.opaque, color)


def _flicker(before: tuple[Tensor, Tensor], now: tuple[Tensor, Tensor]) -> tuple[float, float]:
    """The mean change of still blocks in the source, and of the output there, in 1/255."""
    size = now[0].shape[-2:]
    if min(size) < BLOCK:
        return math.nan, math.nan
    change = now[0] - before[0]
    means = F.avg_pool2d(change, BLOCK).abs()
    given = F.avg_pool2d(change.abs(), BLOCK)
    still = (means < STILL_MEAN) & (given < STILL)
    if float(still.float().mean()) < LEAST_STILL:
        return math.nan, math.nan
    changed = F.interpolate((now[1] - before[1]).abs_(), size, mode="area")
    made = F.avg_pool2d(changed, BLOCK)
    return float(given[still].mean()) * 255, float(made[still].mean()) * 255


def _keep_pictures(
    state: _Measuring, pair: _Pair, frames: tuple[Frame, Frame], error: Tensor
) -> None:
    """Keep a crop of the worst frame in each part of the film, and thumbnails evenly spread."""
    number, psnr = len(state.psnr) - 1, state.psnr[-1]
    window = number * WINDOWS // max(state.total, 1)
    known = state.worst.get(window)
    worse = known is None or psnr < known.psnr
    due = number * SHEET // max(state.total, 1) >= len(state.sheet)
    if not (worse or due):
        return
    rgb = pair.rgb(frames[1], 1)
    time = float(frames[0].time)
    if due and len(state.sheet) < SHEET:
        width = min(THUMBNAIL, rgb.shape[-1])
        height = max(1, round(rgb.shape[-2] * width / rgb.shape[-1]))
        small = F.interpolate(rgb, (height, width), mode="area")[0]
        state.sheet.append(Thumbnail(time, encode_webp(small, SHEET_QUALITY)))
    if worse:
        place, views = _crops(pair.rgb(frames[0], 0), rgb, error)
        bits = {label: (view * 255).round().clamp(0, 255).byte() for label, view in views.items()}
        state.worst[window] = _Kept(number, time, psnr, place, bits)


def _crops(lr: Tensor, hr: Tensor, error: Tensor) -> tuple[tuple[int, int], dict[str, Tensor]]:
    """The place where a picture is contradicted most, in output px, by three methods."""
    sides = hr.shape[-2:]
    near = tuple(min(BLOCK * 2, side) for side in error.shape[-2:])
    means = F.avg_pool2d(error, near, stride=1)[0, 0]
    row, column = divmod(int(means.argmax()), means.shape[1])
    scales = tuple(side / least for side, least in zip(sides, lr.shape[-2:], strict=True))
    spans = tuple(min(CROP, side) for side in sides)
    place = tuple(
        min(max(0, round((at + half / 2) * scale - span / 2)), side - span)
        for at, half, scale, span, side in zip(
            (row, column), near, scales, spans, sides, strict=True
        )
    )
    box = (..., slice(place[0], place[0] + spans[0]), slice(place[1], place[1] + spans[1]))
    views = {
        "source": F.interpolate(lr, sides, mode="nearest-exact")[box][0],
        "bicubic": F.interpolate(lr, sides, mode="bicubic")[box][0],
        "output": hr[box][0],
    }
    return (place[0], place[1]), views


def _mean(values: "array[float]") -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
