"""Where a file is looked at that is too large to be read whole before a run."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

BLOCK = 1 << 20  # bytes read at once
WHOLE = 64 << 20  # bytes of a file that is looked at whole
HEAD, TAIL = 16 << 20, 8 << 20  # bytes that are looked at of a larger one, at its ends
PLACES, PLACE = 64, 1 << 19  # and how often in between, and how many bytes

type Spans = Sequence[tuple[int, int]]


def spans_of(size: int) -> Spans:
    """What is looked at of so many bytes: as first byte and the one after the last, in order.

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
    """Each place of a file with these bytes, of what is looked at, and up to ``length`` after them.

    ``begin`` is where in the file to start.
    """
    with path.open("rb", buffering=0) as file:
        for start, end in spans_of(path.stat().st_size):
            for at in range(max(start, begin), end, BLOCK):
                yield from _found(file, mark, length, (at, min(at + BLOCK, end)))


def _found(
    file: BinaryIO, mark: bytes, length: int, span: tuple[int, int]
) -> Iterator[tuple[int, bytes]]:
    """Those that begin in a span."""
    begin, end = span
    file.seek(begin)
    block = file.read(end - begin + len(mark) - 1 + length)
    place = block.find(mark)
    while 0 <= place < end - begin:
        inside = place + len(mark)
        yield begin + place, block[inside : inside + length]
        place = block.find(mark, inside)
