"""One look at a file before anything is decided: all that planning needs, in one opening.

Read are the packets at the beginning, until every stream was met and the clock of the frames is
known; of these, and of two later places in longer files, some frames are decoded to see whether
they hold fields; last comes the end, where a truncated file gives itself away. Of a part of a file,
the packets up to the part's end are listed. Nothing here depends on the output.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import cast

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from ciaovideo.errors import DecodeError, MissingInputError, OpenError, TimestampError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.clock import PEEK_PACKETS, PROBE_PACKETS, exact, frame_rate
from ciaovideo.media.frame import VideoInfo
from ciaovideo.media.hdr import read_hdr10
from ciaovideo.media.inspect.coding import CodingEvidence, CodingSample, tell_quantisers
from ciaovideo.media.inspect.jumps import HOLE, Jumps
from ciaovideo.media.inspect.truncation import packet_end, truncation
from ciaovideo.media.layouts import planar_layout
from ciaovideo.media.read.choosing import choose
from ciaovideo.media.read.fields import FieldEvidence, FieldSample
from ciaovideo.media.read.loops import told_loop
from ciaovideo.media.read.seeking import Listing, PacketLister
from ciaovideo.media.selection import EVERYTHING, PacketHead, Sample, Selection
from ciaovideo.media.side_data import stream_marks
from ciaovideo.media.video_stream import (
    USUAL,
    Opening,
    claimed_duration,
    codec_name,
    describe,
    display_matrix,
    indexed_frames,
    main_video,
    pictures_from,
    retimed,
    tagged_color,
)
from ciaovideo.options import InputOptions
from ciaovideo.storage.endpoints import is_loop

SAMPLES = 2  # packets of each stream that are kept to try a muxer with
VP8_SHOWN = 1 << 4  # in the first byte (RFC 6386, 9.1)
PICTURES = {".png", ".tif", ".tiff", ".dpx", ".bmp", ".jpg", ".jpeg", ".webp", ".tga"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """What one look at a file told.

    ``info`` describes the main video as its first picture shows it. ``timeless`` says that the
    container stores no times, so that frames follow each other at the nominal rate. ``fields`` is
    what a sample of frames shows of interlacing, ``coding`` of how coarsely it was quantised.
    ``frame_times`` are the times of the first frames
    as their packets tell, in order; ``heads`` the packets of all streams near the beginning of the
    part. ``listing`` holds the main video's packets up to the end of the part, or is None for a
    whole file. ``covers`` are coded pictures by stream, ``samples`` the first packets of others.
    Whoever opens the file again does it by ``opening``; ``strangers`` are streams that do not go
    along, ``unopened`` the numbers of those that cannot be read. ``partly`` says that more may be
    found: a file without a header was looked at in places. ``jumps`` is where the times of a whole
    file begin again or jump ahead, as far as is known; ``findings`` what a user should know.
    """

    path: Path
    demuxer: str
    info: VideoInfo
    timeless: bool
    fields: FieldEvidence
    coding: CodingEvidence
    frame_times: tuple[Fraction, ...]
    heads: tuple[PacketHead, ...]
    listing: Listing | None = None
    covers: Mapping[int, bytes] = field(default_factory=dict)
    samples: Mapping[int, tuple[Sample, ...]] = field(default_factory=dict)
    opening: Opening = USUAL
    strangers: frozenset[int] = frozenset()
    unopened: frozenset[int] = frozenset()
    partly: bool = False
    jumps: Jumps = field(default_factory=Jumps)
    findings: tuple[Finding, ...] = ()

    def first_times(self, selection: Selection = EVERYTHING) -> dict[int, Fraction]:
        """When each stream's earliest packet of the part is seen or heard, in seconds.

        Without the packets that an edit list hides of the main video, which are not decoded.
        Streams without a packet near the beginning are left out.
        """
        earliest: dict[int, Fraction] = {}
        for head in self.heads:
            if selection.holds(head) and not (head.hidden and head.index == self.info.index):
                time = selection.begin_of(head)
                earliest[head.index] = min(time, earliest.get(head.index, time))
        return earliest


def probe(
    file: str | Path,
    wanted: Selection = EVERYTHING,
    options: InputOptions = InputOptions(),
) -> SourceFacts:
    """Look at a file once: its streams, first picture, times, fields, and whether its end is there.

    ``wanted`` is what of it is going to be read, with times that count from the first frame;
    ``options`` may choose among its videos.
    Raises MissingInputError, OpenError, DecodeError where the first picture is damaged, and
    TimestampError where neither times nor a rate are stored.
    """
    path = Path(file)
    check_input(path)
    choice, container = choose(path, options)
    with container:
        video = main_video(container, path, choice.opening)
        tell_quantisers(video)
        head = _Head(container, video, wanted)
        first, info, (fields, coding) = _look(container, video, head, path)
        times = head.frame_times()
        info, timeless, guessed = with_rate(info, first, times, container)
        whole = wanted.end is None and wanted.count is None
        jumps = Jumps(head.again, head.hole, choice.inside.clock, len(times) - 1) if whole else None
        findings = [
            *choice.findings,
            *_lost_loop(path),
            *guessed,
            *(jumps.findings(path) if jumps else ()),
            *(truncation(container, path, head.end) if whole else ()),
        ]
        return SourceFacts(
            path=path,
            demuxer=container.format.name,
            info=info,
            timeless=timeless,
            fields=fields,
            coding=coding,
            frame_times=tuple(times),
            heads=tuple(head.heads),
            listing=None if head.lister is None or timeless else head.lister.finished(),
            covers=head.covers,
            samples={index: tuple(packets) for index, packets in head.samples.items()},
            opening=choice.opening,
            strangers=choice.strangers,
            unopened=choice.unopened,
            partly=not choice.inside.whole,
            jumps=jumps or Jumps(),
            findings=tuple(findings),
        )


def _look(
    container: InputContainer, video: VideoStream, head: "_Head", path: Path
) -> tuple[av.VideoFrame, VideoInfo, tuple[FieldEvidence, CodingEvidence]]:
    """The first picture, what it tells of the video, and what a sample tells of all of it."""
    with av_errors("decoding frame 0 of", path, DecodeError):
        pictures = pictures_from(container, video, head.packets())
        first = next(pictures, None)
    if first is None:
        raise OpenError(f"{path} holds no picture that can be decoded")
    info = describe_video(container, video, first, path)
    head.begin_at(first.pts)
    coding = CodingSample(video)
    sample = FieldSample(container, video, coding.look)
    with av_errors("reading", path, OpenError):
        sample.look_at_start(chain([first], pictures))
        head.finish()
        sample.look_later()
    bits = head.bits_per_frame / (first.height * first.width)
    return first, info, (sample.evidence(), coding.evidence(bits))


def _lost_loop(path: Path) -> Iterator[Finding]:
    """That an animation which begins again does not, as a video."""
    if loop := told_loop(path):
        yield Finding(kind=Kind.LOST, subject="loop", text=f"{loop}: not carried over")


def check_input(path: Path) -> None:
    """Raise MissingInputError unless a file is there; the hint knows pictures and wildcards."""
    if not path.is_file():
        missing = "is a folder" if path.is_dir() else "does not exist"
        missing = "is a link that leads back to itself" if is_loop(path) else missing
        hint = f"name a video file{_video_of_pictures(path)}"
        raise MissingInputError(f"the input {path} {missing}", hint)


def describe_video(
    container: InputContainer, av_stream: VideoStream, first: av.VideoFrame, path: Path
) -> VideoInfo:
    """The main video as its first picture and the container tell it; no rate or count yet."""
    duration = claimed_duration(container, av_stream)
    return VideoInfo(
        path=str(path),
        height=first.height,
        width=first.width,
        pix_fmt=planar_layout(first),
        color=tagged_color(first),
        codec=codec_name(av_stream),
        time_base=exact(av_stream.time_base) or Fraction(0),
        sar=exact(av_stream.sample_aspect_ratio),
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


def with_rate(
    info: VideoInfo, first: av.VideoFrame, times: list[Fraction] | None, container: InputContainer
) -> tuple[VideoInfo, bool, tuple[Finding, ...]]:
    """The description with its rate and count, and whether times are only assumed.

    ``times`` are those of the first frames, as far as packets tell them; a pipe tells none (None),
    and is believed. Raises TimestampError where there is neither a time nor a rate.
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
            raise TimestampError(f"{info.path} stores neither times nor a rate", retimed(info.path))
        tick = 1 / rate
        text = f"the file stores no times: {rate} frames a second are assumed"
        findings = (Finding(kind=Kind.GUESSED, subject="frame rate", text=text),)
    if not tick:
        raise TimestampError(f"{info.path} has no time base", retimed(info.path))
    claimed = round((claimed_duration(container, av_stream) or 0) * (rate or 0))
    count = indexed_frames(container, av_stream) or claimed
    return replace(info, frame_rate=rate, time_base=tick, frame_count=count), timeless, findings


class _Head:
    """The packets at the beginning of a file, or up to the end of a part, as they are read.

    ``packets`` yields those of the main video to a decoder; whatever passes by is noted. What the
    decoder did not ask for, ``finish`` reads.
    """

    def __init__(self, container: InputContainer, video: VideoStream, wanted: Selection) -> None:
        self._container = container
        self._video = video
        self._wanted = wanted
        self._unseen = {av_stream.index for av_stream in container.streams}
        self._packets = self._read()
        self.hole: tuple[Fraction, Fraction] | None = None  # after a time, and how long it is
        self._newest: int | None = None  # decoding time of the last frame
        self.again: Fraction | None = None  # when the frames' times begin again, if they do
        self._pts: list[int] = []
        self._sizes: list[int] = []  # bytes of the main video's packets
        self._first: int | None = None  # when the first picture appears, once it is known
        self._left = max((wanted.count or 0) + 1, PEEK_PACKETS) + PEEK_PACKETS  # frames to be met
        self._latest = Fraction(0)  # when the last packet up to now ends
        self.end: Fraction | None = None  # when the last packet ends, once all were read
        self.origin: Fraction | None = None  # when the first frame is shown
        self.heads: list[PacketHead] = []
        self.covers: dict[int, bytes] = {}
        self.samples: dict[int, list[Sample]] = {}
        self.lister = PacketLister(video) if wanted.cut else None

    def packets(self) -> "Iterator[Packet[VideoStream]]":
        """The main video's packets, in the order of the file."""
        for packet in self._packets:
            if packet.stream.index == self._video.index:  # a flushing packet has no other number
                yield cast("Packet[VideoStream]", packet)

    def begin_at(self, pts: int | None) -> None:
        """The first picture appears then; packets from before it show none."""
        tick = exact(self._video.time_base) or Fraction(0)
        self.origin = (pts or 0) * tick
        if pts is not None:
            self._left += sum(stamp < pts for stamp in self._pts)
            self._first = pts

    def finish(self) -> None:
        """Read on until all is known, or to the end of the file."""
        while not self._done() and next(self._packets, None) is not None:
            pass

    @property
    def bits_per_frame(self) -> float:
        """Of the main video's packets near the beginning; 0 where there are none."""
        return 8 * sum(self._sizes) / len(self._sizes) if self._sizes else 0.0

    def frame_times(self) -> list[Fraction]:
        """When the first frames appear, in order; fewer at the end of the file.

        Where times begin again, the last is when the frame before that ends.
        """
        tick = exact(self._video.time_base) or Fraction(0)
        first = self._first
        times = [tick * pts for pts in sorted(self._pts) if first is None or pts >= first]
        if self.again is not None and len(times) > 1:
            times.append(2 * times[-1] - times[-2])
        return times

    def _read(self) -> "Iterator[Packet[Stream]]":
        for packet in self._container.demux():
            self._note(packet)
            yield packet
        self.end = self._latest

    def _done(self) -> bool:
        met = not self._unseen or len(self.heads) >= PROBE_PACKETS
        listed = self.lister is None or self.lister.reached(self._stop)
        return met and listed and self._left <= 0

    @property
    def _part(self) -> Selection:
        """What is wanted, on the file's own clock; all while nothing is known of that."""
        return EVERYTHING if self.origin is None else self._wanted.after(self.origin)

    @property
    def _stop(self) -> Fraction:
        """When the part's first frame appears or, where that is known, the one after its last."""
        last = self._wanted.start if self._wanted.end is None else self._wanted.end
        return (self.origin or Fraction(0)) + (last or 0)

    def _note(self, packet: "Packet[Stream]") -> None:
        index = packet.stream_index
        if not packet.size:
            return
        self._latest = max(self._latest, packet_end(packet))
        if packet.stream.disposition & Disposition.attached_pic:
            self.covers.setdefault(index, bytes(packet))
        if index == self._video.index:
            self._sizes.append(packet.size)
            self._note_frame(packet)
        elif len(taken := self.samples.setdefault(index, [])) < SAMPLES:
            taken.append(Sample.of(packet))
        if packet.pts is None or not packet.time_base or len(self.heads) >= PROBE_PACKETS:
            return
        head = PacketHead.of(packet)
        if self._part.holds(head):
            self.heads.append(head)
            self._unseen.discard(index)

    def _note_frame(self, packet: "Packet[Stream]") -> None:
        if self.lister is not None:
            self.lister.add(cast("Packet[VideoStream]", packet))
        if packet.pts is None or packet.is_discard or self._shows_nothing(packet):
            return
        if packet.dts is not None:
            self._note_clock(packet, packet.dts)
        if self.again is not None:
            return
        self._pts.append(packet.pts)
        begin, tick = self._part.start, exact(packet.time_base) or Fraction(0)
        self._left -= begin is None or packet.pts * tick >= begin

    def _note_clock(self, packet: "Packet[Stream]", dts: int) -> None:
        """Notice where decoding times step back, or leave a hole that no film has."""
        newest, self._newest = self._newest, dts
        if newest is None:
            return
        if dts < newest and self.again is None:
            self.again = self._latest
        step = (dts - newest) * (exact(packet.time_base) or Fraction(0))
        if step > HOLE and self.hole is None:
            self.hole = newest * (exact(packet.time_base) or Fraction(0)), step

    def _shows_nothing(self, packet: "Packet[Stream]") -> bool:
        """Whether its picture is only there for others to refer to, which VP8 says in one bit."""
        return codec_name(self._video) == "vp8" and not bytes(packet)[0] & VP8_SHOWN


def _video_of_pictures(path: Path) -> str:
    """How to make a video of pictures, bit for bit, where a name means those; else nothing.

    As FFmpeg has it, names of pictures hold their number's place (%03d) or a wildcard.
    """
    if path.is_dir():
        kinds = [p.suffix for p in sorted(path.iterdir()) if p.suffix.lower() in PICTURES]
        path = path / f"*{kinds[0]}" if kinds else path
    if path.suffix.lower() not in PICTURES or not re.search("%[0-9]*d|[*?]", path.name):
        return ""
    words = ["-pattern_type", "glob"] if re.search("[*?]", path.name) else []
    words = ["ffmpeg", "-framerate", "24", *words, "-i", str(path), "-c:v", "ffv1", "pictures.mkv"]
    return f"; pictures become one by: {shlex.join(words)}"
