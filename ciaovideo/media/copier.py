"""Everything in a file besides its main video, copied packet by packet without decoding.

Only text and, if it is asked for, sound that the container does not hold are coded anew.
"""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import av.error
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Disposition, Stream

from ciaovideo.errors import DecodeError, EncodeError, OpenError
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.codec_table import MATROSKA, RATE_ONLY, Y4M_CONTAINER
from ciaovideo.media.codecs import container_format, container_word
from ciaovideo.media.frame import StreamInfo
from ciaovideo.media.reader import describe
from ciaovideo.media.subtitles import STYLED, TextConverter, text_codec
from ciaovideo.media.timing import (
    MOVIE_CLOCK,
    common_tick,
    exact,
    first_frame_times,
    first_times,
    movie_clock,
)
from ciaovideo.media.transcode import WHOLE_NUMBERS, SoundTranscoder, sound_codecs
from ciaovideo.options import SoundPolicy

# Facts about the input's bytes, wrong for the output's.
STALE_TAGS = ("ENCODER", "DURATION", "MAJOR_BRAND", "MINOR_VERSION", "COMPATIBLE_BRANDS")
STALE_PREFIXES = ("_STATISTICS", "BPS", "NUMBER_OF_")
# What mp4 and mov store in the classic way; anything else makes them store all by free names.
CLASSIC_TAGS = {"title", "artist", "album_artist", "composer", "album", "date", "comment", "genre"}
CLASSIC_TAGS |= {"copyright", "grouping", "lyrics", "description", "synopsis", "show", "episode_id"}
CLASSIC_TAGS |= {"network", "keywords", "creation_time", "location", "location-eng"}
READ_ON = Fraction(10)  # seconds past the end in which a badly interleaved file may hold more


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """What becomes of a file's streams in an output container; nothing is written to know it.

    ``offset`` seconds are added to all times of the output; nearly always 0. ``end`` is where a
    run over a limited number of frames will end, None for a whole file. ``warnings`` say all that a
    user should know of it, ``losses`` those among them that name what the output will not have.
    """

    source: Path
    main: int
    container: str
    kept: tuple[StreamInfo, ...]
    dropped: tuple[StreamInfo, ...]
    offset: Fraction = Fraction(0)
    end: Fraction | None = None
    warnings: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()


def plan_streams(
    source: Path,
    output: Path,
    main: int,
    frames: int | None = None,
    *,
    every_field: bool = False,
    sound: SoundPolicy = "copy",
) -> StreamPlan:
    """Decide which streams besides the video ``main`` the output's container takes, and how.

    Text that it does not take as it is becomes another kind of text; so does sound under ``auto``.
    ``frames`` limits the run; with ``every_field`` it counts fields, two to a frame. Raises
    EncodeError for other sound that the container cannot hold, before any work is done.
    """
    container_name = container_format(output)
    kept: list[StreamInfo] = []
    dropped: list[StreamInfo] = []
    with av_errors("opening", source, OpenError), av.open(source) as container:
        ticks = {s.index: exact(s.time_base) or Fraction(1) for s in container.streams}
        chapters = bool(container.chapters())
        tags = fresh_tags(container.metadata)
        for av_stream in container.streams:
            if av_stream.index == main or _holds_chapters(container, av_stream):
                continue
            becomes = _becoming(container_name, av_stream, source, sound)
            info = replace(describe(av_stream), becomes=becomes or "")
            (dropped if becomes is None else kept).append(info)
    for lost in dropped:
        if lost.kind == "audio" and container_name != Y4M_CONTAINER:
            raise EncodeError(
                f"{output.suffix} cannot hold the sound as it is ({lost})",
                "end the output's name in .mkv"
                if sound == "auto" or output.suffix.lower() == ".mkv"
                else "end the output's name in .mkv, or let sound be transcoded (audio auto)",
            )
    offset = _offset(source, container_name, main, ticks, kept)
    place = container_word(output)
    losses = [f"{place} cannot hold {lost}: it is left out" for lost in dropped]
    if chapters and container_name in RATE_ONLY:
        losses.append(f"{place} cannot hold chapters: they are left out")
    if tags and container_name == Y4M_CONTAINER:
        losses.append(f"{place} cannot hold metadata ({', '.join(tags)}): it is left out")
    losses += [f"{info}: {_lost_by(info)}" for info in kept if _lost_by(info)]
    warnings = [*losses, *(str(info) for info in kept if info.becomes and not _lost_by(info))]
    if offset:
        warnings.append(f"the input starts before zero: all times are {float(offset):g} s later")
    return StreamPlan(
        source=source,
        main=main,
        container=container_name,
        kept=tuple(kept),
        dropped=tuple(dropped),
        offset=offset,
        end=_end(source, main, frames, every_field),
        warnings=tuple(warnings),
        losses=tuple(losses),
    )


class StreamCopier:
    """The streams of a plan on their way into an output container, in step with its video.

    The writer calls ``declare_before`` and ``declare_after`` around adding its own stream, then
    ``copy_until`` after each frame, and ``finish`` at the end. A context manager.
    """

    def __init__(self, plan: StreamPlan) -> None:
        self.plan = plan
        self.offset = plan.offset
        with av_errors("opening", plan.source, OpenError):
            self._container = av.open(plan.source)
        self._kept = {info.index: info.becomes for info in plan.kept}
        self._converters: dict[int, TextConverter | SoundTranscoder] = {}
        self._targets: dict[int, Stream] = {}
        self._packets = self._relevant()
        self._ahead: Packet[Stream] | None = None

    @property
    def container_options(self) -> dict[str, str]:
        """Options with which the output must be opened so that all tags and times fit in."""
        if self.plan.container in (*MATROSKA, "avi"):
            return {}
        starts = first_times(self.plan.source, self.plan.main, self._kept)
        clock = movie_clock(self._container, starts, self.offset)
        options = {} if clock == MOVIE_CLOCK else {"movie_timescale": str(clock)}
        if not CLASSIC_TAGS.issuperset(fresh_tags(self._container.metadata)):
            options["movflags"] = "use_metadata_tags"
        return options

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the input."""
        self._container.close()

    def declare_before(self, output: OutputContainer) -> None:
        """Add the streams that come before the video in the input, so that the order stays."""
        self._output = output
        self._declare(range(self.plan.main))

    def declare_after(self, output: OutputContainer, video: Stream) -> None:
        """Add the other streams, then chapters and tags; nothing is written yet."""
        self._declare(range(self.plan.main, len(self._container.streams)))
        source = self._container.streams[self.plan.main]
        video.metadata.update(fresh_tags(source.metadata))
        video.disposition = source.disposition
        output.metadata.update(fresh_tags(self._container.metadata))
        chapters = self._chapters()
        if chapters:
            output.set_chapters(chapters)

    def copy_until(self, time: Fraction, end: Fraction | None = None) -> None:
        """Copy all packets up to ``time``, but none that begins at ``end`` or later."""
        with av_errors("copying streams of", self.plan.source, DecodeError):
            while True:
                packet, self._ahead = self._ahead or next(self._packets, None), None
                if packet is None:
                    return
                if _ticks(packet.dts) * (exact(packet.time_base) or 0) > time:
                    self._ahead = packet
                    return
                self._copy(packet, end)

    def finish(self) -> None:
        """Copy what is left: all of it, or in a limited run what begins before its end."""
        end = self.plan.end
        self.copy_until(Fraction(2**62) if end is None else end + READ_ON, end)
        with av_errors("copying streams into", Path(self._output.name), EncodeError):
            for converter in self._converters.values():
                for packet in converter.flush():
                    self._output.mux(packet)

    def _declare(self, indices: range) -> None:
        for index in indices:
            if index in self._kept:
                source = self._container.streams[index]
                becomes = self._kept[index]
                if becomes:
                    converter = add_converted(self._output, source, becomes)
                    self._converters[index] = converter
                    target: Stream | None = converter.target
                else:
                    target = add_copy(self._output, source, self.plan.source)
                if target is not None:
                    self._targets[index] = target

    def _relevant(self) -> "Iterator[Packet[Stream]]":
        """The packets to copy in the order of the file, each with both times or none."""
        for packet in self._container.demux():
            if packet.stream_index not in self._targets or not packet.size:
                continue
            if packet.dts is None:
                packet.dts = packet.pts
            if packet.pts is None:
                packet.pts = packet.dts
            yield packet

    def _copy(self, packet: "Packet[Stream]", end: Fraction | None) -> None:
        tick = exact(packet.time_base) or Fraction(1)
        start = _ticks(packet.pts) * tick
        if end is not None:
            if start >= end:
                return
            if packet.stream.type == "subtitle" and packet.duration:
                packet.duration = min(packet.duration, int((end - start) / tick))
        shift = int(self.offset / tick)
        packet.pts = _ticks(packet.pts) + shift
        packet.dts = _ticks(packet.dts) + shift
        index = packet.stream_index
        converter = self._converters.get(index)
        with av_errors("copying streams into", Path(self._output.name), EncodeError):
            if converter is None:
                packet.stream = self._targets[index]
                self._output.mux(packet)
                return
            for made in converter.convert(packet):
                self._output.mux(made)

    def _chapters(self) -> list[Any]:
        """The chapters, moved with the times and cut at the end of a limited run."""
        kept = []
        for chapter in self._container.chapters():
            tick = exact(chapter["time_base"]) or Fraction(1)
            if self.plan.end is not None:
                if chapter["start"] * tick >= self.plan.end:
                    continue
                chapter["end"] = min(chapter["end"], int(self.plan.end / tick))
            for side in ("start", "end"):
                chapter[side] += int(self.offset / tick)
            kept.append(chapter)
        return kept


def _ticks(stamp: int | None) -> int:
    """A time stamp; the packet of a picture that has none belongs to the beginning."""
    return 0 if stamp is None else stamp


def fresh_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Metadata without the entries that describe the input's own bytes."""
    return {
        key: text
        for key, text in tags.items()
        if key.upper() not in STALE_TAGS and not key.upper().startswith(STALE_PREFIXES)
    }


def add_copy(output: OutputContainer, source: Stream, path: Path) -> Stream | None:
    """Add a stream like ``source`` to a container; None if it is whole with the header.

    Raises ValueError or FFmpeg's error if the container does not take it.
    """
    tags = fresh_tags(source.metadata)
    matroska = output.format.name == "matroska"
    if isinstance(source, AttachmentStream):
        name = source.name or tags.get("filename", "attachment")
        output.add_attachment(name, source.mimetype or "application/octet-stream", source.data)
        return None
    if matroska and source.disposition & Disposition.attached_pic:
        kind = source.codec_context.codec.canonical_name.replace("mjpeg", "jpeg")
        suffix = kind.replace("jpeg", "jpg")
        output.add_attachment(f"cover.{suffix}", f"image/{kind}", _cover(path, source.index))
        return None
    target = output.add_stream_from_template(source, opaque=True)
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
    converter.target.metadata.update(fresh_tags(source.metadata))
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


def _lost_by(info: StreamInfo) -> str:
    """What a stream loses by becoming another coding, beyond what that coding is known for."""
    if info.becomes and info.codec == STYLED:
        return "its styles are simplified"
    if info.becomes in WHOLE_NUMBERS and re.match(r"pcm_[sf](32|64)", info.codec):
        return "its samples are rounded to 24 bits"
    return ""


def _takes(container_name: str, source: Stream, path: Path, codec: str = "") -> bool:
    """Whether a container holds a stream as it is, or as ``codec``.

    A header is written into memory to find out.

    Not asked of .avi, which counts packets instead of storing times, and moves most sound; nor of
    YUV4MPEG2.
    """
    if container_name in RATE_ONLY:
        return False
    trial = av.open(io.BytesIO(), "w", format=container_name)
    try:
        if codec:
            add_converted(trial, source, codec)
        else:
            add_copy(trial, source, path)
        trial.start_encoding()
    except (ValueError, av.error.FFmpegError):
        return False
    finally:
        trial.close()
    return True


def _holds_chapters(container: InputContainer, av_stream: Stream) -> bool:
    """Whether a stream is how mp4 and mov store the chapters, which are copied as such."""
    chapters = container.chapters()
    titles = av_stream.type == "data" and av_stream.frames == len(chapters)
    return bool(chapters) and titles and "mp4" in container.format.name


def _cover(path: Path, index: int) -> bytes:
    """The coded picture of a cover stream."""
    with av.open(path) as container:
        return next(bytes(p) for p in container.demux(container.streams[index]) if p.size)


def _offset(
    source: Path,
    container_name: str,
    main: int,
    ticks: dict[int, Fraction],
    kept: Sequence[StreamInfo],
) -> Fraction:
    """What to add to all times so that nothing that counts begins before zero.

    mp4 and mov cut what lies before zero by an edit list, as sound's priming should be; pictures
    there would be lost. Matroska cannot store times before zero, but for priming. YUV4MPEG2 has no
    times to move.
    """
    if container_name == Y4M_CONTAINER:
        return Fraction(0)
    copied = {info.index for info in kept}
    starts = first_times(source, main, copied if container_name in MATROSKA else ())
    earliest = min([*starts.values(), Fraction(0)])
    if earliest >= 0:
        return Fraction(0)
    step = common_tick(ticks[index] for index in {main} | copied)
    return -(earliest // step) * step


def _end(source: Path, main: int, frames: int | None, every_field: bool) -> Fraction | None:
    """Where the first ``frames`` frames end: at the next one's start, or where the file does."""
    if frames is None:
        return None
    times = first_frame_times(source, main, frames + 1)
    if every_field:
        middles = [(before + after) / 2 for before, after in pairwise(times)]
        times = sorted([*times, *middles])
    return times[frames] if len(times) > frames else None
