"""Finds changes of the sample rate of a DV tape's sound, by the bytes of its frames.

A raw DV file is a sequence of frames. Each states its own sample rate in the audio source pack (IEC
61834-2) of the first DIF sequence, where FFmpeg reads it. A sample of frames is compared, and where
two differ, the frames between them. A change and its reversal between two samples is detected while
the sound is copied.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

FRAMES = {0: (120_000, Fraction(30000, 1001)), 1: (144_000, Fraction(25))}  # bytes, and rate
SYSTEM = 3  # the byte whose highest bit is set for 50 Hz
SOURCE_PACK = 80 * 6 + 80 * 16 * 3 + 3  # behind six DIF blocks and three groups of sixteen
SOURCE = 0x50  # the first byte of an audio source pack
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
    """The first change of a raw DV file's sample rate in a sample of frames; or None."""
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
    """The first frame with another rate, by bisection."""
    low, high = between
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _rate(file, middle * size) in (known, 0) else (low, middle)
    return high


def _rate(file: BinaryIO, at: int) -> int:
    """The rate that a frame states; 0 without such a pack."""
    file.seek(at + SOURCE_PACK)
    pack = file.read(5)
    return RATES.get(pack[4] >> 3 & 7, 0) if len(pack) == 5 and pack[0] == SOURCE else 0
