"""Yields every frame of a file's main video once, with its exact time."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import chain, dropwhile
from pathlib import Path
from typing import Self

import av
import torch
from torch import Tensor

from ciaovideo.color import PixelLayout
from ciaovideo.errors import DecodeError, InterlacedError, OptionError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.frame import Frame, PlanePool, VideoInfo
from ciaovideo.media.interlacing.deinterlacer import Shown
from ciaovideo.media.interlacing.fields import FieldEvidence, FieldPolicy
from ciaovideo.media.interlacing.whole_frames import INTERLACED_HINT, WholeFrames
from ciaovideo.media.layouts import copy_planes
from ciaovideo.media.read.continuity import Continuity
from ciaovideo.media.read.decoding import PictureSource
from ciaovideo.media.read.part import Part, empty_part
from ciaovideo.media.read.picture_findings import PictureFindings
from ciaovideo.media.read.probe import Probed, SourceFacts, probe
from ciaovideo.media.read.seeking import Anchor
from ciaovideo.media.selection import Selection
from ciaovideo.media.source.opening import USUAL, no_picture
from ciaovideo.options import InputOptions
from ciaovideo.storage.endpoints import reads_once


class VideoReader:
    """The main video of a file: its facts, and its frames in display order.

    A context manager. The facts of a file come from ``probe``, which runs here unless they are
    given; those of a pipe come from its header and first frame. ``findings`` grow while frames are
    read. ``selection`` is the requested part on the file's own clock. Frames before it are decoded
    only where ``seeking`` cannot prove that decoding may begin later. A ``Probed`` file, whose
    first picture is known, is opened when a frame is requested. To ``describe`` it, without reading
    more than the first frame of a part, its open container is used.

    A damaged picture is returned as the decoder concealed it, with a finding; ``strict`` raises
    DecodeError instead. A picture with new side data that is not carried over, such as closed
    captions, or with other primaries gives a finding; ``strict`` raises LossError. Frames with
    another range or matrix state it in ``Frame.color``.

    The path ``PIPE`` is YUV4MPEG2 from standard input. It can be read only once, as can a named
    pipe (``piped``), and only its header says whether it is interlaced.
    """

    def __init__(
        self,
        source: Path | SourceFacts | Probed,
        *,
        pool: PlanePool | None = None,
        options: InputOptions = InputOptions(),
        strict: bool = False,
        describe: bool = False,
    ) -> None:
        first = lent = None
        if isinstance(source, Probed):
            first, lent = source.first, source.container if describe else None
            source = source.facts
        path = source.path if isinstance(source, SourceFacts) else source
        self._asked = self.selection = Selection.asked(options)
        if reads_once(path) and self._asked.cut:
            raise OptionError(
                "a pipe cannot be cut by time", "cut in the program that writes to the pipe"
            )
        self.facts = None if reads_once(path) else _probed(source, self._asked, options)
        self._options = options
        self._pool = pool
        self._count = 0  # frames returned
        self._ahead: Frame | None = None  # read, not returned yet
        self._stop: Fraction | None = None  # end of the part, if it has one
        self._begun = True  # whether a frame of the part was read
        self._end_checked = False
        self.late_fields = False  # interlaced frames appeared that the sample had not
        opening = self.facts.opening if self.facts else USUAL
        self._source = PictureSource(path, opening, first=first, lent=lent)
        self.path = self._source.path
        self._found = PictureFindings(self.path, strict=strict)
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        """Set up by the first picture, which is not returned yet."""
        first = self._source.peek()
        if first is None:
            raise no_picture(self.path)
        self.info: VideoInfo = self._describe(first)
        pts = first.pts if not self._timeless else None
        self._origin = self._found.origin = (pts or 0) * self._tick  # time of the first frame
        tick = None if self._timeless else self._tick
        self._continuity = Continuity(self.path, tick, self._origin, self._asked)
        self._choose_fields(first)
        self._layout = PixelLayout.of(self.info.pix_fmt)
        self._crop()
        self._pictures = self._whole_pictures()
        self._found.begin(first, self.info)
        if self.facts and self._asked.cut:
            self._cut(self.facts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    @property
    def piped(self) -> bool:
        """Whether this is a pipe, which can be read only once."""
        return self._source.piped

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings so far; the one on damaged pictures is last."""
        return (*self._fields.policy.findings, *self._found.listed())

    @property
    def decoded(self) -> int:
        """The number of frames from the decoder, each with both fields."""
        return self._source.taken

    def interrupt(self) -> None:
        """Wake a thread that waits for a pipe, to end the reading."""
        self._source.interrupt()

    def use(self, pool: PlanePool) -> None:
        """Copy all further frames into this pool's buffers."""
        self._pool = pool

    def frames(self, limit: int | None = None) -> Iterator[Frame]:
        """All further frames, at most ``limit`` of them.

        Raises TimestampError if a timestamp is missing or does not increase, DecodeError if data
        are damaged or size or layout change, InterlacedError at an interlaced picture if these are
        neither deinterlaced nor forced.
        """
        stop = None if limit is None else self._count + limit
        while stop is None or self._count < stop:
            frame, self._ahead = self._ahead or self._next(), None
            if frame is None:
                self._check_end()
                return
            self._count += 1
            yield frame

    def peek(self) -> Frame:
        """The next frame without taking it; raises DecodeError at the end."""
        frame = self.ahead()
        if frame is None:
            raise DecodeError(f"{self.path} has no frame after {self._count}")
        return frame

    def ahead(self) -> Frame | None:
        """The next frame without taking it; None at the end."""
        self._ahead = self._ahead or self._next()
        if self._ahead is None:
            self._check_end()
        return self._ahead

    def skip_to(self, pts: int, anchor: Anchor | None) -> None:
        """Skip to the frame at a time, or to the next after it; call it before the first frame.

        Frames before it that are decoded from ``anchor`` on are discarded.
        """
        if anchor is not None:
            self._source.jump(anchor)
        self._pictures = dropwhile(lambda shown: shown.pts < pts, self._pictures)

    def _next(self) -> Frame | None:
        shown = next(self._pictures, None)
        if shown is None:
            return None
        planes = copy_planes(shown.picture, self._layout, self._planes, self.info.cut)
        color = self._found.own_color(shown.picture, self.info)
        return Frame(planes, shown.pts, self.info.time_base, shown.duration, color)

    def _cut(self, facts: SourceFacts) -> None:
        """Restrict the frames to the requested part, and go to its first frame."""
        wanted = self._asked.after(self._origin)
        self._stop, self._begun = wanted.end, wanted.start is None
        tick, end = self.info.time_base, None
        if facts.packets.listing:
            part = Part(self.path, facts.packets.listing, wanted, self._origin)
            end, count = part.plan(self.info.frame_count)
            self.info = replace(self.info, frame_count=count)
            if wanted.start is not None:
                self._seek(part, wanted.start)
        self._pictures = self._within(self._pictures, wanted)
        if wanted.start is None and facts.packets.listing and facts.packets.listing.timed:
            self.selection = replace(wanted, end=end, tick=tick)  # it begins with the first frame
            return
        shown = next(self._pictures, None)
        if shown is None:
            raise empty_part(self.path, self._asked)
        self._found.forget_damage()  # damage before the part does not count
        self._pictures = chain([shown], self._pictures)
        start = None if wanted.start is None else shown.pts * tick
        self.selection = replace(wanted, start=start, end=end, tick=tick)

    def _seek(self, part: Part, begin: Fraction) -> None:
        """Skip frames that need no decoding; film must begin with a whole group."""
        first = None
        if self.selection.film:
            begin = part.film_start(begin)
            first = int(begin / self._tick)
        anchor = part.listing.anchor(begin, back=self._source.borrows)
        if anchor is None:
            return
        self._source.jump(anchor)
        if self.selection.film:
            self._fields.start(self.info, first)

    def _within(self, pictures: Iterator[Shown], wanted: Selection) -> Iterator[Shown]:
        for shown in pictures:
            time = shown.pts * self.info.time_base
            if wanted.end is not None and time >= wanted.end:
                self._end_checked = True  # the file's end was not read
                self._found.forget_damage(since=wanted.end)
                return
            if wanted.shows(time):
                self._begun = True
                yield shown

    def _choose_fields(self, first: av.VideoFrame) -> None:
        """Decide from flags and a sample what to do with interlaced frames."""
        if self.facts:
            evidence = self.facts.fields
        else:
            flagged, order = int(first.interlaced_frame), self._source.declared_order
            evidence = FieldEvidence(header=True, frames=1, flagged=flagged, declared=order)
        start, end = self._options.times
        policy = FieldPolicy(
            evidence,
            deinterlace=self._options.deinterlace,
            telecine=self._options.telecine,
            force=self._options.force,
            start=start,
            end=end,
        )
        self._fields = WholeFrames(policy, self._tick, self._found.lose_film)
        self.info = self._fields.begin(self.info)
        if policy.film:
            self._asked = self.selection = replace(self._asked, film=True)

    def _crop(self) -> None:
        """Apply the crop, if one is requested."""
        self.info = self._found.without_margins(self.info, self._layout, self._options.crop)

    def _whole_pictures(self) -> Iterator[Shown]:
        """Every progressive picture with its time."""
        while True:
            picture = self._source.next()
            if picture is None or self._is_past(picture):
                break
            if not self._begun:
                self._begin_anew(picture)
            shown = self._checked(picture)
            if not shown.progressive and not self._fields.filtering:
                self._meet_late_fields()
            yield from self._fields.push(shown)
        yield from self._fields.flush()

    def _is_past(self, picture: av.VideoFrame) -> bool:
        """Whether a picture of another shape, or a restart of timestamps, is after the part."""
        if self._stop is None or picture.pts is None or self._timeless:
            return False
        last = self._continuity.last
        if last is not None and picture.pts <= last:
            past = self._continuity.following * self._tick >= self._stop
        else:
            past = not self._fits(picture) and picture.pts * self._tick >= self._stop
        self._end_checked = self._end_checked or past  # the file's end is not read
        return past

    def _begin_anew(self, picture: av.VideoFrame) -> None:
        """Describe the video anew by a picture; its shape may differ from those before the part."""
        if self._fits(picture):
            self.info = replace(self.info, sar=self._source.sar)
            return
        found = self._source.describe(picture)
        names = ("time_base", "frame_rate", "frame_count", "interlaced", "field_order", "streams")
        self.info = replace(found, **{name: getattr(self.info, name) for name in names})
        self._layout = PixelLayout.of(self.info.pix_fmt)
        self._crop()
        if self._fields.filtering:  # no earlier frame is in the part
            self._fields.start(self.info)

    def _fits(self, picture: av.VideoFrame) -> bool:
        """Whether it has the first picture's size and layout; its range may differ."""
        any_range = not self._fields.filtering  # a filter takes frames of one layout
        return self._continuity.fits(picture, self.info, any_range=any_range)

    def _meet_late_fields(self) -> None:
        """Start deinterlacing at an interlaced frame, though the sample had none."""
        number = self._source.number
        if self._fields.policy.refuses:
            raise InterlacedError(f"{self.path}: frame {number} is interlaced", INTERLACED_HINT)
        self.late_fields = True
        text = f"interlaced frames from number {number} on are deinterlaced"
        self._found.add(Kind.CHOSEN, "interlacing", text)
        self._fields.start(self.info)

    def _describe(self, first: av.VideoFrame) -> VideoInfo:
        """The video's facts: of a file from its probe, of a pipe from its header."""
        if self.facts:
            info, timeless = self.facts.info, self.facts.timeless
            findings = self.facts.findings
        else:
            info, timeless, findings = self._source.describe_pipe(first)
        self._timeless, self._tick = timeless, info.time_base
        self._found.take(findings)
        return info

    def _checked(self, picture: av.VideoFrame) -> Shown:
        """A decoded picture, checked: of the first one's size and layout, later than the last.

        Without timestamps in the container, its number is its time.
        """
        info, number = self.info, self._source.number
        if not self._fits(picture):
            raise self._continuity.changed(picture, info, number, self._source.begins)
        at = None if picture.pts is None else picture.pts * self._tick
        time = number * self._tick if at is None else at
        if picture.is_corrupt:
            self._found.damage(number if at is None else at)
        if self._stop is None or time < self._stop:
            self._found.meet(picture, number, info, at)
            self._found.meet_sar(self._source.sar, info, number, time)
        whole = self._fields.policy.whole(picture.interlaced_frame)
        if self._timeless:
            return Shown(picture, number, 1, whole)
        pts = self._continuity.later(picture.pts, number)
        return Shown(picture, pts, max(picture.duration, 0), whole)

    def _planes(self, shapes: Sequence[tuple[int, int]], dtype: torch.dtype) -> tuple[Tensor, ...]:
        if self._pool is not None:
            return self._pool.acquire(shapes, dtype)
        return tuple(torch.empty(shape, dtype=dtype) for shape in shapes)

    def _check_end(self) -> None:
        """Report, once, a file that ends before its index does."""
        if self._end_checked:
            return
        self._end_checked = True
        if text := self._source.missing_end(self._continuity.last):
            self._found.add(Kind.DAMAGED, "file", text)


def _probed(source: Path | SourceFacts, asked: Selection, options: InputOptions) -> SourceFacts:
    """The facts of the source; probes it unless they are given."""
    if isinstance(source, SourceFacts):
        return source
    return probe(source, asked, options)
