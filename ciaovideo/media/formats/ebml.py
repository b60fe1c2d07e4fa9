"""Elements of Matroska files, as bytes. RFC 8794 (EBML)."""

from collections.abc import Iterator
from typing import NamedTuple


class Element(NamedTuple):
    """One element: its identifier, the bytes of identifier and size, and those after them."""

    ident: int
    head: bytes
    body: bytes


def elements(data: bytes) -> Iterator[Element]:
    """The elements that follow each other in some bytes; IndexError where one is cut off."""
    at = 0
    while at < len(data):
        ident, start, size = read_head(data, at)
        yield Element(ident, data[at:start], data[start : start + size])
        at = start + size


def read_head(data: bytes, at: int) -> tuple[int, int, int]:
    """An element's identifier, where its body begins, and its size; IndexError at the end."""
    length = 9 - data[at].bit_length()
    ident, at = int.from_bytes(data[at : at + length]), at + length
    length = 9 - data[at].bit_length()
    size = int.from_bytes(data[at : at + length]) & ~(1 << 7 * length)
    return ident, at + length, size
