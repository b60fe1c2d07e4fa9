"""Files of other people's tools, where the shared folder is there, and what comes of each."""

from pathlib import Path

import pytest

from ciaovideo.cli.main import run

MEDIA = Path(__file__).resolve().parents[2] / "shared" / "data" / "media"
SUFFIXES = (".mp4", ".mkv", ".mov")
FRAMES = 6
LIMIT_S = 3600  # a test takes seconds, with many others beside it minutes; this is for a hang
WITH_ALPHA = {"animation.mov", "jpeg2000.mov", "png.mov"}


def outcome(
    source: Path, output: Path, capsys: pytest.CaptureFixture[str], frames: int | None = FRAMES
) -> tuple[int, str]:
    """Exit code and error of an upscaling, after checking that nothing else is wrong with it."""
    before = set(output.parent.iterdir())
    limit = [] if frames is None else ["--frames", str(frames)]
    lossless = source.name in WITH_ALPHA and output.suffix != ".mp4"  # and without presets
    preset = [] if lossless else ["--preset", "ultrafast"]
    words = ["--scale", "1.5", "--model", "bicubic", *preset, *limit, "-q"]
    code = run([str(source), str(output), *words])
    error = capsys.readouterr().err
    assert "Traceback" not in error
    lines = error.strip().splitlines()
    left = set(output.parent.iterdir()) - before - {output}
    if code == 0:
        assert not left
        check = ["verify", str(output), "--against", str(source), *limit]
        assert run(check) == 0, capsys.readouterr()
        assert "verified" in capsys.readouterr().out
        return code, ""
    assert code in (2, 3)
    assert 1 <= len(lines) <= 2, error
    assert not output.exists()
    for path in left:  # only what failed its verification stays, and the error names it
        assert f"the file is kept as {path}" in error
    return code, error
