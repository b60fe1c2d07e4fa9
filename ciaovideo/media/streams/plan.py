"""What becomes of a file's streams besides its main video; nothing is written to know it.

Whether a container takes a stream is found by a trial: its header is written into memory.
"""

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Disposition, Stream

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
from ciaovideo.media.write.choice import container_format, container_word
from ciaovideo.media.write.codecs import MATROSKA, RATE_ONLY, Y4M_CONTAINER
from ciaovideo.options import SoundPolicy

# Facts about the input's bytes, wrong for the output's.
STALE_TAGS = ("ENCODER", "DURATION", "MAJOR_BRAND", "MINOR_VERSION", "COMPATIBLE_BRANDS")
TRIAL_BYTES = 576  # whole samples of up to 8 channels and 64 bits
UNDESCRIBED = b"\0\0\0\x10stsd"  # a table of sample descriptions (ISO/IEC 14496-12) that is empty
PLACES = Disposition.default | Disposition.attached_pic | Disposition.timed_thumbnails
# What else each container stores of a stream's marks as FFmpeg writes it (measured).
MARKS: dict[str, tuple[str, ...]] = {
    "matroska": ("dub", "original", "comment", "forced", "hearing_impaired", "visual_impaired"),
    "webm": ("forced",),
    "mp4": (
        *("dub", "comment", "forced", "hearing_impaired", "visual_impaired"),
        *("captions", "descriptions"),
    ),
    "mov": (),
}
TEXT_MARKS = {"matroska": ("descriptions",), "webm": ("captions", "descriptions", "metadata")}
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
    container: str
    kept: tuple[StreamInfo, ...]
    dropped: tuple[StreamInfo, ...]
    offset: Fraction = Fraction(0)
    span: Span = WHOLE
    end: Fraction | None = None
    findings: tuple[Finding, ...] = ()


def plan_streams(
    source: Path,
    output: Path,
    main: int,
    frames: int | None = None,
    *,
    every_field: bool = False,
    sound: SoundPolicy = "copy",
    span: Span = WHOLE,
) -> StreamPlan:
    """Decide which streams besides the video ``main`` the output's container takes, and how.

    Text that it does not take as it is becomes another kind of text; so does sound under ``auto``.
    ``frames`` limits the run, from the start of the ``span``; with ``every_field`` it counts
    fields, two to a frame. Raises EncodeError for other sound that the container cannot hold.
    """
    container_name = container_format(output)
    kept: list[StreamInfo] = []
    dropped: list[StreamInfo] = []
    with av_errors("opening", source, OpenError), av.open(source) as container:
        ticks = {s.index: exact(s.time_base) or Fraction(1) for s in container.streams}
        video = describe(container.streams[main])
        chapters = bool(container.chapters())
        tags = fresh_tags(container.metadata)
        found = [*_late_timecode(container, main, container_name, span)]
        for av_stream in _others(container, main, container_name):
            becomes = _becoming(container_name, av_stream, source, sound)
            info = replace(describe(av_stream), becomes=becomes or "")
            (dropped if becomes is None else kept).append(info)
            found += () if becomes is None else _lost_marks(output, info, av_stream)
    if container_name != Y4M_CONTAINER:
        _refuse_silence(dropped, output, sound)
    copied = {info.index for info in kept}
    timed = copied if container_name in MATROSKA else set[int]()
    offset = Fraction(0)
    if container_name != Y4M_CONTAINER:  # which has no times to move
        starts = first_times(source, main, timed, span)
        offset = _offset(starts, [ticks[index] for index in {main} | copied], span)
    unnamed = [info for info in (video, *kept) if _loses_language(info, container_name)]
    found += [
        *_left_out(output, dropped, chapters=chapters, tags=tags),
        *(_converted(info) for info in kept if info.becomes),
        *(
            _lost(info.name, f"{container_word(output)} cannot hold the language of {info}")
            for info in unnamed
        ),
    ]
    if offset:
        found.append(_moved(offset, span))
    return StreamPlan(
        source=source,
        main=main,
        container=container_name,
        kept=tuple(kept),
        dropped=tuple(dropped),
        offset=offset,
        span=span,
        end=_end(source, main, frames, every_field, span),
        findings=tuple(found),
    )


def _others(container: InputContainer, main: int, container_name: str) -> Iterator[Stream]:
    """The streams beside the main video but those that store what is copied in another way."""
    tagged = container_name not in RATE_ONLY and timecode(container, container.streams[main])
    for av_stream in container.streams:
        if av_stream.index == main or _holds_chapters(container, av_stream):
            continue
        if not (tagged and counts_timecode(av_stream)):  # mp4 and mov make a stream of the tag
            yield av_stream


def _refuse_silence(dropped: Sequence[StreamInfo], output: Path, sound: SoundPolicy) -> None:
    """Raise EncodeError where sound is among what the container cannot hold."""
    for lost in dropped:
        if lost.kind == "audio":
            raise EncodeError(
                f"{output.suffix} cannot hold the sound as it is ({lost})",
                _silence_hint(output, sound),
            )


def _silence_hint(output: Path, sound: SoundPolicy) -> str:
    """What to do where an output cannot hold the sound."""
    hints = ["end the output's name in .mkv"] if output.suffix.lower() != ".mkv" else []
    hints += ["let sound be transcoded (audio auto)"] if sound != "auto" else []
    return ", or ".join(hints) or "take the sound out first, for example with ffmpeg -an"


def _left_out(
    output: Path, dropped: Sequence[StreamInfo], *, chapters: bool, tags: Iterable[str]
) -> Iterator[Finding]:
    """Each thing beside the video that the output's container cannot hold."""
    place, container_name = container_word(output), container_format(output)
    for lost in dropped:
        yield _lost(lost.name, f"{place} cannot hold {lost}: it is left out")
    if chapters and container_name in RATE_ONLY:
        yield _lost("chapters", f"{place} cannot hold chapters: they are left out")
    if tags and container_name == Y4M_CONTAINER:
        listed = ", ".join(tags)
        yield _lost("metadata", f"{place} cannot hold metadata ({listed}): it is left out")


def _late_timecode(
    container: InputContainer, main: int, container_name: str, span: Span
) -> Iterator[Finding]:
    """That a part which begins later has the timecode of the whole video."""
    clock = timecode(container, container.streams[main])
    if clock and span.start is not None and container_name not in RATE_ONLY:
        yield _lost("timecode", f"the timecode stays {clock}, that of the whole video")


def _lost(subject: str, text: str) -> Finding:
    return Finding(kind=Kind.LOST, subject=subject, text=text)


def _lost_marks(output: Path, info: StreamInfo, source: Stream) -> Iterator[Finding]:
    """What a kept stream is said to be, forced or a comment for example, and is not any more."""
    container_name = container_format(output)
    known = MARKS[container_name]
    if info.kind == "subtitle":
        known += TEXT_MARKS.get(container_name, ())
    marks = [mark.name for mark in Disposition(source.disposition & ~PLACES) if mark.name]
    lost = ", ".join(name.replace("_", " ") for name in marks if name not in known)
    if lost:
        yield _lost(info.name, f"{container_word(output)} cannot hold the marks of {info}: {lost}")


def fresh_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Metadata without the entries that describe the input's own bytes."""
    return {
        key: text
        for key, text in tags.items()
        if key.upper() not in STALE_TAGS and not key.upper().startswith(STALE_PREFIXES)
    }


def stream_tags(tags: Mapping[str, str], container_name: str) -> dict[str, str]:
    """The same of a stream, with its language under the code that the container knows.

    FFmpeg reads the name of a track in mp4 and mov as ``name``, and writes it from ``title``.
    """
    fresh = fresh_tags(tags)
    if "name" in fresh and "title" not in fresh:
        fresh["title"] = fresh.pop("name")
    if held := held_language(container_name, fresh.get("language", "")):
        fresh["language"] = held
    return fresh


def add_copy(output: OutputContainer, source: Stream, path: Path) -> Stream | None:
    """Add a stream like ``source`` to a container; None if it is whole with the header.

    Raises ValueError or FFmpeg's error if the container does not take it.
    """
    tags = stream_tags(source.metadata, output.format.name)
    matroska = output.format.name == "matroska"
    if isinstance(source, AttachmentStream):
        name = source.name or tags.get("filename", "attachment")
        kind = source.mimetype or "application/octet-stream"
        output.add_attachment(name, kind, source.data).metadata.update(tags)
        return None
    if matroska and source.disposition & Disposition.attached_pic:
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
    converter.target.metadata.update(stream_tags(source.metadata, output.format.name))
    converter.target.disposition = source.disposition
    return converter


def _becoming(container_name: str, source: Stream, path: Path, sound: SoundPolicy) -> str | None:
    """What a stream becomes: the name of another coding, "" as it is, None if it is left out."""
    codecs = ["", text_codec(container_name, source)]
    if sound == "auto":
        codecs += sound_codecs(container_name, source)
    for codec in dict.fromkeys(codecs):
        if _takes(container_name, source, path, codec):
            return codec
    return None


def _converted(info: StreamInfo) -> Finding:
    """That a stream becomes another coding; a loss beyond what that coding is known for."""
    if info.codec == STYLED:
        return _lost(info.name, f"{info}: its styles are simplified")
    if info.becomes in WHOLE_NUMBERS and re.match(r"pcm_[sf](32|64)", info.codec):
        return _lost(info.name, f"{info}: its samples are rounded to 24 bits")
    return Finding(kind=Kind.CHANGED, subject=info.name, text=str(info))


def _loses_language(info: StreamInfo, container_name: str) -> bool:
    if container_name in RATE_ONLY:  # .avi holds the video alone, and any text of it
        return False
    return info.language not in UNKNOWN and not held_language(container_name, info.language)


def _takes(container_name: str, source: Stream, path: Path, codec: str = "") -> bool:
    """Whether a container holds a stream as it is, or as ``codec``.

    A header is written into memory to find out; of covers, data and PCM, for which mp4 and mov
    write theirs at the end, a whole file.

    Not asked of .avi, which counts packets instead of storing times, and moves most sound; nor of
    YUV4MPEG2.
    """
    if container_name in RATE_ONLY:
        return False
    memory = io.BytesIO()
    trial = av.open(memory, "w", format=container_name)
    try:
        if codec:
            add_converted(trial, source, codec)
            target = None
        else:
            target = add_copy(trial, source, path)
        trial.start_encoding()
        if target is not None and container_name in ("mp4", "mov") and _may_vanish(source):
            return _arrives(trial, target, memory)
    except (ValueError, av.error.FFmpegError):
        return False
    finally:
        trial.close()
    return True


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
    return bool(chapters) and titles and "mp4" in container.format.name


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


def _moved(offset: Fraction, span: Span) -> Finding:
    if span.start is None:
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
