"""The clock along a NUT file: its syncpoints tell the time. NUT Open Container Format, 2013."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ciaovideo.media.formats.places import bytes_after

MAIN = b"NM\x7a\x56\x1f\x5f\x04\xad"  # begins the main header
SYNCPOINT = b"NK\xe4\xad\xee\xca\x45\x69"
LONG = 4096  # bytes of a packet above which its head has a checksum of four bytes
HEAD = 40  # bytes in which a syncpoint tells its time
MAIN_HEAD = 4096  # and in which a main header lists its clocks
WITH_MINOR = 3  # versions above this one have a minor number, too


def clock_along(path: Path) -> list[tuple[int, float]]:
    """Where in a NUT file which time is, in bytes and seconds, in the order of the file.

    Of a large file at some places. Nothing where it cannot be read.
    """
    with suppress(IndexError, OSError, ZeroDivisionError):
        _, head = next(bytes_after(path, MAIN, MAIN_HEAD), (0, b""))
        ticks = _clocks(_numbers(head))
        found = []
        for at, body in bytes_after(path, SYNCPOINT, HEAD):
            stamp, clock = divmod(next(_numbers(body)), len(ticks))
            found.append((at, stamp * ticks[clock]))
        return found
    return []


def _numbers(packet: bytes) -> Iterator[int]:
    """The numbers of a packet, after its length: seven bits a byte, all but the last one marked."""
    at, value, first = 0, 0, True
    while True:
        value, more = value << 7 | packet[at] & 0x7F, packet[at] & 0x80
        at += 1
        if more:
            continue
        if first:
            at += 4 if value > LONG else 0
        else:
            yield value
        value, first = 0, False


def _clocks(numbers: Iterator[int]) -> list[float]:
    """The seconds of a tick of each clock that a main header lists."""
    if next(numbers) > WITH_MINOR:
        next(numbers)
    _streams, _distance = next(numbers), next(numbers)
    return [next(numbers) / next(numbers) for _ in range(next(numbers))]
