"""Files that were joined of several: what FFmpeg reads of them, and what changes midway."""

import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from ciaovideo.cli.main import run
from ciaovideo.errors import DecodeError, LossError, OpenError, TimestampError
from ciaovideo.findings import Kind
from ciaovideo.media.read.probe import probe
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.options import EncodeOptions, ModelOptions, SizeOptions, UpscaleOptions
from ciaovideo.pipeline.session import UpscaleRun
from tests.commands import error_of, found_in, result_in
from tests.media import make_clip, make_offset_clip

FAST = UpscaleOptions(
    size=SizeOptions(scale=1.0),
    model=ModelOptions(model="bicubic"),
    encode=EncodeOptions(preset="ultrafast"),
)
PLAIN = ["--model", "bicubic", "--scale", "1", "--preset", "ultrafast"]
SMALL: dict[str, Any] = {"width": 64, "height": 48, "fps": Fraction(24)}
SAR = "sample aspect ratio"
OTHER = Fraction(3, 2)  # MPEG-2 stores a display aspect ratio, here 2:1
CODECS = ("libx264", "mpeg2video", "libx265")


def joined(path: Path, parts: list[tuple[int, Fraction]], **settings: Any) -> Path:
    """A TS of parts behind each other, each of so many frames, with its own SAR."""
    begin, data = 24, b""  # no decoding time is before zero, and moved
    for number, (count, sar) in enumerate(parts):
        part = path.with_name(f"part{number}.ts")
        clip = {"first_pts": begin, "seconds": count / 24, "sar": sar, **SMALL}
        make_clip(part, **clip | settings)
        data += part.read_bytes()
        begin += count
    path.write_bytes(data)
    return path


def of_mpeg2(codec: str) -> Fraction:
    """A SAR that is not square, and that the codec can store for pictures of 64x48."""
    return Fraction(4, 3) if codec == "mpeg2video" else OTHER


@pytest.mark.parametrize("codec", CODECS)
def test_a_change_of_the_sar_is_known_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], codec: str
) -> None:
    """Players show each part as it says; an output has one ratio, and each part keeps its own."""
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    parts = [(30, Fraction(1)), (30, of_mpeg2(codec))]
    source = joined(tmp_path / "in.ts", parts, codec=codec, options=options)
    output = tmp_path / "out.mkv"
    assert run([str(source), str(output), *PLAIN, "--json"]) == 0
    summary = result_in(capsys.readouterr().out)
    assert [finding["subject"] for finding in summary["findings"]].count(SAR) == 1
    assert run(["verify", str(output), "--against", str(source)]) == 0
    (found,) = (f for f in probe(source).findings if f.subject == SAR)
    assert found.kind is Kind.LOST
    assert "changes from 1 to" in found.text
    assert "after 1.250000 s" in found.text
    assert SAR in error_of(LossError, source, tmp_path / "no.mkv", *PLAIN, "--strict").problem
    for words, sar in ((["--end", "1.25"], parts[0][1]), (["--start", "1.25"], parts[1][1])):
        capsys.readouterr()
        assert run([str(source), str(output), *PLAIN, "--json", "--overwrite", *words]) == 0
        summary = result_in(capsys.readouterr().out)
        assert ("lost", SAR) not in found_in(summary)
        assert summary["frames"] == 30
        with av.open(output) as made:
            assert made.streams.video[0].sample_aspect_ratio == sar
        assert run(["verify", str(output), "--against", str(source), *words]) == 0


def test_a_change_between_the_places_of_a_probe_is_told_when_it_is_met(tmp_path: Path) -> None:
    """Commercials of another shape: the sample before the work does not see them."""
    parts = [(84, Fraction(1)), (24, OTHER), (276, Fraction(1))]
    source = joined(tmp_path / "in.ts", parts, codec="mpeg4", options={"g": "12"})
    assert probe(source).reshaped is None
    with VideoReader(source) as reader:
        assert sum(1 for _ in reader.frames()) == 384
        (found,) = (f for f in reader.findings if f.subject == SAR)
    assert "changes from 1 to 3:2 after 3.500000 s" in found.text
    with VideoReader(source, strict=True) as reader, pytest.raises(LossError, match="frame 84"):
        list(reader.frames())


def test_the_container_speaks_for_all_pictures_of_matroska(tmp_path: Path) -> None:
    """It states one ratio, which players show throughout; that of the pictures is not lost."""
    source = joined(tmp_path / "in.ts", [(12, Fraction(1)), (12, OTHER)])
    with av.open(source) as given, av.open(tmp_path / "in.mkv", "w") as made:
        track = made.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = track
                made.mux(packet)
    assert all(f.subject != SAR for f in probe(tmp_path / "in.mkv").findings)
    with VideoReader(tmp_path / "in.mkv") as reader:
        assert sum(1 for _ in reader.frames()) == 24
        assert all(f.subject != SAR for f in reader.findings)


def test_a_tape_begins_with_the_ratio_of_its_first_picture(tmp_path: Path) -> None:
    """FFmpeg states that of the packet it read last."""
    data = b""
    for sar in (Fraction(16, 15), Fraction(64, 45)):
        with av.open(part := tmp_path / "part.dv", "w") as made:
            video: Any = made.add_stream("dvvideo", rate=25)
            video.width, video.height, video.pix_fmt = 720, 576, "yuv420p"
            video.codec_context.sample_aspect_ratio = sar
            for number in range(2):
                frame = av.VideoFrame(720, 576, "yuv420p")
                frame.pts = number
                made.mux(video.encode(frame))
            made.mux(video.encode(None))
        data += part.read_bytes()
    (source := tmp_path / "in.dv").write_bytes(data)
    assert probe(source).info.sar == Fraction(16, 15)
    with VideoReader(source) as reader:
        list(reader.frames())
        (found,) = (f for f in reader.findings if f.subject == SAR)
    assert "changes from 16:15 to 64:45 after 0.080000 s" in found.text


def test_a_change_of_size_is_refused_before_the_work(tmp_path: Path) -> None:
    one = joined(tmp_path / "one.ts", [(96, Fraction(1))], codec="mpeg4").read_bytes()
    last = {"first_pts": 24 + 96, "seconds": 1, **SMALL, "width": 96, "sar": Fraction(1)}
    make_clip(tmp_path / "two.ts", codec="mpeg4", **last)
    (source := tmp_path / "in.ts").write_bytes(one + (tmp_path / "two.ts").read_bytes())
    output = tmp_path / "out.mkv"
    error = error_of(DecodeError, source, output, *PLAIN)
    assert "at 4.000000 s: the picture changes from 64x48 yuv420p to 96x48" in error.problem
    assert "-ss 4.0" in error.hint
    assert run([str(source), str(output), *PLAIN, "--end", "4", "-q"]) == 0
    assert run([str(source), str(output), *PLAIN, "--start", "4", "-q", "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".mp4", "mpeg4"), (".mov", "mpeg4"), (".flv", "flv"), (".wmv", "wmv2"), (".ivf", "libvpx")],
)
def test_a_second_recording_that_ffmpeg_does_not_read_is_refused(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    """Its words say how to part the file, to the byte; a part of the first one can be taken."""
    parts = [tmp_path / f"{number}{suffix}" for number in (1, 2)]
    for number, part in enumerate(parts):
        make_clip(part, codec=codec, options={}, seconds=0.5 + number, **SMALL)
    source, output = tmp_path / f"in{suffix}", tmp_path / "out.mkv"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(OpenError, match=f"begins at byte {parts[0].stat().st_size},") as caught:
        UpscaleRun(source, output, FAST)
    command = str(caught.value.hint).removeprefix("split it first: ")
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    for whole, number in zip(parts, (1, 2), strict=True):
        part = tmp_path / f"in-{number}{suffix}"
        assert part.read_bytes() == whole.read_bytes()
        with UpscaleRun(part, output, replace(FAST, overwrite=True)) as job:
            assert job.run().frames == 12 * (2 * number - 1)
    assert run([str(source), str(output), *PLAIN, "--frames", "5", "-q", "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("suffix", "codec", "pix_fmt"),
    [(".apng", "apng", "rgb24"), (".webp", "libwebp_anim", "yuv420p")],
)
def test_a_second_animation_is_refused(
    tmp_path: Path, suffix: str, codec: str, pix_fmt: str
) -> None:
    one = animation(tmp_path / f"1{suffix}", codec, pix_fmt)
    (source := tmp_path / f"in{suffix}").write_bytes(2 * one.read_bytes())
    with av.open(one) as whole, av.open(source) as both:  # FFmpeg reads the first
        assert len([*whole.decode(video=0)]) == len([*both.decode(video=0)]) > 0
    assert probe(one).info.width == 64
    with pytest.raises(OpenError, match=f"begins at byte {one.stat().st_size},"):
        probe(source)


def animation(path: Path, codec: str, pix_fmt: str) -> Path:
    with av.open(path, "w") as made:
        video: Any = made.add_stream(codec, rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, pix_fmt
        for number in range(3):
            frame = av.VideoFrame(64, 48, pix_fmt)
            for plane in frame.planes:
                plane.update(bytes([99 + number]) * plane.buffer_size)
            frame.pts = number
            made.mux(video.encode(frame))
        made.mux(video.encode(None))
    return path


def test_fragments_behind_each_other_are_read(tmp_path: Path) -> None:
    """FFmpeg reads both parts then; what is wrong with them is their clock."""
    one = make_offset_clip(tmp_path / "1.mp4", "mpeg4", 0, movflags="frag_keyframe+empty_moov")
    (source := tmp_path / "in.mp4").write_bytes(2 * one.read_bytes())
    with pytest.raises(TimestampError, match="restart after"):
        UpscaleRun(source, tmp_path / "out.mkv", FAST)
