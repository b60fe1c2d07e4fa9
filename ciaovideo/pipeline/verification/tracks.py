"""Checks the other streams: each kept one against its copy, packet by packet.

Which packets of a stream are in a part is decided here again, independently of
``media.selection``.
"""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise, takewhile

from ciaovideo.findings import Finding, Kind
from ciaovideo.media.inspect.scan import FileScan, Track
from ciaovideo.media.selection import Selection
from ciaovideo.pipeline.verification.contract import Contract, wrong
from ciaovideo.pipeline.verification.times import first_difference, on_clock

STEP = Fraction(1, 1000)  # seconds between packets that would otherwise step back
SOUND_STEP = Fraction(1, 4)  # packets of two sound codecs begin at most this far apart
MPEG_SOUND = {"mp1", "mp2", "mp3"}  # mp4 has one name for all three


def pair_tracks(
    source: FileScan, found: FileScan, contract: Contract, span: Selection
) -> tuple[list[tuple[Track, Track]], list[Finding]]:
    """Each kept stream with its copy, in the order of each kind; and findings on unpaired ones.

    A stream without a packet in the span may be missing, as in mp4 and mov, or have an empty copy.
    """
    plan = contract.streams
    kept = {info.index: info.becomes for info in plan.kept}
    accounted = kept.keys() | {info.index for info in plan.dropped}
    given = [track for track in source.others if track.info.index in kept]
    findings = [
        wrong(track.info.name, f"{track.info} is neither kept nor reported as dropped")
        for track in source.others
        if track.info.index not in accounted
    ]
    pairs: list[tuple[Track, Track]] = []
    left = found.others
    for track in given:
        anew = bool(kept[track.info.index])
        filled = track.cover or track.info.kind == "attachment" or bool(packet_times(track, span))
        like = (made for made in left if _same_kind(track, made, anew))
        filled = filled or plan.container.in_step  # with silence
        partner = next((made for made in like if filled or not made.pts), None)
        if partner is None:
            if filled:
                findings.append(wrong(track.info.name, f"{track.info} is missing"))
        else:
            left.remove(partner)
            pairs.append((track, partner))
    findings += [wrong(track.info.name, f"{track.info} should not be there") for track in left]
    return pairs, findings


def _same_kind(given: Track, made: Track, anew: bool) -> bool:
    """Whether one may be the copy of the other; ``anew`` if it was transcoded."""
    one, other = given.info, made.info
    if given.cover or made.cover:
        return given.cover == made.cover
    same_coding = anew or one.codec == other.codec or {one.codec, other.codec} <= MPEG_SOUND
    return one.kind == other.kind and same_coding


def check_steady(made: Track, lasts: Fraction) -> Iterator[Finding]:
    """Check sound in a container without times: continuous from zero to the end of the video."""
    heard = _heard(
        [(p * made.tick, n * made.tick) for p, n in zip(made.pts, made.lasts, strict=True)],
        made.tick,
    )
    last = max(made.lasts, default=0) * made.tick  # the muxer pads the last packet
    if [begin for begin, _ in heard] != [0] or not 0 <= heard[0][1] - lasts + made.tick <= last:
        told = ", ".join(f"{float(begin):.3f} to {float(end):.3f} s" for begin, end in heard)
        text = f"{made.info}: it is audible from {told or 'nowhere'}, not 0 to {float(lasts):.3f} s"
        yield wrong(made.info.name, text)


def check_packets(
    given: Track, made: Track, span: Selection, offset: Fraction
) -> Iterator[Finding]:
    """Check that every packet of a copied stream in the span is at its time on the new clock.

    If the source's clock is coarser, its rounding may have been undone. PCM may be in packets of
    another length.
    """
    if given.cover:
        return
    times, back = [time + offset for time in packet_times(given, span)], 0
    if given.info.kind != "video":  # pictures are stored in another order
        times, back = _rising(times)
    wanted = [on_clock(time, made.tick) for time in times]
    slack = given.tick / made.tick if given.tick > made.tick else 0
    if back:
        slack = max(slack, back * STEP / made.tick + 1)
        yield _stepped(given, back)
    pcm = given.info.codec.startswith("pcm_")
    repacked = pcm and _same_sound(given, made, span, offset)
    if not repacked and (
        len(made.pts) != len(wanted)
        or any(abs(found - should) > slack for found, should in zip(made.pts, wanted, strict=True))
    ):
        yield first_difference(
            given.info.name,
            f"{given.info}: packet",
            [made.tick * pts for pts in wanted],
            [made.tick * pts for pts in made.pts],
        )


def _stepped(given: Track, back: int) -> Finding:
    text = f"{given.info}: {back} packets step back in time: moved after the one before"
    return Finding(kind=Kind.CHANGED, subject=given.info.name, text=text)


def _rising(times: Sequence[Fraction]) -> tuple[list[Fraction], int]:
    """Times in the order of the file, made increasing, and the number of moved ones."""
    rising: list[Fraction] = []
    for time in times:
        early = bool(rising) and time < rising[-1]
        rising.append(rising[-1] + STEP if early else time)
    return rising, sum(one != other for one, other in zip(times, rising, strict=True))


def check_coded_anew(
    given: Track, made: Track, span: Selection, offset: Fraction
) -> Iterator[Finding]:
    """Check a transcoded stream: text exists, and sound begins and ends where it did."""
    wanted, back = _rising(packet_times(given, span))
    if back:
        yield _stepped(given, back)
    found = [pts * made.tick for pts in made.pts]
    if wanted and not found:
        yield wrong(given.info.name, f"{given.info}: none of it is in the output")
    elif wanted and given.info.kind == "audio":
        steps = [after - before for before, after in pairwise(sorted(wanted))]
        # The output's packets may be shorter; not every file states the source's durations.
        longest = max(given.lasts) * given.tick or max(steps, default=Fraction(0))
        for side, should, is_at, slack in (
            ("begins", min(wanted) + offset, min(found), Fraction(0)),
            ("ends", max(wanted) + offset, max(found), longest),
        ):
            if not -SOUND_STEP <= is_at - should <= SOUND_STEP + slack:
                text = f"{given.info}: {side} at {float(is_at):.3f} s, not {float(should):.3f} s"
                yield wrong(given.info.name, text, is_at)


def _same_sound(given: Track, made: Track, span: Selection, offset: Fraction) -> bool:
    """Whether two PCM streams are continuous between the same times."""
    slack = given.tick + made.tick  # each may round once
    times = set(packet_times(given, span))
    packets = [
        (pts * given.tick + offset, lasts * given.tick)
        for pts, lasts in zip(given.pts, given.lasts, strict=True)
        if pts * given.tick in times
    ]
    sides = (
        _heard(packets, slack),
        _heard(
            [(p * made.tick, n * made.tick) for p, n in zip(made.pts, made.lasts, strict=True)],
            slack,
        ),
    )
    return len(sides[0]) == len(sides[1]) and all(
        abs(one[0] - other[0]) <= slack and abs(one[1] - other[1]) <= slack
        for one, other in zip(*sides, strict=True)
    )


def _heard(
    packets: Iterable[tuple[Fraction, Fraction]], slack: Fraction
) -> list[tuple[Fraction, Fraction]]:
    """Begin and end of each stretch of consecutive packets without a gap."""
    found: list[tuple[Fraction, Fraction]] = []
    for begin, lasts in packets:
        if found and abs(begin - found[-1][1]) <= slack:
            found[-1] = found[-1][0], begin + lasts
        else:
            found.append((begin, begin + lasts))
    return found


def packet_times(track: Track, span: Selection) -> list[Fraction]:
    """The times of a stream's packets inside the span.

    A packet that begins earlier and reaches into it counts, except for pictures, which need
    decoding, and Vorbis, whose first packet is silent. Subtitles and data are cut at the start.
    """
    times: Iterable[Fraction] = (pts * track.tick for pts in track.pts)
    first = span.start
    if first is not None:
        ends = [track.tick * (pts + n) for pts, n in zip(track.pts, track.lasts, strict=True)]
        lasting = track.info.kind != "video" and track.info.codec != "vorbis"
        times = (
            time if track.info.kind == "audio" else max(time, first)
            for time, end in zip(times, ends, strict=True)
            if time + track.unheard >= first or (lasting and end + track.unheard > first)
        )
    end = span.end
    if end is None:
        return list(times)
    if track.info.kind == "audio":  # times may restart after the part
        return list(takewhile(lambda time: time < end, times))
    return [time for time in times if time < end]
