"""What becomes of a file's streams besides its main video; nothing is written to know it.

Whether a container takes a stream is found by a trial: its header is written into memory.
"""

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Disposition, Stream
from av.video.stream import VideoStream

from ciaovideo.errors import EncodeError, OpenError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.clock import (
    WHOLE,
    Span,
    common_tick,
    exact,
    first_frame_times,
    first_times,
    with_fields,
)
from ciaovideo.media.containers import CONTAINERS, MATROSKA, Container, read_container
from ciaovideo.media.frame import StreamInfo
from ciaovideo.media.streams.languages import UNKNOWN, held_language
from ciaovideo.media.streams.sound import (
    WHOLE_NUMBERS,
    SoundTranscoder,
    sound_codecs,
    usual_layout,
)
from ciaovideo.media.streams.text import STYLED, TextConverter, text_codec
from ciaovideo.media.video_stream import counts_timecode, describe, timecode
from ciaovideo.media.write.codecs import CODECS
from ciaovideo.options import SoundPolicy

# Facts about the input's bytes, wrong for the output's.
STALE_TAGS = (
    *("ENCODER", "DURATION", "MAJOR_BRAND", "MINOR_VERSION", "COMPATIBLE_BRANDS"),
    # of MXF: which program wrote it, and numbers that must differ between any two files
    *("UID", "GENERATION_UID", "PRODUCT_UID", "COMPANY_NAME", "PRODUCT_NAME", "PRODUCT_VERSION"),
    *("PRODUCT_VERSION_NUM", "APPLICATION_PLATFORM", "TOOLKIT_VERSION_NUM", "MODIFICATION_DATE"),
    *("MATERIAL_PACKAGE_UMID", "FILE_PACKAGE_UMID", "OPERATIONAL_PATTERN_UL"),
)
STEP = Fraction(1, 1000)  # how far the beginning of sound may be from where a container puts it
TRIAL_SIZE = (256, 120)  # the least that each encoder takes
TRIAL_BYTES = 576  # whole samples of up to 8 channels and 64 bits
UNDESCRIBED = b"\0\0\0\x10stsd"  # a table of sample descriptions (ISO/IEC 14496-12) that is empty
PLACES = Disposition.default | Disposition.attached_pic | Disposition.timed_thumbnails
STALE_PREFIXES = ("_STATISTICS", "BPS", "NUMBER_OF_")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """What becomes of a file's streams in an output container; nothing is written to know it.

    ``offset`` seconds are added to all times of the output; nearly always 0 unless the ``span``
    begins later than the file. ``end`` is where a run over part of the file will end, None if at
    its end. ``findings`` are what the output will not have, and what it has in another form.
    """

    source: Path
    main: int
    container: Container
    kept: tuple[StreamInfo, ...]
    dropped: tuple[StreamInfo, ...]
    offset: Fraction = Fraction(0)
    span: Span = WHOLE
    end: Fraction | None = None
    findings: tuple[Finding, ...] = ()


def plan_streams(
    source: Path,
    place: Container,
    main: int,
    frames: int | None = None,
    *,
    every_field: bool = False,
    sound: SoundPolicy = "copy",
    span: Span = WHOLE,
) -> StreamPlan:
    """Decide which streams besides the video ``main`` a container takes, and how.

    Text that it does not take as it is becomes another kind of text; so does sound under ``auto``.
    ``frames`` limits the run, from the start of the ``span``; with ``every_field`` it counts
    fields, two to a frame. Raises EncodeError for other sound that the container cannot hold.
    """
    kept: list[StreamInfo] = []
    dropped: list[StreamInfo] = []
    with av_errors("opening", source, OpenError), av.open(source) as container:
        ticks = {s.index: exact(s.time_base) or Fraction(1) for s in container.streams}
        video = describe(container.streams[main])
        chapters = bool(container.chapters())
        tags = fresh_tags(container.metadata)
        if place.timecode:
            tags.pop("timecode", "")
        found = [*_late_timecode(container, main, place, span)]
        for av_stream in _others(container, main, place):
            becomes = _becoming(place, av_stream, source, sound)
            info = replace(describe(av_stream), becomes=becomes or "")
            (dropped if becomes is None else kept).append(info)
            found += () if becomes is None else _lost_marks(place, info, av_stream)
    if not place.bare:
        _refuse_silence(dropped, place, sound)
    copied = {info.index for info in kept}
    timed = set[int]() if place.before_zero and not place.in_step else copied
    offset = Fraction(0)
    if not place.bare:  # which has no times to move
        starts = first_times(source, main, timed, span)
        offset = _offset(starts, [ticks[index] for index in {main} | copied], span)
        if place.in_step:
            offset = -starts.get(main, Fraction(0))
            _refuse_steps(starts, main, kept, place)
    unnamed = [info for info in (video, *kept) if _loses_language(info, place)]
    found += [
        *_left_out(place, dropped, chapters=chapters, tags=tags),
        *(_converted(info) for info in kept if info.becomes),
        *(_lost(info.name, f"{place} cannot hold the language of {info}") for info in unnamed),
    ]
    if offset:
        found.append(_moved(offset, span, place))
    return StreamPlan(
        source=source,
        main=main,
        container=place,
        kept=tuple(kept),
        dropped=tuple(dropped),
        offset=offset,
        span=span,
        end=_end(source, main, frames, every_field, span),
        findings=tuple(found),
    )


def _others(container: InputContainer, main: int, place: Container) -> Iterator[Stream]:
    """The streams beside the main video but those that store what is copied in another way."""
    tagged = place.timecode and timecode(container, container.streams[main])
    for av_stream in container.streams:
        if av_stream.index == main or _holds_chapters(container, av_stream):
            continue
        if not (tagged and counts_timecode(av_stream)):  # mp4 and mov make a stream of the tag
            yield av_stream


def _refuse_silence(dropped: Sequence[StreamInfo], place: Container, sound: SoundPolicy) -> None:
    """Raise EncodeError where sound is among what the container cannot hold."""
    for lost in dropped:
        if lost.kind == "audio":
            raise EncodeError(
                f"{place} cannot hold the sound as it is ({lost})", _silence_hint(place, sound)
            )


def _refuse_steps(
    starts: Mapping[int, Fraction], main: int, kept: Sequence[StreamInfo], place: Container
) -> None:
    """Raise EncodeError for a stream that does not begin with the video, where all must."""
    for info in kept:
        late = starts.get(info.index, Fraction(0)) - starts.get(main, Fraction(0))
        if abs(late) > STEP:
            raise EncodeError(
                f"{place} cannot hold {info}: it begins {float(late):+.3f} s from the video",
                "end the output's name in .mkv",
            )


def _silence_hint(place: Container, sound: SoundPolicy) -> str:
    """What to do where a container cannot hold the sound."""
    hints = ["end the output's name in .mkv"] if place is not MATROSKA else []
    hints += ["let sound be transcoded (audio auto)"] if sound != "auto" else []
    return ", or ".join(hints) or "take the sound out first, for example with ffmpeg -an"


def _left_out(
    place: Container, dropped: Sequence[StreamInfo], *, chapters: bool, tags: Iterable[str]
) -> Iterator[Finding]:
    """Each thing beside the video that a container cannot hold."""
    for lost in dropped:
        yield _lost(lost.name, f"{place} cannot hold {lost}: it is left out")
    if chapters and not place.chapters:
        yield _lost("chapters", f"{place} cannot hold chapters: they are left out")
    if tags and not place.metadata:
        listed = ", ".join(tags)
        yield _lost("metadata", f"{place} cannot hold metadata ({listed}): it is left out")


def _late_timecode(
    container: InputContainer, main: int, place: Container, span: Span
) -> Iterator[Finding]:
    """That a part which begins later has the timecode of the whole video."""
    clock = timecode(container, container.streams[main])
    if clock and span.start is not None and place.timecode:
        yield _lost("timecode", f"the timecode stays {clock}, that of the whole video")


def _lost(subject: str, text: str) -> Finding:
    return Finding(kind=Kind.LOST, subject=subject, text=text)


def _lost_marks(place: Container, info: StreamInfo, source: Stream) -> Iterator[Finding]:
    """What a kept stream is said to be, forced or a comment for example, and is not any more."""
    known = place.marks + (place.text_marks if info.kind == "subtitle" else ())
    marks = [mark.name for mark in Disposition(source.disposition & ~PLACES) if mark.name]
    lost = ", ".join(name.replace("_", " ") for name in marks if name not in known)
    if lost:
        yield _lost(info.name, f"{place} cannot hold the marks of {info}: {lost}")


def fresh_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Metadata without the entries that describe the input's own bytes."""
    return {
        key: text
        for key, text in tags.items()
        if key.upper() not in STALE_TAGS and not key.upper().startswith(STALE_PREFIXES)
    }


def stream_tags(tags: Mapping[str, str], place: Container) -> dict[str, str]:
    """The same of a stream, with its language under the code that the container knows.

    FFmpeg reads the name of a track in mp4 and mov as ``name``, and writes it from ``title``.
    """
    fresh = fresh_tags(tags)
    if "name" in fresh and "title" not in fresh:
        fresh["title"] = fresh.pop("name")
    if held := held_language(place, fresh.get("language", "")):
        fresh["language"] = held
    return fresh


def add_copy(output: OutputContainer, source: Stream, path: Path) -> Stream | None:
    """Add a stream like ``source`` to a container; None if it is whole with the header.

    Raises ValueError or FFmpeg's error if the container does not take it.
    """
    place = CONTAINERS[output.format.name]
    tags = stream_tags(source.metadata, place)
    if isinstance(source, AttachmentStream):
        name = source.name or tags.get("filename", "attachment")
        kind = source.mimetype or "application/octet-stream"
        output.add_attachment(name, kind, source.data).metadata.update(tags)
        return None
    if place.covers_attached and source.disposition & Disposition.attached_pic:
        kind = source.codec_context.codec.canonical_name.replace("mjpeg", "jpeg")
        suffix = kind.replace("jpeg", "jpg")
        output.add_attachment(f"cover.{suffix}", f"image/{kind}", _cover(path, source.index))
        return None
    target = output.add_stream_from_template(source, opaque=True)
    if isinstance(target, AudioStream):  # of PCM, mp4 stores no mere number of channels
        target.codec_context.layout = usual_layout(target.codec_context.layout)
    target.metadata.update(tags)
    target.disposition = source.disposition
    return target


def add_converted(
    output: OutputContainer, source: Stream, codec: str
) -> TextConverter | SoundTranscoder:
    """Add a stream to a container that holds what ``source`` does in another coding.

    Raises ValueError or FFmpeg's error if the container or the encoder does not take it.
    """
    kind = SoundTranscoder if source.type == "audio" else TextConverter
    converter = kind(output, source, codec)
    tags = stream_tags(source.metadata, CONTAINERS[output.format.name])
    converter.target.metadata.update(tags)
    converter.target.disposition = source.disposition
    return converter


def _becoming(place: Container, source: Stream, path: Path, sound: SoundPolicy) -> str | None:
    """What a stream becomes: the name of another coding, "" as it is, None if it is left out."""
    codecs = ["", text_codec(place, source)]
    if sound == "auto":
        codecs += sound_codecs(place, source)
    for codec in dict.fromkeys(codecs):
        if _takes(place, source, path, codec):
            return codec
    return None


def _converted(info: StreamInfo) -> Finding:
    """That a stream becomes another coding; a loss beyond what that coding is known for."""
    if info.codec == STYLED:
        return _lost(info.name, f"{info}: its styles are simplified")
    if info.becomes in WHOLE_NUMBERS and re.match(r"pcm_[sf](32|64)", info.codec):
        return _lost(info.name, f"{info}: its samples are rounded to 24 bits")
    return Finding(kind=Kind.CHANGED, subject=info.name, text=str(info))


def _loses_language(info: StreamInfo, place: Container) -> bool:
    return info.language not in UNKNOWN and not held_language(place, info.language)


def _takes(place: Container, source: Stream, path: Path, codec: str = "") -> bool:
    """Whether a container holds a stream as it is, or as ``codec``.

    A header is written into memory to find out; of covers, data and PCM, for which mp4 and mov
    write theirs at the end, a whole file.

    Not asked of those that hold the video alone.
    """
    if not place.streams:
        return False
    memory = io.BytesIO()
    trial = av.open(memory, "w", format=place.name)
    try:
        if place.video_first:
            _add_video(trial, place)
        if codec:
            add_converted(trial, source, codec)
            target = None
        else:
            target = add_copy(trial, source, path)
        trial.start_encoding()
        if target is not None and place.iso and _may_vanish(source):
            return _arrives(trial, target, memory)
    except (ValueError, av.error.FFmpegError):
        return False
    finally:
        with suppress(av.error.FFmpegError):  # MXF cannot end without a packet
            trial.close()
    return True


def _add_video(trial: OutputContainer, place: Container) -> None:
    """Add a video stream, of no particular size, that a container wants before any other."""
    codec = CODECS[place.automatic[0][-1]]
    av_stream = cast(VideoStream, trial.add_stream(codec.name, rate=25, options=dict(codec.fixed)))
    av_stream.width, av_stream.height = TRIAL_SIZE
    av_stream.pix_fmt = min(codec.pix_fmts)


def _may_vanish(source: Stream) -> bool:
    """Whether mp4 and mov may take a stream and then fail, or say no word of what it is."""
    if source.type == "audio":
        return source.codec_context.name.startswith("pcm_")
    return source.type == "data" or bool(source.disposition & Disposition.attached_pic)


def _arrives(trial: OutputContainer, target: Stream, memory: io.BytesIO) -> bool:
    """Whether the only stream of a file is there once that is finished, and described."""
    packet = Packet(bytes(TRIAL_BYTES))
    packet.stream, packet.pts, packet.dts, packet.duration = target, 0, 0, 1
    packet.time_base = Fraction(1, 1000)
    packet.is_keyframe = True
    trial.mux(packet)
    trial.close()
    written = memory.getvalue()
    if UNDESCRIBED in written:
        return False
    with av.open(io.BytesIO(written)) as container:
        return len(container.streams) == 1


def _holds_chapters(container: InputContainer, av_stream: Stream) -> bool:
    """Whether a stream is how mp4 and mov store the chapters, which are copied as such."""
    chapters = container.chapters()
    titles = av_stream.type == "data" and av_stream.frames == len(chapters)
    return bool(chapters) and titles and read_container(container.format.name).iso


def _cover(path: Path, index: int) -> bytes:
    """The coded picture of a cover stream."""
    with av.open(path) as container:
        return next(bytes(p) for p in container.demux(container.streams[index]) if p.size)


def _offset(starts: Mapping[int, Fraction], ticks: Sequence[Fraction], span: Span) -> Fraction:
    """What to add to all times so that nothing that counts begins before zero.

    mp4 and mov cut what lies before zero by an edit list, as sound's priming should be; pictures
    there would be lost. Matroska cannot store times before zero, but for priming. Where the file is
    cut, its first frame, or in Matroska the sound under it, is moved to zero, by whole ticks of the
    frames' clock; other streams are moved to the nearest tick of theirs.
    """
    if span.start is not None:
        return -(min([span.start, *starts.values()]) // span.tick) * span.tick
    earliest = min([*starts.values(), Fraction(0)])
    if earliest >= 0:
        return Fraction(0)
    step = common_tick(ticks)
    return -(earliest // step) * step


def _moved(offset: Fraction, span: Span, place: Container) -> Finding:
    if span.start is None and offset < 0:
        text = f"{place} begins with the first frame: all times are {float(-offset):g} s earlier"
    elif span.start is None:
        text = f"the input starts before zero: all times are {float(offset):g} s later"
    else:
        way = "earlier" if offset < 0 else "later"
        text = (
            f"the first frame is the one at {float(span.start):.9g} s of the file's own time;"
            f" all times are {float(abs(offset)):.9g} s {way}"
        )
    return Finding(kind=Kind.CHANGED, subject="times", text=text, at=span.start)


def _end(
    source: Path, main: int, frames: int | None, every_field: bool, span: Span
) -> Fraction | None:
    """Where the first ``frames`` frames end: at the next one's start, or where the span does."""
    if frames is None:
        return span.end
    times = first_frame_times(source, main, frames + 1, span.start)
    if every_field:
        times = with_fields(times)
    after = [time for time in times if span.start is None or time >= span.start]
    ends = [*after[frames : frames + 1], *([] if span.end is None else [span.end])]
    return min(ends, default=None)
