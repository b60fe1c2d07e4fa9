"""The finished file against the contract: every frame at its time, every packet, the same pictures.

What should be there is read from the source by ``media.scan``, not taken from the run that is being
checked. The frames' times come from the source's packets; where these do not agree with the output
(hidden pictures, damaged ones, missing times) the source is decoded, and its decoder decides.
"""

import logging
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from ciaovideo.color import ColorSpec
from ciaovideo.errors import VerificationError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.clock import WHOLE, Span
from ciaovideo.media.containers import YUV4MPEG, Clock, Fate
from ciaovideo.media.frame import StreamInfo, VideoInfo
from ciaovideo.media.hdr import HDR10_CODINGS
from ciaovideo.media.inspect.scan import FileScan, Track, decoded_times, is_silent, scan_file
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.streams.plan import StreamPlan, plan_streams
from ciaovideo.media.write.output import Destination
from ciaovideo.options import InputOptions
from ciaovideo.pipeline.verification.pictures import Look, compare_pictures, wrong

log = logging.getLogger(__name__)

CHAPTER_STEP = Fraction(1, 1000)  # how coarsely containers store the chapters' times
SOUND_STEP = Fraction(1, 4)  # packets of two sound codings begin at most this far apart
MPEG_SOUND = {"mp1", "mp2", "mp3"}  # mp4 has one name for all three


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What an output must be, besides its source enlarged: the streams it keeps, and its look.

    ``start`` and ``end``, counted from the source's first frame, limit it to the frames that appear
    between them, and ``frames`` to the first of these, or with ``every_field`` of their fields,
    each of which became a frame. What a run decided for its output is empty where it is
    not known: then any size and layout goes, and the source's own tags. ``hdr10`` says whether its
    encoder holds HDR10's metadata; where it is not known, the coding is asked. ``counted`` is what
    came from a source that cannot be read twice: frames and times are held against it, but no
    picture.
    """

    streams: StreamPlan
    frames: int | None = None
    every_field: bool = False
    start: Fraction = Fraction(0)
    end: Fraction | None = None
    size: tuple[int, int] | None = None
    pix_fmt: str = ""
    color: ColorSpec | None = None
    hdr10: bool | None = None
    counted: FileScan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was compared, and what was found: nothing wrong, if the output is what it should be."""

    frames: int
    streams: int
    packets: int
    pictures: int
    findings: tuple[Finding, ...] = ()

    @property
    def wrong(self) -> tuple[Finding, ...]:
        """In what the output is not what it should be."""
        return tuple(finding for finding in self.findings if finding.kind == Kind.WRONG)


def contract_between(
    source: Path,
    output: Path,
    frames: int | None = None,
    *,
    every_field: bool = False,
    part: InputOptions = InputOptions(),
) -> Contract:
    """What a file made earlier must be, as far as its name and its source say.

    ``part`` says where it was cut from the source, if it was.
    """
    main, span = scan_file(source, 1).main, WHOLE
    place = Destination.of(output).container
    if part.start_time or part.end_time is not None:
        part = replace(part, deinterlace="field" if every_field else "auto")
        with VideoReader(source, options=part) as reader:
            span = reader.span
    streams = plan_streams(
        source, place, main, frames, every_field=every_field, sound="auto", span=span
    )
    return Contract(
        streams=streams,
        frames=frames,
        every_field=every_field,
        start=part.start_time,
        end=part.end_time,
    )


def verify(output: Path, contract: Contract) -> Verification:
    """Compare a file with what it should be. Raises MediaError if one cannot be read at all."""
    limits = (None, contract.streams.end) if _is_cut(contract) else (contract.frames, None)
    source = contract.counted or scan_file(contract.streams.source, *limits)
    found = scan_file(output)
    times, odd_times = _expected_times(source, found, contract)
    begin, stop = _part(times, contract)
    shown = times[begin:stop]
    span = Span(
        start=times[begin] if contract.start and shown else None,
        end=times[stop] if stop < len(times) else None,
    )
    pairs, findings = _pair_tracks(source, found, contract, span)
    findings = odd_times + findings
    findings += _check_times(times, found, contract)
    becomes = {info.index: info.becomes for info in contract.streams.kept}
    for given, made in pairs:
        if not becomes[given.info.index]:
            padded = contract.streams.container.in_step
            offset = contract.streams.offset
            findings += _check_packets(given, made, span, offset, padded=padded)
        elif made.pts or not is_silent(source, given, _times(given, span)):
            findings += _check_coded_anew(given, made, span, contract.streams.offset)
    findings += _check_shape(source, found, contract)
    place = contract.streams.container
    if place.chapters:
        findings += _check_chapters(source, found, span, contract.streams.offset)
    pictures = 0
    if len(found.video.pts) == len(shown):
        holds = found.video.info.codec in HDR10_CODINGS
        hdr10 = holds if contract.hdr10 is None else contract.hdr10
        wanted = Look(
            size=contract.size,
            pix_fmt=contract.pix_fmt,
            color=contract.color,
            tags=place.stored_tags,
            hdr10=hdr10,
            coding=found.video.info.codec,
            container=place,
        )
        step = 2 if contract.every_field else 1  # second fields have no picture of their own
        skip = begin % step
        beside = None if contract.counted else source
        pictures, odd = compare_pictures(
            beside, _every(found, skip, step), shown[skip::step], wanted, (begin + skip) // step
        )
        findings += odd
    return Verification(
        frames=len(found.video.pts),
        streams=len(found.tracks),
        packets=sum(len(made.pts) for _, made in pairs),
        pictures=pictures,
        findings=tuple(findings),
    )


def counted_scan(info: VideoInfo, frames: int, tick: Fraction) -> FileScan:
    """A pipe that was read, as if it had been looked at: so many frames, one every ``tick``."""
    numbers = array("q", range(frames))
    track = Track(info=StreamInfo(0, "video", info.codec), tick=tick, cover=False, pts=numbers)
    return FileScan(
        path=Path(info.path),
        container=YUV4MPEG,
        main=0,
        tracks=(track,),
        rate=1 / tick,
        size=(info.height, info.width),
        sar=info.sar or Fraction(1),
        turn=(),
        chapters=(),
    )


def require(verification: Verification, output: Path, kept_as: Path) -> None:
    """Raise VerificationError if anything was found: the first thing, and where the file is."""
    found = verification.wrong
    if not found:
        return
    for finding in found:
        log.info("%s: %s", output, finding)
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    raise VerificationError(
        f"{output} is not what it should be: {found[0]}{more}", f"the file is kept as {kept_as}"
    )


def on_clock(time: Fraction, tick: Fraction) -> int:
    """The number of whole ticks next to a time, halves away from zero, as containers store it."""
    ticks = abs(time / tick)
    whole = int(ticks + Fraction(1, 2))
    return whole if time >= 0 else -whole


def _expected_times(
    source: FileScan, found: FileScan, contract: Contract
) -> tuple[list[Fraction], list[Finding]]:
    """When the source's frames appear (some more than asked for, for the end), and what is odd."""
    video = source.video
    listed = _spread([pts * video.tick for pts in sorted(video.pts)], contract)
    plausible = source.timed and not video.timeless
    if contract.counted:
        return listed, []
    if plausible and not _check_times(listed, found, contract):
        return listed, []
    limits = (None, contract.streams.end) if _is_cut(contract) else (contract.frames, None)
    times = _spread(decoded_times(source, *limits), contract)
    counts = [stop - begin for begin, stop in (_part(t, contract) for t in (listed, times))]
    if plausible and counts[0] != counts[1]:
        text = f"{counts[0]} pictures are listed in {source.path.name}, {counts[1]} can be shown"
        return times, [Finding(kind=Kind.DAMAGED, subject="video", text=text)]
    return times, []


def _is_cut(contract: Contract) -> bool:
    """Whether times limit it, not only a number of frames."""
    return bool(contract.start) or contract.end is not None


def _part(times: Sequence[Fraction], contract: Contract) -> tuple[int, int]:
    """The numbers of the first frame that is wanted, and of the first one after the last."""
    if not times:
        return 0, 0
    begin = bisect_left(times, times[0] + contract.start)
    stop = len(times) if contract.end is None else bisect_left(times, times[0] + contract.end)
    if contract.frames is not None:
        stop = min(stop, begin + contract.frames)
    return begin, max(begin, stop)


def _spread(times: list[Fraction], contract: Contract) -> list[Fraction]:
    """When the output's frames appear: with the source's, or one for each of their fields."""
    if not contract.every_field or len(times) < 2:
        return times * (2 if contract.every_field else 1)
    after = [*times[1:], 2 * times[-1] - times[-2]]
    middles = [(one + other) / 2 for one, other in zip(times, after, strict=True)]
    return sorted([*times, *middles])


def _every(found: FileScan, skip: int, step: int) -> FileScan:
    """The scan with every ``step``-th frame of the main video only, ``skip`` left out first."""
    if step == 1:
        return found
    video = replace(found.video, pts=array("q", sorted(found.video.pts)[skip::step]))
    return replace(found, tracks=tuple(video if t is found.video else t for t in found.tracks))


def _check_times(times: Sequence[Fraction], found: FileScan, contract: Contract) -> list[Finding]:
    """Every frame once and at its time; Matroska rounds it to its clock, the others must not.

    The last field's time hangs on how long the last frame is shown, which not every file says: it
    must only come after the one before.
    """
    tick = found.video.tick
    shown = times[slice(*_part(times, contract))]
    wanted = [time + contract.streams.offset for time in shown]
    if contract.streams.container.clock is Clock.NUMBERS:
        wanted = [number * tick for number in range(len(shown))]
    if found.container.clock is Clock.MILLISECONDS:
        wanted = [on_clock(time, tick) * tick for time in wanted]
    actual = [pts * tick for pts in sorted(found.video.pts)]
    if found.video.hidden:
        return [wrong("video", f"video: an edit list hides {found.video.hidden} frames")]
    if contract.every_field and len(actual) == len(wanted) > 1 and actual[-1] > actual[-2]:
        wanted[-1] = actual[-1]
    if actual == wanted:
        return []
    return [_first_difference("video", "video: frame", wanted, actual)]


def _check_packets(
    given: Track, made: Track, span: Span, offset: Fraction, *, padded: bool = False
) -> Iterator[Finding]:
    """Every packet of a copied stream that lies in the span, at its time on the new clock.

    Where the source's clock is the coarser one, its rounding may have been undone. PCM may be in
    packets of another length, of which the last may be ``padded`` with silence.
    """
    if given.cover:
        return
    wanted = [on_clock(time + offset, made.tick) for time in _times(given, span)]
    slack = given.tick / made.tick if given.tick > made.tick else 0
    more = max(made.lasts, default=0) * made.tick if padded else Fraction(0)
    pcm = given.info.codec.startswith("pcm_")
    repacked = pcm and _same_sound(given, made, span, offset, more)
    if not repacked and (
        len(made.pts) != len(wanted)
        or any(abs(found - should) > slack for found, should in zip(made.pts, wanted, strict=True))
    ):
        yield _first_difference(
            given.info.name,
            f"{given.info}: packet",
            [made.tick * pts for pts in wanted],
            [made.tick * pts for pts in made.pts],
        )


def _check_coded_anew(given: Track, made: Track, span: Span, offset: Fraction) -> Iterator[Finding]:
    """A stream in another coding: text that is there, sound that begins and ends where it did."""
    wanted = _times(given, span)
    found = [pts * made.tick for pts in made.pts]
    if wanted and not found:
        yield wrong(given.info.name, f"{given.info}: nothing of it is in the output")
    elif wanted and given.info.kind == "audio":
        longest = max(given.lasts) * given.tick  # the output's packets may be shorter
        for side, should, is_at, slack in (
            ("begins", min(wanted) + offset, min(found), Fraction(0)),
            ("ends", max(wanted) + offset, max(found), longest),
        ):
            if not -SOUND_STEP <= is_at - should <= SOUND_STEP + slack:
                text = f"{given.info}: {side} at {float(is_at):.3f} s, not {float(should):.3f} s"
                yield wrong(given.info.name, text, is_at)


def _same_sound(given: Track, made: Track, span: Span, offset: Fraction, more: Fraction) -> bool:
    """Whether two PCM streams are heard without a break between the same times.

    The second may end later by less than ``more``.
    """
    slack = given.tick + made.tick  # of which each may round once
    times = set(_times(given, span))
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
        abs(one[0] - other[0]) <= slack and -slack <= other[1] - one[1] <= slack + more
        for one, other in zip(*sides, strict=True)
    )


def _heard(
    packets: Iterable[tuple[Fraction, Fraction]], slack: Fraction
) -> list[tuple[Fraction, Fraction]]:
    """Begin and end of each stretch of packets that follow each other without a break."""
    found: list[tuple[Fraction, Fraction]] = []
    for begin, lasts in packets:
        if found and abs(begin - found[-1][1]) <= slack:
            found[-1] = found[-1][0], begin + lasts
        else:
            found.append((begin, begin + lasts))
    return found


def _times(track: Track, span: Span) -> list[Fraction]:
    """When the packets of a stream begin, those outside left out.

    One that begins earlier counts while it lasts, but for Vorbis, which first is silent; all but
    sound is cut.
    """
    times: Iterable[Fraction] = (pts * track.tick for pts in track.pts)
    first = span.start
    if first is not None:
        ends = [track.tick * (pts + n) for pts, n in zip(track.pts, track.lasts, strict=True)]
        lasting = track.info.codec != "vorbis"
        times = (
            time if track.info.kind == "audio" else max(time, first)
            for time, end in zip(times, ends, strict=True)
            if time + track.unheard >= first or (lasting and end + track.unheard > first)
        )
    return [time for time in times if span.end is None or time < span.end]


def _first_difference(
    subject: str, what: str, wanted: Sequence[Fraction], actual: Sequence[Fraction]
) -> Finding:
    """Where two lists of times begin to differ."""
    counts = "" if len(wanted) == len(actual) else f"; {len(wanted)} expected, {len(actual)} found"
    for place, (should, is_at) in enumerate(zip(wanted, actual, strict=False)):
        if should != is_at:
            text = (
                f"{what} {place} should be at {float(should):.6f} s"
                f" and is at {float(is_at):.6f} s{counts}"
            )
            return wrong(subject, text, is_at)
    place = min(len(wanted), len(actual))
    if place < len(wanted):
        at, says = wanted[place], "is missing"
    else:
        at, says = actual[place], "should not be there"
    return wrong(subject, f"{what} {place} at {float(at):.6f} s {says}{counts}", at)


def _pair_tracks(
    source: FileScan, found: FileScan, contract: Contract, span: Span
) -> tuple[list[tuple[Track, Track]], list[Finding]]:
    """Each kept stream with its copy, in the order of each kind; and what has no partner.

    A stream without a packet in the span may be left out, as mp4 and mov do; its copy holds none.
    """
    plan = contract.streams
    kept = {info.index: info.becomes for info in plan.kept}
    accounted = kept.keys() | {info.index for info in plan.dropped}
    given = [track for track in source.others if track.info.index in kept]
    findings = [
        wrong(track.info.name, f"{track.info} is neither kept nor reported as left out")
        for track in source.others
        if track.info.index not in accounted
    ]
    pairs: list[tuple[Track, Track]] = []
    left = found.others
    for track in given:
        anew = bool(kept[track.info.index])
        filled = track.cover or track.info.kind == "attachment" or bool(_times(track, span))
        like = (made for made in left if _same_kind(track, made, anew))
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
    """Whether one may be the copy of the other; ``anew`` if it is in another coding."""
    one, other = given.info, made.info
    if given.cover or made.cover:
        return given.cover == made.cover
    same_coding = anew or one.codec == other.codec or {one.codec, other.codec} <= MPEG_SOUND
    return one.kind == other.kind and same_coding


def _check_shape(source: FileScan, found: FileScan, contract: Contract) -> Iterator[Finding]:
    """The size, the shape on screen, how the picture is turned, and the timecode."""
    height, width = found.size
    if contract.size and found.size != contract.size:
        text = f"video: {width}x{height} instead of {contract.size[1]}x{contract.size[0]}"
        yield wrong("video", text)
    if height < source.size[0] or width < source.size[1]:
        yield wrong("video", f"video: {width}x{height} is smaller than the source")
    before, after = (Fraction(s.size[1], s.size[0]) * s.sar for s in (source, found))
    if abs(after / before - 1) > Fraction(1, width) + Fraction(1, height):
        text = f"video: its shape is {float(after):.4f}:1 instead of {float(before):.4f}:1"
        yield wrong("video", text)
    place = contract.streams.container
    if source.turn != found.turn and place.rotation is not Fate.LOST:
        text = f"video: turned by the matrix {found.turn} instead of {source.turn}"
        yield wrong("rotation", text)
    wanted = source.timecode or place.blank_timecode
    if place.timecode and wanted != found.timecode:
        text = f"the timecode is {found.timecode!r} instead of {wanted!r}"
        yield wrong("timecode", text)


def _check_chapters(
    source: FileScan, found: FileScan, span: Span, offset: Fraction
) -> Iterator[Finding]:
    """Every chapter that lies in the span, cut where that begins."""
    earliest = min((start for start, *_ in source.chapters), default=Fraction(0))
    first = earliest if span.start is None else span.start
    wanted = [
        (max(start, first), title)
        for start, end, title in source.chapters
        if (start >= first or end > first) and (span.end is None or start < span.end)
    ]
    if len(wanted) != len(found.chapters):
        text = f"{len(wanted)} chapters expected, {len(found.chapters)} found"
        yield wrong("chapters", text)
        return
    for number, ((start, title), (at, _, made)) in enumerate(
        zip(wanted, found.chapters, strict=True)
    ):
        if title != made or abs(start + offset - at) > CHAPTER_STEP:
            text = (
                f"chapter {number} should be {title!r} at {float(start + offset):.3f} s"
                f" and is {made!r} at {float(at):.3f} s"
            )
            yield wrong("chapters", text, at)
