"""What each row of CONTAINERS promises, and that a row is all that a container takes."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from ciaovideo import UpscaleOptions, upscale
from ciaovideo.cli.upscale import build_parser
from ciaovideo.media.codecs.table import CODECS, VIA_FFMPEG, Y4M
from ciaovideo.media.containers import (
    BY_SUFFIX,
    CONTAINERS,
    OTHER,
    Clock,
    Container,
    Fate,
    read_container,
)
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.streams.sound import FORMATS
from ciaovideo.media.write.output import Destination
from ciaovideo.options import EncodeOptions, ModelOptions
from tests.media import make_clip

every_container = pytest.mark.parametrize("row", CONTAINERS.values(), ids=CONTAINERS)


@every_container
def test_a_row_names_what_there_is(row: Container) -> None:
    assert row.name in av.formats_available
    assert row.codecs <= {*CODECS, Y4M.name, VIA_FFMPEG.name}
    if not row.bare:
        chosen = {codec for *_, codec in row.automatic}
        assert (chosen & row.codecs) or row.alpha
    assert set(row.alpha.values()) <= row.codecs
    assert {codec for codecs in row.sound for codec in codecs} <= set(FORMATS)
    for kind in ("marks", "text_marks"):
        for mark in getattr(row, kind):
            assert mark in av.stream.Disposition.__members__


@every_container
def test_a_container_is_read_by_the_row_that_it_is_written_by(row: Container) -> None:
    for suffix in row.suffixes:
        assert Destination.of(Path(f"OUT{suffix.upper()}")).container is row
        assert suffix in build_parser("ciaovideo").format_help()
    assert read_container(row.name) is row
    assert read_container("unheard of") is OTHER


def test_the_names_that_demuxers_have_in_common() -> None:
    assert read_container("mov,mp4,m4a,3gp,3g2,mj2").iso
    assert read_container("matroska,webm").clock is Clock.MILLISECONDS


def test_a_row_is_all_that_a_container_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NUT, which no other line of the house knows, with what FFmpeg's muxer stores of it."""
    row = Container(
        name="nut",
        suffixes=(".nut",),
        codecs=frozenset({"ffv1"}),
        automatic=((16, True, "ffv1"),),
        keeps_empty_streams=True,
        timecode=False,
        stored_colors=(),
        rotation=Fate.LOST,
        sar=Fate.REFUSED,
    )
    monkeypatch.setitem(CONTAINERS, "nut", row)
    monkeypatch.setitem(BY_SUFFIX, ".nut", row)
    source, output = tmp_path / "in.mov", tmp_path / "out.nut"
    sound = {"sound": True, "sound_codec": "pcm_s16le"}
    make_clip(source, width=64, height=48, seconds=0.5, chapters=2, **sound)
    options = UpscaleOptions(model=ModelOptions(model="bicubic"), encode=EncodeOptions())
    summary = upscale(source, output, options=options)
    assert [info.codec for info in summary.kept] == ["pcm_s16le"]
    with VideoReader(output) as reader:
        assert reader.info.codec == "ffv1"
        assert [frame.time for frame in reader.frames()] == [Fraction(n, 24) for n in range(12)]
