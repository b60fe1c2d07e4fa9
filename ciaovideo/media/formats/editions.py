"""Properties of Matroska's chapters that FFmpeg does not report. RFC 9559."""

from collections.abc import Iterator
from pathlib import Path

from ciaovideo.media.formats.ebml import CHAPTERS, Element, elements, find

EDITION, ORDERED, EDITION_HIDDEN = 0x45B9, 0x45DD, 0x45BD
ATOM, ATOM_HIDDEN, LINKED = 0xB6, 0x98, 0x6E67


def odd_chapters(path: Path) -> tuple[str, ...]:
    """Names of a Matroska file's chapter properties beside names and times, which are lost.

    Empty if the file is not Matroska or its chapters cannot be read: FFmpeg finds none then either.
    """
    try:
        with path.open("rb") as file:
            editions = [e for e in elements(find(file, CHAPTERS)) if e.ident == EDITION]
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
        yield "chapters that link to other files"
    if len(editions) > 1:
        yield f"all but one of {len(editions)} editions of the chapters"
    if any(_flag(part, EDITION_HIDDEN) for part in parts) or _flag(inside, ATOM_HIDDEN):
        yield "the chapters' hidden flags"
    if any(part.ident == ATOM for part in inside):
        yield "nested chapters"


def _flag(parts: list[Element], ident: int) -> bool:
    return any(part.ident == ident and any(part.body) for part in parts)
