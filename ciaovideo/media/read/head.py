"""Reads the packets at the beginning of a file once, for the decoder and for the plan."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Self, cast

from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from ciaovideo.media.clock import PEEK_PACKETS, PROBE_PACKETS, exact
from ciaovideo.media.inspect.clocks import clock_of
from ciaovideo.media.inspect.jumps import FrameTimes, Jumps, look_ahead
from ciaovideo.media.inspect.truncation import packet_end
from ciaovideo.media.interlacing.pulldown import frames_for
from ciaovideo.media.read.seeking import Listing, PacketLister
from ciaovideo.media.read.stream_choice import StreamChoice
from ciaovideo.media.selection import EVERYTHING, PacketHead, Selection
from ciaovideo.media.source.packets import packets_of

SAMPLES = 2  # packets of each stream that are kept for a trial of the muxer


@dataclass(frozen=True, slots=True)
class TrialPacket:
    """A packet for a trial of the muxer: its bytes, and its duration in its stream's ticks."""

    data: bytes
    duration: int
    key: bool

    @classmethod
    def of(cls, packet: "Packet[Stream]") -> Self:
        """A copy of a packet."""
        return cls(bytes(packet), packet.duration or 0, packet.is_keyframe)


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketFacts:
    """Facts from the packets at the beginning of a file, or up to the end of a part.

    ``main`` is the index of the main video. ``frame_times`` are the times of its first frames by
    their packets, in order; ``heads`` are the packets of all streams near the beginning of the
    part. ``listing`` has the main video's packets up to the end of the part, or is None for a whole
    file. ``covers`` are coded cover pictures by stream, ``samples`` the first packets of others.
    """

    main: int
    frame_times: tuple[Fraction, ...]
    heads: tuple[PacketHead, ...]
    listing: Listing | None
    covers: Mapping[int, bytes]
    samples: Mapping[int, tuple[TrialPacket, ...]]

    def first_times(self, selection: Selection = EVERYTHING) -> dict[int, Fraction]:
        """The time of each stream's earliest packet of the part, in seconds.

        Packets of the main video that an edit list hides do not count: they are not decoded.
        Streams without a packet near the beginning are missing.
        """
        earliest: dict[int, Fraction] = {}
        for head in self.heads:
            if selection.holds(head) and not (head.hidden and head.index == self.main):
                time = selection.begin_of(head)
                earliest[head.index] = min(time, earliest.get(head.index, time))
        return earliest


class FileHead:
    """Reads and records the packets at the beginning of a file, or up to the end of a part.

    ``packets`` yields those of the main video to a decoder, and all packets are recorded.
    ``finish`` reads those that the decoder did not request.
    """

    def __init__(self, container: InputContainer, video: VideoStream, wanted: Selection) -> None:
        self._container = container
        self._video = video
        self._wanted = wanted
        self._unseen = {av_stream.index for av_stream in container.streams}
        self._packets = self._read()
        self._times = FrameTimes(video)
        self._sizes: list[int] = []  # bytes of the main video's packets
        self._first: int | None = None  # time of the first picture, once known
        # Frames still to read.
        self._left = max(frames_for(wanted.count or 0), PEEK_PACKETS) + PEEK_PACKETS
        self._latest = Fraction(0)  # end of the last packet so far
        self.end: Fraction | None = None  # end of the last packet, once all are read
        self._origin: Fraction | None = None  # time of the first frame
        self._heads: list[PacketHead] = []
        self._covers: dict[int, bytes] = {}
        self._samples: dict[int, list[TrialPacket]] = {}
        self._lister = PacketLister(video) if wanted.cut else None

    def packets(self) -> "Iterator[Packet[VideoStream]]":
        """The main video's packets, in the order of the file."""
        for packet in self._packets:
            if packet.stream.index == self._video.index:  # a flushing packet has no other index
                yield cast("Packet[VideoStream]", packet)

    def begin_at(self, pts: int | None) -> None:
        """Set the time of the first picture; earlier packets show none."""
        tick = exact(self._video.time_base) or Fraction(0)
        self._origin = (pts or 0) * tick
        if pts is not None:
            self._left += sum(stamp < pts for stamp in self._times.pts)
            self._first = pts

    def finish(self) -> None:
        """Read on until all facts are known, or to the end of the file."""
        while not self._done() and next(self._packets, None) is not None:
            pass

    @property
    def bits_per_frame(self) -> float:
        """Mean bits of the main video's packets near the beginning; 0 without any."""
        return 8 * sum(self._sizes) / len(self._sizes) if self._sizes else 0.0

    def frame_times(self) -> list[Fraction]:
        """The times of the first frames, in order; fewer at the end of the file.

        If timestamps restart, the last time is the end of the frame before that.
        """
        tick = exact(self._video.time_base) or Fraction(0)
        first = self._first
        times = [tick * pts for pts in sorted(self._times.pts) if first is None or pts >= first]
        if self._times.again is not None and len(times) > 1:
            times.append(2 * times[-1] - times[-2])
        return times

    def facts(self, *, timeless: bool) -> PacketFacts:
        """The recorded facts; a ``timeless`` file has no listing, as it cannot be cut by time."""
        listing = None if self._lister is None or timeless else self._lister.finished()
        return PacketFacts(
            main=self._video.index,
            frame_times=tuple(self.frame_times()),
            heads=tuple(self._heads),
            listing=listing,
            covers=self._covers,
            samples={index: tuple(packets) for index, packets in self._samples.items()},
        )

    def jumps(self, path: Path, choice: StreamChoice) -> Jumps:
        """The jumps of the whole file, though only its beginning was read."""
        clock = clock_of(self._container, self._video, path, choice.opening) or choice.inside.clock
        return look_ahead(path, choice.opening, clock, self._times, self._first)

    def _read(self) -> "Iterator[Packet[Stream]]":
        for packet in packets_of(self._container):
            self._note(packet)
            yield packet
        self.end = self._latest

    def _done(self) -> bool:
        met = not self._unseen or len(self._heads) >= PROBE_PACKETS
        listed = self._lister is None or self._lister.reached(self._stop)
        return met and listed and self._left <= 0

    @property
    def _part(self) -> Selection:
        """The selection on the file's own clock; everything until that clock is known."""
        return EVERYTHING if self._origin is None else self._wanted.after(self._origin)

    @property
    def _stop(self) -> Fraction:
        """The end of the part, or its beginning if it has no end, on the file's clock."""
        last = self._wanted.start if self._wanted.end is None else self._wanted.end
        return (self._origin or Fraction(0)) + (last or 0)

    def _note(self, packet: "Packet[Stream]") -> None:
        index = packet.stream_index
        if not packet.size:
            return
        self._latest = max(self._latest, packet_end(packet))
        if packet.stream.disposition & Disposition.attached_pic:
            self._covers.setdefault(index, bytes(packet))
        if index == self._video.index:
            self._sizes.append(packet.size)
            self._note_frame(packet)
        elif len(taken := self._samples.setdefault(index, [])) < SAMPLES:
            taken.append(TrialPacket.of(packet))
        if packet.pts is None or not packet.time_base or len(self._heads) >= PROBE_PACKETS:
            return
        head = PacketHead.of(packet)
        if self._part.holds(head):
            self._heads.append(head)
            self._unseen.discard(index)

    def _note_frame(self, packet: "Packet[Stream]") -> None:
        if self._lister is not None:
            self._lister.add(cast("Packet[VideoStream]", packet))
        if not self._times.take(packet) or packet.pts is None:
            return
        begin, tick = self._part.start, exact(packet.time_base) or Fraction(0)
        self._left -= begin is None or packet.pts * tick >= begin
