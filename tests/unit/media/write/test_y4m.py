"""YUV4MPEG2 bit for bit through files and pipes, with all that its header holds."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from ciaovideo.color import ColorSpec, Matrix, PixelLayout, Primaries, Range, Siting, Transfer
from ciaovideo.errors import DecodeError, EncodeError, OpenError
from ciaovideo.media.codecs.choice import Encoding
from ciaovideo.media.codecs.table import Y4M
from ciaovideo.media.containers import YUV4MPEG
from ciaovideo.media.frame import Frame
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.read.y4m_input import PipeInput
from ciaovideo.media.source.opening import main_video
from ciaovideo.media.write.writer import VideoTarget
from ciaovideo.media.write.y4m import Y4MWriter, color_words, header

HEIGHT, WIDTH = 23, 37  # chroma of odd sides is rounded up
RATE = Fraction(30000, 1001)
COLOR = ColorSpec(color_range=Range.FULL, siting=Siting.TOPLEFT)
FRAMES = 3


def target(pix_fmt: str = "yuv420p", **changes: Any) -> VideoTarget:
    plain = VideoTarget(
        height=HEIGHT,
        width=WIDTH,
        encoding=Encoding(Y4M, YUV4MPEG, pix_fmt, {}),
        color=COLOR,
        time_base=1 / RATE,
        frame_rate=RATE,
        sar=Fraction(40, 33),
    )
    return replace(plain, **changes)


def frames(pix_fmt: str) -> list[Frame]:
    layout = PixelLayout.of(pix_fmt)
    draw = torch.Generator().manual_seed(3)
    return [
        Frame(
            tuple(
                torch.randint(0, 1 << layout.bit_depth, shape, generator=draw).to(layout.dtype)
                for shape in layout.plane_shapes(HEIGHT, WIDTH)
            ),
            number,
            1 / RATE,
        )
        for number in range(FRAMES)
    ]


def write(path: Path, goal: VideoTarget) -> list[Frame]:
    drawn = frames(goal.encoding.pix_fmt)
    with Y4MWriter(path, goal) as writer:
        for frame in drawn:
            writer.write(frame)
    return drawn


@contextmanager
def fed(*parts: bytes, ends: bool = True) -> Iterator[int]:
    """The end of a pipe that gets these bytes from another thread."""
    out, into = os.pipe()

    def feed() -> None:
        for part in parts:
            os.write(into, part)
        if ends:
            os.close(into)

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield out
    finally:
        os.close(out)
        thread.join()
        if not ends:
            os.close(into)


def count(source: PipeInput) -> int:
    with closing(source), source.open() as container:
        return sum(1 for _ in source.decode(main_video(container, Path("a pipe"))))


@pytest.mark.parametrize("pix_fmt", sorted(Y4M.pix_fmts))
def test_every_layout_comes_back_bit_for_bit(tmp_path: Path, pix_fmt: str) -> None:
    path = tmp_path / "a.y4m"
    drawn = write(path, target(pix_fmt))
    with VideoReader(path) as reader:
        read = list(reader.frames())
        info = reader.info
    assert (info.pix_fmt, info.height, info.width) == (pix_fmt, HEIGHT, WIDTH)
    assert (info.frame_rate, info.sar) == (RATE, Fraction(40, 33))
    assert info.color.color_range == Range.FULL
    assert info.color.siting == (Siting.TOPLEFT if pix_fmt == "yuv420p" else Siting.UNSPECIFIED)
    assert [frame.time for frame in read] == [number / RATE for number in range(FRAMES)]
    for before, after in zip(drawn, read, strict=True):
        for one, other in zip(before.planes, after.planes, strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"sar": None}, "A0:0"),
        ({"color": ColorSpec()}, "C420mpeg2"),
        ({"color": ColorSpec(siting=Siting.CENTER)}, "C420jpeg"),
        ({"color": ColorSpec(color_range=Range.LIMITED)}, "XCOLORRANGE=LIMITED"),
        ({}, "Ip"),
        ({"progressive": False}, "I?"),
        ({"progressive": False, "field_order": "tff"}, "It"),
        ({"progressive": False, "field_order": "bff"}, "Ib"),
        ({"encoding": Encoding(Y4M, YUV4MPEG, "gray12le", {})}, "Cmono12"),
        ({"encoding": Encoding(Y4M, YUV4MPEG, "yuv422p10le", {})}, "C422p10"),
    ],
)
def test_the_header_says_what_it_can(changes: dict[str, Any], word: str) -> None:
    line = header(target(**changes))
    assert word in line.split()
    assert line.startswith("YUV4MPEG2 W37 H23 F30000:1001 ")
    assert ("XCOLORRANGE" in line) == (target(**changes).color.color_range != 0)


def test_a_pipe_that_breaks_off_is_told_from_one_that_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.y4m"
    write(path, target())
    data = path.read_bytes()
    whole = (len(data) - len(header(target()))) // FRAMES
    for cut in (1, 5, whole - 3, whole - 1, whole + 1):  # inside a picture, or in its FRAME
        with fed(data[:-cut]) as out, pytest.raises(DecodeError, match="frame"):
            count(PipeInput(Path(f"/dev/fd/{out}")))
    with fed(data[:-whole]) as out:
        assert count(PipeInput(Path(f"/dev/fd/{out}"))) == FRAMES - 1
    with fed(data[:7], data[7:100], data[100:]) as out:
        assert count(PipeInput(Path(f"/dev/fd/{out}"))) == FRAMES


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"RIFF" * 100, "is not YUV4MPEG2"),
        (b"YUV4MPEG2 W64 H48", "truncated"),
        (b"YUV4MPEG2 W64 H48 F25:1 Im A1:1 C420\nFRAME\n" + bytes(4608), "mixed fields"),
    ],
)
def test_what_is_no_yuv4mpeg2_is_refused(data: bytes, words: str) -> None:
    with fed(data) as out, pytest.raises(OpenError, match=words):
        PipeInput(Path(f"/dev/fd/{out}")).open()


def test_a_read_that_waits_can_be_stopped(tmp_path: Path) -> None:
    path = tmp_path / "a.y4m"
    write(path, target())
    with fed(path.read_bytes(), ends=False) as out:
        source = PipeInput(Path(f"/dev/fd/{out}"))
        timer = threading.Timer(0.2, source.stop)
        timer.start()
        started = time.monotonic()
        assert count(source) == FRAMES
        assert time.monotonic() - started < 60  # it came back at all
        timer.join()


def test_colour_tags_for_the_next_program_have_its_names() -> None:
    color = ColorSpec(
        Matrix.BT2020_NCL, Range.LIMITED, Primaries.BT2020, Transfer.ARIB_STD_B67, Siting.TOPLEFT
    )
    assert " ".join(color_words(color)) == (
        "-colorspace bt2020nc -color_primaries bt2020 -color_trc arib-std-b67 -color_range tv"
        " -chroma_sample_location topleft"
    )
    assert color_words(ColorSpec()) == ()
    assert color_words(ColorSpec(transfer=Transfer.LOG)) == ("-color_trc", "log100")  # 9, too


def test_a_full_disk_is_an_error_that_says_so() -> None:
    with pytest.raises(EncodeError, match="No space left"):
        write(Path("/dev/full"), target())
