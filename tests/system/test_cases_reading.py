"""Kinds of input that people reported: names, clocks, streams and what a file says of them.

Each kind has a file that is made here, and, where the folder beside the project has it, the one
with which it was found.
"""

import lzma
import os
import re
import shutil
import struct
import sys
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from ciaovideo.cli.main import run
from ciaovideo.errors import (
    MissingInputError,
    OptionError,
    TimestampError,
    VerificationError,
)
from ciaovideo.findings import Kind
from ciaovideo.media.formats.elementary import look_inside
from ciaovideo.media.read.probe import probe
from ciaovideo.options import EncodeOptions, ModelOptions, SizeOptions, UpscaleOptions
from ciaovideo.pipeline.keywords import with_fields
from ciaovideo.pipeline.session import UpscaleRun
from tests.commands import PLAIN, error_of, found_in, result_in
from tests.late_sound import write_late_sound
from tests.media import make_clip
from tests.processes import CODING, command
from tests.waiting import FAR_TOO_LONG_S

SMALL = {"width": 64, "height": 48, "seconds": 0.25}
FAST = UpscaleOptions(
    size=SizeOptions(scale=1.0),
    model=ModelOptions(model="bicubic"),
    encode=EncodeOptions(preset="ultrafast"),
)


def case(shared: Path, name: str, folder: Path) -> Path:
    """A copy of a file that failed once; skips where it is not at hand."""
    stored = shared / "cases" / name
    if not stored.is_file():
        pytest.skip(f"no {name} in shared/cases")
    copy = folder / name.removesuffix(".xz")
    data = stored.read_bytes()
    copy.write_bytes(lzma.decompress(data) if stored.suffix == ".xz" else data)
    return copy


@pytest.mark.parametrize("before", ["", "./"])
def test_a_colon_in_a_name_is_no_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], before: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "plain.mkv", sound=True, **SMALL)
    shutil.move("plain.mkv", "Alien3:cut.mkv")
    source, output = f"{before}Alien3:cut.mkv", f"{before}Alien4:x.mp4"
    assert run([source, output, *PLAIN, "-q"]) == 0
    assert run(["verify", output, "--against", source]) == 0
    assert "verified, 6 frames" in capsys.readouterr().out
    cut = ["--start", "0.1", "--end", "0.2"]
    assert run([source, output, *PLAIN, *cut, "--overwrite", "--resume", "-q"]) == 0


@pytest.mark.parametrize("coding", ["utf-8", "latin-1"])
def test_a_name_that_the_terminal_cannot_show_fails_nothing(tmp_path: Path, coding: str) -> None:
    odd = "caf\udce9.mkv" if coding == "utf-8" else "\u65e5\u672c.mkv"
    make_clip(plain := tmp_path / "plain.mkv", **SMALL)
    try:
        plain.rename(tmp_path / odd)
    except OSError:
        pytest.skip("this file system does not take such names")
    environment = os.environ | {CODING: f"{coding}:strict"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    for more in (["--dry-run"], []):
        words = (odd, f"out-{odd}", *PLAIN, *more)
        process = command(*words, cwd=tmp_path, env=environment)
        said, told = process.communicate(timeout=FAR_TOO_LONG_S)
        assert process.returncode == 0, told
        shown = odd.encode("utf-8", "surrogateescape")
        shown = shown if coding == "utf-8" else odd.encode("ascii", "backslashreplace")
        assert shown in said


def test_a_loop_of_links_is_an_error_in_words(tmp_path: Path) -> None:
    make_clip(clip := tmp_path / "in.mkv", **SMALL)
    (loop := tmp_path / "loop.mkv").symlink_to(loop)
    assert str(loop) in error_of(OptionError, clip, loop, "--overwrite").problem
    assert str(loop) in error_of(MissingInputError, loop, tmp_path / "out.mkv").problem
    assert loop.is_symlink()


def test_matroska_that_begins_late_lasts_no_longer(tmp_path: Path) -> None:
    make_clip(clip := tmp_path / "in.mkv", first_pts=24 * 36000, **SMALL)
    info = probe(clip).info
    assert info.duration_s == pytest.approx(0.25, abs=0.001)  # its clock counts milliseconds
    assert info.frame_count == 6
    make_clip(clip := tmp_path / "in.nut", first_pts=24 * 36000, codec="ffv1", options={}, **SMALL)
    assert probe(clip).info.frame_count == 5  # how long the last one stays it does not store


def test_a_file_of_a_camera_that_counts_from_1970(shared: Path, tmp_path: Path) -> None:
    assert probe(case(shared, "epoch.mkv", tmp_path)).info.frame_count == 25


def test_the_film_is_enlarged_and_no_still_before_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mkv"
    write_videos(source, [(96, 64, 1), (64, 48, 12)])
    assert run([str(source), str(output), *PLAIN, "--json"]) == 0
    summary = result_in(capsys.readouterr().out)
    assert (summary["frames"], summary["out_size"]) == (12, [48, 64])
    assert ("chosen", "video 0") in found_in(summary)
    assert run([str(source), str(output), *PLAIN, "--video", "0", "--overwrite"]) == 0
    assert "1 frame of 96x64" in capsys.readouterr().out
    assert run(["verify", str(output), "--against", str(source), "--video", "0"]) == 0
    capsys.readouterr()
    error = error_of(OptionError, source, output, *PLAIN, "--video", "5", "--overwrite")
    assert all(name in error.hint for name in ("video 0", "video 1"))


@pytest.mark.parametrize(
    ("videos", "film"),
    [
        ([(64, 48, 12), (64, 48, 13)], 0),  # two views of one length: the first
        ([(32, 16, 12), (96, 64, 12)], 1),  # a preview before it
        ([(96, 64, 12), (32, 16, 24)], 0),  # one after it, at twice the rate
    ],
)
def test_which_video_is_the_film(
    tmp_path: Path, videos: list[tuple[int, int, int]], film: int
) -> None:
    for suffix in (".mp4", ".mkv"):  # of which the second has no index
        write_videos(source := tmp_path / f"in{suffix}", videos)
        assert probe(source).info.index == film


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("colors-animated-8bpc-audio.avif", "5 frames of 150x150"),
        ("still_first.mp4", "25 frames of 96x64"),
        ("no_sound_packets.ts", "lost: audio 1: mp3"),
        ("mpts.ts", "lost: audio 3: mp2"),
    ],
)
def test_films_among_other_streams(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, told: str
) -> None:
    source = case(shared, name, tmp_path)
    assert run([str(source), str(tmp_path / "out.mkv"), *PLAIN]) == 0
    said = capsys.readouterr()
    assert told in said.out + said.err


def test_a_multiplex_gives_one_programme(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two, both = (tmp_path / f"{name}.ts" for name in ("one", "two", "both"))
    write_late_sound(one, "mpegts", begin=0, seconds=1, options=service(1))
    write_late_sound(two, "mpegts", begin=0, seconds=1, options=service(2), width=32)
    both.write_bytes(multiplex(one.read_bytes(), two.read_bytes()))
    inside = look_inside(both, "mpegts")
    assert inside is not None
    assert inside.programs == {1: {0x110, 0x111}, 2: {0x120, 0x121}}
    assert run([str(both), str(tmp_path / "out.mkv"), *PLAIN]) == 0
    said = capsys.readouterr()
    assert "25 frames of 64x48" in said.out
    for stream in ("video 2: mpeg2video", "audio 3: mp2"):
        assert f"lost: {stream}" in said.err
    assert run([str(both), str(tmp_path / "two.mkv"), *PLAIN, "--program", "2"]) == 0
    said = capsys.readouterr()
    assert "25 frames of 32x48" in said.out
    assert "lost:" not in said.err
    error = error_of(OptionError, both, tmp_path / "no.mkv", "--program", "3")
    assert "programme 3" in error.problem


@pytest.mark.parametrize("name", ["mpeg", "mpegts", "flv"])
def test_sound_that_begins_late_is_there(tmp_path: Path, name: str) -> None:
    """FFmpeg lists what it meets in the first five seconds (of FLV more: there it is there)."""
    source, output = tmp_path / "in", tmp_path / "out.mkv"
    write_late_sound(source, name, begin=6, seconds=7)
    assert run([str(source), str(output), *PLAIN, "-q"]) == 0
    with av.open(output) as container:
        assert [s.type for s in container.streams] == ["video", "audio"]
        first: Any = next(p for p in container.demux(audio=0) if p.size)
        assert float(first.pts * first.time_base) > 5


def test_a_check_misses_sound_that_nobody_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_late_sound(source := tmp_path / "in", "mpeg", begin=2, seconds=3)
    monkeypatch.setattr("ciaovideo.media.inspect.scan.known_to", lambda _: {0x1E0})
    error = error_of(VerificationError, source, tmp_path / "out.mkv", *PLAIN)
    assert "0x1c0" in error.problem


def test_a_disc_whose_sound_begins_late(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = case(shared, "late_sound.vob.xz", tmp_path)
    assert probe(source).info.streams[1].codec == "mp2"


def test_sound_of_no_known_coding_has_one_way_out(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = case(shared, "sample_missing_stsd.mp4", tmp_path)
    for suffix, more in ((".mkv", ()), (".mp4", ("--audio", "auto"))):
        assert run([str(source), str(tmp_path / f"out{suffix}"), *PLAIN, *more]) == 3
        assert "-map 0 -map -0:1 -c copy sample_missing_stsd-fixed.mkv" in capsys.readouterr().err


def write_videos(path: Path, videos: list[tuple[int, int, int]]) -> None:
    """A file of several videos: width, height and number of pictures of each, over a second."""
    with av.open(path, "w") as container:
        packets = []
        for number, (width, height, count) in enumerate(videos):
            track: Any = container.add_stream("mpeg4", rate=count)
            track.width, track.height, track.pix_fmt = width, height, "yuv420p"
            track.bit_rate = 100_000
            packets.append((track, count, 16 * number))
        for track, count, shade in packets:
            for at in range(count):
                picture = np.full((track.height * 3 // 2, track.width), shade + 8 * at, np.uint8)
                frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
                frame.pts = at
                container.mux(track.encode(frame))
            container.mux(track.encode(None))


def service(number: int) -> dict[str, str]:
    """Options of the TS muxer with which two files use different numbers."""
    return {
        "mpegts_service_id": str(number),
        "mpegts_pmt_start_pid": str(0x20 + number),
        "mpegts_start_pid": str(0x100 + 16 * number),
    }


def multiplex(*files: bytes) -> bytes:
    """One transport stream of two: their packets in turn, behind a table that names both."""
    entries = b"".join(struct.pack(">HH", n, 0xE000 | 0x20 + n) for n in (1, 2))
    table = b"\0" + struct.pack(">HHBBB", 0xB000 | 9 + len(entries), 1, 0xC1, 0, 0) + entries
    table += struct.pack(">I", mpeg_crc(table))
    pat = (b"\x47\x40\0\x10\0" + table).ljust(188, b"\xff")
    rows = [[f[at : at + 188] for at in range(0, len(f), 188)] for f in files]
    own = [[row for row in side if row[1] & 31 or row[2]] for side in rows]
    return pat + b"".join(row for pair in zip_longest(*own, fillvalue=b"") for row in pair)


def mpeg_crc(data: bytes) -> int:
    """The check sum of MPEG's tables."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value >> 31 else 0)) & 0xFFFFFFFF
    return value


@pytest.mark.parametrize(
    ("name", "words", "told"),
    [
        ("sound_steps_back.ts", (), "audio 1: mp2: 3 packets"),
        ("subtitles_unordered.mkv", (), "subtitle 1: subrip: 1 packets"),
        ("joined.ts", ("--frames", "10"), "10 frames of 96x64"),
        ("midgop_sound.ts", ("--frames", "10"), "10 frames of 96x64"),
    ],
)
def test_clocks_that_were_joined_or_cut(
    shared: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    words: tuple[str, ...],
    told: str,
) -> None:
    source = case(shared, name, tmp_path)
    for suffix in (".mkv", ".mp4"):
        assert run([str(source), str(tmp_path / f"out{suffix}"), *PLAIN, *words]) == 0
        said = capsys.readouterr()
        assert told in said.out + said.err


def test_sound_that_steps_back_a_little_follows_what_was_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where recordings were joined whose sound is longer than their pictures."""
    source = tmp_path / "in.ts"
    parts = [tmp_path / f"{n}.ts" for n in range(2)]
    for number, part in enumerate(parts):
        options = {"output_ts_offset": str(number * 1.04)}
        write_late_sound(part, "mpegts", begin=0, seconds=1, options=options, longer=True)
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    for suffix in (".mkv", ".mp4"):
        output = tmp_path / f"out{suffix}"
        assert run([str(source), str(output), *PLAIN, "--json"]) == 0
        summary = result_in(capsys.readouterr().out)
        assert summary["frames"] == 50
        assert ("changed", "audio 1") in found_in(summary)
        with av.open(source) as given, av.open(output) as made:
            counts = [sum(p.size > 0 for p in c.demux(audio=0)) for c in (given, made)]
        assert counts[0] == counts[1]


def test_sound_lasts_as_long_as_the_pictures_that_are_shown(tmp_path: Path) -> None:
    """A recording that begins between two key frames has packets that show nothing."""
    whole, cut = tmp_path / "whole.ts", tmp_path / "cut.ts"
    write_late_sound(whole, "mpegts", begin=0, seconds=3)
    data = whole.read_bytes()
    cut.write_bytes(data[188 * (len(data) // 188 // 8) :])
    output = tmp_path / "out.mkv"
    assert run([str(cut), str(output), *PLAIN, "--frames", "10"]) == 0
    with av.open(output) as container:
        assert sum(packet.size > 0 for packet in container.demux(video=0)) == 10


def test_times_that_begin_again_are_told_before_the_work(tmp_path: Path) -> None:
    write_late_sound(one := tmp_path / "one.ts", "mpegts", begin=0, seconds=1)
    (source := tmp_path / "two.ts").write_bytes(2 * one.read_bytes())
    error = error_of(TimestampError, source, tmp_path / "out.mkv", *PLAIN, "--dry-run")
    assert str(source) in error.problem
    assert all(word in error.hint for word in (f"-i {source} -map 0", "two-fixed.mkv"))
    assert run([str(source), str(tmp_path / "out.mkv"), *PLAIN, "--frames", "10", "-q"]) == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda path: os.utime(path, (1, 1)), "changed"),
        (lambda path: os.truncate(path, path.stat().st_size + 64), "bytes"),
    ],
)
def test_a_source_that_changes_meanwhile_is_told(
    tmp_path: Path, change: Callable[[Path], None], told: str
) -> None:
    make_clip(source := tmp_path / "in.mkv", **SMALL)
    with UpscaleRun(source, tmp_path / "out.mkv", FAST) as job:
        summary = job.run(lambda at: change(source) if at.frames == 2 else None)
    (finding,) = (one for one in summary.findings if one.kind == Kind.DAMAGED)
    assert told in finding.text


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda path: os.utime(path, (1, 1)), "was changed while it was read"),
        (lambda path: copy_over(path), "was replaced while it was read"),
    ],
)
def test_a_picture_of_a_sequence_that_changes_meanwhile_is_told(
    tmp_path: Path, change: Callable[[Path], None], told: str
) -> None:
    make_clip(tmp_path / "in.mkv", **SMALL)
    source = tmp_path / "%02d.png"
    assert run([str(tmp_path / "in.mkv"), str(source), *PLAIN[:4], "-q"]) == 0
    given = with_fields(FAST, {"rate": "24"})
    with UpscaleRun(source, tmp_path / "out.mkv", given) as job:
        fourth = tmp_path / "04.png"
        summary = job.run(lambda at: change(fourth) if at.frames == 2 else None)
    (finding,) = (one for one in summary.findings if one.kind == Kind.DAMAGED)
    assert told in finding.text


def copy_over(path: Path) -> None:
    """Replace a file by a copy of it."""
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


def test_a_file_is_kept_for_a_look_if_its_source_is_gone(tmp_path: Path) -> None:
    make_clip(source := tmp_path / "in.mkv", **SMALL)
    with (
        UpscaleRun(source, tmp_path / "out.mkv", FAST) as job,
        pytest.raises(VerificationError, match="deleted") as caught,
    ):
        job.run(lambda at: source.unlink() if at.frames == 2 else None)
    kept = Path(caught.value.hint[caught.value.hint.index(str(tmp_path)) :])
    with av.open(kept) as container:
        assert sum(1 for _ in container.decode(video=0)) == 6


def test_a_part_may_end_where_the_size_changes(tmp_path: Path, shared: Path) -> None:
    source = case(shared, "sizes.ts", tmp_path)
    assert run([str(source), str(tmp_path / "out.mkv"), *PLAIN, "--end", "1.178188", "-q"]) == 0


def test_the_picture_after_a_part_may_have_another_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = [tmp_path / f"{n}.ts" for n in range(2)]
    for number, part in enumerate(parts):
        options = {"output_ts_offset": str(number * 1.04)}
        write_late_sound(
            part, "mpegts", begin=0, seconds=1, options=options, width=64 + 32 * number
        )
    (source := tmp_path / "in.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    output = tmp_path / "out.mkv"
    assert run([str(source), str(output), *PLAIN, "-q"]) == 3
    error = capsys.readouterr().err
    told = re.search(r"in.ts at ([0-9.]+) s: the picture changes", error)
    assert told is not None, error
    assert run([str(source), str(output), *PLAIN, "--end", told[1]]) == 0
    shown = capsys.readouterr().out  # FFmpeg loses the last one where MPEG-2 changes its size
    assert re.search("2[45] frames of 64x48", shown)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_broadcast_that_begins_at_ten_hours_makes_no_such_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    source, output = tmp_path / "in.ts", tmp_path / f"out{suffix}"
    write_late_sound(source, "mpegts", begin=0, seconds=1, options={"output_ts_offset": "36000"})
    assert run([str(source), str(output), *PLAIN, "--json"]) == 0
    assert ("changed", "times") in found_in(result_in(capsys.readouterr().out))
    with av.open(output) as container:
        assert container.duration is not None
        assert container.duration < 2 * av.time_base
    assert run(["verify", str(output), "--against", str(source)]) == 0


def test_times_that_jump_by_hours_are_told_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = [tmp_path / f"{n}.ts" for n in range(2)]
    for number, part in enumerate(parts):
        options = {"output_ts_offset": str(number * 36000)}
        write_late_sound(part, "mpegts", begin=0, seconds=1, options=options)
    (source := tmp_path / "in.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    assert run([str(source), str(tmp_path / "out.mkv"), *PLAIN, "--dry-run", "--json"]) == 0
    plan = result_in(capsys.readouterr().out)
    (jump,) = (one for one in plan["findings"] if one["subject"] == "times")
    assert jump["kind"] == "damaged"
    assert "35999 s" in jump["text"]
    assert f"ffmpeg -i {source} -map 0 -c copy in-fixed.mkv" in jump["text"]
