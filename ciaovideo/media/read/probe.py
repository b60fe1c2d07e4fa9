"""Probes a file: reads all that planning needs, and opens it only once.

It reads the packets at the beginning, until each stream has a packet and the clock of the frames is
known. It decodes some of these frames, and of two later places in longer files, to detect fields.
Then it reads the end, to detect truncation. For a part of a file, it lists the packets up to the
part's end. Nothing here depends on the output.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import av.error
from av.container import InputContainer
from av.video.stream import VideoStream

from ciaovideo.errors import ColorError, DecodeError, OpenError, TimestampError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.clock import PEEK_PACKETS, exact, frame_rate
from ciaovideo.media.ffmpeg.remedies import parted, recoded, retimed
from ciaovideo.media.formats.joined import second_recording
from ciaovideo.media.formats.loops import lost_loop
from ciaovideo.media.frame import VideoInfo
from ciaovideo.media.hdr import read_hdr10
from ciaovideo.media.inspect.jumps import Jumps
from ciaovideo.media.inspect.quantisers import QuantiserEvidence, QuantiserSample, tell_quantisers
from ciaovideo.media.inspect.shapes import ShapeChange, ShapeSample
from ciaovideo.media.inspect.truncation import truncation
from ciaovideo.media.interlacing.fields import FieldEvidence, FieldSample
from ciaovideo.media.interlacing.telecine import is_matched
from ciaovideo.media.layouts import planar_layout
from ciaovideo.media.read.aspects import Aspects
from ciaovideo.media.read.head import FileHead, PacketFacts
from ciaovideo.media.read.stream_choice import StreamChoice, check_input, choose_streams
from ciaovideo.media.selection import EVERYTHING, Selection
from ciaovideo.media.sequence import exr
from ciaovideo.media.sequence.numbered import is_sequence
from ciaovideo.media.side_data import stream_marks
from ciaovideo.media.source.header import (
    claimed_duration,
    codec_name,
    describe,
    display_matrix,
    indexed_frames,
    tagged_color,
)
from ciaovideo.media.source.opening import USUAL, Opening, main_video, no_picture
from ciaovideo.media.source.pictures import pictures_from, retagged
from ciaovideo.options import InputOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """The facts of a source.

    ``info`` describes the main video by its first picture. ``timeless`` means that the container
    stores no timestamps, and frames follow each other at the nominal rate. ``fields`` is the
    evidence of interlacing, ``quantiser`` of how coarsely the video was coded; ``packets`` are
    facts from the beginning. Later openings of the file must use ``opening``. ``excluded`` are
    streams that are dropped, ``unopened`` the numbers of streams that cannot be read. ``partly``
    means that a file without a header was only sampled, and may have more streams. ``jumps`` has
    the known restarts and gaps of the whole file's timestamps, ``reshaped`` the first known change
    of its pictures' shape. ``findings`` are the reports for the user.
    """

    path: Path
    demuxer: str
    info: VideoInfo
    timeless: bool
    fields: FieldEvidence
    quantiser: QuantiserEvidence
    packets: PacketFacts
    opening: Opening = USUAL
    excluded: frozenset[int] = frozenset()
    unopened: frozenset[int] = frozenset()
    partly: bool = False
    jumps: Jumps = field(default_factory=Jumps)
    reshaped: ShapeChange | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Probed:
    """The facts of a file, its first picture, and the file, still open and partly read."""

    facts: SourceFacts
    first: av.VideoFrame
    container: InputContainer


def probe(
    file: str | Path,
    wanted: Selection = EVERYTHING,
    options: InputOptions = InputOptions(),
) -> SourceFacts:
    """Probe a file: its streams, first picture, timestamps, fields, and whether it is truncated.

    ``wanted`` is the part that will be read, with times from the first frame on; ``options`` may
    choose among its videos.
    Raises MissingInputError, OpenError (also for two recordings of which FFmpeg reads one),
    DecodeError if the first picture is damaged, and TimestampError if the file has neither
    timestamps nor a rate.
    """
    probed = open_probed(file, wanted, options)
    probed.container.close()
    return probed.facts


def open_probed(
    file: str | Path,
    wanted: Selection = EVERYTHING,
    options: InputOptions = InputOptions(),
) -> Probed:
    """As ``probe``; the caller closes the container."""
    path = Path(file)
    check_input(path)
    choice, container = _opened(path, options)
    with ExitStack() as stack:
        stack.enter_context(container)
        video = main_video(container, path, choice.opening)
        if wanted.end is None and wanted.count is None:
            _refuse_chain(container, path)
        tell_quantisers(video)
        head = FileHead(container, video, wanted)
        look = _look(container, video, head, path, choice.opening)
        info, timeless, guessed = with_rate(look.info, look.first, head.frame_times(), container)
        whole = wanted.end is None and wanted.count is None
        jumps = _jumps(head, path, choice, wanted)
        reshaped = _reshaped(look.shapes, path, choice.opening) if wanted == EVERYTHING else None
        findings = (
            *choice.findings,
            *_lost_loop(path),
            *guessed,
            *jumps.findings(path),
            *(reshaped.findings() if reshaped else ()),
            *(truncation(container, path, head.end) if whole else ()),
        )
        facts = SourceFacts(
            path=path,
            demuxer=container.format.name,
            info=info,
            timeless=timeless,
            fields=look.fields,
            quantiser=look.quantiser,
            packets=head.facts(timeless=timeless),
            opening=choice.opening,
            excluded=choice.excluded,
            unopened=choice.unopened,
            partly=not choice.inside.whole,
            jumps=jumps,
            reshaped=reshaped,
            findings=findings,
        )
        stack.pop_all()
        return Probed(facts, look.first, container)


def _opened(path: Path, options: InputOptions) -> tuple[StreamChoice, InputContainer]:
    return choose_streams(
        path,
        video=options.video,
        program=options.program,
        rate=None if options.rate is None else Fraction(options.rate),
        transfer=options.transfer,
    )


@dataclass(frozen=True, slots=True)
class _FirstLook:
    """The first picture, the facts it gives, and the evidence of a sample."""

    first: av.VideoFrame
    info: VideoInfo
    fields: FieldEvidence
    quantiser: QuantiserEvidence
    shapes: ShapeSample


def _look(
    container: InputContainer, video: VideoStream, head: FileHead, path: Path, opening: Opening
) -> _FirstLook:
    """Decode a sample of pictures from the packets that ``head`` reads."""
    with av_errors("decoding frame 0 of", path, DecodeError):
        pictures = retagged(pictures_from(container, video, head.packets()), opening)
        first = next(pictures, None)
    if first is None:
        raise no_picture(path)
    info = describe_video(container, video, first, path)
    head.begin_at(first.pts)
    quantiser = QuantiserSample(video)
    shapes = ShapeSample(container, video)

    def look(picture: av.VideoFrame) -> None:
        quantiser.look(picture)
        shapes.look(picture)

    sample = FieldSample(container, video, look)
    with av_errors("reading", path, OpenError):
        sample.look_at_start(chain([first], pictures))
        head.finish()
        sample.look_later()
    bits = head.bits_per_frame / (first.height * first.width)
    fields = sample.evidence(matched=is_matched(info.pix_fmt))
    return _FirstLook(first, info, fields, quantiser.evidence(bits), shapes)


def _lost_loop(path: Path) -> Iterator[Finding]:
    """The finding for a looping animation: a video does not loop."""
    if is_sequence(path):
        return
    if loop := lost_loop(path):
        yield Finding(kind=Kind.LOST, subject="loop", text=f"{loop}: not carried over")


def describe_video(
    container: InputContainer, av_stream: VideoStream, first: av.VideoFrame, path: Path
) -> VideoInfo:
    """The main video's facts from its first picture and the container; no rate or count yet."""
    duration = claimed_duration(container, av_stream)
    return VideoInfo(
        path=str(path),
        height=first.height,
        width=first.width,
        pix_fmt=_layout(first, path),
        color=tagged_color(first),
        codec=codec_name(av_stream),
        time_base=exact(av_stream.time_base) or Fraction(0),
        sar=Aspects(container, av_stream).of(first),
        frame_rate=exact(av_stream.average_rate) or exact(av_stream.guessed_rate),
        duration_s=None if duration is None else float(duration),
        rotation=float(first.rotation),
        display_matrix=display_matrix(av_stream, first),
        marks=stream_marks(av_stream, first),
        coded_pix_fmt=first.format.name,
        index=av_stream.index,
        hdr10=read_hdr10(first.side_data.values()),
        streams=tuple(describe(other) for other in container.streams),
    )


def _refuse_chain(container: InputContainer, path: Path) -> None:
    """Raise OpenError where another recording is behind the first, which FFmpeg does not read."""
    at = None if is_sequence(path) else second_recording(path, container.format.name)
    if at is not None:
        raise OpenError(
            f"{path}: another recording begins at byte {at}, and FFmpeg reads the first one only",
            parted(path, at),
        )


def _jumps(head: FileHead, path: Path, choice: StreamChoice, wanted: Selection) -> Jumps:
    """The jumps inside the selection, as far as known before a run.

    For a part with an end, the reader detects them from the listing.
    """
    if wanted.end is not None or (wanted.count is not None and wanted.start is not None):
        return Jumps()
    jumps = head.jumps(path, choice)
    fewer = wanted.count is not None and wanted.count <= jumps.frames * wanted.per_frame
    return Jumps() if fewer else jumps


def _reshaped(shapes: ShapeSample, path: Path, opening: Opening) -> ShapeChange | None:
    """The first change of shape in a whole file, as far as known before a run."""
    shapes.look_at_end()
    return shapes.change(path, opening)


def _layout(first: av.VideoFrame, path: Path) -> str:
    """The planar layout; raises ColorError for others, with a command to convert a file."""
    try:
        return planar_layout(first)
    except ColorError as error:
        if path.suffix.lower() == exr.SUFFIX:
            raise ColorError(f"{path}: {exr.PROBLEM}", exr.as_png(path, first.format)) from error
        if not path.is_file():
            raise
        raise ColorError(error.problem, recoded(path, first.format)) from error


def with_rate(
    info: VideoInfo, first: av.VideoFrame, times: list[Fraction] | None, container: InputContainer
) -> tuple[VideoInfo, bool, tuple[Finding, ...]]:
    """The description with its rate and count, whether timestamps are assumed, and findings.

    ``times`` are those of the first frames by their packets; None for a pipe, whose header is used
    as it is. Raises TimestampError without any timestamp or rate.
    """
    av_stream = next(s for s in container.streams.video if s.index == info.index)
    rate, tick = info.frame_rate, info.time_base
    findings: tuple[Finding, ...] = ()
    if times is not None:
        rate = frame_rate(rate, times[:PEEK_PACKETS])
    timeless = first.pts is None and not times
    if timeless:
        rate = exact(av_stream.guessed_rate) or rate
        if rate is None:
            raise TimestampError(
                f"{info.path} has neither timestamps nor a frame rate", retimed(info.path)
            )
        tick = 1 / rate
        text = f"the file has no timestamps: {rate} frames a second are assumed"
        findings = (Finding(kind=Kind.GUESSED, subject="frame rate", text=text),)
    if not tick:
        raise TimestampError(f"{info.path} has no time base", retimed(info.path))
    claimed = round((claimed_duration(container, av_stream) or 0) * (rate or 0))
    count = indexed_frames(container, av_stream) or claimed
    return replace(info, frame_rate=rate, time_base=tick, frame_count=count), timeless, findings
