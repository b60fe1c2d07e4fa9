"""Real files made by other people's tools: each comes out verified, or is refused for a reason.

The network is replaced by bicubic interpolation, since what is tested is the way of the file.
Each file goes into one kind of container, in turns; into every kind where CIAOVIDEO_FULL is set.
"""

import os
import re
from pathlib import Path

import pytest
import torch

from ciaovideo.cli.main import run

MEDIA = Path(__file__).resolve().parents[3] / "shared" / "data" / "media"
SUFFIXES = (".mp4", ".mkv", ".mov")
FRAMES = 6
DAMAGED = "Invalid data found|no picture of"
SILENT = "no video"  # it holds sound only
WITH_ALPHA = {"animation.mov", "jpeg2000.mov", "png.mov"}
# Files that may be refused, and what the error then says; every other one must come out.
REFUSED = {
    "drm/sample_fragmented_clearkey.mp4": DAMAGED,  # encrypted
    "mkv/bbb_960x540_60fps_vp8.webm": "mov cannot hold the sound",  # Vorbis, in .mov only
    "mkv/full_blocks.mkv": SILENT,
    "mp4/sample_audio_only.mp4": SILENT,
    "mp4/sample_eac3.mp4": SILENT,
    "mp4/sample_malformed_free_box.mp4": DAMAGED,
    "mp4/video_dovi_3840x2160_30fps_dav1_10.mp4": "no decoder for the video",
    "webm/invalid-bitstream.webm": DAMAGED,
}


def cases() -> list[tuple[str, str]]:
    """Which file goes into which kind of container."""
    names = sorted(str(path.relative_to(MEDIA)) for path in MEDIA.rglob("*") if path.is_file())
    if os.environ.get("CIAOVIDEO_FULL"):
        return [(name, suffix) for name in names for suffix in SUFFIXES]
    return [(name, SUFFIXES[number % len(SUFFIXES)]) for number, name in enumerate(names)]


CASES = cases()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(90),
    pytest.mark.skipif(not CASES, reason="no folder shared/data/media beside the project"),
]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)


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


@pytest.mark.parametrize(("name", "suffix"), CASES)
def test_a_real_file_comes_out_verified_or_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, suffix: str
) -> None:
    code, error = outcome(MEDIA / name, tmp_path / f"out{suffix}", capsys)
    if code:
        assert name in REFUSED, error
        assert re.search(REFUSED[name], error), error
        assert "kept as" not in error
