"""Boxes of ISO media files (mp4, mov) that hold metadata and that FFmpeg does not read."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

HEAD = 24  # bytes with a box's size, kind and, of a private one, its UUID
XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
MANIFEST = bytes.fromhex("a5d40b30e81411ddba2f0800200c9a66")  # of a stream, which FFmpeg reads
INSIDE = {b"moov", b"udta"}  # boxes that hold others


def odd_boxes(path: Path) -> tuple[str, ...]:
    """Names of the metadata of a whole file that are lost: XMP, and private boxes by their UUID.

    Only heads of boxes are read. Empty if the file cannot be read.
    """
    try:
        with path.open("rb", buffering=0) as file:
            return tuple(dict.fromkeys(_named(file, 0, path.stat().st_size)))
    except OSError:
        return ()


def box_size(head: bytes) -> int:
    """The size of a box in bytes by its head; 0 if it reaches to the end of the file."""
    size = int.from_bytes(head[:4])
    return int.from_bytes(head[8:16]) if size == 1 else size


def _named(file: BinaryIO, at: int, end: int) -> Iterator[str]:
    """The names of the boxes between two places that FFmpeg does not read."""
    while at < end:
        file.seek(at)
        head = file.read(HEAD)
        kind, size = head[4:8], box_size(head)
        if kind == b"XMP_" or (kind == b"uuid" and head[8:] == XMP):
            yield "XMP metadata"
        elif kind == b"uuid" and len(head) == HEAD and head[8:] != MANIFEST:
            yield f"private data (UUID {head[8:].hex()})"
        if size < 8:
            return
        if kind in INSIDE:
            yield from _named(file, at + 8, min(at + size, end))
        at += size
