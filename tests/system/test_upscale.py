"""The command as a user runs it: whole files in, whole files out, nothing left when it fails."""

import json
import os
import resource
import shutil
import signal
import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import ciaovideo
from ciaovideo.cli.main import run
from ciaovideo.data.sampling import bicubic_matrix
from ciaovideo.errors import (
    BackendError,
    CiaoVideoError,
    CorruptWeightsError,
    InterlacedError,
    MissingInputError,
    MissingWeightsError,
    OpenError,
    OptionError,
    OutputExistsError,
    PrecisionError,
    UnknownNameError,
    UnsupportedScaleError,
)
from ciaovideo.media.clock import exact
from ciaovideo.models.networks.consistent import BOUND
from tests.commands import error_of, found_in, result_in
from tests.media import make_clip
from tests.outputs import counters, field_counters, left_behind, packets, times
from tests.processes import STREAMS, command
from tests.waiting import ENDS_S, FAR_TOO_LONG_S, wait_until


def test_every_frame_comes_out_once_at_its_time(tmp_path: Path) -> None:
    pts = (0, 40, 41, 90, 170, 171, 300, 333, 400, 1000, 1003, 1100)
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    make_clip(
        source,
        width=128,
        height=96,
        pts=pts,
        time_base=Fraction(1, 1000),
        counter=True,
        sound=True,
        subtitle="A word.",
        chapters=2,
        sar=Fraction(4, 3),
        tags={"title": "A title"},
    )
    assert run([str(source), str(output), "--scale", "2.5", "-q"]) == 0
    assert counters(output) == list(range(12))
    assert times(output) == times(source)
    assert packets(output, "audio") == packets(source, "audio")
    assert packets(output, "subtitle") == packets(source, "subtitle")
    with av.open(output) as made, av.open(source) as given:
        video = made.streams.video[0]
        assert (video.width, video.height) == (320, 240)
        assert exact(video.sample_aspect_ratio) == Fraction(4, 3)
        assert len(made.chapters()) == len(given.chapters()) == 2
        assert made.metadata["title"] == "A title"
        frame, before = next(made.decode(video=0)), next(given.decode(video=0))
        for tag in ("colorspace", "color_range", "color_primaries", "color_trc"):
            assert getattr(frame, tag) == getattr(before, tag)
    assert left_behind(tmp_path, "in.mp4", "out.mp4") == []


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (["--size", "333x222"], (333, 222)),
        (["--width", "200"], (200, 150)),
        (["--height", "151"], (202, 151)),
        (["--scale", "1"], (128, 96)),
        ([], (256, 192)),
    ],
)
def test_sizes(tmp_path: Path, options: list[str], size: tuple[int, int]) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mkv"
    make_clip(source, width=128, height=96, seconds=0.125)
    assert run([str(source), str(output), *options, "-q"]) == 0
    with av.open(output) as container:
        frame = next(container.decode(video=0))
    assert (frame.width, frame.height) == size
    chroma = "444" if size[0] % 2 else "422" if size[1] % 2 else "420"
    assert frame.format.name == f"yuv{chroma}p"


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv422p", "yuv444p", "gray", "gbrp10le"])
def test_layouts_stay_what_they_are(tmp_path: Path, pix_fmt: str) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    color = (0, 2, 1, 1, 0) if pix_fmt == "gbrp10le" else (1, 1, 1, 1, 0)
    make_clip(
        source,
        width=96,
        height=64,
        seconds=0.125,
        codec="ffv1",
        options={},
        pix_fmt=pix_fmt,
        color=color,
    )
    assert run([str(source), str(output), "--codec", "ffv1", "-q"]) == 0
    with av.open(output) as container, av.open(source) as given:
        assert container.streams.video[0].pix_fmt == given.streams.video[0].pix_fmt
        made, before = next(container.decode(video=0)), next(given.decode(video=0))
        mean = [np.asarray(f.to_ndarray(format="gray")).mean() for f in (made, before)]
    assert abs(mean[0] - mean[1]) < 1.5


def test_repeated_frames_are_computed_once(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    still = np.full((64, 96), 100, np.uint8)
    with av.open(source, "w") as container:
        video = container.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = 96, 64, "gray"
        for number in range(6):
            frame = av.VideoFrame.from_ndarray(still + 10 * (number >= 4), format="gray")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    summary = ciaovideo.upscale(source, output, scale=2)
    assert (summary.frames, summary.computed) == (6, 2)
    assert len(times(output)) == 6


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    make_clip(source, width=64, height=48, seconds=0.25, sound=True)
    assert run([str(source), str(output), "--scale", "3", "--dry-run"]) == 0
    text = capsys.readouterr().out
    for word in (
        "192x144",
        "ciaosr",
        "BT709",
        "audio 1: aac",
        "MB",
        "libx264",
        "crf=16",
    ):
        assert word in text
    assert run([str(source), str(output), "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["out_size"] == [96, 128]
    assert plan["seconds_per_frame"] > 0
    assert left_behind(tmp_path, "in.mp4") == []


def test_the_summary_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    make_clip(source, width=64, height=48, seconds=0.5)
    assert run([str(source), str(output), "--frames", "3", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["frames"], summary["out_size"]) == (3, [96, 128])
    told = [finding for finding in summary["findings"] if finding["kind"] == "chosen"]
    codec, restore = told
    assert (codec.keys(), codec["time"]) == ({"kind", "subject", "text", "time"}, None)
    assert (codec["subject"], restore["subject"]) == ("codec", "restore")
    for finding, named in ((codec, "libx264"), (restore, f"{summary['restore']:g}")):
        assert named in finding["text"]
    assert set(summary["stage_seconds"]) == {"decode", "compute", "encode", "verify"}
    assert len(times(output)) == 3


def test_a_consistent_output_reduced_again_is_its_source(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    shape: dict[str, Any] = {"codec": "ffv1", "pix_fmt": "gbrp10le", "options": {}}
    make_clip(source, width=64, height=48, seconds=0.1, **shape)
    words = [str(source), str(output), "--scale", "2.5", "--codec", "ffv1", "--bit-depth", "16"]
    down, across = bicubic_matrix(120, 48).numpy(), bicubic_matrix(160, 64).numpy()
    off = []
    for more in ([], ["--consistent"]):
        assert run([*words, "--overwrite", "--quiet", *more]) == 0
        with av.open(source) as given, av.open(output) as made:
            lr, sr = (next(file.decode(video=0)).to_ndarray() for file in (given, made))
        back = np.einsum("hH,HWc,wW->hwc", down, sr.astype(np.float32) / 65536, across)
        off.append(abs(back - lr / 1024))  # codes of limited range grow by whole bits
    assert np.median(off[0]) > 10 * BOUND
    assert np.quantile(off[1], 0.8) < BOUND  # others are near what was clamped, at black and white


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip that takes many seconds to upscale."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    make_clip(path, seconds=3, sound=True, fps=Fraction(12))
    return path


def test_what_a_user_can_get_wrong(tmp_path: Path, clip: Path) -> None:
    source, there = tmp_path / "in.mp4", tmp_path / "there.mp4"
    shutil.copy(clip, source)
    there.write_bytes(b"precious")
    link = tmp_path / "link.mp4"
    link.symlink_to(source)
    text, out = tmp_path / "text.mp4", tmp_path / "out.mp4"
    text.write_text("no video at all\n" * 100)
    truncated = tmp_path / "cut.mp4"
    truncated.write_bytes(source.read_bytes()[:3000])
    weights = tmp_path / "bad.safetensors"
    weights.write_bytes(b"\0" * 64)
    cases: list[tuple[list[object], type[CiaoVideoError], str]] = [
        ([tmp_path / "none.mp4", out], MissingInputError, "none.mp4"),
        ([tmp_path, out], MissingInputError, str(tmp_path)),
        ([source, there], OutputExistsError, "there.mp4"),
        ([source, source, "--overwrite"], OutputExistsError, "in.mp4"),
        ([source, link, "--overwrite"], OutputExistsError, "link.mp4"),
        ([source, tmp_path / "no" / "out.mp4"], OptionError, str(tmp_path / "no")),
        ([source, tmp_path / "out.xyz"], OptionError, ".xyz"),
        ([source, out, "--scale", "0.5"], UnsupportedScaleError, "0.5"),
        ([source, out, "--scale", "31"], UnsupportedScaleError, "31"),
        ([source, out, "--size", "100x100"], UnsupportedScaleError, "100"),
        ([source, out, "--size", "huge"], OptionError, "huge"),
        ([source, out, "--scale", "2", "--width", "700"], OptionError, "width"),
        ([source, out, "--model", "ciaosr-fats"], UnknownNameError, "'ciaosr-fast'"),
        ([source, out, "--codec", "libx266"], UnknownNameError, "'libx26"),
        ([source, out, "--crf", "99"], OptionError, "0 to 51"),
        ([source, out, "--crf", "20", "--codec-option", "crf=20"], OptionError, "crf"),
        ([source, out, "--frames", "0"], OptionError, "frames"),
        ([source, out, "--device", "cuda:77"], BackendError, "cuda:77"),
        ([source, out, "--precision", "fp16", "--device", "cpu"], PrecisionError, "fp16"),
        ([source, out, "--weights", tmp_path / "none.pth"], MissingWeightsError, "none.pth"),
        ([source, out, "--weights", weights], CorruptWeightsError, str(weights)),
        ([text, out], OpenError, str(text)),
        ([truncated, out], OpenError, str(truncated)),
    ]
    known = [path.name for path in tmp_path.iterdir()]
    for words, kind, named in cases:
        error = error_of(kind, *words)
        assert named in str(error), words
        assert "\n" not in str(error)
    assert left_behind(tmp_path, *known) == []
    assert there.read_bytes() == b"precious"


@pytest.mark.parametrize("bottom_first", [False, True])
def test_interlaced_frames_come_out_whole_at_their_times(
    tmp_path: Path, bottom_first: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output, fields = (tmp_path / f"{name}.mp4" for name in ("in", "out", "fields"))
    pts = (0, 40, 80, 81, 170, 171, 300, 333, 400, 1000, 1003, 1100)
    make_clip(
        source,
        width=96,
        height=72,
        pts=pts,
        time_base=Fraction(1, 1000),
        interlaced=True,
        bottom_first=bottom_first,
        counter=True,
        sound=True,
    )
    shown = times(source)
    assert run([str(source), str(output), "--scale", "1.5", "--json"]) == 0
    assert ("chosen", "interlacing") in found_in(result_in(capsys.readouterr().out))
    assert field_counters(output) == list(range(0, 24, 2))
    assert times(output) == shown
    words = [str(source), str(fields), "--scale", "1.5", "--deinterlace", "field"]
    assert run([*words, "--frames", "21", "--json"]) == 0
    assert ("chosen", "interlacing") in found_in(result_in(capsys.readouterr().out))
    assert field_counters(fields) == list(range(21))
    middles = [(a + b) / 2 for a, b in pairwise(shown)]
    assert times(fields) == sorted([*shown, *middles])[:21]
    end = middles[10]
    assert packets(output, "audio") == packets(source, "audio")
    heard = [packet for packet in packets(source, "audio") if packet[0] < end]
    assert packets(fields, "audio") == heard
    for path in (output, fields):
        with av.open(path) as container:
            assert container.streams.video[0].codec_context.field_order == 1
            assert not any(frame.interlaced_frame for frame in container.decode(video=0))


def test_interlaced_pictures_are_refused_or_forced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    make_clip(source, width=64, height=64, seconds=0.25, interlaced=True)
    words = [str(source), str(output), "--deinterlace", "off"]
    assert str(source) in error_of(InterlacedError, *words).problem
    assert left_behind(tmp_path, "in.mkv") == []
    assert run([*words, "--force", "--json"]) == 0
    assert ("chosen", "interlacing") in found_in(result_in(capsys.readouterr().out))
    assert times(output) == times(source)


@pytest.mark.parametrize(
    ("sar", "options", "size"),
    [
        (Fraction(4, 3), ["--scale", "1.5"], (192, 108)),
        (Fraction(3, 4), ["--scale", "1"], (96, 96)),
        (Fraction(16, 11), ["--height", "100"], (194, 100)),
        (None, ["--scale", "1.5"], (144, 108)),
    ],
)
def test_square_pixels(
    tmp_path: Path, sar: Fraction | None, options: list[str], size: tuple[int, int]
) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mkv"
    make_clip(source, width=96, height=72, seconds=0.125, sar=sar, counter=True)
    assert run([str(source), str(output), *options, "--square-pixels", "-q"]) == 0
    with av.open(output) as container:
        video = container.streams.video[0]
        assert (video.width, video.height) == size
        assert exact(video.sample_aspect_ratio) == 1
    assert counters(output) == [0, 1, 2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it(tmp_path: Path, clip: Path, number: signal.Signals) -> None:
    output = tmp_path / "out.mp4"
    process = command(clip, output, "--scale", "4", text=True)
    wait_until(lambda: list(tmp_path.glob(".out.*.part.mp4")))
    assert process.poll() is None
    process.send_signal(number)
    _, error = process.communicate(timeout=ENDS_S)
    assert process.returncode == 128 + number
    assert "Traceback" not in error
    assert left_behind(tmp_path) == []


def test_a_full_disk_leaves_nothing(tmp_path: Path, clip: Path) -> None:
    output = tmp_path / "out.mp4"

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    words = ("--scale", "2", "--model", "bicubic", "--crf", "5", "--preset", "ultrafast")
    process = command(clip, output, *words, text=True, preexec_fn=limit)
    _, error = process.communicate(timeout=FAR_TOO_LONG_S)
    assert process.returncode == 3, error
    assert "Traceback" not in error
    assert left_behind(tmp_path) == []


def test_damaged_input_is_survived_or_refused(tmp_path: Path, clip: Path) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    data = bytearray(clip.read_bytes())
    for place in range(5000, len(data) - 5000, 2000):
        data[place] ^= 0xFF
    source.write_bytes(data)
    code = run([str(source), str(output), "--scale", "1.5", "--frames", "20", "-q"])
    assert code in (0, 3)
    assert output.exists() == (code == 0)
    assert left_behind(tmp_path, "in.mp4", "out.mp4") == []


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    make_clip(source, width=64, height=48, seconds=12.5, sound=True)

    def peak(frames: int) -> int:
        words = (source, tmp_path / f"{frames}.mp4", "--frames", frames, "-q")
        streams: dict[str, Any] = dict.fromkeys(STREAMS, subprocess.DEVNULL)
        process = command(*words, **streams)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return usage.ru_maxrss  # KiB

    short, long = peak(10), peak(300)
    assert long < short + 20 * 1024


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "frames"),
    [("clips/carphone_pristine.mp4", None), ("clips/bikes.mp4", 20), ("mkv/sample.mkv", 8)],
)
def test_real_footage(tmp_path: Path, shared: Path, name: str, frames: int | None) -> None:
    source = shared / "data" / "media" / name
    output = tmp_path / f"out{source.suffix}"
    words = [str(source), str(output), "--scale", "1.1", "--preset", "ultrafast", "-q"]
    assert run([*words, *(["--frames", str(frames)] if frames else [])]) == 0
    shown = times(source)
    assert times(output) == shown[:frames]
    with av.open(source) as container:
        silent = not container.streams.audio
    if silent:
        return
    end = shown[frames] if frames else None
    expected = [packet for packet in packets(source, "audio") if end is None or packet[0] < end]
    assert packets(output, "audio") == expected
