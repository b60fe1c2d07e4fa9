"""Copies all streams of a file except its main video, packet by packet without decoding.

It transcodes only text and, on request, sound that the container cannot hold.
"""

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.rational import AVRational
from av.stream import Disposition, Stream

from ciaovideo.errors import DecodeError, EncodeError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.clock import (
    MAX_CLOCK,
    MOVIE_CLOCK,
    READ_ON,
    exact,
    movie_clock,
)
from ciaovideo.media.ffmpeg.remedies import rejoined
from ciaovideo.media.formats.elementary import known_to
from ciaovideo.media.inspect.late import LateStreams
from ciaovideo.media.selection import CUT_KINDS, PacketHead
from ciaovideo.media.source.header import describe
from ciaovideo.media.source.opening import open_source
from ciaovideo.media.source.packets import packets_of, steps_back
from ciaovideo.media.streams.plan import StreamPlan
from ciaovideo.media.streams.sound import (
    RATE_SLACK,
    SoundTranscoder,
    lossless_length,
    pcm_rate,
    rate_changes,
)
from ciaovideo.media.streams.steady import SteadySound
from ciaovideo.media.streams.targets import add_converted, add_copy, fresh_metadata, stream_metadata
from ciaovideo.media.streams.text import TextConverter

# Tags with a standard name in mp4 and mov; any other tag requires free names for all.
CLASSIC_KEYS = {"title", "artist", "album_artist", "composer", "album", "date", "comment", "genre"}
CLASSIC_KEYS |= {"copyright", "grouping", "lyrics", "description", "synopsis", "show", "episode_id"}
CLASSIC_KEYS |= {"network", "keywords", "creation_time", "location", "location-eng"}
CHAPTER_TICK = Fraction(1, 1_000_000)  # clock of moved chapters
MOST_REORDERED = 16  # pictures that H.264 and H.265 may output late, to reorder them
STEP_BACK = Fraction(2)  # seconds; a longer step back is another recording
AFTER = Fraction(1, 1000)  # seconds between such packets: the tick of the coarsest clock


class StreamCopier:
    """Copies the streams of a plan into an output container, in step with its video.

    The writer calls ``declare_before`` and ``declare_after`` around adding its own stream, then
    ``copy_until`` after each frame, and ``finish`` at the end. A context manager, which closes the
    source.
    """

    def __init__(self, plan: StreamPlan) -> None:
        self.plan = plan
        self.offset = plan.offset
        self._container = open_source(plan.source, plan.opening)
        known = frozenset(known_to(self._container)) | plan.unopened
        demuxer = self._container.format.name
        self._late = LateStreams(plan.source, demuxer, known) if plan.partly else None
        self._kept = {info.index: info.becomes for info in plan.kept}
        self._converters: dict[int, TextConverter | SoundTranscoder] = {}
        self._targets: dict[int, Stream] = {}
        self._steady: dict[int, SteadySound] = {}
        self._packets = self._relevant()
        self._ahead: Packet[Stream] | None = None
        self._newest: dict[int, Fraction] = {}  # decoding times of the last packets
        self._over: set[int] = set()  # sound streams that reached the end of the part
        self._filled: set[int] = set()  # streams with a written packet
        self._empty: list[Finding] = []

    @property
    def container_options(self) -> dict[str, str]:
        """Options of the output's muxer that all metadata and times need."""
        options = dict(self.plan.container.options)
        if not self.plan.container.iso:
            return options
        clock = movie_clock(self._container, self.plan.starts, self.offset)
        options |= {} if clock == MOVIE_CLOCK else {"movie_timescale": str(clock)}
        if not CLASSIC_KEYS.issuperset(fresh_metadata(self._container.metadata)):
            options["movflags"] = "use_metadata_tags"
        return options

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the input."""
        self._container.close()

    def declare_before(self, output: OutputContainer) -> None:
        """Add the streams that precede the video in the input, to keep the order."""
        self._output = output
        if not self.plan.container.video_first:
            self._declare(range(self.plan.main))

    def declare_after(self, output: OutputContainer, video: Stream) -> None:
        """Add the other streams, then chapters and metadata; writes nothing yet."""
        first = 0 if self.plan.container.video_first else self.plan.main
        self._declare(range(first, len(self._container.streams)))
        source = self._container.streams[self.plan.main]
        video.metadata.update(stream_metadata(source.metadata, self.plan.container))
        video.disposition = source.disposition
        output.metadata.update(fresh_metadata(self._container.metadata))
        chapters = self.chapters()
        if chapters:
            output.set_chapters(chapters)

    def write_apart(self, path: Path) -> tuple[int, ...]:
        """Write the streams into a separate file, without metadata and chapters.

        Returns the input index of each stream in it, in order: mp4 and mov drop streams without a
        packet. Writes no file if there is no stream.
        """
        if not self._kept:
            return ()
        options = self.container_options
        with (
            av_errors("creating", path, EncodeError),
            av.open(
                path, "w", format=self.plan.container.name, container_options=options
            ) as output,
        ):
            self._output = output
            self._declare(range(len(self._container.streams)))
            output.start_encoding()
            self.finish(Fraction(0))
        keeps_empty = self.plan.container.keeps_empty_streams
        return tuple(index for index in sorted(self._kept) if keeps_empty or index in self._filled)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Findings on the streams, made while copying."""
        steady = (found for sound in self._steady.values() for found in sound.findings)
        return (*self._resampled, *steady, *self._empty)

    @property
    def _resampled(self) -> tuple[Finding, ...]:
        sounds = (c for c in self._converters.values() if isinstance(c, SoundTranscoder))
        return tuple(finding for sound in sounds for finding in sound.findings)

    def videos_before(self, index: int) -> int:
        """The number of videos with packets before an index of the output; covers do not count."""
        filled = (self._targets[source] for source in self._filled)
        return sum(_moves(target) and target.index < index for target in filled)

    def copy_until(self, time: Fraction) -> None:
        """Copy all packets up to ``time``, except those that begin at the plan's end or later."""
        self._copy_until(time)
        for sound in self._steady.values():
            self._write(sound.until(time + self.offset))

    def _copy_until(self, time: Fraction) -> None:
        with av_errors("copying streams of", self.plan.source, DecodeError):
            while True:
                packet, self._ahead = self._ahead or next(self._packets, None), None
                if packet is None:
                    return
                if self._late and packet.pos is not None:
                    cut = self.plan.selection.end is not None
                    self._late.require_none(packet.pos if cut else None)
                if _ticks(packet.dts) * (exact(packet.time_base) or 0) > time:
                    self._ahead = packet
                    return
                self._copy(packet)

    def finish(self, video_end: Fraction) -> None:
        """Copy all remaining packets, or in a limited run those that begin before its end.

        The last frame of the output ends at ``video_end``, in the output's time.
        """
        end = self.plan.selection.end
        if self._late and end is None:
            self._late.require_none(wait=True)
        self._copy_until(Fraction(2**62) if end is None else end + READ_ON)
        for index, converter in self._converters.items():
            with av_errors("copying streams into", Path(self._output.name), EncodeError):
                for packet in converter.flush():
                    self._mux(index, packet)
        for sound in self._steady.values():
            self._write(sound.end(video_end))
        self._empty = list(self._without_packets())

    def _mux(self, index: int, packet: "Packet[Stream]") -> None:
        """Write a packet, or queue its samples for a container without times."""
        self._filled.add(index)
        if index in self._steady:
            self._steady[index].take(packet)
        else:
            self._output.mux(packet)

    def _write(self, packets: "Iterator[Packet[Stream]]") -> None:
        with av_errors("copying streams into", Path(self._output.name), EncodeError):
            for packet in packets:
                self._output.mux(packet)

    def _without_packets(self) -> Iterator[Finding]:
        """Findings on kept streams without a packet in the part."""
        keeps, selection = self.plan.container.keeps_empty_streams, self.plan.selection
        where = "the part" if selection.cut else "the file"
        for info in self.plan.kept:
            missing = info.index in self._targets and info.index not in self._filled
            if missing and (selection.cut or not keeps):
                fate = "its track is empty" if keeps else f"{self.plan.container} drops it"
                fate = "it is silent" if info.index in self._steady else fate
                text = f"{info}: no packet in {where}: {fate}"
                yield Finding(kind=Kind.CHANGED, subject=info.name, text=text)

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
                    target = add_copy(self._output, source, self.plan.covers)
                if target is not None:
                    self._targets[index] = target
                if self.plan.container.in_step and isinstance(target, AudioStream):
                    self._steady[index] = SteadySound(describe(source).name, target)

    def _relevant(self) -> "Iterator[Packet[Stream]]":
        """The packets to copy in the order of the file, each with both timestamps or none."""
        undated: dict[int, list[Packet[Stream]]] = {}  # first packets of a video, in decoding order
        newest: int | None = None  # decoding time of the main video
        last: int | None = None  # the latest timestamp of its pictures
        for packet in packets_of(self._container):
            index = packet.stream_index
            if index == self.plan.main and self.plan.selection.end is not None:
                if steps_back((packet.dts, packet.pts), newest, last):
                    break  # another recording, whose times may lie in the part
                newest, last = packet.dts, max(packet.pts or 0, last or 0)
            if index not in self._targets or not packet.size:
                continue
            if packet.dts is None and _moves(packet.stream):
                held = undated.setdefault(index, [])
                if len(held) < MOST_REORDERED:
                    held.append(packet)
                    continue
            yield from _dated(undated.pop(index, []), packet.dts)
            if packet.dts is None:
                packet.dts = packet.pts
            if packet.pts is None:
                packet.pts = packet.dts
            yield packet
        for packets in undated.values():
            yield from _dated(packets, None)

    def _copy(self, packet: "Packet[Stream]") -> None:
        selection, head = self.plan.selection, PacketHead.of(packet)
        end, tick = selection.end, exact(packet.time_base) or Fraction(1)
        start = _ticks(packet.pts) * tick
        if end is not None and packet.stream.type == "audio" and start >= end:
            self._over.add(packet.stream_index)  # later timestamps may restart before the end
        over = packet.stream_index in self._over or (end is not None and start >= end)
        if over or not selection.holds(head):
            return
        if not packet.duration and (seconds := lossless_length(packet)):
            packet.duration = round(seconds / tick)
        if packet.stream.type in CUT_KINDS and end is not None and packet.duration:
            packet.duration = min(packet.duration, int((end - start) / tick))
        if not packet.stream.disposition & Disposition.attached_pic:
            self._move(packet, late=selection.begin_of(head) - head.begin)
            self._keep_order(packet)
        index = packet.stream_index
        converter = self._converters.get(index)
        if converter is None:
            self._check_sound(packet)
        with av_errors("copying streams into", Path(self._output.name), EncodeError):
            if converter is None:
                packet.stream = self._targets[index]
                self._mux(index, packet)
                return
            for made in converter.convert(packet):
                self._mux(index, made)

    def _check_sound(self, packet: "Packet[Stream]") -> None:
        """Raise EncodeError if copied PCM changes its rate, which only DV's can."""
        rate = pcm_rate(packet) if self._container.format.name == "dv" else 0
        av_stream = packet.stream
        declared = av_stream.codec_context.sample_rate if isinstance(av_stream, AudioStream) else 0
        if not rate or abs(rate - declared) <= declared * RATE_SLACK:
            return
        first = self.plan.starts.get(self.plan.main, Fraction(0)) + self.offset
        at = _ticks(packet.pts) * (exact(packet.time_base) or Fraction(1)) - first
        raise rate_changes(self.plan.source, at, (declared, rate), packet.pos or 0)

    def _move(self, packet: "Packet[Stream]", *, late: Fraction) -> None:
        """Add the offset to a packet, and delay its start by ``late`` without moving its end.

        For copied packets this is exact, in ticks that are fine enough.
        """
        tick = exact(packet.time_base) or Fraction(1)
        fine = Fraction(1, math.lcm(*(t.denominator for t in (tick, self.offset, late))))
        if packet.stream_index not in self._converters and fine.denominator <= MAX_CLOCK:
            step = int(tick / fine)
            packet.pts, packet.dts = _ticks(packet.pts) * step, _ticks(packet.dts) * step
            packet.duration = (packet.duration or 0) * step
            packet.time_base = tick = fine
        packet.pts = _ticks(packet.pts) + round((self.offset + late) / tick)
        packet.dts = _ticks(packet.dts) + round((self.offset + late) / tick)
        if late:
            packet.duration = max((packet.duration or 0) - round(late / tick), 0)

    def _keep_order(self, packet: "Packet[Stream]") -> None:
        """Move a packet that steps back in time after the one before, as muxers require.

        Raises DecodeError for a large step.
        """
        tick, index = exact(packet.time_base) or Fraction(1), packet.stream_index
        time, newest = _ticks(packet.dts) * tick, self._newest.get(index)
        if newest is not None and time < newest:
            if newest - time > STEP_BACK:
                raise DecodeError(
                    f"{describe(packet.stream)} of {self.plan.source} steps back in time by"
                    f" {float(newest - time):.1f} s at {float(newest - self.offset):.3f} s",
                    rejoined(self.plan.source),
                )
            stamp = math.ceil((newest + AFTER) / tick)
            packet.pts = stamp + max(_ticks(packet.pts) - _ticks(packet.dts), 0)
            packet.dts, time = stamp, stamp * tick
        self._newest[index] = time

    def chapters(self) -> list[Any]:
        """The chapters, moved by the offset and cut at the ends of the part."""
        kept = []
        for chapter, start, stop in self.plan.selection.chapters(self._container.chapters()):
            tick = exact(chapter["time_base"]) or Fraction(1)
            if self.offset:
                tick = CHAPTER_TICK
                chapter["time_base"] = AVRational(tick.numerator, tick.denominator)
            chapter["start"] = int((start + self.offset) / tick)
            chapter["end"] = int((max(start, stop) + self.offset) / tick)
            kept.append(chapter)
        return kept


def _moves(av_stream: Stream) -> bool:
    """Whether it is a video, not a cover."""
    return av_stream.type == "video" and not av_stream.disposition & Disposition.attached_pic


def _dated(packets: "list[Packet[Stream]]", after: int | None) -> "list[Packet[Stream]]":
    """Set decoding timestamps before that of the next packet, if there is one.

    Matroska stores none, and FFmpeg derives them only after the first reordered pictures.
    """
    for left, packet in enumerate(reversed(packets), 1):
        packet.dts = packet.pts if after is None else after - left * (packet.duration or 1)
        if packet.pts is None:
            packet.pts = packet.dts
    return packets


def _ticks(stamp: int | None) -> int:
    """A timestamp; 0 for the packet of a cover, which has none."""
    return 0 if stamp is None else stamp
