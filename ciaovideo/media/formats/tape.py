"""Sound of a DV tape whose rate changes, told by the bytes of its frames.

A raw DV file is its frames, one after another. Each states its own sampling frequency in the audio
source pack (IEC 61834-2): where FFmpeg looks for it, in the first DIF sequence. Frames at places
are compared, and where two differ, the ones between them: a tape that changes and changes back
between two places is met while it is copied.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

FRAMES = {0: (120_000, Fraction(30000, 1001)), 1: (144_000, Fraction(25))}  # bytes, and rate
SYSTEM = 3  # the byte whose highest bit says whether it is 50 Hz
SOURCE_PACK = 80 * 6 + 80 * 16 * 3 + 3  # behind six DIF blocks and three groups of sixteen
SOURCE = 0x50  # what begins an audio source pack
RATES = {0: 48000, 1: 44100, 2: 32000}
PLACES = 256


@dataclass(frozen=True, slots=True)
class RateChange:
    """The first frame with another rate: its number, time in seconds, byte, and both rates."""

    frame: int
    time: Fraction
    byte: int
    before: int
    after: int


def rate_change(path: Path) -> RateChange | None:
    """Where the rate of a raw DV file's sound first changes, as far as places tell; or None."""
    with path.open("rb") as file:
        head = file.read(SYSTEM + 1)
        if len(head) <= SYSTEM:
            return None
        size, rate = FRAMES[head[SYSTEM] >> 7]
        count = path.stat().st_size // size
        step = max(count // PLACES, 1)
        before, known = 0, 0
        for number in (*range(0, count, step), count - 1):
            found = _rate(file, number * size)
            if known and found and found != known:
                first = _first_other(file, size, (before, number), known)
                return RateChange(first, first / rate, first * size, known, found)
            before, known = number, found or known
    return None


def _first_other(file: BinaryIO, size: int, between: tuple[int, int], known: int) -> int:
    """The first frame after one with a known rate that has another, by halving."""
    low, high = between
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _rate(file, middle * size) in (known, 0) else (low, middle)
    return high


def _rate(file: BinaryIO, at: int) -> int:
    """The rate that a frame states; 0 where it has no such pack."""
    file.seek(at + SOURCE_PACK)
    pack = file.read(5)
    return RATES.get(pack[4] >> 3 & 7, 0) if len(pack) == 5 and pack[0] == SOURCE else 0
