"""Kinds of input that people reported: names, clocks, streams and what a file says of them.

Each kind has a file that is made here, and, where the folder beside the project has it, the one
with which it was found.
"""

import lzma
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ciaovideo.cli.main import run
from ciaovideo.media.read.probe import probe
from tests.media import make_clip

SMALL = {"width": 64, "height": 48, "seconds": 0.25}
PLAIN = ["--model", "bicubic", "--scale", "1", "--preset", "ultrafast"]


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
    words = [sys.executable, "-m", "ciaovideo", odd, f"out-{odd}", *PLAIN]
    environment = os.environ | {"PYTHONIOENCODING": f"{coding}:strict"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    for more in (["--dry-run"], []):
        done = subprocess.run(
            [*words, *more], cwd=tmp_path, env=environment, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        shown = odd.encode("utf-8", "surrogateescape")
        shown = shown if coding == "utf-8" else odd.encode("ascii", "backslashreplace")
        assert shown in done.stdout


def test_a_loop_of_links_is_an_error_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_clip(clip := tmp_path / "in.mkv", **SMALL)
    (loop := tmp_path / "loop.mkv").symlink_to(loop)
    assert run([str(clip), str(loop), "--overwrite"]) == 2
    assert "the output" in (said := capsys.readouterr().err)
    assert "is a link that leads back to itself" in said
    assert run([str(loop), str(tmp_path / "out.mkv")]) == 2
    assert "is a link that leads back to itself" in capsys.readouterr().err
    assert loop.is_symlink()


def test_matroska_that_begins_late_lasts_no_longer(tmp_path: Path) -> None:
    make_clip(clip := tmp_path / "in.mkv", first_pts=24 * 36000, **SMALL)
    info = probe(clip).info
    assert info.duration_s == pytest.approx(0.25, abs=0.001)  # its clock counts milliseconds
    assert info.frame_count == 6


def test_a_file_of_a_camera_that_counts_from_1970(shared: Path, tmp_path: Path) -> None:
    assert probe(case(shared, "epoch.mkv", tmp_path)).info.frame_count == 25
