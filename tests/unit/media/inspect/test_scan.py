from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from ciaovideo.errors import OpenError
from ciaovideo.media.inspect.scan import decoded_times, scan_file
from tests.media import make_clip

SMALL: dict[str, Any] = {"width": 64, "height": 48}
IRREGULAR = (0, 40, 41, 90, 170, 171, 300, 333)
GOP = {"crf": "12", "preset": "ultrafast", "g": "8"}


def test_what_a_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "in.mp4"
    make_clip(
        path,
        pts=IRREGULAR,
        time_base=Fraction(1, 1000),
        sound=True,
        subtitle="Hello",
        cover=True,
        chapters=2,
        sar=Fraction(4, 3),
        rotation=90,
        **SMALL,
    )
    scan = scan_file(path)
    assert sorted(pts * scan.video.tick for pts in scan.video.pts) == [
        Fraction(pts, 1000) for pts in IRREGULAR
    ]
    assert [(track.info.kind, track.cover) for track in scan.others] == [
        ("audio", False),
        ("subtitle", False),
        ("video", True),
    ]
    assert (scan.size, scan.sar) == ((48, 64), Fraction(4, 3))
    assert scan.turn in ((0, 65536, -65536, 0), (0, -65536, 65536, 0))
    assert [title for *_, title in scan.chapters] == ["Part 1", "Part 2"]
    with av.open(path) as container:
        sound = [p.pts for p in container.demux(audio=0) if p.size]
    assert list(scan.others[0].pts) == sound


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_decoding_finds_the_times_of_the_packets(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"in{suffix}"
    make_clip(path, seconds=1, first_pts=3, **SMALL)
    scan = scan_file(path)
    listed = sorted(pts * scan.video.tick for pts in scan.video.pts)
    assert len(listed) == 24
    assert decoded_times(scan) == listed
    assert decoded_times(scan, 5) == listed[:6]


@pytest.mark.heavy
def test_a_limited_scan_reads_only_what_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "in.mkv"
    make_clip(path, seconds=40, sound=True, options=GOP, fps=Fraction(8), **SMALL)
    whole, part = scan_file(path), scan_file(path, 4)
    assert len(whole.video.pts) == 320
    assert 4 < len(part.video.pts) < 200
    assert list(part.others[0].pts) == list(whole.others[0].pts)[: len(part.others[0].pts)]
    assert part.others[0].pts[-1] * part.others[0].tick > 10


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "in.mp4"
    path.write_bytes(b"no video at all" * 100)
    with pytest.raises(OpenError, match=r"in\.mp4"):
        scan_file(path)
