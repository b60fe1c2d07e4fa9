"""Computes frame rates, steps and clocks from packet timestamps, without decoding."""

import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from statistics import median

from av.audio.codeccontext import AudioCodecContext
from av.container import InputContainer
from av.rational import AVRational
from av.stream import Stream

PEEK_PACKETS = 64  # enough for a median, and more than any codec reorders
PROBE_PACKETS = 4000  # a stream without a packet among these begins after zero
MOVIE_CLOCK = 1000  # default ticks per second in which mp4 stores where a stream begins
MAX_CLOCK = 2**31 - 1
SANE_RATES = (Fraction(1), Fraction(1000))
FALLBACK_RATE = Fraction(25)  # frames per second where neither timestamps nor a rate are known
READ_ON = Fraction(10)  # seconds to read past an end, for badly interleaved files


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


def constant_rate(times: Sequence[Fraction], tick: Fraction, *rates: Fraction) -> Fraction | None:
    """The constant rate of the frames, if each is within a tick of its time at that rate.

    The claimed ``rates`` are tried first, then the one from the first step. None if none fits.
    """
    if len(times) > 1 and times[1] > times[0]:
        rates = (*rates, 1 / (times[1] - times[0]))
    for rate in rates:
        if all(abs(time - times[0] - n / rate) <= tick for n, time in enumerate(times)):
            return rate
    return None


def average_rate(times: Sequence[Fraction]) -> Fraction:
    """The average rate, as a fraction that is short enough for YUV4MPEG2's header."""
    return ((len(times) - 1) / (times[-1] - times[0])).limit_denominator(MOVIE_CLOCK)


def movie_clock(container: InputContainer, starts: Mapping[int, Fraction], offset: Fraction) -> int:
    """Ticks per second in which mp4 and mov can store exactly where each copied stream begins.

    ``starts`` are the times of first packets by stream; sound begins on a clock that counts its
    samples. The container's default clock would move streams by up to a millisecond.
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
    """The times of the frames' fields, without the last frame's second one, which is unknown."""
    return sorted([*times, *((one + other) / 2 for one, other in pairwise(times))])


def priming(av_stream: Stream) -> Fraction:
    """The duration of the priming samples, which a decoder discards at the beginning."""
    context = av_stream.codec_context
    if not isinstance(context, AudioCodecContext) or not context.initial_padding:
        return Fraction(0)
    return Fraction(context.initial_padding, context.sample_rate)
