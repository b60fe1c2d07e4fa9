"""The filter in a real host: ``vspipe`` as a process, on files, into pipes, interrupted."""

import json
import os
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.media import make_clip, read_counter
from tests.vspipe import HAS_BESTSOURCE, PROGRAMS, at_once, frames_of, lumas, surroundings, vspipe
from tests.waiting import FAR_TOO_LONG_S, wait_until

pytestmark = [
    pytest.mark.vapoursynth,
    pytest.mark.skipif(not HAS_BESTSOURCE, reason="the scripts read files with BestSource"),
]

SCRIPT = """
import vapoursynth as vs
from vsciaovideo import upscale
clip = vs.core.bs.VideoSource(source, cachemode=0)
restore = float(globals().get("restore", 0))
clip = upscale(clip, 1.5, device="cpu", precision="fp32", restore=restore)
clip.set_output()
"""
ENDLESS = """
import vapoursynth as vs
from vsciaovideo import upscale
clip = vs.core.std.BlankClip(format=vs.YUV420P8, width=96, height=64, length=1000000, keep=True)
upscale(clip.std.SetFrameProps(_Matrix=1), 1.5, device="cpu").set_output()
"""


def test_every_frame_of_a_file_arrives_in_y4m(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mkv", width=160, height=90, seconds=0.5, counter=True)
    done = vspipe(SCRIPT, tmp_path, "-a", "source=clip.mkv", "-c", "y4m", "out.y4m")
    assert done.returncode == 0, done.stderr
    assert done.stdout == b""
    made = lumas(tmp_path / "out.y4m")
    assert [read_counter(luma) for luma in made] == list(range(12))
    assert {luma.shape for luma in made} == {(136, 240)}  # 135 is no height for 4:2:0


def test_the_pipe_gets_the_frames_and_nothing_else(tmp_path: Path) -> None:
    """The first script of a process is the one whose libraries could greet on standard output."""
    make_clip(tmp_path / "clip.mkv", width=160, height=90, seconds=0.25)
    done = vspipe(SCRIPT, tmp_path, "-a", "source=clip.mkv", "-")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) == 6 * 240 * 136 * 3 // 2


def test_properties_and_times_are_the_source_frames(tmp_path: Path) -> None:
    times = (0, 40, 120, 240, 280, 360)
    make_clip(
        tmp_path / "clip.mkv",
        width=160,
        height=90,
        pts=times,
        time_base=Fraction(1, 1000),
        color=(6, 2, 6, 6, 3),
        sar=Fraction(4, 3),
    )
    last = "clip = clip[:-1] + clip[-1].std.SetFrameProps(_DurationNum=1, _DurationDen=25)\n"
    script = SCRIPT.replace("clip.set_output", f"{last}clip.set_output")
    done = vspipe(
        script, tmp_path, "-a", "source=clip.mkv", "-j", "props.json", "-t", "times.txt", "--"
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "props.json").read_text(encoding="utf-8"))
    written = (tmp_path / "times.txt").read_text(encoding="ascii").splitlines()[1:]
    assert [float(line) for line in written[:6]] == list(times)
    plain = script.replace("clip = upscale", "_ = upscale")
    vspipe(plain, tmp_path, "-a", "source=clip.mkv", "-j", "plain.json", "--")
    assert found == json.loads((tmp_path / "plain.json").read_text(encoding="utf-8"))
    assert found[0]["_Matrix"] == 6
    assert found[0]["_Range"] == 1
    assert found[0]["_ChromaLocation"] == 2


@pytest.mark.parametrize("name", ["clips/bikes.mp4", "depth/h264_10bits.mp4"])
def test_files_from_elsewhere_equal_the_command_line(
    name: str, tmp_path: Path, shared: Path
) -> None:
    """To the last bit."""
    path = shared / "data" / "media" / name
    given = ("-a", f"source={path}", "-a", "restore=0.4")
    done = vspipe(SCRIPT, tmp_path, *given, "-e", "1", "-c", "y4m", "out.y4m")
    assert done.returncode == 0, done.stderr
    words = ["--scale=1.5", "--frames=2", "--device=cpu", "--precision=fp32", "--codec=ffv1"]
    words.append("--restore=0.4")
    command = [sys.executable, "-m", "ciaovideo", str(path), "out.mkv", *words]
    subprocess.run(
        command, check=True, cwd=tmp_path, env=surroundings(tmp_path), timeout=FAR_TOO_LONG_S
    )
    ours, theirs = frames_of(tmp_path / "out.mkv"), frames_of(tmp_path / "out.y4m")
    assert len(ours) == len(theirs) == 2
    for frame, expected in zip(theirs, ours, strict=True):
        for plane, wanted in zip(frame.planes, expected.planes, strict=True):
            np.testing.assert_array_equal(plane.numpy(), wanted.numpy())


def test_two_at_once_make_what_one_makes(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mkv", width=96, height=64, seconds=0.25)
    (tmp_path / "script.vpy").write_text(SCRIPT, encoding="utf-8")
    one, other = at_once([["-a", "source=clip.mkv", "script.vpy", "-"]] * 2, tmp_path)
    assert one == other
    assert len(one) == 6 * 144 * 96 * 3 // 2


def test_an_interrupt_ends_everything(tmp_path: Path) -> None:
    """``vspipe`` is two processes, and a terminal interrupts both."""
    (tmp_path / "script.vpy").write_text(ENDLESS, encoding="utf-8")
    output, frame_bytes = tmp_path / "out.yuv", 144 * 96 * 3 // 2
    with subprocess.Popen(
        [PROGRAMS / "vspipe", "script.vpy", output],
        cwd=tmp_path,
        env=surroundings(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # Processes in the background may have been told to ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        wait_until(lambda: output.exists() and output.stat().st_size > frame_bytes)
        os.killpg(process.pid, signal.SIGINT)
        assert process.communicate(timeout=FAR_TOO_LONG_S) == (b"", b"")
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


@pytest.mark.parametrize(
    ("settings", "text"),
    [("scale=50", "upscale: scale 50 is outside 1 to 30"), ("model='x'", "upscale: no model is")],
)
def test_an_error_in_a_script_is_shown(settings: str, text: str, tmp_path: Path) -> None:
    script = ENDLESS.replace('1.5, device="cpu"', settings)
    done = vspipe(script, tmp_path, "--")
    assert done.returncode != 0
    assert text in done.stderr.decode()
    assert done.stdout == b""


def test_an_error_in_a_frame_is_shown(tmp_path: Path) -> None:
    late = "clip[:3] + clip[3:].std.SetFrameProps(_FieldBased=1)"
    script = ENDLESS.replace("clip.std.SetFrameProps", f"({late}).std.SetFrameProps")
    done = vspipe(script, tmp_path, "--")
    assert done.returncode != 0
    assert "upscale: frame 3: the picture is interlaced" in done.stderr.decode()


def test_a_script_that_leaves_in_the_middle_ends_cleanly(tmp_path: Path) -> None:
    script = f"{ENDLESS}\nfor n, frame in zip(range(3), vs.get_output(0).clip.frames()): pass\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env=surroundings(tmp_path),
        capture_output=True,
        check=False,
        timeout=FAR_TOO_LONG_S,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
