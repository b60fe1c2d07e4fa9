"""What Matroska's chapters say beside names and times, which FFmpeg does not tell. RFC 9559."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ciaovideo.media.formats.ebml import Element, elements, read_head

SEGMENT, SEEK_HEAD, CLUSTER, CHAPTERS = 0x18538067, 0x114D9B74, 0x1F43B675, 0x1043A770
SEEK, SEEK_ID, SEEK_POSITION = 0x4DBB, 0x53AB, 0x53AC
EDITION, ORDERED, EDITION_HIDDEN = 0x45B9, 0x45DD, 0x45BD
ATOM, ATOM_HIDDEN, LINKED = 0xB6, 0x98, 0x6E67
LONGEST_HEAD = 12  # bytes: an identifier of 4 and a size of 8
MOST = 1 << 22  # bytes of chapters that are read: tens of thousands
AHEAD = 64  # elements that are looked at before the pictures begin


def odd_chapters(path: Path) -> tuple[str, ...]:
    """What is lost of a Matroska file's chapters where only names and times are kept, in words.

    Nothing where the file is none, or its chapters cannot be read: FFmpeg then finds none either.
    """
    try:
        with path.open("rb") as file:
            editions = [e for e in elements(_chapters(file)) if e.ident == EDITION]
            return tuple(_oddities(editions))
    except (IndexError, OSError):
        return ()


def _oddities(editions: list[Element]) -> Iterator[str]:
    parts = [list(elements(edition.body)) for edition in editions]
    atoms = [atom for edition in parts for atom in edition if atom.ident == ATOM]
    inside = [part for atom in atoms for part in elements(atom.body)]
    if any(_flag(edition, ORDERED) for edition in parts):
        yield "ordered chapters"
    if any(part.ident == LINKED for part in inside):
        yield "chapters that are parts of other files"
    if len(editions) > 1:
        yield f"all but one of {len(editions)} editions of the chapters"
    if any(_flag(part, EDITION_HIDDEN) for part in parts) or _flag(inside, ATOM_HIDDEN):
        yield "which chapters are hidden"
    if any(part.ident == ATOM for part in inside):
        yield "chapters inside others"


def _flag(parts: list[Element], ident: int) -> bool:
    return any(part.ident == ident and any(part.body) for part in parts)


def _chapters(file: BinaryIO) -> bytes:
    """The bytes of the chapters, before the pictures or where the index says; or nothing."""
    at, origin, places = 0, 0, []
    for _ in range(AHEAD):
        head = _read(file, at, LONGEST_HEAD)
        if not head:
            break
        ident, start, size = read_head(head, 0)
        if ident == CHAPTERS:
            return _read(file, at + start, min(size, MOST))
        if ident == SEEK_HEAD:
            places += _listed(_read(file, at + start, min(size, MOST)))
        if ident == CLUSTER:
            break
        at += start if ident == SEGMENT else start + size
        origin = at if ident == SEGMENT else origin
    for place in places:
        ident, start, size = read_head(_read(file, origin + place, LONGEST_HEAD), 0)
        if ident == CHAPTERS:
            return _read(file, origin + place + start, min(size, MOST))
    return b""


def _listed(seek_head: bytes) -> list[int]:
    """Where an index says that chapters are."""
    found = []
    for entry in elements(seek_head):
        if entry.ident == SEEK:
            parts = {part.ident: int.from_bytes(part.body) for part in elements(entry.body)}
            if parts.get(SEEK_ID) == CHAPTERS:
                found.append(parts.get(SEEK_POSITION, 0))
    return found


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)
