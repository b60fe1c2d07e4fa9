"""Packets to frames: every picture of a file's main video, once, with its exact time."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import chain, dropwhile
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import torch
from torch import Tensor

from ciaovideo.color import PixelLayout
from ciaovideo.errors import (
    DecodeError,
    InterlacedError,
    OpenError,
    OptionError,
    TimestampError,
)
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.containers import read_container
from ciaovideo.media.frame import Frame, PlanePool, VideoInfo
from ciaovideo.media.inspect.jumps import begun_again
from ciaovideo.media.layouts import copy_planes
from ciaovideo.media.read.deinterlacer import FieldFilter, Shown
from ciaovideo.media.read.fields import (
    FieldEvidence,
    FieldPolicy,
    declared_order,
)
from ciaovideo.media.read.picture_findings import PictureFindings
from ciaovideo.media.read.probe import (
    SourceFacts,
    describe_video,
    probe,
    with_rate,
)
from ciaovideo.media.read.pulldown import FRAMES, PARTS, PICTURES, groups
from ciaovideo.media.read.seeking import Anchor, Listing, packets_from
from ciaovideo.media.read.telecine import FilmFilter
from ciaovideo.media.read.y4m_input import PipeInput
from ciaovideo.media.selection import Selection
from ciaovideo.media.video_stream import (
    USUAL,
    decoded,
    hides_alpha,
    indexed_frames,
    main_video,
    open_source,
    pictures_from,
    rejoined,
    remuxed,
    retagged,
    retimed,
)
from ciaovideo.options import InputOptions
from ciaovideo.storage.endpoints import reads_once

INTERLACED_HINT = "let it be deinterlaced, or force it to be taken as it is"


class VideoReader:
    """The main video of a file: what is known of it, and its frames in display order.

    A context manager. What is known of a file comes from ``probe``, which is done here unless its
    facts are given; of a pipe the header and the first frame tell it. ``findings`` say what follows
    from that, and grow while frames are read.
    ``selection`` is the part that the options ask for, on the file's own clock; where decoding
    can begin before it with the same result (``seeking``), what is earlier is not decoded.

    A damaged picture comes as the decoder patched it, and a finding has its time; ``strict`` raises
    DecodeError there. So it is where what is not carried over begins (closed captions, for one), or
    primaries change: a finding, or under ``strict`` a LossError. Where range or matrix change,
    frames tell what they are (``Frame.color``).

    ``PIPE`` as the path is YUV4MPEG2 from standard input, which can be read only once, as can a
    named pipe: ``piped`` says so, and the header alone tells whether it is interlaced.
    """

    def __init__(
        self,
        source: Path | SourceFacts,
        *,
        pool: PlanePool | None = None,
        options: InputOptions = InputOptions(),
        strict: bool = False,
    ) -> None:
        path = source.path if isinstance(source, SourceFacts) else source
        self._pipe = PipeInput(path) if reads_once(path) else None
        self.path = self._pipe.name if self._pipe else path
        self._found = PictureFindings(self.path, strict=strict)
        self._pool = pool
        self._filter: FieldFilter | FilmFilter | None = None
        self._decoded = 0  # frames that came from the decoder
        self._count = 0  # frames handed out
        self._stop: Fraction | None = None  # when the part ends, if it does
        self._last: int | None = None  # the newest time stamp
        self._next_pts = 0  # the one that follows it, if the step stays
        self._closed_books = False
        self._begun = True  # whether a frame of the part was met
        self._options = options
        self.late_fields = False  # interlaced frames came where the sample had none
        self._ahead: Frame | None = None  # read, and not handed out
        self._pending: av.VideoFrame | None = None
        self._asked = self.selection = Selection.asked(options)
        cut = self._asked.cut
        if self._pipe and cut:
            raise OptionError(
                "a pipe cannot be cut by time", "have the program cut that writes into it"
            )
        self.facts = None if self._pipe else _probed(source, self._asked, options)
        self._open()
        try:
            self._pending = self._decode()
            if self._pending is None:
                raise OpenError(f"{self.path} holds no picture that can be decoded")
            self.info: VideoInfo = self._describe(self._pending)
            first = self._pending.pts if not self._timeless else None
            self._origin = (first or 0) * self._tick  # when the first frame appears
            self._choose_fields(self._pending, options)
            self._layout = PixelLayout.of(self.info.pix_fmt)
            self._crop()
            self._pictures = self._whole_pictures()
            self._found.begin(self._pending, self.info)
            if self.facts and cut:
                self._cut(self.facts)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._pending = None
        self._container.close()
        if self._pipe:
            self._pipe.close()

    @property
    def piped(self) -> bool:
        """Whether this is a pipe, which cannot be read twice."""
        return self._pipe is not None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found in the file, as far as it was read; the damaged pictures come last."""
        return (*self._policy.findings, *self._found.listed())

    @property
    def decoded(self) -> int:
        """How many frames came from the decoder, with both fields of each."""
        return self._decoded

    def interrupt(self) -> None:
        """Wake a thread that waits for a pipe, because nothing more is wanted."""
        if self._pipe:
            self._pipe.stop()

    def use(self, pool: PlanePool) -> None:
        """Copy the frames handed out from now on into this pool's buffers."""
        self._pool = pool

    def frames(self, limit: int | None = None) -> Iterator[Frame]:
        """Every frame that was not handed out yet, at most ``limit`` of them.

        Raises TimestampError where a time is missing or does not increase, DecodeError where data
        is damaged or size or layout change, InterlacedError at an interlaced picture where they
        are neither deinterlaced nor forced.
        """
        stop = None if limit is None else self._count + limit
        while stop is None or self._count < stop:
            frame, self._ahead = self._ahead or self._next(), None
            if frame is None:
                self._close_books()
                return
            self._count += 1
            yield frame

    def peek(self) -> Frame:
        """The next frame, which ``frames`` will hand out all the same; DecodeError at the end."""
        frame = self.ahead()
        if frame is None:
            raise DecodeError(f"{self.path} has no frame after {self._count}")
        return frame

    def ahead(self) -> Frame | None:
        """The next frame, which ``frames`` will hand out all the same; None at the end."""
        self._ahead = self._ahead or self._next()
        if self._ahead is None:
            self._close_books()
        return self._ahead

    def skip_to(self, pts: int, anchor: Anchor | None) -> None:
        """Before the first frame, go to the one that appears at a time, or to the next after it.

        What is decoded before it, from ``anchor`` on, is not handed out.
        """
        self._jump(anchor)
        self._pictures = dropwhile(lambda shown: shown.pts < pts, self._pictures)

    def _next(self) -> Frame | None:
        shown = next(self._pictures, None)
        if shown is None:
            return None
        planes = copy_planes(shown.picture, self._layout, self._planes, self.info.cut)
        color = self._found.own_color(shown.picture, self.info)
        return Frame(planes, shown.pts, self.info.time_base, shown.duration, color)

    def _open(self) -> None:
        """Begin at the beginning."""
        opening = self.facts.opening if self.facts else USUAL
        with av_errors("opening", self.path, OpenError):
            self._container = self._pipe.open() if self._pipe else open_source(self.path, opening)
        try:
            self._av_stream = main_video(self._container, self.path, opening)
        except BaseException:
            self._container.close()
            raise
        self._av_stream.codec_context.thread_type = "AUTO"
        self._decoder: Iterator[av.VideoFrame] = (
            self._pipe.decode(self._av_stream)
            if self._pipe
            else retagged(pictures_from(self._container, self._av_stream), opening)
        )
        self._pending = None

    def _cut(self, facts: SourceFacts) -> None:
        """Hand out only what appears in the part asked for; stand before its first frame."""
        wanted = self._asked.after(self._origin)
        self._stop, self._begun = wanted.end, wanted.start is None
        tick, end = self.info.time_base, None
        if facts.packets.listing:
            end = self._plan_part(facts.packets.listing, wanted)
            if wanted.start is not None:
                self._seek(facts.packets.listing, wanted.start)
        self._pictures = self._within(self._pictures, wanted)
        shown = next(self._pictures, None)
        if shown is None:
            raise self._empty()
        self._found.forget_damage()  # what came before does not count
        self._pictures = chain([shown], self._pictures)
        start = None if wanted.start is None else shown.pts * tick
        self.selection = replace(wanted, start=start, end=end, tick=tick)

    def _plan_part(self, listing: Listing, wanted: Selection) -> Fraction | None:
        """When the first frame after the part appears; counts those in it, and the end of it."""
        frames = self._shown_times(listing)
        if listing.again and len(frames) > 1:
            frames.append(2 * frames[-1] - frames[-2])  # when the last one ends
        times = replace(wanted, start=None, end=None).times(frames)
        inside = wanted.times(frames)
        if not listing.timed or not times:
            return wanted.end
        if not inside:
            raise self._empty()
        if wanted.end is None:
            left = self.info.frame_count - len(times) + len(inside)
            self.info = replace(self.info, frame_count=max(left, len(inside)))
            return None
        self.info = replace(self.info, frame_count=len(inside))
        end = next((time for time in times if time >= wanted.end), None)
        if end is None and listing.again:
            last = float(times[-1] - self._origin)
            raise begun_again(Path(self.path), times[-1], f"end at {last:g} s at the latest")
        return end

    def _empty(self) -> OptionError:
        asked = self._asked
        since = f"{float(asked.start or 0):g} s"
        until = "its end" if asked.end is None else f"{float(asked.end):g} s"
        return OptionError(
            f"no frame of {self.path} appears between {since} and {until}",
            "start earlier, or end later: both are counted from the first frame",
        )

    def _seek(self, listing: Listing, begin: Fraction) -> None:
        """Skip what need not be decoded; film begins with a group of frames."""
        first = None
        if self.selection.film:
            starts = [group.times[0] for group in groups(self._shown_times(listing))]
            begin = max((start for start in starts if start <= begin), default=begin)
            first = int(begin / self._tick)
        anchor = listing.anchor(begin)
        self._jump(anchor)
        if self.selection.film and anchor is not None:
            self._start_filter(first)

    def _shown_times(self, listing: Listing) -> list[Fraction]:
        """When the frames of a listing appear; those before the first picture do not."""
        times = (pts * listing.tick for pts in listing.frames)
        return [time for time in times if not self.selection.film or time >= self._origin]

    def _jump(self, anchor: Anchor | None) -> None:
        """Go on from an anchor; where that does not lead anywhere, from the beginning."""
        if anchor is None or hides_alpha(self._av_stream):
            return
        packets = packets_from(self._container, self._av_stream, anchor)
        if packets is None:
            self._container.close()
            self._open()
            return
        first = anchor.mark[0]
        self._pending, self._last, self._decoded = None, None, anchor.place
        assert self.facts is not None
        self._decoder = (
            picture
            for picture in retagged(decoded(self._container, packets), self.facts.opening)
            if picture.pts is None or picture.pts >= first  # others are shown before it
        )

    def _within(self, pictures: Iterator[Shown], wanted: Selection) -> Iterator[Shown]:
        for shown in pictures:
            time = shown.pts * self.info.time_base
            if wanted.end is not None and time >= wanted.end:
                self._closed_books = True  # how the file ends was not looked at
                self._found.forget_damage(since=wanted.end)
                return
            if wanted.shows(time):
                self._begun = True
                yield shown

    def _choose_fields(self, first: av.VideoFrame, options: InputOptions) -> None:
        """Decide from flags and a sample what is done with interlaced frames."""
        info = self.info
        if self._pipe:
            flagged, order = int(first.interlaced_frame), declared_order(self._av_stream)
            evidence = FieldEvidence(header=True, frames=1, flagged=flagged, declared=order)
        else:
            assert self.facts is not None
            evidence = self.facts.fields
        self._policy: FieldPolicy = FieldPolicy(evidence, options)
        policy = self._policy
        if policy.refuses and evidence.interlaced:
            raise InterlacedError(f"{self.path} is interlaced ({evidence})", INTERLACED_HINT)
        if policy.deinterlaces:
            self._start_filter()
        if policy.film:
            self._take_film()
        elif policy.every_field:
            rate = info.frame_rate and info.frame_rate * 2
            info = replace(info, time_base=info.time_base / 2, frame_rate=rate)
            self.info = replace(info, frame_count=info.frame_count * 2)
        elif policy.forced:
            order = evidence.order or evidence.declared
            self.info = replace(info, interlaced=True, field_order=order)

    def _take_film(self) -> None:
        """Hand out film's pictures from here on, which are fewer than video's frames."""
        info, share = self.info, Fraction(PICTURES, FRAMES)
        self._asked = self.selection = replace(self._asked, film=True)
        self.info = replace(
            info,
            time_base=self._tick / PARTS,
            frame_rate=info.frame_rate and info.frame_rate * share,
            frame_count=int(info.frame_count * share),
        )
        self._start_filter()

    def _crop(self) -> None:
        """Have pixels cut off at the sides, where that is asked for."""
        self.info = self._found.without_margins(self.info, self._layout, self._options.crop)

    def _start_filter(self, begin: int | None = None) -> None:
        evidence, info = self._policy.evidence, self.info
        if self._policy.film:
            self._filter = FilmFilter(
                info,
                self._tick,
                order=evidence.pulldown.order,
                begin=begin,
                on_lost=self._found.lose_film,
            )
            return
        repacked = info.coded_pix_fmt.replace("yuvj", "yuv") != info.pix_fmt  # which loses the flag
        order = evidence.order
        if not order and (repacked or not evidence.flagged):
            order = evidence.declared
        every = self._policy.every_field
        self._filter = FieldFilter(self.info, self._tick, order=order or "auto", every_field=every)

    def _whole_pictures(self) -> Iterator[Shown]:
        """Every picture with its time, of whole frames."""
        while True:
            picture = self._decode() if self._pending is None else self._pending
            self._pending = None
            if picture is None or self._is_past(picture):
                break
            if not self._begun and not self._fits(picture):
                self._begin_anew(picture)
            shown = self._checked(picture)
            if not shown.progressive and self._filter is None:
                self._meet_late_fields()
            self._decoded += 1
            if self._filter is None:
                yield shown
            else:
                yield from self._filter.push(shown)
        if self._filter is not None:
            yield from self._filter.flush()

    def _is_past(self, picture: av.VideoFrame) -> bool:
        """Whether it has another shape, or times begin again, after the part that is asked for."""
        if self._stop is None or picture.pts is None or self._timeless:
            return False
        if self._last is not None and picture.pts <= self._last:
            past = self._next_pts * self._tick >= self._stop
        else:
            past = not self._fits(picture) and picture.pts * self._tick >= self._stop
        self._closed_books = self._closed_books or past  # how the file ends is not looked at
        return past

    def _begin_anew(self, picture: av.VideoFrame) -> None:
        """Describe the video by a picture that has another shape than those before the part."""
        found = describe_video(self._container, self._av_stream, picture, self.path)
        names = ("time_base", "frame_rate", "frame_count", "interlaced", "field_order", "streams")
        self.info = replace(found, **{name: getattr(self.info, name) for name in names})
        self._layout = PixelLayout.of(self.info.pix_fmt)
        self._crop()
        if self._filter is not None:  # of what came before, nothing is in the part
            self._start_filter()

    def _fits(self, picture: av.VideoFrame) -> bool:
        """Whether it has the size and layout of the first; its range may be another."""
        info = self.info
        names = {picture.format.name, info.coded_pix_fmt}
        if self._filter is None:  # which takes frames of one layout
            names = {name.replace("yuvj", "yuv") for name in names}  # that is a range, no layout
        return len(names) == 1 and (picture.height, picture.width) == info.stored_size

    def _meet_late_fields(self) -> None:
        """At an interlaced frame where the sample had none: deinterlace from here on."""
        if self._policy.refuses:
            raise InterlacedError(f"{self._place()} is interlaced", INTERLACED_HINT)
        self.late_fields = True
        text = f"interlaced frames from number {self._decoded} on are made whole"
        self._found.add(Kind.CHOSEN, "interlacing", text)
        self._start_filter()

    def _decode(self) -> av.VideoFrame | None:
        with av_errors(f"decoding frame {self._decoded} of", self.path, DecodeError):
            return next(self._decoder, None)

    def _describe(self, first: av.VideoFrame) -> VideoInfo:
        """What is known of the video: of a file all that was probed, of a pipe its header."""
        if self.facts:
            info, timeless = self.facts.info, self.facts.timeless
            findings = self.facts.findings
        else:
            found = describe_video(self._container, self._av_stream, first, self.path)
            info, timeless, findings = with_rate(found, first, None, self._container)
        self._timeless, self._tick = timeless, info.time_base
        self._found.take(findings)
        return info

    def _checked(self, picture: av.VideoFrame) -> Shown:
        """A picture from the decoder, of the size and layout of the first and later than the last.

        Where the container stores no times, its number is its time.
        """
        info = self.info
        if not self._fits(picture):
            raise self._changed(picture)
        at = None if picture.pts is None else picture.pts * self._tick
        if picture.is_corrupt:
            self._found.damage(self._decoded if at is None else at)
        self._found.meet(picture, self._decoded, info, at)
        whole = self._policy.whole(picture.interlaced_frame)
        if self._timeless:
            return Shown(picture, self._decoded, 1, whole)
        return Shown(picture, self._later(picture.pts), max(picture.duration, 0), whole)

    def _changed(self, picture: av.VideoFrame) -> DecodeError:
        """The error for a picture of another size or layout, with both ways on."""
        info, time, hint = self.info, "", "cut the file there and process the parts one by one"
        if picture.pts is not None and not self._timeless:
            micros = (picture.pts * self._tick - self._origin) * 10**6
            time = f" at {math.floor(micros) / 10**6:.6f} s"  # a part that ends then is before it
            seek = micros + self._origin * 10**6 - (self._container.start_time or 0)
            rest = remuxed(
                self.path, "-ss", f"{math.ceil(seek) / 10**6:.6f}", then=["-copypriorss", "0"]
            )
            hint = f"end the run there, and make another file of what follows: {rest}"
        return DecodeError(
            f"{self._place()}{time}: the picture changes from"
            f" {info.stored_size[1]}x{info.stored_size[0]}"
            f" {info.coded_pix_fmt} to {picture.width}x{picture.height} {picture.format.name}",
            hint,
        )

    def _later(self, pts: int | None) -> int:
        """A time stamp that is there and later than the one before."""
        if pts is None:
            raise TimestampError(f"{self._place()} has no time", retimed(self.path))
        if self._last is not None and pts <= self._last:
            raise TimestampError(
                f"{self._place()}: its time {pts} is not after {self._last}"
                f" (ticks of {self._tick} s)",
                f"{rejoined(Path(self.path))}{self._or_fewer()}",
            )
        self._next_pts, self._last = 2 * pts - (self._last or pts), pts
        return pts

    def _or_fewer(self) -> str:
        """The other way on where times go wrong: what comes before, which a start would shift."""
        if self._asked.start is not None or not self._decoded:
            return ""
        return f", or take the first {self._decoded * self._asked.per_frame} frames only"

    def _planes(self, shapes: Sequence[tuple[int, int]], dtype: torch.dtype) -> tuple[Tensor, ...]:
        if self._pool is not None:
            return self._pool.acquire(shapes, dtype)
        return tuple(torch.empty(shape, dtype=dtype) for shape in shapes)

    def _place(self) -> str:
        return f"{self.path}: frame {self._decoded}"

    def _close_books(self) -> None:
        """Find, once, what is odd about a file that was read to its end."""
        if self._closed_books:
            return
        self._closed_books = True
        indexed = indexed_frames(self._container, self._av_stream)
        found = self._decoded
        counts = read_container(self._container.format.name).coding_times
        if counts and self._last is not None:
            found = self._last + 1  # its clock counts frames, and its index those that were dropped
        if found < indexed:
            text = (
                f"the file's index names {indexed} frames and {self._decoded} were found:"
                " its end may be cut off"
            )
            self._found.add(Kind.DAMAGED, "file", text)


def _probed(source: Path | SourceFacts, asked: Selection, options: InputOptions) -> SourceFacts:
    """What a look at the file tells of the part that is wanted."""
    if isinstance(source, SourceFacts):
        return source
    return probe(source, asked, options)
