"""What becomes of a file's streams besides its main video; nothing is written to know it."""

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
from ciaovideo.media.formats.editions import odd_chapters
from ciaovideo.media.formats.tape import rate_change
from ciaovideo.media.frame import StreamInfo
from ciaovideo.media.read.probe import SourceFacts
from ciaovideo.media.selection import EVERYTHING, Selection
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
from ciaovideo.media.video_stream import (
    USUAL,
    Opening,
    counts_timecode,
    describe,
    holds_titles,
    open_source,
    reel_name,
    remuxed,
    timecode,
)
from ciaovideo.options import SoundPolicy

RAWCOOKED = "RAWcooked reversibility data"  # the name of an attachment
PLACES = Disposition.default | Disposition.attached_pic | Disposition.timed_thumbnails


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """What becomes of a file's streams in an output container; nothing is written to know it.

    ``offset`` seconds are added to all times of the output; nearly always 0 unless the
    ``selection``, on the file's own clock, begins later than the file. ``starts`` are the times of
    the first packets of the video and of the kept streams, ``covers`` the coded pictures of kept
    covers. Whoever opens the source does it by ``opening``; ``unopened`` are the numbers of streams
    that cannot be read, and ``partly`` says that more may be found. ``timecode`` and ``reel`` are
    what the source's metadata say. ``findings`` are what the output will not have, and what it has
    in another form.
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

    Text that it does not take as it is becomes another kind of text; so does sound under ``auto``.
    The ``selection`` is on the file's own clock. ``opened`` is the source, of which no packet is
    read; it is opened for the time of this call where nobody gives it. Raises EncodeError for other
    sound that the container cannot hold.
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
    """What becomes of the streams beside the main video, and what they lose by that.

    ``dropped`` are those that the container does not hold, ``gone`` others that are left out.
    """

    kept: list[StreamInfo] = field(default_factory=list)
    dropped: list[StreamInfo] = field(default_factory=list)
    gone: list[StreamInfo] = field(default_factory=list)
    lost: list[Finding] = field(default_factory=list)

    def told(
        self, av_container: InputContainer, container: Container, main: int
    ) -> Iterator[Finding]:
        """What the output will not have, and what it has in another form."""
        yield from self.lost
        yield from _left_out(av_container, container, self.dropped)
        yield from (_converted(info) for info in self.kept if info.becomes)
        video = describe(av_container.streams[main])
        yield from _lost_languages((video, *self.kept), container)


def _fates(
    av_container: InputContainer, facts: SourceFacts, container: Container, sound: SoundPolicy
) -> _Fates:
    """Try each stream."""
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
            fates.lost.append(_lost(info.name, f"{info} has no packet: it is left out"))
            fates.gone.append(info)
        else:
            fates.dropped.append(info)
    return fates


def _as_it_is(info: StreamInfo, facts: SourceFacts, container: Container) -> Iterator[Finding]:
    """That a video beside the main one stays as large as it is, and that PCM is not for all."""
    if container.young_pcm and not info.becomes and re.match("pcm_(?!s16)", info.codec):
        text = f"{info}: players with an FFmpeg before 6.1 hear noise in {container}, or nothing"
        yield Finding(kind=Kind.CHANGED, subject=info.name, text=text)
    if info.kind == "video" and info.index not in facts.packets.covers:
        text = f"{info} is copied as it is, not enlarged"
        yield Finding(kind=Kind.CHOSEN, subject=info.name, text=text)


def _is_unknown(av_stream: Stream) -> bool:
    """Whether it is a sound of which the file does not tell how to decode it."""
    if not isinstance(av_stream, AudioStream):
        return False
    return av_stream.codec_context is None or not av_stream.codec_context.sample_rate


def _refuse_unknown(info: StreamInfo, facts: SourceFacts) -> None:
    """Raise EncodeError for a stream that nobody can decode if there is any packet of it."""
    with (
        av_errors("reading", facts.path, OpenError),
        open_source(facts.path, facts.opening) as av_container,
    ):
        packets = av_container.demux(av_container.streams[info.index])
        if not any(packet.size for packet in packets):
            return
    raise EncodeError(
        f"{info}: the file does not tell how its sound is coded, so that it cannot be kept",
        f"take it out first: {remuxed(facts.path, leaving=info.index)}",
    )


def _others(av_container: InputContainer, main: int, container: Container) -> Iterator[Stream]:
    """The streams beside the main video but those that store what is copied in another way."""
    tagged = container.timecode and timecode(av_container, av_container.streams[main])
    for av_stream in av_container.streams:
        if av_stream.index == main or holds_titles(av_container, av_stream):
            continue
        if not (tagged and counts_timecode(av_stream)):  # mp4 and mov make a stream of the tag
            yield av_stream


def _refuse_silence(
    dropped: Sequence[StreamInfo], container: Container, sound: SoundPolicy
) -> None:
    """Raise EncodeError where sound is among what the container cannot hold."""
    for lost in dropped:
        if lost.kind == "audio":
            raise EncodeError(
                f"{container} cannot hold the sound as it is ({lost})",
                _silence_hint(container, sound),
            )


def _refuse_change(facts: SourceFacts, kept: Sequence[StreamInfo], selection: Selection) -> None:
    """Raise EncodeError for sound of raw DV whose rate changes in what is taken of it."""
    if facts.demuxer != "dv" or not any(i.kind == "audio" and not i.becomes for i in kept):
        return
    change = rate_change(facts.path)
    if change and (selection.end is None or change.time < selection.end):
        raise rate_changes(facts.path, change.time, (change.before, change.after), change.byte)


def _silence_hint(container: Container, sound: SoundPolicy) -> str:
    """What to do where a container cannot hold the sound."""
    hints = ["end the output's name in .mkv"] if container is not MATROSKA else []
    hints += ["let sound be transcoded (audio auto)"] if sound != "auto" else []
    return ", or ".join(hints) or "take the sound out first, for example with ffmpeg -an"


def _left_out(
    av_container: InputContainer, container: Container, dropped: Sequence[StreamInfo]
) -> Iterator[Finding]:
    """Each thing beside the video that a container cannot hold."""
    for lost in dropped:
        if _about_bytes(av_container.streams[lost.index]):
            yield _lost(lost.name, f"{RAWCOOKED}: left out, it is about other bytes")
        else:
            yield _lost(lost.name, f"{container} cannot hold {lost}: it is left out")
    if not container.stores_rate:
        yield _lost("frame rate", f"{container} hold no rate: what reads them has to be told it")
    if av_container.chapters() and not container.chapters:
        yield _lost("chapters", f"{container} cannot hold chapters: they are left out")
    metadata = fresh_metadata(av_container.metadata)
    held = ("timecode",) if container.timecode else ()
    metadata = {
        key: text for key, text in metadata.items() if key not in (*held, *container.held_metadata)
    }
    if metadata and not container.metadata:
        listed = ", ".join(metadata)
        yield _lost("metadata", f"{container} cannot hold metadata ({listed}): it is left out")


def _late_timecode(
    av_container: InputContainer, main: int, container: Container, selection: Selection
) -> Iterator[Finding]:
    """That a part which begins later has the timecode of the whole video."""
    clock = timecode(av_container, av_container.streams[main])
    if clock and selection.start is not None and container.timecode:
        yield _lost("timecode", f"the timecode stays {clock}, that of the whole video")


def _odd_chapters(
    av_container: InputContainer, container: Container, facts: SourceFacts, selection: Selection
) -> Iterator[Finding]:
    """What chapters lose beside names and times, and that the first must begin at 0."""
    if container.chapters and read_container(av_container.format.name).covers_attached:
        for text in odd_chapters(facts.path):
            yield _lost("chapters", f"{text}: not carried over")
    starts = [start for _, start, _ in selection.chapters(av_container.chapters())]
    if container.iso and starts and starts[0] > (selection.start or 0):
        own = f"{float(starts[0]):.3f} s"
        text = f"the first chapter begins with the video in {container}, instead of at {own}"
        yield Finding(kind=Kind.CHANGED, subject="chapters", text=text, at=starts[0])


def _about_bytes(av_stream: Stream) -> bool:
    """Whether an attachment says how the source's own bytes are made of its pictures."""
    return isinstance(av_stream, AttachmentStream) and av_stream.name == RAWCOOKED


def _lost(subject: str, text: str) -> Finding:
    return Finding(kind=Kind.LOST, subject=subject, text=text)


def _lost_marks(container: Container, info: StreamInfo, source: Stream) -> Iterator[Finding]:
    """What a kept stream is said to be, forced or a comment for example, and is not any more."""
    known = container.marks + (container.text_marks if info.kind == "subtitle" else ())
    marks = [mark.name for mark in Disposition(source.disposition & ~PLACES) if mark.name]
    lost = ", ".join(name.replace("_", " ") for name in marks if name not in known)
    if lost:
        yield _lost(info.name, f"{container} cannot hold the marks of {info}: {lost}")


def _becoming(
    container: Container, source: Stream, facts: SourceFacts, sound: SoundPolicy
) -> str | None:
    """What a stream becomes: the name of another codec, "" as it is, None if it is left out."""
    codecs = ["", text_codec(container, source)]
    if sound == "auto" and not _is_unknown(source):
        codecs += sound_codecs(container, source)
    samples = facts.packets.samples.get(source.index, ())
    for codec in dict.fromkeys(codecs):
        if takes(container, source, facts.packets.covers, codec, samples):
            return codec
    return None


def _converted(info: StreamInfo) -> Finding:
    """That a stream becomes another codec; a loss beyond what that codec is known for."""
    if info.codec == STYLED:
        return _lost(info.name, f"{info}: its styles are simplified")
    if info.becomes in WHOLE_NUMBERS and re.match(r"pcm_[sf](32|64)", info.codec):
        return _lost(info.name, f"{info}: its samples are rounded to 24 bits")
    return Finding(kind=Kind.CHANGED, subject=info.name, text=str(info))


def _lost_languages(infos: Iterable[StreamInfo], container: Container) -> Iterator[Finding]:
    """The languages for which a container has no code."""
    for info in infos:
        if info.language not in UNKNOWN and not held_language(container, info.language):
            yield _lost(info.name, f"{container} cannot hold the language of {info}")
