"""Inverse telecine: fields are matched, then one frame of five is dropped.

FFmpeg's ``fieldmatch`` pairs the two fields of each picture again, frame by frame, in any phase. It
works in 8 bits: its choice is read from its result, and applied to the frames at full depth. (Its
own option for that, ``ppsrc``, chooses other fields for deeper samples.) ``bwdif`` deinterlaces
fields without a partner, such as one at a cut. FFmpeg's ``decimate`` is not used: it counts times
from the first frame at a constant rate, while here each group keeps its own times (``pulldown``).
"""

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import av.error
import torch
import torch.nn.functional as F
from torch import Tensor

from ciaovideo.errors import DecodeError, TimestampError
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.frame import VideoInfo
from ciaovideo.media.interlacing.deinterlacer import TAKEN, Shown
from ciaovideo.media.interlacing.pulldown import PARTS, Group, Grouping
from ciaovideo.media.layouts import repacked, samples_of

MATCHED = frozenset(
    name for name in TAKEN if name.startswith(("yuv420", "yuv422", "yuv444", "yuv411"))
)
EIGHT_BITS = re.compile(r"p\d+le$")
BLOCK = 16  # px: a frame's change is that of its block that changed most
COLUMNS = 480  # columns of a frame that are compared
ALIKE = 0.6  # a repeated frame differs by less than this share of the group's median
ABOVE = 2.0  # differences below this multiple of those of repeated frames may be noise
LEAST = 2 / 255  # of white: a smaller difference is no motion
SECTION = 3  # consecutive groups without a repeated frame: not a cut, but no film


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A frame, and its luma (H, W) in the 8 bits in which fields are matched."""

    frame: Shown
    luma: Tensor


class FilmFilter:
    """Reverses telecine: yields film's pictures at times in ``PARTS`` of a tick.

    ``order`` is "tff" or "bff". Frames before ``begin`` (ticks) serve as context only. ``on_lost``
    gets begin and end, in seconds, of each section that is no film, where frames are dropped that
    are not repeats.
    """

    def __init__(
        self,
        info: VideoInfo,
        tick: Fraction,
        *,
        order: str,
        begin: int | None = None,
        on_lost: Callable[[Fraction, Fraction], None] = lambda *_: None,
    ) -> None:
        self._path = Path(info.path)
        full = info.coded_pix_fmt.replace("yuvj", "yuv") == info.pix_fmt
        self._pix_fmt = info.coded_pix_fmt if full else info.pix_fmt
        self._eight = EIGHT_BITS.sub("p", info.pix_fmt)  # chroma of the two fields stays separate
        self._tick, self._begin = tick, begin

        def graph(pix_fmt: str, *filters: tuple[str, str]) -> av.filter.Graph:
            return _graph(info.stored_size, pix_fmt, tick, filters)

        self._match = graph(self._eight, ("fieldmatch", f"order={order}:combmatch=full"))
        bwdif = "bwdif", f"mode=send_frame:parity={order}:deint=interlaced"
        self._mend = graph(self._pix_fmt, bwdif)
        self._copies = {  # key: whether its fields do not match
            combed: graph(self._pix_fmt, ("copy", ""), ("setfield", mode))
            for combed, mode in ((False, "prog"), (True, order))
        }
        self._waiting: deque[_Waiting] = deque()  # not matched yet
        self._past: _Waiting | None = None  # the last that was matched
        self._combed: deque[tuple[Shown, bool]] = deque()  # matched, not deinterlaced yet
        self._groups: Grouping[tuple[Shown, bool]] = Grouping()
        self._before: Tensor | None = None
        self._watch = _Watch(on_lost)

    def push(self, frame: Shown) -> Iterator[Shown]:
        """Add a frame, later than the one before; yields the pictures that are ready."""
        picture = frame.picture
        if picture.format.name != self._pix_fmt:
            picture = repacked(picture, self._pix_fmt)
        picture.pts, picture.time_base = frame.pts, self._tick
        eight = repacked(picture, self._eight)
        eight.pts, eight.time_base = frame.pts, self._tick
        luma = samples_of(eight)[0].clone()
        self._waiting.append(_Waiting(replace(frame, picture=picture), luma))
        for group in self._matched(eight):
            yield from self._shown(group)

    def flush(self) -> Iterator[Shown]:
        """End the input; yields the last pictures. Raises TimestampError if a frame is missing."""
        for group in self._matched(None):
            yield from self._shown(group)
        if self._waiting or self._combed:
            count = len(self._waiting) + len(self._combed)
            raise TimestampError(f"{self._path}: the field matcher lost {count} frames")
        for group in self._groups.finish():
            yield from self._shown(group)
        self._watch.finish()

    def _matched(self, picture: av.VideoFrame | None) -> list[Group[tuple[Shown, bool]]]:
        """The groups that a picture, or the end of the input, completes."""
        done: list[Group[tuple[Shown, bool]]] = []
        for matched in self._through(self._match, picture):
            self._check_time(matched, self._waiting[0].frame.pts)
            woven = self._woven(matched)
            self._past = self._waiting.popleft()
            self._combed.append((self._past.frame, matched.interlaced_frame))
            done += self._mended(woven)
        return [*done, *(self._mended(None) if picture is None else [])]

    def _woven(self, matched: av.VideoFrame) -> av.VideoFrame:
        """The oldest waiting frame with the matched fields, at full depth."""
        luma, here = samples_of(matched)[0], self._waiting[0]
        (woven,) = self._through(self._copies[matched.interlaced_frame], here.frame.picture)
        others = [one for one in (self._past, *list(self._waiting)[1:2]) if one]
        for field in (0, 1):
            rows = slice(field, None, 2)
            if torch.equal(luma[rows], here.luma[rows]):
                continue
            source = next((o for o in others if torch.equal(luma[rows], o.luma[rows])), None)
            if source is None:
                raise DecodeError(f"{self._path}: the field matcher returned a field of no frame")
            for target, given in zip(
                samples_of(woven), samples_of(source.frame.picture), strict=True
            ):
                target[rows].copy_(given[rows])
        return woven

    def _mended(self, picture: av.VideoFrame | None) -> list[Group[tuple[Shown, bool]]]:
        done: list[Group[tuple[Shown, bool]]] = []
        for made in self._through(self._mend, picture):
            frame, combed = self._combed.popleft()
            self._check_time(made, 2 * frame.pts)  # bwdif counts halves of ticks
            shown = replace(frame, picture=made, progressive=True)
            if self._begin is not None and frame.pts < self._begin:
                self._before = _luma(made)
                continue
            done += self._groups.add((shown, combed), frame.pts * self._tick)
        return done

    def _through(
        self, graph: av.filter.Graph, picture: av.VideoFrame | None
    ) -> Iterator[av.VideoFrame]:
        with av_errors("matching fields of", self._path, DecodeError):
            graph.push(picture)
        while True:
            with av_errors("matching fields of", self._path, DecodeError):
                try:
                    made = graph.pull()
                except (av.error.BlockingIOError, av.error.EOFError):
                    return
            assert isinstance(made, av.VideoFrame)
            yield made

    def _shown(self, group: Group[tuple[Shown, bool]]) -> Iterator[Shown]:
        """A group's pictures: of five frames, all but the one most like its predecessor."""
        frames, changes = [frame for frame, _ in group.frames], []
        for frame in frames:
            luma = _luma(frame.picture)
            changes.append(_change(luma, self._before))
            self._before = luma
        if group.whole:
            combed = [flag for _, flag in group.frames]
            repeats = self._watch.see(group.times, changes)
            odd = [number for number, flag in enumerate(combed) if flag]
            del frames[odd[0] if odd and not repeats else changes.index(min(changes))]
        part = self._tick / PARTS
        stamps = [int(time / part) for time in group.shown]
        ends = [*stamps[1:], 0]
        for frame, pts, end in zip(frames, stamps, ends, strict=True):
            lasts = end - pts if end else (pts - stamps[-2] if len(stamps) > 1 else 0)
            yield Shown(frame.picture, pts, lasts or frame.duration * PARTS, True)

    def _check_time(self, made: av.VideoFrame, expected: int) -> None:
        if made.pts != expected:
            raise TimestampError(
                f"{self._path}: the field matcher moved a picture from {expected} to {made.pts}"
            )


class _Watch:
    """Distinguishes groups with a repeated frame from those of a section that is no film."""

    def __init__(self, on_lost: Callable[[Fraction, Fraction], None]) -> None:
        self._on_lost = on_lost
        self._floor = 0.0  # what repeated frames differ by
        self._since: Fraction | None = None
        self._until = Fraction(0)
        self._count = 0

    def see(self, times: Sequence[Fraction], changes: Sequence[float]) -> bool:
        """Whether one of five frames seems to repeat the one before."""
        least, middle = min(changes), sorted(changes)[len(changes) // 2]
        alone = least > max(ALIKE * middle, ABOVE * self._floor, LEAST)
        if not alone:
            share = 0.1 if self._floor else 1.0
            if least < ALIKE * middle:
                self._floor += share * (least - self._floor)
            self.finish()
            return True
        self._since = times[0] if self._since is None else self._since
        self._until = times[-1]
        self._count += 1
        return False

    def finish(self) -> None:
        """End the current section, if there is one."""
        if self._since is not None and self._count >= SECTION:
            self._on_lost(self._since, self._until)
        self._since, self._count = None, 0


def _graph(
    size: tuple[int, int], pix_fmt: str, tick: Fraction, filters: Sequence[tuple[str, str]]
) -> av.filter.Graph:
    """A chain of filters, for pictures of (height, width)."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=size[1], height=size[0], format=av.VideoFormat(pix_fmt), time_base=tick
    )
    chain = [graph.add(name, words or None) for name, words in filters]
    graph.link_nodes(source, *chain, graph.add("buffersink")).configure()
    return graph


def _luma(picture: av.VideoFrame) -> Tensor:
    """A subsample of the first plane's columns (H, W), a copy with white at 1."""
    plane = samples_of(picture)[0]
    peak = (1 << picture.format.components[0].bits) - 1
    return plane[:, :: max(1, plane.shape[1] // COLUMNS)].float() / peak


def _change(luma: Tensor, before: Tensor | None) -> float:
    """The mean difference of the block that differs most; infinite without a frame before."""
    if before is None:
        return float("inf")
    off = (luma - before).abs_()[None]
    sides = [min(BLOCK, side) for side in off.shape[-2:]]
    return float(F.avg_pool2d(off, sides).max())


def is_matched(pix_fmt: str) -> bool:
    """Whether fields of this layout can be matched without converting it."""
    return pix_fmt in MATCHED
