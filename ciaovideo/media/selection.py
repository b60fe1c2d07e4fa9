"""Which frames of a video a run takes, and which packets of other streams belong to them.

There are two clocks, and a ``Selection`` on each. As requested, times count from the video's first
frame. Once the frames are known, times are the file's own: the start is the time of the first
frame, the end that of the first frame after it. A segment of a run is a selection, too.

Verification uses this class, and only this module decides which packets belong to a part
(``PacketHead``). ``pipeline/verification`` repeats on purpose, in code of its own, the rules in
which an error here would stay hidden: which frames of the source are in the part, when the fields
of a frame appear, which packets of the other streams are copied, and where chapters are cut.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Self

from av.packet import Packet
from av.stream import Disposition, Stream

from ciaovideo.media.clock import exact, priming, with_fields
from ciaovideo.media.interlacing.pulldown import film_times, frames_for
from ciaovideo.options import InputOptions

CUT_KINDS = ("subtitle", "data")  # of streams whose packets can begin later and end earlier


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketHead:
    """The time span of one packet, in seconds of the file's own time.

    ``begin`` is after the priming that a decoder discards. ``lasts`` means that a packet that
    begins before a part and reaches into it belongs to the part: true for sound and subtitles,
    false for pictures and Vorbis. ``cover`` packets belong to every part, ``hidden`` ones to none.
    """

    index: int
    kind: str
    begin: Fraction
    end: Fraction
    lasts: bool
    cover: bool
    hidden: bool

    @classmethod
    def of(cls, packet: "Packet[Stream]") -> "PacketHead":
        """The head of a packet; one without a timestamp counts as at zero."""
        tick = exact(packet.time_base) or Fraction(0)
        context = packet.stream.codec_context
        begin = (packet.pts or 0) * tick + priming(packet.stream)
        return cls(
            index=packet.stream_index,
            kind=packet.stream.type,
            begin=begin,
            end=begin + (packet.duration or 0) * tick,
            lasts=packet.stream.type != "video" and (context is None or context.name != "vorbis"),
            cover=bool(packet.stream.disposition & Disposition.attached_pic),
            hidden=packet.is_discard,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The frames from ``start`` on and before ``end``, at most ``count`` of them.

    Times are in exact seconds, None for no bound. With ``every_field`` each field becomes a frame
    and counts as one; with ``film`` (reversed telecine) the pictures of film are the frames.
    ``tick`` is the clock of the frames.
    """

    start: Fraction | None = None
    end: Fraction | None = None
    count: int | None = None
    every_field: bool = False
    film: bool = False
    tick: Fraction = Fraction(1)

    @classmethod
    def asked(cls, options: InputOptions, count: int | None = None) -> Self:
        """The selection in the options, with times from the first frame."""
        start, end = options.times
        every_field = options.deinterlace == "field"
        return cls(start=start or None, end=end, count=count, every_field=every_field)

    @property
    def cut(self) -> bool:
        """Whether it is bounded by a time."""
        return self.start is not None or self.end is not None

    @property
    def per_frame(self) -> int:
        """How many output frames each frame gives."""
        return 2 if self.every_field else 1

    @property
    def frames_read(self) -> int | None:
        """How many frames of the video to read for its ``count``, and the time of the next one."""
        return frames_for(self.count) if self.film and self.count is not None else self.count

    def after(self, first: Fraction) -> "Selection":
        """The selection on the file's own clock; ``first`` is the first frame's time."""
        return replace(
            self,
            start=None if self.start is None else first + self.start,
            end=None if self.end is None else first + self.end,
        )

    def shows(self, time: Fraction) -> bool:
        """Whether a frame at this time is within the bounds."""
        return (self.start is None or time >= self.start) and (self.end is None or time < self.end)

    def holds(self, head: PacketHead) -> bool:
        """Whether any of a packet is at or after the start.

        That includes sound that is audible after the start, and a subtitle or piece of data that is
        still valid there. Priming is not audible, nor is Vorbis before its second packet.
        """
        if self.start is None or head.cover:
            return True
        return head.begin >= self.start or (head.lasts and head.end > self.start)

    def begin_of(self, head: PacketHead) -> Fraction:
        """The time of a packet; of a subtitle or piece of data, at least that of the part."""
        if self.start is None or head.kind not in CUT_KINDS:
            return head.begin
        return max(head.begin, self.start)

    def times(self, frames: Sequence[Fraction]) -> list[Fraction]:
        """The times of its frames, from all frame times; without a last frame's second field."""
        times = film_times(frames) if self.film else frames
        times = with_fields(list(frames)) if self.every_field else times
        return [time for time in times if self.shows(time)][: self.count]

    def total(self, frames: Iterable[Fraction]) -> int:
        """The number of its frames, from the video's frame times."""
        shown = film_times(list(frames)) if self.film else frames
        found = sum(map(self.shows, shown)) * self.per_frame
        return found if self.count is None else min(found, self.count)

    def ended(self, frames: Sequence[Fraction]) -> "Selection":
        """The selection with the end of its last frame: the time of the next of ``frames``."""
        if self.count is None:
            return self
        inside = replace(self, count=None, end=None).times(frames)
        ends = [*inside[self.count : self.count + 1], *([] if self.end is None else [self.end])]
        return replace(self, end=min(ends, default=None))

    def chapters(self, chapters: Iterable[Any]) -> Iterator[tuple[Any, Fraction, Fraction]]:
        """FFmpeg's chapters inside it, each with its start and end, cut at the bounds."""
        for chapter in chapters:
            tick = exact(chapter["time_base"]) or Fraction(1)
            start, stop = chapter["start"] * tick, chapter["end"] * tick
            if self.end is not None and start >= self.end:
                continue
            if self.start is not None and start < self.start:
                if stop <= self.start:
                    continue
                start = self.start
            yield chapter, start, stop if self.end is None else min(stop, self.end)


EVERYTHING = Selection()
