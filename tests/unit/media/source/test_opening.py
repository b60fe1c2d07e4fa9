"""Errors for files without a picture to work on."""

from pathlib import Path

import pytest

from ciaovideo.errors import OpenError
from ciaovideo.media.read.probe import probe
from tests.media import make_clip

CLUSTER = b"\x1f\x43\xb6\x75"  # Matroska's element that holds packets


def test_a_video_that_ends_before_its_first_picture_is_refused(tmp_path: Path) -> None:
    make_clip(whole := tmp_path / "whole.mkv", width=64, height=48, seconds=0.25)
    data = whole.read_bytes()
    (cut := tmp_path / "cut.mkv").write_bytes(data[: data.index(CLUSTER) + 40])
    with pytest.raises(OpenError, match=f"no picture of {cut} can be decoded") as caught:
        probe(cut)
    assert "use another copy" in str(caught.value.hint)
