"""Verification as a user meets it: at the end of every run, and as a command of its own."""

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import ciaovideo
from ciaovideo.cli.main import run
from ciaovideo.errors import CiaoVideoError, MissingInputError, OpenError, OptionError
from ciaovideo.media.frame import Frame
from ciaovideo.media.write.writer import VideoWriter
from tests.commands import error_of
from tests.media import make_clip


def make_source(folder: Path, **settings: Any) -> Path:
    source = folder / "in.mp4"
    make_clip(source, **{"width": 64, "height": 48, "seconds": 1, "sound": True, **settings})
    return source


def words(capsys: pytest.CaptureFixture[str]) -> tuple[str, list[str]]:
    """What was printed, and the lines of the errors."""
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return out, err.splitlines()


@pytest.mark.parametrize("frames", [None, 7])
def test_a_run_says_that_it_verified(tmp_path: Path, frames: int | None) -> None:
    options = ciaovideo.UpscaleOptions(frames=frames)
    output = tmp_path / "out.mkv"
    summary = ciaovideo.upscale(make_source(tmp_path), output, scale=1.5, options=options)
    assert summary.verification.findings == ()
    assert summary.verification.frames == summary.frames == (frames or 24)
    assert summary.verification.pictures == 5
    assert 0 < summary.stage_seconds["verify"] < summary.seconds


def test_a_file_that_differs_is_kept_under_its_temporary_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = make_source(tmp_path), tmp_path / "out.mp4"
    write = VideoWriter.write

    def forgetful(self: VideoWriter, frame: Frame) -> None:
        if frame.time != Fraction(1, 2):
            write(self, frame)

    monkeypatch.setattr(VideoWriter, "write", forgetful)
    assert run([str(source), str(output), "--scale", "1", "-q"]) == 3
    _, errors = words(capsys)
    (kept,) = (path for path in tmp_path.iterdir() if path != source)
    problem, hint = errors
    for word in (str(output), "frame 12 ", "0.500000 s", "0.541667 s", "24", "23"):
        assert word in problem
    assert str(kept) in hint
    assert run(["verify", str(kept), "--against", str(source), "--json"]) == 3
    findings = json.loads(words(capsys)[0])["findings"]
    assert ("wrong", "video") in {(one["kind"], one["subject"]) for one in findings}


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, output = make_source(tmp_path), tmp_path / "out.mov"
    assert run([str(source), str(output), "--scale", "1.5", "--frames", "9", "-q"]) == 0
    words(capsys)
    check = ["verify", str(output), "--against", str(source)]
    assert run([*check, "--frames", "9"]) == 0
    out, errors = words(capsys)
    assert re.findall(r"\d+", out.removeprefix(str(output)))[:2] == ["9", "2"]
    assert not errors
    assert run([*check, "--frames", "9", "--json"]) == 0
    result = json.loads(words(capsys)[0])
    assert (result["frames"], result["findings"]) == (9, [])

    assert run(check) == 3  # the whole source was not asked for, and is not there
    out, errors = words(capsys)
    assert [line.partition(":")[0] for line in out.splitlines()] == ["wrong", "wrong"]
    assert len(errors) == 2
    assert run([*check, "--json"]) == 3
    findings = json.loads(words(capsys)[0])["findings"]
    assert [finding["kind"] for finding in findings] == ["wrong", "wrong"]


def test_what_cannot_be_verified_at_all(tmp_path: Path) -> None:
    source = make_source(tmp_path)
    text = tmp_path / "text.mp4"
    text.write_text("no video at all\n" * 100)
    cases: list[tuple[list[object], type[CiaoVideoError], object]] = [
        ([tmp_path / "none.mp4", "--against", source], MissingInputError, "none.mp4"),
        ([source, "--against", tmp_path], MissingInputError, tmp_path),
        ([source, "--against", source, "--frames", "0"], OptionError, "frames"),
        ([text, "--against", source], OpenError, text),
        ([source, "--against", text], OpenError, text),
    ]
    for arguments, kind, named in cases:
        assert str(named) in error_of(kind, "verify", *arguments).problem
