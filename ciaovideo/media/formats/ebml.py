"""Parses the elements of Matroska files. RFC 8794 (EBML), RFC 9559."""

from collections.abc import Iterator
from contextlib import suppress
from os import SEEK_END
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ciaovideo.media.formats.places import bytes_after

EBML, SEGMENT, SEEK_HEAD = 0x1A45DFA3, 0x18538067, 0x114D9B74
INFO, CLUSTER, CUES, CHAPTERS = 0x1549A966, 0x1F43B675, 0x1C53BB6B, 0x1043A770
TRACKS, ATTACHMENTS, TAGS, VOID, CHECKSUM = 0x1654AE6B, 0x1941A469, 0x1254C367, 0xEC, 0xBF
TOP = {SEEK_HEAD, INFO, CLUSTER, CUES, CHAPTERS, TRACKS, ATTACHMENTS, TAGS, VOID, CHECKSUM}
SEEK, SEEK_ID, SEEK_POSITION = 0x4DBB, 0x53AB, 0x53AC
TIMESTAMP_SCALE, CLUSTER_TIME = 0x2AD7B1, 0xE7
CUE, CUE_TIME, CUE_PLACES, CUE_PLACE = 0xBB, 0xB3, 0xB7, 0xF1
USUAL_SCALE = 1_000_000  # nanoseconds per tick where the file does not state it
LONGEST_HEAD = 12  # bytes: an identifier of 4 and a size of 8
CLUSTER_HEAD = 24  # bytes that contain a cluster's timestamp
MOST = 1 << 22  # bytes read of an element: an index of tens of thousands of entries
AHEAD = 64  # elements that are read before the pictures begin
UNKNOWN = (1 << 56) - 1  # the unknown size of a live recording


class Element(NamedTuple):
    """One element: its identifier, its head (identifier and size), and its body."""

    ident: int
    head: bytes
    body: bytes


class Place(NamedTuple):
    """The position of an element: its first byte, that of its body, and the body's size."""

    ident: int
    at: int
    start: int
    size: int


def elements(data: bytes) -> Iterator[Element]:
    """The consecutive elements in some bytes; raises IndexError if one is truncated."""
    at = 0
    while at < len(data):
        ident, start, size = read_head(data, at)
        yield Element(ident, data[at:start], data[start : start + size])
        at = start + size


def read_head(data: bytes, at: int) -> tuple[int, int, int]:
    """An element's identifier, its body's position and size; raises IndexError at the end."""
    length = 9 - data[at].bit_length()
    ident, at = int.from_bytes(data[at : at + length]), at + length
    length = 9 - data[at].bit_length()
    size = int.from_bytes(data[at : at + length]) & ~(1 << 7 * length)
    return ident, at + length, UNKNOWN if size == (1 << 7 * length) - 1 else size


def find(file: BinaryIO, ident: int) -> bytes:
    """The body of an element of a file's segment, before the pictures or found by the index.

    Empty if there is none; raises IndexError if the file is not Matroska.
    """
    origin, listed = 0, list[int]()
    for number, place in enumerate(_segment(file)):
        origin = origin or place.at
        if place.ident == ident:
            return _body(file, place)
        if place.ident == SEEK_HEAD:
            listed += _listed(_body(file, place), ident)
        if place.ident == CLUSTER or number == AHEAD:
            break
    for at in listed:
        place = _place(file, origin + at)
        if place.ident == ident:
            return _body(file, place)
    return b""


def clock_along(path: Path) -> list[tuple[int, float]]:
    """Positions and times in a Matroska file, in bytes and seconds, in the order of the file.

    By its cues. Without them, and in another recording that was joined to it, from the head of one
    cluster to the next; where those do not state their sizes, as in a live recording, by the
    clusters at some places. Nothing where none of that can be read.
    """
    with suppress(IndexError, OSError), path.open("rb", buffering=0) as file:
        info = {e.ident: e.body for e in elements(find(file, INFO))}
        scale = int.from_bytes(info.get(TIMESTAMP_SCALE, b"")) or USUAL_SCALE
        found = sorted(_cues(find(file, CUES)))
        found += _clusters(file, path, _end(file) if found else 0)
        return [(at, ticks * scale / 1e9) for at, ticks in found]
    return []


def _end(file: BinaryIO) -> int:
    """Where the first segment of a file ends; the end of the file where it does not say so."""
    place, at = _place(file, 0), 0
    while place.ident in (EBML, VOID):
        at = place.start + place.size
        place = _place(file, at)
    return min(place.start + place.size, file.seek(0, SEEK_END))


def _cues(data: bytes) -> Iterator[tuple[int, int]]:
    """The entries of an index: a cluster's position in its segment, and a time in ticks."""
    for cue in elements(data):
        parts = {part.ident: part.body for part in elements(cue.body)} if cue.ident == CUE else {}
        inside = {part.ident: part.body for part in elements(parts.get(CUE_PLACES, b""))}
        if CUE_PLACE in inside:
            yield int.from_bytes(inside[CUE_PLACE]), int.from_bytes(parts.get(CUE_TIME, b""))


def _clusters(file: BinaryIO, path: Path, begin: int) -> Iterator[tuple[int, int]]:
    """The same of the clusters themselves, from a place on where a file or a segment begins."""
    for place in _segment(file, begin):
        if place.ident == CLUSTER and place.size == UNKNOWN:
            length = LONGEST_HEAD + CLUSTER_HEAD
            for at, body in bytes_after(path, CLUSTER.to_bytes(4), length, place.at):
                size = 9 - body[0].bit_length() if body else 0  # bytes that it takes
                yield from ((at, ticks) for ticks in _cluster_time(body[size:]))
        elif place.ident == CLUSTER:
            file.seek(place.start)
            yield from ((place.at, ticks) for ticks in _cluster_time(file.read(CLUSTER_HEAD)))


def _cluster_time(body: bytes) -> Iterator[int]:
    """The time in ticks that comes first in a cluster, or after a checksum; if it does."""
    with suppress(IndexError):
        for part in elements(body):
            if part.ident == CLUSTER_TIME:
                yield int.from_bytes(part.body)
            if part.ident not in (CHECKSUM, VOID):
                return


def _segment(file: BinaryIO, begin: int = 0) -> Iterator[Place]:
    """The elements of a file's segment, and of those that were joined to it.

    Up to one without a size, or what is none of Matroska's.
    """
    at, inside = begin, False
    while True:
        try:
            place = _place(file, at)
        except IndexError:
            return
        if place.ident == SEGMENT:
            at, inside = place.start, True
            continue
        if place.ident not in TOP | {EBML}:
            return
        if inside and place.ident != EBML:
            yield place
        if place.size == UNKNOWN:
            return
        at = place.start + place.size


def _place(file: BinaryIO, at: int) -> Place:
    file.seek(at)
    ident, start, size = read_head(file.read(LONGEST_HEAD), 0)
    return Place(ident, at, at + start, size)


def _body(file: BinaryIO, place: Place) -> bytes:
    file.seek(place.start)
    return file.read(min(place.size, MOST))


def _listed(seek_head: bytes, ident: int) -> Iterator[int]:
    """The positions of an element in the segment, by the index."""
    for entry in elements(seek_head):
        if entry.ident == SEEK:
            parts = {part.ident: int.from_bytes(part.body) for part in elements(entry.body)}
            if parts.get(SEEK_ID) == ident:
                yield parts.get(SEEK_POSITION, 0)
