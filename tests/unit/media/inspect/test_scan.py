from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from ciaovideo.color import Matrix, Range
from ciaovideo.errors import OpenError
from ciaovideo.media.inspect.scan import (
    THUMBNAIL,
    decoded_times,
    scan_file,
    shots_by_number,
    shots_by_time,
)
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


def test_a_limited_scan_reads_only_what_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "in.mkv"
    make_clip(path, seconds=40, sound=True, options=GOP, fps=Fraction(8), **SMALL)
    whole, part = scan_file(path), scan_file(path, 4)
    assert len(whole.video.pts) == 320
    assert 4 < len(part.video.pts) < 200
    assert list(part.others[0].pts) == list(whole.others[0].pts)[: len(part.others[0].pts)]
    assert part.others[0].pts[-1] * part.others[0].tick > 10


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_pictures_are_found_by_time_and_by_number(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"in{suffix}"
    make_clip(path, seconds=2, options=GOP, **SMALL)
    scan = scan_file(path)
    stamps = sorted(scan.video.pts)
    places = (0, 7, 8, 23, 47)
    by_time = shots_by_time(scan, [stamps[place] for place in reversed(places)])
    by_number = shots_by_number(scan, places)
    in_turn = shots_by_time(scan, [stamps[place] for place in places], in_turn=True)
    assert sorted(by_number) == list(places)
    for place in places:
        shot = by_number[place]
        assert np.array_equal(by_time[stamps[place]].look, shot.look)
        assert np.array_equal(in_turn[stamps[place]].look, shot.look)
        assert shot.look.shape == (THUMBNAIL, THUMBNAIL)
        assert (shot.size, shot.pix_fmt, shot.damaged) == ((48, 64), "yuv420p", False)
        assert (shot.color.matrix, shot.color.color_range) == (Matrix.BT709, Range.LIMITED)
    assert shots_by_time(scan, [stamps[-1] + 1]) == {}


def test_the_look_goes_from_black_to_white_in_any_layout(tmp_path: Path) -> None:
    for pix_fmt in ("gray", "yuv444p10le", "gbrp"):
        path = tmp_path / f"{pix_fmt}.mkv"
        with av.open(path, "w") as container:
            video = container.add_stream("ffv1", rate=25)
            video.width, video.height = 64, 48
            video.pix_fmt = "bgr0" if pix_fmt == "gbrp" else pix_fmt
            grey = np.zeros((48, 64), np.uint8)
            grey[:, 32:] = 255
            frame = av.VideoFrame.from_ndarray(grey, format="gray").reformat(format=video.pix_fmt)
            container.mux(video.encode(frame))
            container.mux(video.encode(None))
        look = shots_by_number(scan_file(path), [0])[0].look
        assert look[:, : THUMBNAIL // 2 - 1].max() < 0.01, pix_fmt
        assert look[:, THUMBNAIL // 2 + 1 :].min() > 0.99, pix_fmt


@pytest.mark.parametrize("size", [(180, 320), (1080, 1920), (1620, 2880)])
def test_a_dark_picture_looks_alike_in_any_size(tmp_path: Path, size: tuple[int, int]) -> None:
    # Seen on a fade from black: enlarged, two of its pictures counted as the same.
    path = tmp_path / "dark.mkv"
    grey = np.repeat(np.array([0, 4, 5, 9], np.uint8), size[0] // 4)[:, None]
    picture = np.ascontiguousarray(np.broadcast_to(grey, size))
    with av.open(path, "w") as container:
        video = container.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = size[1], size[0], "gray"
        container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="gray")))
        container.mux(video.encode(None))
    look = shots_by_number(scan_file(path), [0])[0].look
    rows = look[2 :: THUMBNAIL // 4] * 255
    assert np.abs(rows - [[0], [4], [5], [9]]).max() < 0.05


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "in.mp4"
    path.write_bytes(b"no video at all" * 100)
    with pytest.raises(OpenError, match=r"opening .*in\.mp4"):
        scan_file(path)
