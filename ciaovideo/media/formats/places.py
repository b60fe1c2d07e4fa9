"""The places in which a file is examined that is too large to be read whole before a run."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

BLOCK = 1 << 20  # bytes read at once
WHOLE = 64 << 20  # bytes of a file that is read whole
HEAD, TAIL = 16 << 20, 8 << 20  # bytes read at each end of a larger file
PLACES, PLACE = 64, 1 << 19  # and places in between, and their bytes

type Spans = Sequence[tuple[int, int]]


def spans_of(size: int) -> Spans:
    """The spans [start, stop) of a file of this many bytes that are read, in order.

    The whole of a small file; the ends of a larger one, and places between them.
    """
    if size <= WHOLE:
        return [(0, size)]
    step = (size - HEAD - TAIL) // (PLACES + 1)
    between = (HEAD + step * number for number in range(1, PLACES + 1))
    return [(0, HEAD), *((at, at + PLACE) for at in between), (size - TAIL, size)]


def bytes_after(
    path: Path, mark: bytes, length: int, begin: int = 0
) -> Iterator[tuple[int, bytes]]:
    """Each place with these bytes in the examined spans, and up to ``length`` bytes after them.

    The search starts at ``begin``.
    """
    with path.open("rb", buffering=0) as file:
        for start, end in spans_of(path.stat().st_size):
            for at in range(max(start, begin), end, BLOCK):
                yield from _found(file, mark, length, (at, min(at + BLOCK, end)))


def _found(
    file: BinaryIO, mark: bytes, length: int, span: tuple[int, int]
) -> Iterator[tuple[int, bytes]]:
    """The places that begin in a span."""
    begin, end = span
    file.seek(begin)
    block = file.read(end - begin + len(mark) - 1 + length)
    place = block.find(mark)
    while 0 <= place < end - begin:
        inside = place + len(mark)
        yield begin + place, block[inside : inside + length]
        place = block.find(mark, inside)
