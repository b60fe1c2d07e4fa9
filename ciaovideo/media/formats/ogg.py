"""Recordings that follow each other in an Ogg file: a chain, RFC 3533, section 4.

FFmpeg reads the first one; where a chained file has pictures and sound it stops there.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

PAGE = b"OggS"
BEGINS = 2  # flag of the first page of a stream
PAGE_HEAD = 27  # bytes before its table of lengths
NUMBER = slice(14, 18)  # where a page's head has its stream's number
NEAR = 1 << 17  # bytes, more than the longest page takes, in which another one begins


def second_recording(path: Path) -> int | None:
    """The byte where another recording begins behind the first one; None where there is one only.

    A file is one recording if its last page belongs to a stream that begins with the file. Where
    that is not so, the place between is found in as many looks as its size has binary digits.
    """
    with suppress(OSError), path.open("rb") as file:
        own = _beginning(file, 0)
        size = path.stat().st_size
        numbers = [number for _, number in _pages(file, max(size - NEAR, 0))]
        if not own or not numbers or numbers[-1] in own:
            return None
        mine, other = 0, size  # pages of the first recording begin here, those of another by there
        while other - mine > NEAR:
            middle = (mine + other) // 2
            at, number = next(_pages(file, middle), (size, b""))
            if number in own:
                mine = at
            else:
                other = middle
        return next((at for at, number in _pages(file, mine) if number not in own), None)
    return None


def _beginning(file: BinaryIO, at: int) -> set[bytes]:
    """The numbers of the streams that begin together, from a page on."""
    found: set[bytes] = set()
    while True:
        file.seek(at)
        head = file.read(PAGE_HEAD)
        if head[:4] != PAGE or len(head) < PAGE_HEAD or not head[5] & BEGINS:
            return found
        found.add(head[NUMBER])
        at += PAGE_HEAD + head[26] + sum(file.read(head[26]))


def _pages(file: BinaryIO, at: int) -> Iterator[tuple[int, bytes]]:
    """Where pages begin from a place on, within what is near, and their streams' numbers."""
    file.seek(at)
    block = file.read(2 * NEAR)
    place = block.find(PAGE)
    while 0 <= place <= len(block) - PAGE_HEAD:
        if block[place + 4] == 0:  # the version of the format, the only one there is
            yield at + place, block[place:][NUMBER]
        place = block.find(PAGE, place + 1)
