"""Real files made by other people's tools: each comes out verified, or is refused for a reason.

The network is replaced by bicubic interpolation, since what is tested is the way of the file.
Each file goes into one kind of container, in turns; into every kind where CIAOVIDEO_FULL is set.
"""

import os
import re
from pathlib import Path

import pytest

from tests.media_folder import LIMIT_S, MEDIA, SUFFIXES, outcome

DAMAGED = "Invalid data found|no picture of"
SILENT = "no video"  # it holds sound only
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
    pytest.mark.timeout(LIMIT_S),
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(not CASES, reason="no folder shared/data/media beside the project"),
]


@pytest.mark.parametrize(("name", "suffix"), CASES)
def test_a_real_file_comes_out_verified_or_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, suffix: str
) -> None:
    code, error = outcome(MEDIA / name, tmp_path / f"out{suffix}", capsys)
    if code:
        assert name in REFUSED, error
        assert re.search(REFUSED[name], error), error
        assert "kept as" not in error
