"""Plans which streams of a file are copied, converted or dropped; writes no file."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import AttachmentStream, Disposition, Stream

from ciaovideo.errors import EncodeError, OpenError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.containers import MATROSKA, Container, read_container
from ciaovideo.media.ffmpeg.remedies import remuxed
from ciaovideo.media.formats.boxes import odd_boxes
from ciaovideo.media.formats.editions import higher_tags, odd_chapters
from ciaovideo.media.formats.tape import rate_change
from ciaovideo.media.frame import StreamInfo
from ciaovideo.media.read.probe import SourceFacts
from ciaovideo.media.selection import EVERYTHING, Selection
from ciaovideo.media.source.header import (
    counts_timecode,
    describe,
    holds_titles,
    reel_name,
    timecode,
)
from ciaovideo.media.source.opening import USUAL, Opening, open_source
from ciaovideo.media.streams.beginning import Beginning
from ciaovideo.media.streams.languages import UNKNOWN, held_language
from ciaovideo.media.streams.sound import (
    WHOLE_NUMBERS,
    rate_changes,
    sound_codecs,
)
from ciaovideo.media.streams.steady import uneven_starts
from ciaovideo.media.streams.targets import fresh_metadata
from ciaovideo.media.streams.text import STYLED, text_codec
from ciaovideo.media.streams.trial import takes
from ciaovideo.options import SoundPolicy

RAWCOOKED = "RAWcooked reversibility data"  # the name of an attachment
PLACES = Disposition.default | Disposition.attached_pic | Disposition.timed_thumbnails


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """Which streams of a file an output container keeps, and how.

    ``offset`` seconds are added to all times of the output; it is nearly always 0 unless the
    ``selection``, on the file's own clock, begins later than the file. ``starts`` are the times of
    the first packets of the video and of the kept streams, ``covers`` the coded pictures of kept
    covers. Later openings of the source must use ``opening``. ``unopened`` are the numbers of
    streams that cannot be read; ``partly`` means that the file may have more streams. ``timecode``
    and ``reel`` are from the source's tags. ``findings`` report losses and conversions.
    """

    source: Path
    main: int
    container: Container
    kept: tuple[StreamInfo, ...]
    dropped: tuple[StreamInfo, ...]
    offset: Fraction = Fraction(0)
    selection: Selection = EVERYTHING
    opening: Opening = USUAL
    unopened: frozenset[int] = frozenset()
    partly: bool = False
    timecode: str = ""
    reel: str = ""
    starts: Mapping[int, Fraction] = field(default_factory=dict)
    covers: Mapping[int, bytes] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


def plan_streams(
    facts: SourceFacts,
    container: Container,
    selection: Selection = EVERYTHING,
    *,
    sound: SoundPolicy = "copy",
    opened: InputContainer | None = None,
) -> StreamPlan:
    """Decide which streams besides the main video a container takes, and how.

    Text that it cannot hold is converted to its text codec; sound is transcoded under ``auto``. The
    ``selection`` is on the file's own clock. ``opened`` is the source; no packet of it is read.
    Without it, the source is opened for this call. Raises EncodeError for sound that the container
    cannot hold under ``copy``.
    """
    source = nullcontext(opened) if opened else open_source(facts.path, facts.opening)
    with source as av_container:
        fates = _fates(av_container, facts, container, sound)
        kept = fates.kept
        main = av_container.streams[facts.info.index]
        clock, reel = timecode(av_container, main), reel_name(av_container)
        found = [
            *_late_timecode(av_container, facts.info.index, container, selection),
            *_odd_chapters(av_container, container, facts, selection),
            *_odd_metadata(av_container, container, facts),
            *fates.told(av_container, container, facts.info.index),
        ]
        beginning = Beginning.of(av_container, facts, kept, container, selection)
    if not container.bare:
        _refuse_silence(fates.dropped, container, sound)
    _refuse_change(facts, kept, selection)
    if container.in_step:
        found += uneven_starts(beginning.starts, facts.info.index, kept, selection)
    return StreamPlan(
        source=facts.path,
        opening=facts.opening,
        unopened=facts.unopened,
        partly=facts.partly,
        timecode=clock,
        reel=reel,
        main=facts.info.index,
        container=container,
        kept=tuple(kept),
        dropped=(*fates.dropped, *fates.gone),
        offset=beginning.offset,
        selection=selection.ended(facts.packets.frame_times),
        starts=beginning.starts,
        covers={i: data for i, data in facts.packets.covers.items() if i in beginning.taken},
        findings=(*found, *beginning.findings()),
    )


@dataclass(slots=True)
class _Fates:
    """The other streams, sorted by what happens to them, with their losses.

    ``dropped`` are those that the container cannot hold, ``gone`` others that are dropped.
    """

    kept: list[StreamInfo] = field(default_factory=list)
    dropped: list[StreamInfo] = field(default_factory=list)
    gone: list[StreamInfo] = field(default_factory=list)
    lost: list[Finding] = field(default_factory=list)

    def told(
        self, av_container: InputContainer, container: Container, main: int
    ) -> Iterator[Finding]:
        """Findings on losses and conversions."""
        yield from self.lost
        yield from _left_out(av_container, container, self.dropped)
        yield from (_converted(info) for info in self.kept if info.becomes)
        video = describe(av_container.streams[main])
        yield from _lost_languages((video, *self.kept), container)


def _fates(
    av_container: InputContainer, facts: SourceFacts, container: Container, sound: SoundPolicy
) -> _Fates:
    """Decide on each stream by a trial."""
    fates = _Fates()
    for av_stream in _others(av_container, facts.info.index, container):
        if av_stream.index in facts.excluded:
            fates.gone.append(describe(av_stream))
            continue
        outdated = _about_bytes(av_stream)
        becomes = None if outdated else _becoming(container, av_stream, facts, sound)
        info = replace(describe(av_stream), becomes=becomes or "")
        if becomes is not None:
            fates.kept.append(info)
            fates.lost += _lost_marks(container, info, av_stream)
            fates.lost += _as_it_is(info, facts, container)
        elif container.streams and _is_unknown(av_stream):
            _refuse_unknown(info, facts)
            fates.lost.append(_lost(info.name, f"{info}: dropped, it has no packets"))
            fates.gone.append(info)
        else:
            fates.dropped.append(info)
    return fates


def _as_it_is(info: StreamInfo, facts: SourceFacts, container: Container) -> Iterator[Finding]:
    """Findings on copied streams: a second video keeps its size, and some players lack PCM."""
    if container.young_pcm and not info.becomes and re.match("pcm_(?!s16)", info.codec):
        text = f"{info}: players with FFmpeg before 6.1 play it as noise or silence in {container}"
        yield Finding(kind=Kind.CHANGED, subject=info.name, text=text)
    if info.kind == "video" and info.index not in facts.packets.covers:
        text = f"{info} is copied, not enlarged"
        yield Finding(kind=Kind.CHOSEN, subject=info.name, text=text)


def _is_unknown(av_stream: Stream) -> bool:
    """Whether it is a sound stream without codec parameters."""
    if not isinstance(av_stream, AudioStream):
        return False
    return av_stream.codec_context is None or not av_stream.codec_context.sample_rate


def _refuse_unknown(info: StreamInfo, facts: SourceFacts) -> None:
    """Raise EncodeError for a sound stream without codec parameters if it has any packet."""
    with (
        av_errors("reading", facts.path, OpenError),
        open_source(facts.path, facts.opening) as av_container,
    ):
        packets = av_container.demux(av_container.streams[info.index])
        if not any(packet.size for packet in packets):
            return
    raise EncodeError(
        f"{info}: the file does not state its codec parameters, so that it cannot be copied",
        f"remove it first: {remuxed(facts.path, leaving=info.index)}",
    )


def _others(av_container: InputContainer, main: int, container: Container) -> Iterator[Stream]:
    """The other streams, except those whose contents are copied as chapters or tags."""
    tagged = container.timecode and timecode(av_container, av_container.streams[main])
    for av_stream in av_container.streams:
        if av_stream.index == main or holds_titles(av_container, av_stream):
            continue
        if not (tagged and counts_timecode(av_stream)):  # mp4 and mov make a stream of the tag
            yield av_stream


def _refuse_silence(
    dropped: Sequence[StreamInfo], container: Container, sound: SoundPolicy
) -> None:
    """Raise EncodeError if the container cannot hold a sound stream."""
    for lost in dropped:
        if lost.kind == "audio":
            raise EncodeError(
                f"{container} cannot hold the sound as it is ({lost})",
                _silence_hint(container, sound),
            )


def _refuse_change(facts: SourceFacts, kept: Sequence[StreamInfo], selection: Selection) -> None:
    """Raise EncodeError if the sample rate of raw DV changes within the part."""
    if facts.demuxer != "dv" or not any(i.kind == "audio" and not i.becomes for i in kept):
        return
    change = rate_change(facts.path)
    if change and (selection.end is None or change.time < selection.end):
        raise rate_changes(facts.path, change.time, (change.before, change.after), change.byte)


def _silence_hint(container: Container, sound: SoundPolicy) -> str:
    """The hint for sound that a container cannot hold."""
    hints = ["end the output's name in .mkv"] if container is not MATROSKA else []
    hints += ["transcode the sound (audio auto)"] if sound != "auto" else []
    return ", or ".join(hints) or "remove the sound first, for example with ffmpeg -an"


def _left_out(
    av_container: InputContainer, container: Container, dropped: Sequence[StreamInfo]
) -> Iterator[Finding]:
    """A finding for each stream, chapters and tags that a container cannot hold."""
    for lost in dropped:
        if _about_bytes(av_container.streams[lost.index]):
            yield _lost(lost.name, f"{RAWCOOKED}: dropped, it describes the input's bytes")
        else:
            yield _lost(lost.name, f"{container} cannot hold {lost}: dropped")
    if not container.stores_rate:
        yield _lost(
            "frame rate", f"{container} store no frame rate: give it to the program that reads them"
        )
    if av_container.chapters() and not container.chapters:
        yield _lost("chapters", f"{container} cannot hold chapters: dropped")
    metadata = fresh_metadata(av_container.metadata)
    held = ("timecode",) if container.timecode else ()
    metadata = {
        key: text for key, text in metadata.items() if key not in (*held, *container.held_metadata)
    }
    if metadata and not container.metadata:
        listed = ", ".join(metadata)
        yield _lost("metadata", f"{container} cannot hold metadata ({listed}): dropped")


def _late_timecode(
    av_container: InputContainer, main: int, container: Container, selection: Selection
) -> Iterator[Finding]:
    """The finding for a part that begins later, but keeps the whole video's timecode."""
    clock = timecode(av_container, av_container.streams[main])
    if clock and selection.start is not None and container.timecode:
        yield _lost("timecode", f"the timecode stays {clock}, that of the whole video")


def _odd_chapters(
    av_container: InputContainer, container: Container, facts: SourceFacts, selection: Selection
) -> Iterator[Finding]:
    """Findings on properties that chapters lose, and on a first chapter that moves to zero."""
    if container.chapters and read_container(av_container.format.name).covers_attached:
        for text in odd_chapters(facts.path):
            yield _lost("chapters", f"{text}: not carried over")
    starts = [start for _, start, _ in selection.chapters(av_container.chapters())]
    if container.iso and starts and starts[0] > (selection.start or 0):
        own = f"{float(starts[0]):.3f} s"
        text = f"the first chapter begins with the video in {container}, instead of at {own}"
        yield Finding(kind=Kind.CHANGED, subject="chapters", text=text, at=starts[0])


def _odd_metadata(
    av_container: InputContainer, container: Container, facts: SourceFacts
) -> Iterator[Finding]:
    """Findings on metadata that FFmpeg does not report."""
    row = read_container(av_container.format.name)
    if row.covers_attached and container.metadata and (names := higher_tags(facts.path)):
        text = f"tags on more than this video ({', '.join(names)}) become its own, or are dropped"
        yield _lost("tags", text)
    if row.iso and (boxes := odd_boxes(facts.path)):
        yield _lost("metadata", f"{', '.join(boxes)}: not carried over")


def _about_bytes(av_stream: Stream) -> bool:
    """Whether an attachment describes the source's bytes, which the output does not have."""
    return isinstance(av_stream, AttachmentStream) and av_stream.name == RAWCOOKED


def _lost(subject: str, text: str) -> Finding:
    return Finding(kind=Kind.LOST, subject=subject, text=text)


def _lost_marks(container: Container, info: StreamInfo, source: Stream) -> Iterator[Finding]:
    """The finding for dispositions that a kept stream loses, such as forced or comment."""
    known = container.marks + (container.text_marks if info.kind == "subtitle" else ())
    marks = [mark.name for mark in Disposition(source.disposition & ~PLACES) if mark.name]
    lost = ", ".join(name.replace("_", " ") for name in marks if name not in known)
    if lost:
        yield _lost(info.name, f"{container} cannot hold the marks of {info}: {lost}")


def _becoming(
    container: Container, source: Stream, facts: SourceFacts, sound: SoundPolicy
) -> str | None:
    """The codec that a stream is converted to, "" for a copy, None if it is dropped."""
    codecs = ["", text_codec(container, source)]
    if sound == "auto" and not _is_unknown(source):
        codecs += sound_codecs(container, source)
    samples = facts.packets.samples.get(source.index, ())
    for codec in dict.fromkeys(codecs):
        if takes(container, source, facts.packets.covers, codec, samples):
            return codec
    return None


def _converted(info: StreamInfo) -> Finding:
    """The finding for a converted stream; a loss where styles or bits are lost."""
    if info.codec == STYLED:
        return _lost(info.name, f"{info}: its styles are simplified")
    if info.becomes in WHOLE_NUMBERS and re.match(r"pcm_[sf](32|64)", info.codec):
        return _lost(info.name, f"{info}: its samples are rounded to 24 bits")
    return Finding(kind=Kind.CHANGED, subject=info.name, text=str(info))


def _lost_languages(infos: Iterable[StreamInfo], container: Container) -> Iterator[Finding]:
    """Findings on languages for which a container has no code."""
    for info in infos:
        if info.language not in UNKNOWN and not held_language(container, info.language):
            yield _lost(info.name, f"{container} cannot hold the language of {info}")
