"""Standard input and output as a user's shell joins them; an ffmpeg of the system as encoder."""

import json
import os
import re
import signal
import subprocess
import time
from fractions import Fraction
from pathlib import Path

import av
import pytest

from ciaovideo.cli.main import run
from ciaovideo.errors import (
    CiaoVideoError,
    EncodeError,
    LossError,
    MissingInputError,
    OptionError,
    TimestampError,
    VerificationError,
)
from ciaovideo.media.clock import exact
from tests.commands import error_of, found_in, result_in
from tests.media import make_clip
from tests.needs import FFMPEG, needs_ffmpeg
from tests.outputs import counters, left_behind, packets, times
from tests.processes import command, fresh
from tests.waiting import ENDS_S, FAR_TOO_LONG_S, wait_until, wait_until_it_holds, wait_while_busy
from tests.y4m import FRAME, HEAD

VARYING = (0, 40, 41, 90, 170, 171, 300, 333, 400, 1000, 1003, 1100)


def test_from_a_file_through_two_pipes_into_a_file(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    make_clip(
        source,
        width=96,
        height=72,
        seconds=0.5,
        pix_fmt="yuv420p10le",
        sar=Fraction(4, 3),
        counter=True,
        sound=True,
        chapters=2,
    )
    first = command(source, "-", "--scale", "1.5", "-v", "--json")
    second = command("-", output, "--scale", "1.25", "--json", stdin=first.stdout)
    assert first.stdout is not None
    first.stdout.close()
    printed, said = (part.decode() for part in second.communicate(timeout=FAR_TOO_LONG_S))
    told = first.communicate(timeout=FAR_TOO_LONG_S)[1].decode()
    assert (first.returncode, second.returncode) == (0, 0), told + said
    assert counters(output) == list(range(12))
    assert times(output) == [Fraction(round(n * 1000 / 24), 1000) for n in range(12)]
    with av.open(output) as container:
        video = container.streams.video[0]
        assert (video.width, video.height, video.pix_fmt) == (180, 136, "yuv420p10le")
        assert exact(video.sample_aspect_ratio) == Fraction(4, 3)
    summary = result_in(told)
    assert [summary[key] for key in ("output", "frames", "out_size")] == ["-", 12, [108, 144]]
    lost = {("lost", subject) for subject in ("audio 1", "chapters", "color matrix")}
    assert lost | {("fell back", "verification")} <= found_in(summary)
    assert "-colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range tv" in told
    assert ("fell back", "verification") in found_in(result_in(printed))
    assert left_behind(tmp_path, "in.mkv", "out.mkv") == []


@needs_ffmpeg
def test_between_two_ffmpegs(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    make_clip(source, width=64, height=48, seconds=0.5, counter=True)
    give = [str(FFMPEG), "-v", "error", "-i", str(source), "-f", "yuv4mpegpipe", "-"]
    take = [str(FFMPEG), "-v", "error", "-i", "-", "-c:v", "ffv1", str(output)]
    giver = subprocess.Popen(give, stdout=subprocess.PIPE)
    middle = command("-", "-", "--scale", "2.5", stdin=giver.stdout)
    taker = subprocess.Popen(take, stdin=middle.stdout)
    for pipe in (giver.stdout, middle.stdout):
        assert pipe is not None
        pipe.close()
    middle.communicate(timeout=FAR_TOO_LONG_S)
    assert [process.wait(FAR_TOO_LONG_S) for process in (giver, middle, taker)] == [0, 0, 0]
    assert counters(output) == list(range(12))


def test_nothing_but_pictures_on_standard_output(tmp_path: Path) -> None:
    source, bare = tmp_path / "in.mp4", tmp_path / "out.y4m"
    make_clip(source, width=64, height=48, seconds=0.25, color=(5, 2, 1, 1, 2))
    words = ("--scale", "1.5", "--frames", "5")
    # A process as a shell starts it: libraries might greet as they are loaded.
    process = command(source, "-", *words, "--json", "-q", start=fresh)
    data, told = process.communicate(timeout=FAR_TOO_LONG_S)
    assert process.returncode == 0, told
    assert data.startswith(b"YUV4MPEG2 W96 H72 F24:1 Ip A0:0 C420jpeg XCOLORRANGE=FULL\nFRAME\n")
    summary = json.loads(told)
    assert (summary["output"], summary["verification"]["frames"]) == ("-", 5)
    assert run([str(source), str(bare), *words, "-q"]) == 0  # verified, as files are
    assert bare.read_bytes() == data
    assert run(["verify", str(bare), "--against", str(source), "--frames", "5"]) == 0


def test_fields_of_a_pipe_are_known_by_its_header(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    data = HEAD.replace(b"Ip", b"It") + FRAME * 3
    process = command("-", output, "--deinterlace", "field", "--scale", "1", "--json")
    printed, said = process.communicate(data, timeout=FAR_TOO_LONG_S)
    assert process.returncode == 0, said
    assert ("chosen", "interlacing") in found_in(result_in(printed.decode()))
    assert times(output) == [Fraction(n, 50) for n in range(6)]
    output.unlink()
    process = command("-", "-", "--deinterlace", "off", "--force", "--scale", "1")
    made, said_bytes = process.communicate(data, timeout=FAR_TOO_LONG_S)
    assert process.returncode == 0, said_bytes
    assert made.startswith(b"YUV4MPEG2 W64 H48 F25:1 It A1:1 C420mpeg2")


def test_varying_times_need_force(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in.mp4"
    make_clip(source, width=64, height=48, pts=VARYING, time_base=Fraction(1, 1000))
    output = tmp_path / "out.y4m"
    assert "force" in error_of(TimestampError, source, output).hint
    assert not output.exists()
    assert run([str(source), str(output), "--force", "--scale", "1", "--json"]) == 0
    assert ("lost", "frame times") in found_in(result_in(capfd.readouterr().out))
    assert times(output) == [Fraction(n, 10) for n in range(12)]
    error_of(LossError, source, "-", "--force", "--strict")


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    make_clip(source, width=160, height=120, seconds=4)
    process = command(source, "-", "--scale", "2", "-q", stdin=subprocess.DEVNULL)
    assert process.stdout is not None
    assert process.stdout.read(100_000)
    process.stdout.close()
    assert process.wait(FAR_TOO_LONG_S) == 141
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()


def test_input_that_breaks_off_is_an_error(tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    process = command("-", output, "-q")
    said = process.communicate(HEAD + FRAME * 2 + FRAME[:-100], timeout=FAR_TOO_LONG_S)[1].decode()
    assert process.returncode == 3
    assert said.startswith("ciaovideo: standard input ")
    assert len(said.splitlines()) == 2
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("frames", [0, 3], ids=["before the header", "between frames"])
def test_ctrl_c_ends_a_wait_for_input(tmp_path: Path, frames: int) -> None:
    output = tmp_path / "out.mkv"
    process = command("-", output, "--scale", "1.5")
    assert process.stdin is not None
    assert process.stderr is not None
    if frames:
        process.stdin.write(HEAD + FRAME * frames)
        process.stdin.flush()
        wait_until(lambda: list(tmp_path.glob(".out.*")))
    wait_while_busy(process)
    process.send_signal(signal.SIGINT)
    assert process.wait(ENDS_S) == 130
    assert b"Traceback" not in process.stderr.read()
    for pipe in (process.stdin, process.stdout, process.stderr):
        assert pipe is not None
        pipe.close()
    assert left_behind(tmp_path) == []


def test_ctrl_c_while_libraries_load_is_no_crash() -> None:
    for delay in (0, 0.1, 0.3):
        process = command("-", "-", "--scale", "1.5", start=fresh)
        wait_until_it_holds(process, "libtorch")  # Python is up, and libraries are being loaded
        time.sleep(delay)  # several moments of the loading, of which nothing tells
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=FAR_TOO_LONG_S)[1]
        assert process.returncode in (130, -signal.SIGINT)
        assert b"terminate called" not in said


def test_ctrl_c_ends_a_wait_for_a_reader(tmp_path: Path) -> None:
    """More than a pipe holds, and nobody takes it."""
    source = tmp_path / "in.mkv"
    make_clip(source, width=320, height=240, seconds=1)
    process = command(source, "-", "--scale", "2", "--model", "bicubic", "-q")
    assert process.stdout is not None
    assert process.stdout.read(9) == b"YUV4MPEG2"
    wait_while_busy(process)
    process.send_signal(signal.SIGINT)
    assert process.wait(ENDS_S) == 130
    for pipe in (process.stdin, process.stdout, process.stderr):
        assert pipe is not None
        pipe.close()


def test_what_makes_no_sense_with_a_pipe(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_clip(Path("in.mp4"), width=64, height=48, seconds=0.125)
    make_clip(Path("rgb.mkv"), width=64, height=48, seconds=0.125, codec="ffv1", options={})
    make_clip(
        Path("rgb.mkv"),
        width=64,
        height=48,
        seconds=0.125,
        codec="ffv1",
        options={},
        pix_fmt="gbrp10le",
        color=(0, 2, 1, 1, 0),
    )
    cases: list[tuple[list[str], type[CiaoVideoError], str]] = [
        (["in.mp4", "-", "--overwrite"], OptionError, "standard output"),
        (["in.mp4", "-", "--codec", "ffv1"], OptionError, "codec"),
        (["in.mp4", "-", "--crf", "20"], OptionError, "crf"),
        (["in.mp4", "-", "--tag-guessed"], OptionError, "YUV4MPEG2"),
        (["in.mp4", "-", "--via-ffmpeg=-c:v ffv1"], OptionError, "YUV4MPEG2"),
        (["in.mp4", "o.mkv", "--via-ffmpeg=-c:v ffv1", "--crf", "3"], OptionError, "crf"),
        (["rgb.mkv", "-"], OptionError, "R'G'B'"),
        (["./-", "out.mkv"], MissingInputError, str(Path("-").absolute())),
    ]
    for words, kind, named in cases:
        assert named in error_of(kind, *words).problem
        assert capfd.readouterr().out == ""
    assert left_behind(tmp_path, "in.mp4", "rgb.mkv") == []


FULL = {
    "width": 96,
    "height": 72,
    "counter": True,
    "sound": True,
    "subtitle": "A word.",
    "chapters": 2,
    "sar": Fraction(4, 3),
    "tags": {"title": "A title"},
    "color": (9, 1, 9, 16, 3),
}


@needs_ffmpeg
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_an_ffmpeg_of_the_system_keeps_everything(tmp_path: Path, suffix: str) -> None:
    source, output = tmp_path / "in.mov", tmp_path / f"out{suffix}"
    pts = tuple(90 * ms + 450 for ms in VARYING)  # the first is not zero
    make_clip(source, pts=pts, time_base=Fraction(1, 90000), **FULL)
    words = [str(source), str(output), "--scale", "1.5", "-q", "--via-ffmpeg=-c:v libx264 -crf 9"]
    assert run(words) == 0
    assert run(["verify", str(output), "--against", str(source)]) == 0
    assert counters(output) == list(range(12))
    assert times(output) == times(source)
    assert [data for _, data in packets(output, "audio")] == [
        data for _, data in packets(source, "audio")
    ]
    with av.open(output) as container:
        frame = next(container.decode(video=0))
        tags = (frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc)
        assert (*tags, frame.chroma_location) == (9, 1, 9, 16, 3)
        assert container.metadata["title"] == "A title"
        assert len(container.chapters()) == 2
    assert left_behind(tmp_path, source.name, output.name) == []


@needs_ffmpeg
def test_an_ffmpeg_of_the_system_and_a_limit(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    make_clip(source, seconds=1, **FULL)
    words = [str(source), str(output), "--frames", "7", "--scale", "1", "-q"]
    assert run([*words, "--via-ffmpeg=-c:v libx264 -crf 9 -vf null"]) == 0
    assert counters(output) == list(range(7))
    end = times(source)[7]
    heard = [packet for packet in packets(source, "audio") if packet[0] < end]
    assert packets(output, "audio") == heard


def fake_ffmpeg(folder: Path, monkeypatch: pytest.MonkeyPatch, then: str) -> None:
    """An ffmpeg that does what it should in the trial, and something else in the run."""
    (folder / "bin").mkdir()
    program = folder / "bin" / "ffmpeg"
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *trial*|-version) exec {FFMPEG} "$@";; esac\n{then}\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")


@needs_ffmpeg
@pytest.mark.parametrize(
    ("then", "named"),
    [
        ("head -c 50000 >/dev/null; echo boom >&2; exit 9", ("9", "boom")),
        ("kill -9 $$", ("signal 9",)),
        ("cat >/dev/null; echo late >&2; exit 3", ("3", "late")),
    ],
)
def test_an_ffmpeg_that_dies_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str, named: tuple[str, ...]
) -> None:
    source = tmp_path / "in.mp4"
    make_clip(source, width=160, height=120, seconds=0.5)
    fake_ffmpeg(tmp_path, monkeypatch, then)
    words = [str(source), str(tmp_path / "out.mkv"), "--scale", "1", "-q"]
    error = error_of(EncodeError, *words, "--via-ffmpeg=-c:v ffv1")
    assert all(word in error.problem for word in named)
    assert left_behind(tmp_path, "in.mp4", "bin") == []


@needs_ffmpeg
def test_ctrl_c_ends_an_ffmpeg_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, mark = tmp_path / "in.mp4", tmp_path / "started"
    make_clip(source, width=160, height=120, seconds=1)
    fake_ffmpeg(tmp_path, monkeypatch, f"echo $$ >{mark}; exec sleep 1000")
    process = command(source, tmp_path / "out.mkv", "--via-ffmpeg=-c:v ffv1", "--scale", "2")
    wait_until(lambda: mark.exists() and mark.read_text().strip())
    wait_while_busy(process)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=ENDS_S)[1]
    assert process.returncode == 130
    assert b"Traceback" not in said
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)
    assert left_behind(tmp_path, "in.mp4", "bin", "started") == []


@needs_ffmpeg
def test_a_mismatch_that_no_trial_shows_is_found(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mkv"
    make_clip(source, width=96, height=72, seconds=0.5, counter=True)
    words = [str(source), str(output), "--scale", "1", "-q"]
    error = error_of(VerificationError, *words, "--via-ffmpeg=-c:v ffv1 -vf negate")
    assert "frame 0 " in error.problem
    third = "--via-ffmpeg=-c:v ffv1 -vf 'select=not(mod(n\\,3))'"
    error = error_of(VerificationError, *words, third)
    assert {"12", "4"} <= set(re.findall(r"\d+", error.problem))
    assert not output.exists()
