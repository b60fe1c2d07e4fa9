"""YUV4MPEG2: pictures of one size at one rate, through a pipe or into a file.

The format is a line of text, then ``FRAME`` and the planes of each picture. It is written here,
because FFmpeg's muxer, used through PyAV, loses the sample aspect ratio and tags untagged chroma as
centred. FFmpeg's demuxer reads it (``read/y4m_input``).

The header holds size, rate, range, fields, aspect ratio and, of 8-bit 4:2:0, the chroma siting;
it has no other colour tag and no timestamps. ``color_words`` are the options for the next program.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Self

from ciaovideo.color import ColorSpec, Matrix, Primaries, Range, Siting, Transfer
from ciaovideo.errors import CHECK_DISK, EncodeError
from ciaovideo.media.frame import Frame
from ciaovideo.media.write.encoder import VideoTarget
from ciaovideo.storage.endpoints import PIPE, open_to_write, writes_once

STDOUT = Path("standard output")  # its name in messages
# The header's names for the siting of 8-bit 4:2:0; there are none for deeper pictures.
SITINGS = {Siting.CENTER: "jpeg", Siting.TOPLEFT: "paldv"}
RANGES = {Range.LIMITED: "LIMITED", Range.FULL: "FULL"}
# Progressive or not, and the field that is shown first.
FIELDS = {(True, ""): "p", (False, ""): "?", (False, "tff"): "t", (False, "bff"): "b"}
# FFmpeg's names of colour tags where they are not ours in lower case.
NAMES = {
    Matrix.BT2020_NCL.name: "bt2020nc",
    Range.LIMITED.name: "tv",
    Range.FULL.name: "pc",
    Transfer.LOG.name: "log100",
    Transfer.LOG_SQRT.name: "log316",
    Transfer.IEC61966_2_4.name: "iec61966-2-4",
    Transfer.IEC61966_2_1.name: "iec61966-2-1",
    Transfer.BT1361_ECG.name: "bt1361e",
    Transfer.BT2020_10.name: "bt2020-10",
    Transfer.BT2020_12.name: "bt2020-12",
    Transfer.ARIB_STD_B67.name: "arib-std-b67",
}


class Y4MWriter:
    """Writes frames as YUV4MPEG2 into a file, pipe or device.

    A context manager. Frames follow each other at the target's rate, regardless of their times.
    Raises BrokenPipeError when the reader has closed the pipe.
    """

    def __init__(self, path: Path, target: VideoTarget) -> None:
        self.frame_count = 0
        self._path = path
        with self._errors():
            self._file = (
                os.fdopen(open_to_write(path), "wb", buffering=0)
                if writes_once(path)
                else path.open("wb", buffering=0)
            )
        try:
            self._write(header(target).encode())
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, frame: Frame) -> None:
        """Write one frame: planes in the target's layout and size."""
        self._write(b"FRAME\n", *(memoryview(plane.contiguous().numpy()) for plane in frame.planes))
        self.frame_count += 1

    def close(self) -> None:
        """Close the file; everything is written already."""
        self._file.close()

    def _write(self, *parts: bytes | memoryview) -> None:
        with self._errors():
            for part in parts:
                rest = memoryview(part).cast("B")
                while rest:
                    rest = rest[self._file.write(rest) :]

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as cause:
            place = STDOUT if self._path == PIPE else self._path
            raise EncodeError(f"writing {place}: {cause.strerror}", CHECK_DISK) from cause


def header(target: VideoTarget) -> str:
    """The header line of a stream; untagged chroma counts as left, as everywhere here."""
    pix_fmt, color = target.encoding.pix_fmt, target.color
    rate, sar = target.frame_rate or Fraction(25), target.sar or Fraction(0)
    family, _, depth = pix_fmt.removesuffix("le").removeprefix("yuv").partition("p")
    if pix_fmt.startswith("gray"):
        chroma = "mono" + pix_fmt.removesuffix("le").removeprefix("gray")
    else:
        chroma = f"{family}p{depth}" if depth else family
    if pix_fmt == "yuv420p":
        chroma += SITINGS.get(color.siting, "mpeg2")
    words = [
        f"YUV4MPEG2 W{target.width} H{target.height} F{rate.numerator}:{rate.denominator}",
        f"I{FIELDS[target.progressive, target.field_order]}",
        f"A{sar.numerator}:{sar.denominator if sar else 0}",
        f"C{chroma}",
    ]
    if color.color_range in RANGES:
        words.append(f"XCOLORRANGE={RANGES[color.color_range]}")
    return " ".join(words) + "\n"


def color_words(color: ColorSpec) -> tuple[str, ...]:
    """Options that give another ffmpeg the colour tags of its input, before its ``-i``."""
    tags: dict[str, Matrix | Primaries | Transfer | Range | Siting] = {
        "-colorspace": color.matrix,
        "-color_primaries": color.primaries,
        "-color_trc": color.transfer,
        "-color_range": color.color_range,
        "-chroma_sample_location": color.siting,
    }
    return tuple(
        word
        for option, tag in tags.items()
        if tag.name != "UNSPECIFIED"
        for word in (option, _name(tag))
    )


def _name(tag: Matrix | Primaries | Transfer | Range | Siting) -> str:
    """FFmpeg's name of a colour tag, or its number if the name is unknown here."""
    return NAMES.get(tag.name) or (str(int(tag)) if "UNKNOWN" in tag.name else tag.name.lower())
