"""Adds a sample aspect ratio and a crop to the header of a finished Matroska file.

FFmpeg's muxer writes DisplayWidth and DisplayHeight from a field of its stream that PyAV cannot set
(measured: the encoder's SAR, a template's, and that of a remuxed mp4 are all lost), and PixelCrop
from side data, which PyAV cannot set either. H.264 and H.265 store the SAR themselves; for other
codecs it is added here. The track's name is padded while the file is written, and the padding is
replaced afterwards, so that no byte of the file moves. Elements: RFC 9559 (Matroska), RFC 8794
(EBML).
"""

import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ciaovideo.errors import EncodeError
from ciaovideo.media.formats.ebml import Element, elements, read_head
from ciaovideo.media.margins import NO_MARGINS, Margins

ROOM = "/" * 64  # padding of the name: more than the elements need
SEGMENT, TRACKS, CLUSTER, TRACK = 0x18538067, 0x1654AE6B, 0x1F43B675, 0xAE
NAME, VIDEO, VOID, CRC = 0x536E, 0xE0, 0xEC, 0xBF
PIXEL_WIDTH, PIXEL_HEIGHT = 0xB0, 0xBA
DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT = 0x54B0, 0x54BA, 0x54B2
CROPS = (0x54BB, 0x54AA, 0x54CC, 0x54DD)  # top, bottom, left, right
SHAPE = (DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT, *CROPS)
ASPECT_RATIO = 3  # the unit that means a ratio of width to height
LONGEST_HEAD = 12  # bytes: an identifier of 4 and a size of 8


def store_shape(
    path: Path, sar: Fraction | None = None, crop: Margins = NO_MARGINS, *, webm: bool = False
) -> None:
    """Write a SAR and a crop into the track whose name ends in ``ROOM``, and restore its name.

    Matroska gets the exact ratio. WebM has no unit but pixels, so that the width is rounded. Raises
    EncodeError for an unexpected header.
    """
    shape = _Shape(sar, crop, webm)
    try:
        with path.open("r+b") as file:
            start, tracks = _find_tracks(file)
            changed = _master(
                _with_shape(element, shape) if _has_room(element) else element
                for element in elements(tracks)
            )
            if len(changed) != len(tracks) or changed == tracks:
                raise ValueError("no room")
            file.seek(start)
            file.write(changed)
    except (OSError, ValueError, IndexError, KeyError) as cause:
        raise EncodeError(
            f"storing {shape} in {path}: {cause}",
            "end the output's name in .mp4" + ("" if webm else ", or choose libx264 or libx265"),
        ) from cause


class _Shape(NamedTuple):
    """What is stored, and whether the file is WebM."""

    sar: Fraction | None
    crop: Margins
    webm: bool

    def __str__(self) -> str:
        parts = [f"the sample aspect ratio {self.sar}"] if self.sar else []
        parts += [f"the crop ({self.crop})"] if self.crop else []
        return " and ".join(parts)


def _find_tracks(file: BinaryIO) -> tuple[int, bytes]:
    """The position of the tracks' bytes, and these bytes."""
    at = 0
    while head := _read(file, at, LONGEST_HEAD):
        ident, start, size = read_head(head, 0)
        if ident == TRACKS:
            return at + start, _read(file, at + start, size)
        if ident == CLUSTER:
            break
        at += start if ident == SEGMENT else start + size
    raise ValueError("no tracks")


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)


def _has_room(element: Element) -> bool:
    if element.ident != TRACK:
        return False
    return any(
        part.ident == NAME and part.body.endswith(ROOM.encode()) for part in elements(element.body)
    )


def _with_shape(track: Element, shape: _Shape) -> Element:
    """The track with a shape, its own name, and a void element in place of unused padding."""
    parts = []
    for part in elements(track.body):
        if part.ident == NAME:
            title = part.body.removesuffix(ROOM.encode())
            parts += [_element(NAME, title)] if title else []
        elif part.ident == VIDEO:
            parts.append(_element(VIDEO, _master(_shaped(part, shape))))
        else:
            parts.append(part)
    left = len(track.body) - len(_master(parts))
    if left < 2:
        raise ValueError("no room")
    return track._replace(body=_master([*parts, _element(VOID, bytes(left - 2))]))


def _shaped(video: Element, shape: _Shape) -> Iterator[Element]:
    """The parts of a video's description, with those of its display shape.

    Without a SAR, a player assumes square pixels unless the bitstream has a SAR.
    """
    numbers = {part.ident: part.body for part in elements(video.body)}
    sides = (int.from_bytes(numbers[ident]) for ident in (PIXEL_HEIGHT, PIXEL_WIDTH))
    height, width = shape.crop.inner(*sides)
    for part in elements(video.body):
        if part.ident not in SHAPE:
            yield part
    for ident, count in zip(CROPS, shape.crop, strict=True):
        if count:
            yield _element(ident, _number(count))
    if shape.sar is None:
        return
    sar, webm = shape.sar, shape.webm
    exact = (sar * width / height).as_integer_ratio()
    across, down = (round(width * sar), height) if webm else exact
    yield _element(DISPLAY_WIDTH, _number(across))
    yield _element(DISPLAY_HEIGHT, _number(down))
    if not webm:
        yield _element(DISPLAY_UNIT, _number(ASPECT_RATIO))


def _number(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8)


def _master(parts: Iterator[Element] | list[Element]) -> bytes:
    """The bytes of some elements; a checksum, which is first, is computed anew."""
    first, *others = parts
    rest = b"".join(element.head + element.body for element in others)
    body = zlib.crc32(rest).to_bytes(4, "little") if first.ident == CRC else first.body
    return first.head + body + rest


def _element(ident: int, body: bytes) -> Element:
    """A new element, its size in as few bytes as possible."""
    length = -(-(len(body) + 1).bit_length() // 7)
    size = (len(body) | 1 << 7 * length).to_bytes(length)
    return Element(ident, ident.to_bytes((ident.bit_length() + 7) // 8) + size, body)
