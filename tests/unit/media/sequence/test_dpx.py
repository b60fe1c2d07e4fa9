import struct
from fractions import Fraction
from pathlib import Path

import pytest

from ciaovideo.media.sequence.dpx import (
    LOGARITHMIC,
    PRINTING_DENSITY,
    SHORT,
    UNSET,
    WHOLE,
    DpxHead,
    advanced,
    parse_head,
    read_head,
    whole_file,
)
from tests.reel import HEAD, make_reel


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = make_reel(tmp_path, count=4)
    heads = [read_head(file) for file in sorted(tmp_path.iterdir())]
    assert heads[0] == HEAD
    clocks = [head.timecode for head in heads]
    assert clocks == ["01:02:03:22", "01:02:03:23", "01:02:04:00", "01:02:04:01"]
    assert path.name == "shot.%06d.dpx"


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_orders_of_bytes(order: str) -> None:
    magic = b"SDPX" if order == ">" else b"XPDS"
    short = bytearray(magic + bytes(SHORT - 4) + b"pixels")
    struct.pack_into(f"{order}I", short, 4, SHORT)
    made = whole_file(bytes(short), DpxHead(timecode="10:00:00:00", rate=Fraction(25)), "a.dpx")
    assert made[WHOLE:] == b"pixels"
    assert struct.unpack_from(f"{order}I", made, 4) == (WHOLE,)
    assert struct.unpack_from(f"{order}I", made, 16) == (len(made),)
    assert struct.unpack_from(f"{order}I", made, 808) == (WHOLE,)
    assert made[36:42] == b"a.dpx\0"
    head = parse_head(made)
    assert head == DpxHead(timecode="10:00:00:00", rate=Fraction(25), transfer=0)


def test_silence_is_no_timecode() -> None:
    unset = b"SDPX" + struct.pack(">I", WHOLE) + bytes([UNSET]) * (WHOLE - 8)
    assert parse_head(unset) == DpxHead()
    empty = b"SDPX" + struct.pack(">I", WHOLE) + bytes(WHOLE - 8)
    assert parse_head(empty) == DpxHead(transfer=0)
    assert parse_head(b"\x89PNG" + bytes(WHOLE)) == DpxHead()
    assert parse_head(b"SDPX") == DpxHead()


@pytest.mark.parametrize(
    ("stored", "rate"),
    [(24.0, Fraction(24)), (23.976, Fraction(24000, 1001)), (29.97, Fraction(30000, 1001))],
)
def test_rates_are_exact_again(stored: float, rate: Fraction) -> None:
    made = bytearray(b"SDPX" + struct.pack(">I", WHOLE) + bytes(WHOLE - 8))
    struct.pack_into(">f", made, 1724, stored)
    assert parse_head(bytes(made)).rate == rate


def test_two_kinds_of_log_are_told_apart() -> None:
    assert DpxHead(transfer=LOGARITHMIC).log == "logarithmic"
    assert DpxHead(transfer=PRINTING_DENSITY).log == "printing density"
    assert DpxHead(transfer=2).log == ""


@pytest.mark.parametrize(
    ("clock", "frames", "rate", "then"),
    [
        ("01:02:03:22", 2, 24, "01:02:04:00"),
        ("23:59:59:24", 1, 25, "00:00:00:00"),
        ("00:00:59;29", 1, 30, "00:01:00;02"),  # SMPTE ST 12-1: 00 and 01 are left out
        ("00:09:59;29", 1, 30, "00:10:00;00"),
        ("00:00:59;59", 1, 60, "00:01:00;04"),
        ("01:00:00;00", 17982, 30, "01:10:00;00"),
    ],
)
def test_timecode_goes_on(clock: str, frames: int, rate: int, then: str) -> None:
    assert advanced(clock, frames, rate) == then


def test_every_dropped_number_is_left_out_and_no_other() -> None:
    clocks = [advanced("00:00:00;00", n, 30) for n in range(30 * 60 * 11)]
    assert len({*clocks}) == len(clocks)
    assert clocks == sorted(clocks)
    assert not any(c[6:8] == "00" and c[9:] in ("00", "01") and c[4] != "0" for c in clocks)
