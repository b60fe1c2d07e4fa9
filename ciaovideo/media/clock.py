"""Times read off packets without decoding them: typical steps, starts, and ends."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from statistics import median

import av
from av.audio.codeccontext import AudioCodecContext
from av.container import InputContainer
from av.packet import Packet
from av.rational import AVRational
from av.stream import Disposition, Stream

from ciaovideo.errors import OpenError
from ciaovideo.media.av_errors import av_errors

PEEK_PACKETS = 64  # enough for a median, and more than any codec reorders
PROBE_PACKETS = 4000  # a stream without a packet among so many begins late: after zero
MOVIE_CLOCK = 1000  # ticks a second in which mp4 says where a stream begins, unless told better
MAX_CLOCK = 2**31 - 1
CUT_KINDS = ("subtitle", "data")  # of streams whose packets can begin later and end earlier
SANE_RATES = (Fraction(1), Fraction(1000))


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The part of a file that is wanted, in the file's own times; all of it without any.

    ``start`` is when the first frame of the part appears, ``end`` when the first one after it does.
    ``tick`` is the clock of the frames.
    """

    start: Fraction | None = None
    end: Fraction | None = None
    tick: Fraction = Fraction(1)

    def holds(self, packet: "Packet[Stream]") -> bool:
        """Whether something of a packet belongs to the part, or to what comes after it.

        Sound does that is heard after the start, and a subtitle or piece of data that still holds.
        Priming is not heard, nor is Vorbis before its second packet.
        """
        if self.start is None or packet.stream.disposition & Disposition.attached_pic:
            return True
        tick = exact(packet.time_base) or Fraction(0)
        begin = (packet.pts or 0) * tick + priming(packet.stream)
        context = packet.stream.codec_context
        lasts = packet.stream.type != "video" and (context is None or context.name != "vorbis")
        return begin >= self.start or (lasts and begin + (packet.duration or 0) * tick > self.start)

    def shows(self, time: Fraction) -> bool:
        """Whether a frame that appears at a time is one of the part."""
        return (self.start is None or time >= self.start) and (self.end is None or time < self.end)

    def time_of(self, packet: "Packet[Stream]") -> Fraction:
        """When a packet begins; a subtitle or piece of data not before the part does."""
        time = (packet.pts or 0) * (exact(packet.time_base) or Fraction(0))
        if self.start is None or packet.stream.type not in CUT_KINDS:
            return time
        return max(time, self.start)


WHOLE = Span()


def exact(rational: AVRational | None) -> Fraction | None:
    """FFmpeg's rational as a Fraction; its unset values, 0/1 and n/0, as None."""
    if rational is None or not rational.num or not rational.den:
        return None
    return Fraction(rational.num, rational.den)


def frame_rate(claimed: Fraction | None, starts: list[Fraction]) -> Fraction | None:
    """A usable frame rate: the claimed one if the first frames agree with it, else theirs.

    Containers claim 1000/1 or 0/0 for common material; ``starts`` are frame times in order.
    """
    steps = [after - before for before, after in pairwise(starts) if after > before]
    if not steps:
        return claimed if claimed and SANE_RATES[0] <= claimed <= SANE_RATES[1] else None
    typical = 1 / Fraction(median(steps))
    if claimed and abs(claimed - typical) <= typical / 20:
        return claimed
    return min(max(typical, SANE_RATES[0]), SANE_RATES[1])


def first_frame_times(
    path: Path, index: int, count: int, start: Fraction | None = None
) -> list[Fraction]:
    """When the first ``count`` frames of a video stream appear, in order, without decoding them.

    Fewer at the end of the file, none where the container stores no times. With a ``start``, the
    frames are those before it and ``count`` more.
    """
    with av_errors("reading", path, OpenError), av.open(path) as container:
        av_stream = container.streams[index]
        tick = exact(av_stream.time_base) or Fraction(0)
        shown = (
            packet.pts
            for packet in container.demux(av_stream)
            if packet.pts is not None and packet.size and not packet.is_discard
        )
        # Packets come in decoding order: the packets of later frames may precede earlier ones.
        ticks: list[int] = []
        wanted = count + PEEK_PACKETS
        for pts in shown:
            ticks.append(pts)
            wanted -= start is None or pts * tick >= start
            if not wanted:
                break
    times = [tick * pts for pts in sorted(ticks)]
    return times[: count + (0 if start is None else bisect_left(times, start))]


def first_times(
    path: Path, main: int, others: Iterable[int], span: Span = WHOLE
) -> dict[int, Fraction]:
    """The time of each stream's earliest packet near the start of a file or span, in seconds.

    Not counted are pictures of the video ``main`` that an edit list hides, since they are not
    decoded, and sound's priming (``initial_padding`` samples), since containers store it apart.
    Streams with no packet near the start are left out.
    """
    wanted = {main, *others}
    earliest: dict[int, Fraction] = {}
    with av_errors("reading", path, OpenError), av.open(path) as container:
        packets = (packet for packet in container.demux() if span.holds(packet))
        for packet in islice(packets, PROBE_PACKETS):
            if packet.stream_index not in wanted or packet.pts is None or not packet.time_base:
                continue
            if packet.stream_index != main or not packet.is_discard:
                time = span.time_of(packet) + priming(packet.stream)
                earliest[packet.stream_index] = min(time, earliest.get(packet.stream_index, time))
    return earliest


def constant_rate(times: Sequence[Fraction], tick: Fraction, *rates: Fraction) -> Fraction | None:
    """The rate at which frames follow each other, if each is within a tick of its place at it.

    Tried are the ``rates`` that are claimed, then the one that the first step says.
    """
    if len(times) > 1 and times[1] > times[0]:
        rates = (*rates, 1 / (times[1] - times[0]))
    for rate in rates:
        if all(abs(time - times[0] - n / rate) <= tick for n, time in enumerate(times)):
            return rate
    return None


def average_rate(times: Sequence[Fraction]) -> Fraction:
    """The rate at which as many frames take as long, as near as YUV4MPEG2 need state it."""
    return ((len(times) - 1) / (times[-1] - times[0])).limit_denominator(MOVIE_CLOCK)


def movie_clock(container: InputContainer, starts: Mapping[int, Fraction], offset: Fraction) -> int:
    """Ticks a second in which mp4 and mov can store exactly where each copied stream begins.

    ``starts`` are the times of first packets by stream; sound begins on its own clock, whose
    ticks are its samples. At the container's default clock streams move by up to a millisecond.
    """
    clock = MOVIE_CLOCK
    for index, start in starts.items():
        context = container.streams[index].codec_context
        time = start + offset
        if isinstance(context, AudioCodecContext) and context.sample_rate:
            time = Fraction(int(time * context.sample_rate + Fraction(1, 2)), context.sample_rate)
        clock = math.lcm(clock, time.denominator)
    return clock if clock <= MAX_CLOCK else MOVIE_CLOCK


def common_tick(ticks: Iterable[Fraction]) -> Fraction:
    """The shortest time that is a whole number of each of these ticks."""
    shared = Fraction(0)
    for tick in ticks:
        shared = (
            tick
            if not shared
            else Fraction(
                math.lcm(shared.numerator, tick.numerator),
                math.gcd(shared.denominator, tick.denominator),
            )
        )
    return shared


def with_fields(times: list[Fraction]) -> list[Fraction]:
    """When the fields of frames appear; that of the last frame's second one is not known here."""
    return sorted([*times, *((one + other) / 2 for one, other in pairwise(times))])


def priming(av_stream: Stream) -> Fraction:
    """How long the sound is that a stream's decoder has to throw away at its beginning."""
    context = av_stream.codec_context
    if not isinstance(context, AudioCodecContext) or not context.initial_padding:
        return Fraction(0)
    return Fraction(context.initial_padding, context.sample_rate)
