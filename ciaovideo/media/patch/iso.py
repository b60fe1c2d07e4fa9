"""A clean aperture in the header of a finished mp4 or mov file: which pixels a player shows.

FFmpeg's muxer writes the box from side data of its stream, which PyAV does not set. It is put in
here, into the description of the video's samples. The header is the last box of the file, so that
nothing moves that it points to. Boxes: ISO/IEC 14496-12 (structure; ``clap`` in 12.1.4).
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ciaovideo.errors import EncodeError
from ciaovideo.media.margins import Margins

WAY = (b"mdia", b"minf", b"stbl", b"stsd")  # from a track to the descriptions of its samples
DESCRIPTIONS = 8  # bytes in stsd before the first one: version, flags, and how many there are
KIND_OF_TRACK = 8  # where hdlr says it, after version, flags and a field of no use
APERTURE = struct.Struct(">I4s8i")  # size, kind; width, height and both offsets as fractions
LONG_SIZE = 16  # bytes of a head whose size has 64 bits


class Box(NamedTuple):
    """One box in some bytes: its kind, and where it begins, its content does, and it ends."""

    kind: bytes
    begin: int
    inside: int
    end: int


def store_crop(path: Path, crop: Margins, size: tuple[int, int], number: int) -> None:
    """Write what is to be cut off into the video of a file that has ``number`` others before it.

    ``size`` is its (height, width) with that. Raises EncodeError where the file is not what FFmpeg
    is known to write.
    """
    try:
        with path.open("r+b") as file:
            begin = 0
            while (head := file.read(LONG_SIZE))[4:8] != b"moov":
                begin += _size(head, 0) if head else _lacking("moov")
                file.seek(begin)
            file.seek(begin)
            movie = file.read()
            changed = _with_aperture(movie, _aperture(crop, size), number)
            file.seek(begin)
            file.write(changed)
    except (OSError, ValueError, struct.error) as cause:
        raise EncodeError(
            f"storing the crop ({crop}) in {path}: {cause}", "end the output's name in .mkv"
        ) from cause


def _aperture(crop: Margins, size: tuple[int, int]) -> bytes:
    """The box: what is shown, and how far its middle is from that of the picture."""
    height, width = crop.inner(*size)
    across, down = crop.left - crop.right, crop.top - crop.bottom
    return APERTURE.pack(APERTURE.size, b"clap", width, 1, height, 1, across, 2, down, 2)


def _with_aperture(movie: bytes, aperture: bytes, number: int) -> bytes:
    """The last box of a file with another box at the end of a video's first description."""
    (whole,) = _boxes(movie, 0, len(movie))
    videos = [way for box in _boxes(movie, whole.inside, whole.end) if (way := _way(movie, box))]
    if number >= len(videos):
        _lacking("video")
    table = videos[number][-1]
    entry = next(_boxes(movie, table.inside + DESCRIPTIONS, table.end))
    changed = bytearray(movie)
    changed[entry.end : entry.end] = aperture
    for box in (whole, *videos[number], entry):
        if box.inside - box.begin == LONG_SIZE:
            raise ValueError("its header has more than 4 GiB")
        struct.pack_into(">I", changed, box.begin, box.end - box.begin + len(aperture))
    return bytes(changed)


def _way(movie: bytes, box: Box) -> tuple[Box, ...]:
    """The boxes from a video's track down to its descriptions; nothing where it is another."""
    if box.kind != b"trak":
        return ()
    way = [box]
    for kind in WAY:
        inside = {part.kind: part for part in _boxes(movie, way[-1].inside, way[-1].end)}
        if kind == WAY[1]:
            at = inside[b"hdlr"].inside + KIND_OF_TRACK
            if movie[at : at + 4] != b"vide":
                return ()
        way.append(inside[kind])
    return tuple(way)


def _boxes(data: bytes, at: int, end: int) -> Iterator[Box]:
    while at < end:
        size = _size(data, at)
        head = LONG_SIZE if data[at : at + 4] == b"\0\0\0\1" else 8
        yield Box(data[at + 4 : at + 8], at, at + head, at + size)
        at += size


def _size(data: bytes, at: int) -> int:
    """How long a box is, its head included."""
    (size,) = struct.unpack_from(">I", data, at)
    if size == 1:
        (size,) = struct.unpack_from(">Q", data, at + 8)
    if size < 8:
        _lacking("size")
    return int(size)


def _lacking(what: str) -> int:
    raise ValueError(f"its header has no {what}")
