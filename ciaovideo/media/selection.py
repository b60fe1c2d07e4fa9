"""Which frames of a video a run takes, and what that means for everything beside them.

There are two clocks, and a ``Selection`` on each: as it is asked for, its times count from the
video's first frame; once the frames are known they are the file's own, its start being when its
first frame appears and its end when the first one after it does. A segment of a run is one, too.

Verification uses this noun, and the packets of a part (``PacketHead``) are told here and nowhere
else. It doubles on purpose, in its own words, what a mistake here would hide from it: which frames
of the source are in the part, when the fields of a frame appear, which packets of the other
streams were copied, and where chapters are cut (``pipeline/verification``).
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
    """When one packet is seen or heard, in seconds of the file's own time.

    ``begin`` counts without the priming that a decoder throws away. ``lasts`` says that what began
    before a part still belongs to it: sound and subtitles do, pictures and Vorbis before its second
    packet do not. ``cover`` packets belong to every part, ``hidden`` ones to none.
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
        """The head of a packet; one without a time belongs to the beginning."""
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
    """The frames that appear from ``start`` on and before ``end``, ``count`` of them at most.

    All in exact seconds, None where nothing bounds it. With ``every_field`` each field of a frame
    becomes one, and is counted as one; of ``film`` at video's rate, the pictures of film are the
    frames. ``tick`` is the clock of the frames.
    """

    start: Fraction | None = None
    end: Fraction | None = None
    count: int | None = None
    every_field: bool = False
    film: bool = False
    tick: Fraction = Fraction(1)

    @classmethod
    def asked(cls, options: InputOptions, count: int | None = None) -> Self:
        """What options ask for, counted from the first frame."""
        start, end = options.times
        every_field = options.deinterlace == "field"
        return cls(start=start or None, end=end, count=count, every_field=every_field)

    @property
    def cut(self) -> bool:
        """Whether a time bounds it."""
        return self.start is not None or self.end is not None

    @property
    def per_frame(self) -> int:
        """How many frames become of one."""
        return 2 if self.every_field else 1

    @property
    def frames_read(self) -> int | None:
        """How many of the video's frames hold its ``count``, and tell when the next one appears."""
        return frames_for(self.count) if self.film and self.count is not None else self.count

    def after(self, first: Fraction) -> "Selection":
        """It on the file's own clock, on which the first frame appears at a time."""
        return replace(
            self,
            start=None if self.start is None else first + self.start,
            end=None if self.end is None else first + self.end,
        )

    def shows(self, time: Fraction) -> bool:
        """Whether a frame that appears at a time is within its bounds."""
        return (self.start is None or time >= self.start) and (self.end is None or time < self.end)

    def holds(self, head: PacketHead) -> bool:
        """Whether something of a packet belongs to it, or to what comes after it.

        Sound does that is heard after the start, and a subtitle or piece of data that still holds.
        Priming is not heard, nor is Vorbis before its second packet.
        """
        if self.start is None or head.cover:
            return True
        return head.begin >= self.start or (head.lasts and head.end > self.start)

    def begin_of(self, head: PacketHead) -> Fraction:
        """When a packet begins; a subtitle or piece of data not before the part does."""
        if self.start is None or head.kind not in CUT_KINDS:
            return head.begin
        return max(head.begin, self.start)

    def times(self, frames: Sequence[Fraction]) -> list[Fraction]:
        """When its frames appear, of all the video's; that of a last second field is not known."""
        times = film_times(frames) if self.film else frames
        times = with_fields(list(frames)) if self.every_field else times
        return [time for time in times if self.shows(time)][: self.count]

    def total(self, frames: Iterable[Fraction]) -> int:
        """How many frames it has, from when the video's appear."""
        shown = film_times(list(frames)) if self.film else frames
        found = sum(map(self.shows, shown)) * self.per_frame
        return found if self.count is None else min(found, self.count)

    def ended(self, frames: Sequence[Fraction]) -> "Selection":
        """It with the end where its last frame ends: when the next one of these appears."""
        if self.count is None:
            return self
        inside = replace(self, count=None, end=None).times(frames)
        ends = [*inside[self.count : self.count + 1], *([] if self.end is None else [self.end])]
        return replace(self, end=min(ends, default=None))

    def chapters(self, chapters: Iterable[Any]) -> Iterator[tuple[Any, Fraction, Fraction]]:
        """FFmpeg's chapters that lie in it, each with its start and end, cut at its bounds."""
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
