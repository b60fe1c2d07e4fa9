"""Finds where decoding can begin and give the same pictures as decoding from the beginning.

A container's keyframe flag is only a claim. It counts where the bitstream proves that nothing after
it, in display order, refers to anything before it: because no reference is left (IDR pictures,
keyframes of VP8, VP9 and AV1), or none that later pictures may use (CRA and BLA pictures of H.265,
intra pictures of MPEG-1 and MPEG-2). An index is only a claim, too: after the jump, the packets
must be those that reading from the beginning found.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

import av.error
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from ciaovideo.errors import OpenError
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.clock import PEEK_PACKETS, exact
from ciaovideo.media.source.opening import USUAL, Opening, main_video, open_source
from ciaovideo.media.source.packets import packets_of, steps_back

CONTEXT = 3  # frames before the wanted one, more than the deinterlacer needs
COMPARED = 64  # packets after a jump that are compared with the listing
H264_IDR, H264_SETS = 5, {7, 8}
H265_ANCHORS, H265_SETS = range(16, 22), {33, 34}  # BLA, IDR and CRA; SPS and PPS
START_CODE = b"\0\0\1"
MPEG_PICTURE, MPEG_SEQUENCE, MPEG_INTRA = b"\0\0\1\0", b"\0\0\1\xb3", 1
AV1_FRAMES = (3, 6)  # OBU types: frame header, and frame

type Mark = tuple[int, int | None, int]  # pts, dts and size of a packet


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A packet from which decoding can begin, and how to recognise it after a jump.

    ``number`` is its index among the video's packets, ``place`` the number of frames shown before
    it. ``digest`` is that of the marks of the ``count`` packets from it on.
    """

    number: int
    place: int
    mark: Mark
    count: int
    digest: str


@dataclass(slots=True)
class Listing:
    """The packets of a video in the order of the file, up to some time or to the end.

    ``frames`` are the timestamps of displayed frames, in order; ``anchors`` are the numbers of
    packets where decoding can begin. ``timed`` means that every packet has a timestamp, ``again``
    that timestamps restart after these packets.
    """

    tick: Fraction
    packets: list[Mark] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    anchors: list[int] = field(default_factory=list)
    timed: bool = True
    again: bool = False

    def anchor(self, time: Fraction, *, back: bool = False) -> Anchor | None:
        """The last packet from which the frame at ``time`` and its context can be decoded.

        None if that is the first packet, as a jump would gain nothing, unless the file was read and
        a jump leads ``back`` there.
        """
        if not self.timed or not self.frames:
            return None
        place = max(bisect_left(self.frames, time / self.tick) - CONTEXT, 0)
        limit = self.frames[place]
        numbers = [0, *self.anchors] if back else [number for number in self.anchors if number]
        usable = [number for number in numbers if self.packets[number][0] <= limit]
        return self.anchor_of(usable[-1]) if usable else None

    def anchor_of(self, number: int) -> Anchor:
        """The anchor at a packet."""
        marks = self.packets[number : number + COMPARED]
        return Anchor(
            number=number,
            place=self.place(number),
            mark=marks[0],
            count=len(marks),
            digest=_digest(marks),
        )

    def place(self, number: int) -> int:
        """The number of frames shown before a packet's."""
        return bisect_left(self.frames, self.packets[number][0])


class PacketLister:
    """Lists the packets of a video as they are read, in the order of the file."""

    def __init__(self, av_stream: VideoStream) -> None:
        self._listing = Listing(exact(av_stream.time_base) or Fraction(1))
        self._judge = AnchorJudge(av_stream)
        self._latest: int | None = None
        self._newest: int | None = None  # decoding time
        self._looked = self._after = 0  # packets checked, and those at or after the end

    def add(self, packet: "Packet[VideoStream]") -> None:
        """Add the next packet; a restart of the timestamps ends the list.

        So does a packet without a timestamp, which makes the list useless.
        """
        listing, newest = self._listing, self._newest
        self._newest = packet.dts
        listing.again |= steps_back((packet.dts, packet.pts), newest, self._latest)
        if not listing.timed or listing.again:
            return
        if packet.pts is None:
            listing.timed = False
            return
        free = self._judge.free_of_past(packet)
        if free and (self._latest is None or packet.pts > self._latest):
            listing.anchors.append(len(listing.packets))
        self._latest = packet.pts if self._latest is None else max(self._latest, packet.pts)
        listing.packets.append(_mark(packet))
        if not packet.is_discard:
            listing.frames.append(packet.pts)

    def reached(self, stop: Fraction) -> bool:
        """Whether all frames before ``stop`` are listed, and enough after it."""
        listing = self._listing
        for pts, _, _ in listing.packets[self._looked :]:
            self._after += pts * listing.tick >= stop
        self._looked = len(listing.packets)
        return not listing.timed or listing.again or self._after > PEEK_PACKETS

    def finished(self) -> Listing:
        """The listing, with its frames sorted."""
        self._listing.frames.sort()
        return self._listing


def list_video(path: Path, opening: Opening = USUAL) -> Listing:
    """Lists all packets of a file's main video; reads the whole file without decoding."""
    with open_source(path, opening) as container, av_errors("reading", path, OpenError):
        av_stream = main_video(container, path, opening)
        lister = PacketLister(av_stream)
        for packet in packets_of(container, av_stream):
            if packet.size:
                lister.add(packet)
        return lister.finished()


def packets_from(
    container: InputContainer, av_stream: VideoStream, anchor: Anchor
) -> "Iterator[Packet[VideoStream]] | None":
    """The packets of a video from a listed one on; None if seeking does not find it."""
    pts, dts, _ = anchor.mark
    try:
        container.seek(pts if dts is None else min(pts, dts), stream=av_stream, backward=True)
        packets = packets_of(container, av_stream)
        for packet in islice(packets, anchor.number + 1):
            if packet.size and _mark(packet) == anchor.mark:
                found = [packet, *islice(packets, anchor.count - 1)]
                same = _digest(_mark(packet) for packet in found if packet.size) == anchor.digest
                return chain(found, packets) if same else None
    except av.error.FFmpegError:
        pass
    return None


class AnchorJudge:
    """Decides for each packet of a video, given in order, whether it needs no earlier one."""

    def __init__(self, av_stream: VideoStream) -> None:
        context = av_stream.codec_context
        self._codec = context.codec.canonical_name
        self._always = context.codec.intra_only
        extra = context.extradata or b""
        place = {"h264": 4, "hevc": 21}.get(self._codec, 0)
        lengths = len(extra) > place and not extra.startswith(b"\0\0")
        self._length_size = (extra[place] & 3) + 1 if place and lengths else 0
        self._first = True
        self._sets_change = False

    def free_of_past(self, packet: "Packet[VideoStream]") -> bool:
        """Whether no picture from this packet's on, in display order, needs an earlier packet."""
        if self._codec in ("h264", "hevc"):
            return self._coded_in_units(packet)
        if not packet.is_keyframe:
            return False
        data = bytes(packet)
        match self._codec:
            case "vp8":
                return not data[0] & 1
            case "vp9":
                return _is_vp9_key(data[0])
            case "av1":
                return _is_av1_key(data)
            case "mpeg1video" | "mpeg2video":
                return _is_mpeg_intra(data)
        return self._always

    def _coded_in_units(self, packet: "Packet[VideoStream]") -> bool:
        """The rule for H.264 and H.265: parameter sets that changed must be repeated here."""
        h264 = self._codec == "h264"
        kinds = {
            byte & 31 if h264 else byte >> 1 & 63
            for byte in _unit_headers(bytes(packet), self._length_size)
        }
        sets = H264_SETS if h264 else H265_SETS
        whole = sets <= kinds
        if kinds & sets and not self._first:
            self._sets_change = True
        self._first = False
        anchor = H264_IDR in kinds if h264 else not kinds.isdisjoint(H265_ANCHORS)
        return anchor and packet.is_keyframe and (whole or not self._sets_change)


def _mark(packet: "Packet[VideoStream]") -> Mark:
    return packet.pts or 0, packet.dts, packet.size


def _digest(marks: Iterable[Mark]) -> str:
    return hashlib.sha256(repr(list(marks)).encode()).hexdigest()


def _unit_headers(data: bytes, length_size: int) -> Iterator[int]:
    """The first byte of each NAL unit, stored with lengths or with start codes."""
    place = 0
    while length_size:
        start = place + length_size
        if start >= len(data):
            return
        yield data[start]
        place = start + int.from_bytes(data[place:start])
    while (place := data.find(START_CODE, place) + len(START_CODE)) >= len(START_CODE):
        if place < len(data):
            yield data[place]


def _is_vp9_key(head: int) -> bool:
    """Whether a VP9 header marks a new keyframe: marker 10, profile in 2 bits (3 if 3), flags."""
    if head >> 4 & 3 == 3:
        return head & 0b110 == 0
    return head & 0b1100 == 0


def _is_av1_key(data: bytes) -> bool:
    """Whether the first frame is a displayed keyframe after a sequence header."""
    place, sequence = 0, False
    while place + 1 < len(data):
        kind, extended, sized = data[place] >> 3 & 15, data[place] & 4, data[place] & 2
        place += 2 if extended else 1
        size, shift = 0, 0
        while sized and place < len(data):
            size |= (data[place] & 127) << shift
            shift += 7
            place += 1
            if not data[place - 1] & 128:
                break
        if kind in AV1_FRAMES:
            return sequence and place < len(data) and data[place] & 0b11110000 == 0b00010000
        sequence = sequence or kind == 1
        if not sized:
            return False
        place += size
    return False


def _is_mpeg_intra(data: bytes) -> bool:
    """Whether it is an intra picture with a sequence header, which sets all parameters."""
    place = data.find(MPEG_PICTURE)
    if MPEG_SEQUENCE not in data or not 0 <= place < len(data) - 5:
        return False
    return data[place + 5] >> 3 & 7 == MPEG_INTRA
