"""Verifies a finished file against the contract: frame times, packets, pictures.

The expectation is read from the source by ``media.inspect.scan``, independently of the run that is
checked. Frame times come from the source's packets. Where these differ from the output (hidden or
damaged pictures, missing timestamps), the source is decoded, and its decoder decides.
"""

import logging
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from ciaovideo.color import PixelLayout
from ciaovideo.errors import OptionError, VerificationError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.clock import FALLBACK_RATE
from ciaovideo.media.containers import YUV4MPEG, Fate
from ciaovideo.media.formats.elementary import look_inside
from ciaovideo.media.frame import StreamInfo, VideoInfo
from ciaovideo.media.hdr import HDR10_CODECS
from ciaovideo.media.inspect.borders import find_crop
from ciaovideo.media.inspect.scan import FileScan, Track, is_silent, nth_video, scan_file
from ciaovideo.media.interlacing.fields import FieldPolicy
from ciaovideo.media.margins import NO_MARGINS, Margins
from ciaovideo.media.read.probe import probe
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.selection import EVERYTHING, Selection
from ciaovideo.media.sequence.numbered import Numbered, is_sequence
from ciaovideo.media.streams.plan import plan_streams
from ciaovideo.media.write.framing import margins_around
from ciaovideo.media.write.output import Destination
from ciaovideo.options import CROP_AUTO, Deinterlace, InputOptions
from ciaovideo.pipeline.verification.contract import Contract, Verification, wrong
from ciaovideo.pipeline.verification.pictures import Expectation, compare_pictures
from ciaovideo.pipeline.verification.times import bounds, check_times, expected_times, limits
from ciaovideo.pipeline.verification.tracks import (
    check_coded_anew,
    check_packets,
    check_steady,
    packet_times,
    pair_tracks,
)

log = logging.getLogger(__name__)

CHAPTER_STEP = Fraction(1, 1000)  # the precision with which containers store chapters


def contract_between(
    source: Path,
    output: Path,
    selection: Selection = EVERYTHING,
    options: InputOptions = InputOptions(),
    inside: tuple[int, int] | None = None,
) -> Contract:
    """The contract of an existing file, as far as its name and its source determine it.

    ``selection`` is the part of the source, with times from its first frame, ``options`` choose its
    streams; ``inside`` is the (height, width) of its pictures if they were padded.
    """
    container = Destination.of(output).container
    facts = probe(source, selection, options)
    if options.crop == CROP_AUTO:
        options = replace(options, crop=find_crop(facts)[0])
    info = facts.info
    start, end = options.times
    film = FieldPolicy(
        facts.fields, options.deinterlace, options.telecine, start=start, end=end
    ).film
    selection = located = replace(selection, film=film)
    if selection.cut or options.crop:
        field: Deinterlace = "field" if selection.every_field else "auto"
        part = replace(options, start=selection.start, end=selection.end, deinterlace=field)
        with VideoReader(facts, options=part) as reader:
            located = replace(reader.selection, count=selection.count)
            info = reader.info
    streams = plan_streams(facts, container, located, sound="auto")
    return Contract(
        streams=streams,
        selection=selection,
        given_color=info.color,
        given_size=info.stored_size,
        given_sar=info.sar,
        cut=info.cut,
        pad=_padding(output, inside) if inside else NO_MARGINS,
    )


def _padding(output: Path, inside: tuple[int, int]) -> Margins:
    """The padding around pictures of a size; raises OptionError for a size that does not fit."""
    rate = FALLBACK_RATE if is_sequence(output) else None
    info = probe(output, options=InputOptions(rate=rate)).info
    if inside[0] > info.height or inside[1] > info.width:
        raise OptionError(
            f"{output} is smaller than {inside[1]}x{inside[0]}", "give its picture's size"
        )
    layout = PixelLayout.of(info.pix_fmt)
    return margins_around(inside, (info.height, info.width), layout, fields=info.interlaced)


def verify_contract(output: Path, contract: Contract) -> Verification:
    """Verify a file against its contract. Raises MediaError if a file cannot be read at all."""
    given = contract.streams
    source = contract.counted or scan_file(given.source, *limits(contract), opening=given.opening)
    size = contract.given_size or source.size
    source = replace(source, cut=contract.cut, size=contract.cut.inner(*size))
    source = replace(source, sar=contract.given_sar or source.sar)
    found = scan_file(output, opening=nth_video(output, videos_before(source, contract)))
    found = replace(found, cut=contract.pad, size=contract.pad.inner(*found.size))
    times, odd_times = expected_times(source, found, contract)
    begin, stop = bounds(times, contract)
    shown = times[begin:stop]
    span = Selection(
        start=times[begin] if contract.selection.start and shown else None,
        end=times[stop] if stop < len(times) else None,
    )
    pairs, findings = pair_tracks(source, found, contract, span)
    findings = [*odd_times, *_hidden(source, contract), *findings]
    findings += _check_unread(source, contract)
    findings += check_times(times, found, contract)
    findings += _check_streams(source, found.video, pairs, contract, span)
    findings += _check_shape(source, found, contract)
    for scan in (source, found):
        findings += _check_numbers(scan)
    if contract.streams.container.chapters:
        findings += _check_chapters(source, found, span, contract.streams.offset)
    pictures = 0
    if len(found.video.pts) == len(shown):
        pictures, odd = _compare(source, found, contract, (begin, shown))
        findings += odd
    return Verification(
        frames=len(found.video.pts),
        streams=len(found.tracks),
        packets=sum(len(made.pts) for _, made in pairs),
        pictures=pictures,
        findings=tuple(findings),
    )


def _hidden(source: FileScan, contract: Contract) -> Iterator[Finding]:
    """The finding for pictures of a whole file that no player shows."""
    if (count := source.video.hidden) and not contract.selection.cut:
        pictures = "1 picture, which is" if count == 1 else f"{count} pictures, which are"
        text = f"the file's edit list hides {pictures} left out as in players"
        yield Finding(kind=Kind.CHOSEN, subject="video", text=text)


def _check_numbers(scan: FileScan) -> Iterator[Finding]:
    """Check that all numbered pictures were read: FFmpeg silently ends at an empty one."""
    if scan.reached is None and (numbered := Numbered.of(scan.path)):
        read, count = len(scan.video.pts), numbered.count
        if read != count:
            yield wrong("video", f"{read} of {count} pictures named {scan.path} can be read")


def _compare(
    source: FileScan, found: FileScan, contract: Contract, part: tuple[int, list[Fraction]]
) -> tuple[int, list[Finding]]:
    """Compare some pictures with those of the source at the same time.

    Second fields have no counterpart, nor do most pictures of reversed telecine, where a picture
    may also be that of the next frame.
    """
    begin, shown = part
    beside = None if contract.counted else source
    wanted = _expectation(found, contract)
    if contract.selection.film:
        frames = sorted(pts * source.video.tick for pts in source.video.pts)
        after = dict(pairwise(frames))
        numbers = [number for number, time in enumerate(shown) if time in after]
        times = [shown[number] for number in numbers]
        later = [after[time] for time in times]
        return compare_pictures(beside, _only(found, numbers), times, wanted, later=later)
    step = contract.selection.per_frame
    skip = begin % step
    every = found if step == 1 else _only(found, range(skip, len(shown), step))
    return compare_pictures(beside, every, shown[skip::step], wanted, (begin + skip) // step)


def _check_streams(
    source: FileScan,
    video: Track,
    pairs: Sequence[tuple[Track, Track]],
    contract: Contract,
    span: Selection,
) -> list[Finding]:
    """Findings on the packets of the other streams."""
    streams, findings = contract.streams, list[Finding]()
    becomes = {info.index: info.becomes for info in streams.kept}
    for given, made in pairs:
        if streams.container.in_step and made.info.kind == "audio":
            findings += check_steady(made, len(video.pts) * video.tick)
        elif not becomes[given.info.index]:
            findings += check_packets(given, made, span, streams.offset)
        elif made.pts or not is_silent(source, given, packet_times(given, span)):
            findings += check_coded_anew(given, made, span, streams.offset)
    return findings


def _expectation(found: FileScan, contract: Contract) -> Expectation:
    """The expected properties of the output's pictures."""
    codec, container = found.video.info.codec, contract.streams.container
    holds = codec in HDR10_CODECS
    return Expectation(
        size=contract.size,
        pix_fmt=contract.pix_fmt,
        color=contract.color,
        given_color=contract.given_color,
        color_tags=container.stored_colors,
        hdr10=holds if contract.hdr10 is None else contract.hdr10,
        codec=codec,
        container=container,
        padded=bool(contract.pad),
    )


def counted_scan(info: VideoInfo, frames: int, tick: Fraction) -> FileScan:
    """A scan that stands for a pipe: so many frames, one every ``tick``."""
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
    """Raise VerificationError if anything is wrong, with the first finding and the kept file."""
    found = verification.wrong
    if not found:
        return
    for finding in found:
        log.info("%s: %s", output, finding)
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    raise VerificationError(
        f"{output} failed verification: {found[0]}{more}", f"the file is kept as {kept_as}"
    )


def videos_before(source: FileScan, contract: Contract) -> int:
    """The number of videos before the main one in the output."""
    plan = contract.streams
    if plan.container.video_first:
        return 0
    part = Selection(start=plan.selection.start, end=plan.selection.end)
    before = {info.index for info in plan.kept if info.index < plan.main and info.kind == "video"}
    return sum(
        plan.container.keeps_empty_streams or bool(packet_times(track, part))
        for track in source.others
        if track.info.index in before and not track.cover
    )


def _check_unread(source: FileScan, contract: Contract) -> Iterator[Finding]:
    """Check by the file's bytes that FFmpeg read the packets of every stream."""
    inside = None if contract.counted else look_inside(source.path, source.demuxer)
    for number in sorted(set(inside.first if inside else ()) - source.ids):
        after = inside and source.reached is not None and inside.first[number] > source.reached
        if number not in contract.streams.unopened and not after:
            yield wrong("stream", f"a stream (number {number:#x}) was not read")


def _only(found: FileScan, numbers: Sequence[int]) -> FileScan:
    """The scan with only some frames of the main video."""
    stamps = sorted(found.video.pts)
    video = replace(found.video, pts=array("q", (stamps[number] for number in numbers)))
    return replace(found, tracks=tuple(video if t is found.video else t for t in found.tracks))


def _check_shape(source: FileScan, found: FileScan, contract: Contract) -> Iterator[Finding]:
    """Check size, aspect ratio, rotation and timecode.

    A rotation that only the source's bitstream states is checked with the first picture.
    """
    height, width = found.size
    if contract.size and found.size != contract.size:
        text = f"video: {width}x{height} instead of {contract.size[1]}x{contract.size[0]}"
        yield wrong("video", text)
    if height < source.size[0] or width < source.size[1]:
        yield wrong("video", f"video: {width}x{height} is smaller than the source")
    before, after = (Fraction(s.size[1], s.size[0]) * s.sar for s in (source, found))
    if abs(after / before - 1) > Fraction(1, width) + Fraction(1, height):
        text = f"video: the aspect ratio is {float(after):.4f}:1 instead of {float(before):.4f}:1"
        yield wrong("video", text)
    yield from _check_crop(source, found, contract)
    container = contract.streams.container
    if source.turn and source.turn != found.turn and container.rotation is not Fate.LOST:
        text = f"video: the display matrix is {found.turn} instead of {source.turn}"
        yield wrong("rotation", text)
    wanted = source.timecode or container.blank_timecode
    if container.timecode and wanted != found.timecode:
        text = f"the timecode is {found.timecode!r} instead of {wanted!r}"
        yield wrong("timecode", text)


def _check_crop(source: FileScan, found: FileScan, contract: Contract) -> Iterator[Finding]:
    """Check the crop for players; without a contract it is the source's, scaled, or none."""
    grown = (Fraction(new, old) for new, old in zip(found.size, source.size, strict=True))
    down, across = grown
    top, bottom, left, right = source.crop
    sides = ((top, down), (bottom, down), (left, across), (right, across))
    wanted: list[tuple[int, ...]] = [(0, 0, 0, 0)]
    if contract.crop is not None:
        wanted = [tuple(contract.crop)]
    elif not contract.cut:
        wanted.append(tuple(int(count * factor + Fraction(1, 2)) for count, factor in sides))
    if not any(_near(tuple(found.crop), one) for one in wanted):
        text = f"video: the crop is {tuple(found.crop)} instead of {wanted[-1]}"
        yield wrong("crop", text)


def _near(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two crops differ at most by the rounding of halves, and none is missing."""
    return any(one) == any(other) and all(abs(a - b) <= 1 for a, b in zip(one, other, strict=True))


def _check_chapters(
    source: FileScan, found: FileScan, span: Selection, offset: Fraction
) -> Iterator[Finding]:
    """Check every chapter inside the span, cut at its start."""
    earliest = min((start for start, *_ in source.chapters), default=Fraction(0))
    first = earliest if span.start is None else span.start
    wanted = [
        (max(start, first), title)
        for start, end, title in source.chapters
        if (start >= first or end > first) and (span.end is None or start < span.end)
    ]
    if wanted and found.container.iso:  # its first chapter begins with the video
        wanted[0] = (min(wanted[0][0], -offset), wanted[0][1])
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
