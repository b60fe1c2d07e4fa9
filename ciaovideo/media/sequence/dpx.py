"""The fields of a DPX header (SMPTE 268M) that FFmpeg does not read or write.

FFmpeg neither reads nor writes logarithmic transfer, and it omits the film and television headers,
which have rate and timecode. DPX has no field for a reel: scanners and graders write its name as
that of the input device.
"""

import math
import re
import struct
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from ciaovideo.color import Transfer
from ciaovideo.errors import OpenError

MAGIC = {b"SDPX": ">", b"XPDS": "<"}
SHORT, WHOLE = 1664, 2048  # bytes of a header without and with film and television
# Offsets of fields; the offset of the pixels is stored twice, film has texts around its numbers.
OFFSET, SIZE, PARTS, NAME, TRANSFER, FIRST_OFFSET = 4, 16, 24, 36, 801, 808
REEL, FILM_NUMBERS, FILM_RATE, FILM_TEXTS, TIMECODE, TV_RATE = 1556, 1712, 1724, 1732, 1920, 1940
TEXT = 32  # bytes of a reel's name
UNSET = 0xFF
PRINTING_DENSITY, LOGARITHMIC = 1, 3  # transfer characteristics that FFmpeg does not know
LOGS = {PRINTING_DENSITY: "printing density", LOGARITHMIC: "logarithmic"}
NEAR = 1e-4  # relative; a rate is stored in single precision


@dataclass(frozen=True, slots=True, kw_only=True)
class DpxHead:
    """The fields of a header; unset ones are empty or None.

    ``transfer`` is DPX's own number, ``timecode`` is HH:MM:SS:FF, with ; before the frames of a
    drop-frame timecode.
    """

    transfer: int = UNSET
    timecode: str = ""
    reel: str = ""
    rate: Fraction | None = None

    @property
    def log(self) -> str:
        """The name of a logarithmic transfer; empty for others."""
        return LOGS.get(self.transfer, "")

    @property
    def metadata(self) -> dict[str, str]:
        """Timecode and reel under the names that containers have for them."""
        told = {"timecode": self.timecode, "reel_name": self.reel}
        return {name: text for name, text in told.items() if text}


def read_head(path: Path) -> DpxHead:
    """The header of a file, with unset fields if the file is not DPX. Raises OpenError."""
    try:
        with path.open("rb") as file:
            return parse_head(file.read(WHOLE))
    except OSError as cause:
        raise OpenError(f"reading {path}: {cause.strerror}", "check its disk") from cause


def parse_head(data: bytes) -> DpxHead:
    """The header that a file begins with."""
    order = MAGIC.get(data[:4])
    if order is None or len(data) < SHORT:
        return DpxHead()
    reel = data[REEL : REEL + TEXT].partition(b"\0")[0]
    text = reel.decode("latin-1").strip() if UNSET not in reel else ""
    head = DpxHead(transfer=data[TRANSFER], reel=text)
    (pixels,) = struct.unpack_from(f"{order}I", data, OFFSET)
    if pixels < WHOLE or len(data) < WHOLE:
        return head
    rates = (_rate(struct.unpack_from(f"{order}f", data, at)[0]) for at in (FILM_RATE, TV_RATE))
    (clock,) = struct.unpack_from(f"{order}I", data, TIMECODE)
    silent = not any(data[TIMECODE:WHOLE])  # an unused header
    return DpxHead(
        transfer=head.transfer,
        reel=head.reel,
        timecode="" if silent else _timecode(clock),
        rate=next((rate for rate in rates if rate), None),
    )


def whole_file(data: bytes, head: DpxHead, name: str) -> bytes:
    """The bytes of a file from FFmpeg's encoder, with a complete header and the file's name."""
    order = MAGIC[data[:4]]
    made = bytearray(data[:SHORT]) + bytes([UNSET]) * (WHOLE - SHORT) + data[SHORT:]
    struct.pack_into(f"{order}I", made, OFFSET, WHOLE)
    struct.pack_into(f"{order}I", made, SIZE, len(made))
    struct.pack_into(f"{order}II", made, PARTS, SHORT, WHOLE - SHORT)
    struct.pack_into("100s", made, NAME, name.encode("latin-1", "replace")[:99])
    struct.pack_into(f"{order}I", made, FIRST_OFFSET, WHOLE)
    if head.transfer != UNSET:
        made[TRANSFER] = head.transfer
    if head.reel:
        struct.pack_into(f"{TEXT}s", made, REEL, head.reel.encode("latin-1", "replace"))
    for start, stop in ((SHORT, FILM_NUMBERS), (FILM_TEXTS, TIMECODE)):
        made[start:stop] = bytes(stop - start)  # texts are empty, not unset
    if head.rate:
        for at in (FILM_RATE, TV_RATE):
            struct.pack_into(f"{order}f", made, at, float(head.rate))
    if head.timecode:
        struct.pack_into(f"{order}I", made, TIMECODE, _packed(head.timecode))
    return bytes(made)


def later(head: DpxHead, frames: int) -> DpxHead:
    """The header of a later frame, with its timecode advanced."""
    if not head.timecode or not head.rate or not frames:
        return head
    return replace(head, timecode=advanced(head.timecode, frames, round(head.rate)))


def advanced(timecode: str, frames: int, rate: int) -> str:
    """A timecode after so many frames, at ``rate`` frames a second.

    Drop-frame timecodes (with ;) skip the first numbers of each minute except every tenth: 2 at 30
    frames a second, 4 at 60.
    """
    drops = rate // 15 if ";" in timecode else 0
    hours, minutes, seconds, count = map(int, re.split("[:;.]", timecode))
    minutes += 60 * hours
    number = (60 * minutes + seconds) * rate + count - drops * (minutes - minutes // 10) + frames
    if drops:
        tens, rest = divmod(number, 600 * rate - 9 * drops)
        left_out = 9 * tens + max(0, rest - drops) // (60 * rate - drops)
        number += drops * left_out
    seconds, count = divmod(number, rate)
    clock = f"{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{clock}{';' if drops else ':'}{count:02d}"


def header_transfer(transfer: Transfer) -> int:
    """DPX's number for a transfer that FFmpeg cannot write; UNSET keeps FFmpeg's."""
    return LOGARITHMIC if transfer is Transfer.LOG else UNSET


def _rate(stored: float) -> Fraction | None:
    """A rate as a fraction: a whole number, or 1000/1001 of one, if it is near."""
    if not math.isfinite(stored) or not 1 <= stored <= 1000:
        return None
    for scale in (Fraction(1), Fraction(1000, 1001)):
        near = round(stored / scale) * scale
        if abs(near - Fraction(stored)) <= NEAR * near:
            return near
    return Fraction(stored).limit_denominator(1001)


def _timecode(stored: int) -> str:
    """The timecode from eight decimal digits; empty if they are invalid."""
    drop, digits = stored & 0x40, f"{stored & ~0xC0:08x}"
    if stored == 0xFFFFFFFF or not digits.isdecimal():
        return ""
    hours, minutes, seconds, frames = (digits[at : at + 2] for at in range(0, 8, 2))
    if int(hours) > 23 or int(minutes) > 59 or int(seconds) > 59:
        return ""
    return f"{hours}:{minutes}:{seconds}{';' if drop else ':'}{frames}"


def _packed(timecode: str) -> int:
    digits = timecode.replace(":", "").replace(";", "").replace(".", "")
    return int(digits, 16) | (0x40 if ";" in timecode else 0)
