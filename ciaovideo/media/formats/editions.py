"""Properties of Matroska's chapters and tags that FFmpeg does not report. RFC 9559."""

from collections.abc import Iterator
from pathlib import Path

from ciaovideo.media.formats.ebml import CHAPTERS, TAGS, Element, elements, find

EDITION, ORDERED, EDITION_HIDDEN = 0x45B9, 0x45DD, 0x45BD
ATOM, ATOM_HIDDEN, LINKED, DISPLAY = 0xB6, 0x98, 0x6E67, 0x80
TAG, TARGETS, LEVEL, SIMPLE, NAME = 0x7373, 0x63C0, 0x68CA, 0x67C8, 0x45A3
FILM = 50  # the level of tags on the whole video, where none is stated


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


def higher_tags(path: Path) -> tuple[str, ...]:
    """Names of a Matroska file's tags on more than this video: a collection, a season.

    FFmpeg takes them as the video's own; one of each name is left. Empty as for ``odd_chapters``.
    """
    try:
        with path.open("rb") as file:
            tags = [list(elements(e.body)) for e in elements(find(file, TAGS)) if e.ident == TAG]
            names = (name for tag in tags if _level(tag) > FILM for name in _names(tag))
            return tuple(dict.fromkeys(names))
    except (IndexError, OSError):
        return ()


def _level(tag: list[Element]) -> int:
    """The level of a tag's target, in tens: 30 is a track, 50 a film, 70 a collection."""
    targets = [part for whole in tag if whole.ident == TARGETS for part in elements(whole.body)]
    return next((int.from_bytes(t.body) for t in targets if t.ident == LEVEL), FILM)


def _names(tag: list[Element]) -> Iterator[str]:
    for simple in (part for part in tag if part.ident == SIMPLE):
        for part in elements(simple.body):
            if part.ident == NAME:
                yield part.body.rstrip(b"\0").decode("utf-8", "replace")


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
    if any(_count(atom, DISPLAY) > 1 for atom in atoms):
        yield "the chapters' names in all languages but one"


def _count(atom: Element, ident: int) -> int:
    return sum(part.ident == ident for part in elements(atom.body))


def _flag(parts: list[Element], ident: int) -> bool:
    return any(part.ident == ident and any(part.body) for part in parts)
