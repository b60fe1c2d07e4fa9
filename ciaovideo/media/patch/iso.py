"""Adds a clean aperture (crop) to the header of a finished mp4 or mov file.

FFmpeg's muxer writes the box from side data of its stream, which PyAV cannot set. So it is added
here, to the sample description of the video. The header is the last box of the file, so that no
data that it points to move. Boxes: ISO/IEC 14496-12 (structure; ``clap`` in 12.1.4).
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ciaovideo.errors import EncodeError
from ciaovideo.media.margins import Margins

WAY = (b"mdia", b"minf", b"stbl", b"stsd")  # from a track to the descriptions of its samples
DESCRIPTIONS = 8  # bytes in stsd before the first one: version, flags, and how many there are
KIND_OF_TRACK = 8  # offset in hdlr, after version, flags and an unused field
APERTURE = struct.Struct(">I4s8i")  # size, kind; width, height and both offsets as fractions
LONG_SIZE = 16  # bytes of a box head with a 64-bit size


class Box(NamedTuple):
    """One box: its kind, and the positions of its begin, its content and its end."""

    kind: bytes
    begin: int
    inside: int
    end: int


def store_crop(path: Path, crop: Margins, size: tuple[int, int], number: int) -> None:
    """Write a crop into a file's video, which is preceded by ``number`` others.

    ``size`` is its (height, width) before the crop. Raises EncodeError for an unexpected file
    structure.
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
    """The box: the displayed size, and the offset of its centre from the picture's."""
    height, width = crop.inner(*size)
    across, down = crop.left - crop.right, crop.top - crop.bottom
    return APERTURE.pack(APERTURE.size, b"clap", width, 1, height, 1, across, 2, down, 2)


def _with_aperture(movie: bytes, aperture: bytes, number: int) -> bytes:
    """The ``moov`` box with the aperture appended to a video's first description."""
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
    """The boxes from a video's track down to its descriptions; empty for other tracks."""
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
    """The size of a box with its head."""
    (size,) = struct.unpack_from(">I", data, at)
    if size == 1:
        (size,) = struct.unpack_from(">Q", data, at + 8)
    if size < 8:
        _lacking("size")
    return int(size)


def _lacking(what: str) -> int:
    raise ValueError(f"its header has no {what}")
