"""The streams of a file and the timestamps of every packet, read independently.

This does not use ``reader``, ``writer`` or ``copier``, so that their results can be checked against
it.
"""

from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, cast

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from ciaovideo.errors import DecodeError, OpenError
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.clock import FALLBACK_RATE, PEEK_PACKETS, READ_ON, exact, priming
from ciaovideo.media.containers import Container, read_container
from ciaovideo.media.formats.elementary import known_to
from ciaovideo.media.frame import StreamInfo
from ciaovideo.media.margins import NO_MARGINS, Margins
from ciaovideo.media.side_data import stated_crop, without_shift
from ciaovideo.media.source.header import (
    counts_timecode,
    describe,
    header_transfer,
    holds_titles,
    timecode,
)
from ciaovideo.media.source.opening import USUAL, Opening, main_video, open_source
from ciaovideo.media.source.packets import packets_of, steps_back
from ciaovideo.media.source.pictures import decoded

MOST_REORDERED = 16  # pictures that a codec may output late, to reorder them
EMPTY = {"mov_text": 2}  # bytes of a packet that only ends a subtitle


@dataclass(slots=True, kw_only=True)
class Track:
    """One stream of a file with its packets' timestamps, in ticks and in the order of the file.

    A packet without a timestamp counts in ``timeless``, and gets its decoding time or zero. Packets
    that an edit list hides count in ``hidden`` alone. ``keys`` are the timestamps of keyframes,
    ``lasts`` the durations of all packets in ticks (0 if unknown), ``unheard`` the seconds of sound
    that players discard at the beginning. ``cover`` marks a cover picture.
    """

    info: StreamInfo
    tick: Fraction
    cover: bool
    unheard: Fraction = Fraction(0)
    pts: "array[int]" = field(default_factory=lambda: array("q"))
    lasts: "array[int]" = field(default_factory=lambda: array("q"))
    keys: "array[int]" = field(default_factory=lambda: array("q"))
    timeless: int = 0
    hidden: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileScan:
    """The contents of a file; ``main`` is the index of its main video.

    ``rate`` is the nominal frame rate, ``size`` the container's (height, width); ``turn`` is the
    display matrix without its shift, empty if upright; ``chapters`` are starts, ends and titles.
    ``tracks`` omits streams that only hold the chapters' titles or the ``timecode``. FFmpeg's
    ``demuxer`` opened the file by ``opening``; ``ids`` are its stream numbers. ``crop`` is the
    crop that the container states for the main video, ``cut`` the margins that are removed from
    pictures before they are examined. ``reached`` is the byte up to which a limited scan read, None
    for the end; ``again`` is True if timestamps restart there.
    """

    path: Path
    container: Container
    main: int
    tracks: tuple[Track, ...]
    rate: Fraction | None
    size: tuple[int, int]
    sar: Fraction
    turn: tuple[int, ...]
    chapters: tuple[tuple[Fraction, Fraction, str], ...]
    timecode: str = ""
    demuxer: str = ""
    opening: Opening = USUAL
    ids: frozenset[int] = frozenset()
    crop: Margins = NO_MARGINS
    reached: int | None = None
    again: bool = False
    cut: Margins = NO_MARGINS

    @property
    def video(self) -> Track:
        """The main video."""
        return next(track for track in self.tracks if track.info.index == self.main)

    @property
    def timed(self) -> bool:
        """Whether the file stores any timestamp of its main video."""
        return self.video.timeless < len(self.video.pts) + self.video.hidden

    @property
    def others(self) -> list[Track]:
        """All streams except the main video."""
        return [track for track in self.tracks if track.info.index != self.main]


def scan_file(
    path: Path,
    frames: int | None = None,
    until: Fraction | None = None,
    *,
    opening: Opening = USUAL,
) -> FileScan:
    """Read every packet of a file without decoding.

    A limited scan ends after so many ``frames``, or at the file's time ``until``. Raises OpenError
    if the file cannot be read.
    """
    with av_errors("reading", path, OpenError), open_source(path, opening) as container:
        video = main_video(container, path, opening)
        chapters = _chapters(container)
        tracks = {
            av_stream.index: Track(
                info=describe(av_stream),
                tick=exact(av_stream.time_base) or Fraction(1),
                cover=bool(av_stream.disposition & Disposition.attached_pic),
                unheard=priming(av_stream),
            )
            for av_stream in container.streams
            if not holds_titles(container, av_stream) and not counts_timecode(av_stream)
        }
        reached, again = _read(container, tracks, video.index, frames, until)
        return FileScan(
            path=path,
            opening=replace(
                opening, main=video.index, transfer=opening.transfer or header_transfer(path)
            ),
            demuxer=container.format.name,
            ids=frozenset(known_to(container)),
            container=read_container(container.format.name),
            main=video.index,
            tracks=tuple(tracks.values()),
            rate=exact(video.guessed_rate),
            size=(video.codec_context.height, video.codec_context.width),
            sar=exact(video.sample_aspect_ratio) or Fraction(1),
            turn=_turn(video),
            chapters=chapters,
            timecode=timecode(container, video),
            crop=stated_crop(video),
            reached=reached,
            again=again,
        )


def decoded_pictures(
    container: InputContainer, index: int, threads: str = "AUTO"
) -> Iterator[av.VideoFrame]:
    """The pictures of a stream of an opened file, in display order."""
    av_stream = cast(VideoStream, container.streams[index])
    context: Any = av_stream.codec_context
    if not context.is_open:
        context.thread_type = threads
    yield from decoded(container, packets_of(container, av_stream))


def decoded_times(
    scan: FileScan, frames: int | None = None, until: Fraction | None = None
) -> list[Fraction]:
    """The display time of each frame of the main video, found by decoding it.

    A limit stops after the first ``frames``, or after all before the time ``until``, and one more
    frame if there is one, whose time ends the last. Decoding also stops where timestamps restart.
    Frames of a file without timestamps follow each other at its nominal rate.
    """
    times: list[Fraction] = []
    with (
        av_errors("decoding", scan.path, DecodeError),
        open_source(scan.path, scan.opening) as container,
    ):
        try:
            for number, picture in enumerate(decoded_pictures(container, scan.main)):
                if picture.pts is None or not scan.timed:
                    times.append(number / (scan.rate or FALLBACK_RATE))
                else:
                    times.append(picture.pts * scan.video.tick)
                if len(times) > 2 and times[-1] <= times[-2]:  # a restart
                    times[-1] = 2 * times[-2] - times[-3]
                    break
                if number == frames or (until is not None and times[-1] >= until):
                    break
        except av.error.FFmpegError:
            if frames is None or len(times) < frames:
                raise
    return times


def is_silent(scan: FileScan, track: Track, times: Sequence[Fraction]) -> bool:
    """Whether a sound's packets at these times decode to no samples, as AAC's first one may."""
    if track.info.kind != "audio":
        return False
    with (
        av_errors("opening", scan.path, OpenError),
        open_source(scan.path, scan.opening) as container,
    ):
        av_stream: Any = container.streams[track.info.index]
        wanted = (p for p in container.demux(av_stream) if (p.pts or 0) * track.tick in times)
        for packet in islice(wanted, len(times)):
            with suppress(av.error.FFmpegError):
                if any(sound.samples for sound in packet.decode()):
                    return False
    return True


def _read(
    container: InputContainer,
    tracks: dict[int, Track],
    main: int,
    frames: int | None,
    until: Fraction | None,
) -> tuple[int | None, bool]:
    """Fill the tracks with their packets' timestamps; the last byte read, or None at the end.

    A limited scan ends where timestamps restart; the second result is True then.
    """
    end = None if until is None else until + READ_ON
    newest: int | None = None
    limited = frames is not None or until is not None
    for packet in packets_of(container):
        track = tracks.get(packet.stream_index)
        if track is None or packet.size <= EMPTY.get(track.info.codec, 0):
            continue
        if limited and packet.stream_index == main:
            last = track.pts[-MOST_REORDERED:]  # the latest of them is displayed last
            if steps_back((packet.dts, packet.pts), newest, max(last, default=None)):
                return packet.pos, True
            newest = packet.dts
        _count(track, packet, hides=packet.stream_index == main)
        video = tracks[main]
        if frames is not None and end is None and len(video.pts) >= frames + PEEK_PACKETS:
            end = sorted(video.pts)[frames] * video.tick + READ_ON
        if end is not None and packet.dts is not None and packet.dts * track.tick > end:
            return packet.pos, False
    return None, False


def _count(track: Track, packet: "Packet[Stream]", *, hides: bool) -> None:
    stamp = packet.dts if packet.pts is None else packet.pts
    track.timeless += packet.pts is None
    if hides and packet.is_discard:
        track.hidden += 1
        return
    track.pts.append(0 if stamp is None else stamp)
    track.lasts.append(packet.duration or 0)
    if packet.is_keyframe and track.info.kind == "video":
        track.keys.append(track.pts[-1])


def _turn(av_stream: Any) -> tuple[int, ...]:
    """The display matrix of a stream without its shift: rotation and mirroring."""
    data = av_stream.codec_context.coded_side_data.get("display_matrix")
    if not data:
        return ()
    return without_shift(tuple(memoryview(data).cast("i")))


def _chapters(container: InputContainer) -> tuple[tuple[Fraction, Fraction, str], ...]:
    found = []
    for chapter in container.chapters():
        tick, title = exact(chapter["time_base"]) or Fraction(1), chapter["metadata"].get("title")
        found.append((chapter["start"] * tick, chapter["end"] * tick, title or ""))
    return tuple(found)


def nth_video(path: Path, number: int) -> Opening:
    """How to open a file with its video number ``number`` as the main one; covers do not count."""
    with open_source(path) as container:
        videos = [
            video.index
            for video in container.streams.video
            if not video.disposition & Disposition.attached_pic
        ]
    return Opening(main=videos[number]) if number < len(videos) else USUAL
