"""Finds the streams of a file whose container has no header, by its bytes.

MPEG-TS, MPEG-PS (VOB) and FLV introduce a stream at its first packet, maybe hours after the
beginning. FFmpeg knows the streams that it found while it opened the file, and silently drops the
packets of all others. This module reads packet heads in bounded memory and decodes nothing: those
of the whole file or, before a run, a sample at its ends and at places in between. The sample misses
a stream that begins and ends between two places, but detects a jump of the clock anywhere. FLV
cannot be read from the middle, but its lengths lead from one head to the next: nothing else is
read. Stream numbers are FFmpeg's (``av_stream.id``).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from ciaovideo.media.formats.places import BLOCK, Spans, spans_of
from ciaovideo.media.inspect.jumps import MPEG_CLOCK, ClockWatch

SIZES = (188, 192, 204)  # of TS packets; the larger ones have additional bytes
SYNC = 0x47
SYNC_RUN = 5  # consecutive sync bytes that identify packets
PAT_PID, PMT_TABLE = 0, 2
PACK, PS_END = 0xBA, 0xB9
PRIVATE = 0xBD
FLV_SOUND, FLV_VIDEO = 8, 9
FLV_KINDS = {"audio": FLV_SOUND, "video": FLV_VIDEO}


@dataclass(slots=True)
class Elementary:
    """The position of each stream's first packet, in bytes, by FFmpeg's stream number.

    ``empty`` streams are listed and have no packet. ``programs`` are the streams of each programme
    of a multiplex, by its number. ``clock`` records jumps of the clock. ``whole`` means that all
    packets were read.
    """

    first: dict[int, int] = field(default_factory=dict)
    empty: set[int] = field(default_factory=set)
    programs: dict[int, set[int]] = field(default_factory=dict)
    clock: ClockWatch = field(default_factory=ClockWatch)
    whole: bool = True


def look_inside(path: Path, demuxer: str, *, whole: bool = True) -> Elementary | None:
    """Read the streams of a file from its bytes; None for a format with a header.

    A large file is sampled, unless ``whole``.
    """
    reader = READERS.get(demuxer)
    if reader is None:
        return None
    with path.open("rb", buffering=0) as file:  # what lies between the heads is not read
        size = path.stat().st_size
        spans: Spans = [(0, size)] if whole else spans_of(size)
        found = reader(file, spans)
        found.whole = len(spans) == 1 or reader is _flash
        return found


def known_to(container: InputContainer) -> set[int]:
    """The numbers of the streams that FFmpeg found while it opened a file."""
    if container.format.name == "flv":
        return {FLV_KINDS[s.type] for s in container.streams if s.type in FLV_KINDS}
    return {av_stream.id for av_stream in container.streams}


def _transport(file: BinaryIO, spans: Spans) -> Elementary:
    """MPEG-TS: tables list the streams, which begin with their first payload unit."""
    found, tables = Elementary(), _Tables()
    starts: dict[int, int] = {}
    for at, size, rows in chain.from_iterable(_ts_blocks(file, *span) for span in spans):
        pids = (rows[:, 1] & 0x1F).astype(np.int64) << 8 | rows[:, 2]
        begins = (rows[:, 1] & 0x40) != 0
        for pid, row in zip(*np.unique(pids[begins], return_index=True), strict=True):
            starts.setdefault(int(pid), at + int(np.flatnonzero(begins)[row]) * size)
        _read_clock(rows, pids, at, found.clock)
        looked: set[int] = set()
        while new := tables.pids - looked:  # one table lists the others
            looked |= new
            for row in np.flatnonzero(np.isin(pids, list(new))):
                tables.take(int(pids[row]), rows[row].tobytes(), at + int(row) * size)
    for pid, named in tables.named.items():
        if pid in starts:
            found.first[pid] = max(named, starts[pid])
        else:
            found.empty.add(pid)
    found.programs = tables.programs
    return found


def _read_clock(
    rows: NDArray[np.uint8], pids: NDArray[np.int64], at: int, clock: ClockWatch
) -> None:
    """Pass on the programme clock (PCR) of the first stream that has one, in seconds."""
    has = (rows[:, 3] & 0x20 != 0) & (rows[:, 4] >= 7) & (rows[:, 5] & 0x10 != 0)
    if clock.of is None and has.any():
        clock.of = int(pids[has][0])
    base = rows[has & (pids == clock.of)][:, 6:11].astype(np.int64)
    if len(base):
        ticks = base[:, 0] << 25 | base[:, 1] << 17 | base[:, 2] << 9 | base[:, 3] << 1
        clock.take(((ticks | base[:, 4] >> 7) / MPEG_CLOCK).tolist(), at)


class _Tables:
    """Programme tables (PAT and PMTs), assembled from packets."""

    def __init__(self) -> None:
        self.pids = {PAT_PID}
        self.named: dict[int, int] = {}  # streams, and the position of the table that lists them
        self.programs: dict[int, set[int]] = {}
        self._parts: dict[int, bytes] = {}
        self._seen: dict[int, bytes] = {}

    def take(self, pid: int, packet: bytes, at: int) -> None:
        """Add a packet of a table."""
        payload = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
        data = packet[payload:188]
        if not packet[3] & 0x10 or not data:
            return
        if packet[1] & 0x40:
            self._parts[pid] = data[1 + data[0] :]
        elif pid in self._parts:
            self._parts[pid] += data
        part = self._parts.get(pid, b"")
        length = 3 + (int.from_bytes(part[1:3]) & 0xFFF) if len(part) >= 3 else 1 << 16
        if len(part) >= length:
            del self._parts[pid]
            section = part[:length]
            if self._seen.get(pid) != section:
                self._seen[pid] = section
                self._read(pid, section, at)

    def _read(self, pid: int, section: bytes, at: int) -> None:
        if pid == PAT_PID:
            for place in range(8, len(section) - 4 - 3, 4):
                if int.from_bytes(section[place : place + 2]):
                    self.pids.add(int.from_bytes(section[place + 2 : place + 4]) & 0x1FFF)
            return
        if section[0] != PMT_TABLE or len(section) < 16:
            return
        streams = self.programs.setdefault(int.from_bytes(section[3:5]), set())
        place = 12 + (int.from_bytes(section[10:12]) & 0xFFF)
        while place + 5 <= len(section) - 4:
            stream = int.from_bytes(section[place + 1 : place + 3]) & 0x1FFF
            streams.add(stream)
            self.named.setdefault(stream, at)
            place += 5 + (int.from_bytes(section[place + 3 : place + 5]) & 0xFFF)


def _ts_blocks(file: BinaryIO, at: int, end: int) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """Blocks of whole packets: position, distance of two packets, and the packets."""
    while True:
        file.seek(at)
        wanted = min(BLOCK, end - at)
        block = file.read(wanted)
        synced = _synchronized(block)
        if synced is None:
            if len(block) < BLOCK:
                return
            at += BLOCK - SYNC_RUN * max(SIZES)
            continue
        begin, size = synced
        count = (len(block) - begin) // size
        rows = np.frombuffer(block, np.uint8, count * size, begin).reshape(count, size)
        odd = np.flatnonzero(rows[:, 0] != SYNC)
        count = int(odd[0]) if odd.size else count
        if count:
            yield at + begin, size, rows[:count, :188]
        at += begin + max(count * size, 1)


def _synchronized(block: bytes) -> tuple[int, int] | None:
    """The first position with consecutive TS packets, and their distance."""
    place = block.find(SYNC)
    while place >= 0:
        for size in SIZES:
            run = block[place : place + size * SYNC_RUN : size]
            whole = len(run) == SYNC_RUN or place + len(run) * size >= len(block)
            if whole and run.count(SYNC) == len(run) and place + size <= len(block):
                return place, size
        place = block.find(SYNC, place + 1)
    return None


def _program(file: BinaryIO, spans: Spans) -> Elementary:
    """MPEG-PS: every packet states its stream and its length."""
    found = Elementary()
    for begin, end in spans:
        at: int | None = begin
        while at is not None and at < end:
            at = _packet(file, at, found)
    return found


def _packet(file: BinaryIO, at: int, found: Elementary) -> int | None:
    """Record a packet of MPEG-PS; the position of the next one."""
    file.seek(at)
    head = file.read(64)
    if len(head) < 6:
        return None
    kind = head[3]
    if head[:3] != b"\0\0\1" or kind < PS_END:
        return _next_pack(file, at + 1)
    if kind == PS_END:
        return at + 4
    if kind == PACK:
        found.clock.take([_pack_clock(head)], at)
        return at + (14 + (head[13] & 7) if len(head) > 13 and head[4] >> 6 == 1 else 12)
    number = _ps_number(head)
    if number is not None:
        found.first.setdefault(number, at)
    return at + 6 + int.from_bytes(head[4:6])


def _pack_clock(head: bytes) -> float:
    """The clock of a pack's head, in seconds: 33 bits, with a marker after every third part."""
    bits = int.from_bytes(head[4:9])
    low = 3 if head[4] >> 6 == 1 else 1  # how many bits follow: of MPEG-2 more than of MPEG-1
    parts = (bits >> low + 32 & 7, bits >> low + 16 & 0x7FFF, bits >> low & 0x7FFF)
    return (parts[0] << 30 | parts[1] << 15 | parts[2]) / MPEG_CLOCK


def _next_pack(file: BinaryIO, at: int) -> int | None:
    """The position of the next pack from ``at`` on; None at the end."""
    while True:
        file.seek(at)
        block = file.read(BLOCK)
        place = block.find(b"\0\0\1\xba")
        if place >= 0:
            return at + place
        if len(block) < BLOCK:
            return None
        at += BLOCK - 3


def _ps_number(head: bytes) -> int | None:
    """FFmpeg's number of a packet's sound, video or text stream; None for others."""
    kind = head[3]
    if 0xC0 <= kind <= 0xEF:
        return 0x100 | kind
    if kind != PRIVATE or head[6] >> 6 != 2 or len(head) <= 9 + head[8]:
        return None
    inner = head[9 + head[8]]
    known = 0x20 <= inner <= 0x3F or 0x80 <= inner <= 0x8F or 0x98 <= inner <= 0xCF
    return inner if known else None


def _flash(file: BinaryIO, _spans: Spans) -> Elementary:
    """FLV: every tag states its kind, its time in milliseconds and its length."""
    found = Elementary()
    head = file.read(9)
    at = int.from_bytes(head[5:9]) + 4
    while True:
        file.seek(at)
        tag = file.read(11)
        if len(tag) < 11:
            return found
        if tag[0] & 31 in (FLV_SOUND, FLV_VIDEO) and any(tag[1:4]):
            found.first.setdefault(tag[0] & 31, at)
        if tag[0] & 31 == FLV_VIDEO:
            found.clock.take([int.from_bytes(tag[7:8] + tag[4:7]) / 1000], at)
        at += 15 + int.from_bytes(tag[1:4])


READERS: Mapping[str, Callable[[BinaryIO, Spans], Elementary]] = {
    "mpegts": _transport,
    "mpeg": _program,
    "flv": _flash,
}
