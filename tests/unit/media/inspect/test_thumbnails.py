from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from ciaovideo.color import Matrix, Range
from ciaovideo.media.inspect.scan import scan_file
from ciaovideo.media.inspect.thumbnails import SIDE, thumbnails_by_number, thumbnails_by_time
from tests.media import make_clip

SMALL: dict[str, Any] = {"width": 64, "height": 48}
GOP = {"crf": "12", "preset": "ultrafast", "g": "8"}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_pictures_are_found_by_time_and_by_number(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"in{suffix}"
    make_clip(path, seconds=2, options=GOP, **SMALL)
    scan = scan_file(path)
    stamps = sorted(scan.video.pts)
    places = (0, 7, 8, 23, 47)
    by_time = thumbnails_by_time(scan, [stamps[place] for place in reversed(places)])
    by_number = thumbnails_by_number(scan, places)
    in_turn = thumbnails_by_time(scan, [stamps[place] for place in places], in_turn=True)
    assert sorted(by_number) == list(places)
    for place in places:
        shown = by_number[place]
        assert np.array_equal(by_time[stamps[place]].luma, shown.luma)
        assert np.array_equal(in_turn[stamps[place]].luma, shown.luma)
        assert shown.luma.shape == (SIDE, SIDE)
        assert (shown.size, shown.pix_fmt, shown.damaged) == ((48, 64), "yuv420p", False)
        assert (shown.color.matrix, shown.color.color_range) == (Matrix.BT709, Range.LIMITED)
    assert thumbnails_by_time(scan, [stamps[-1] + 1]) == {}


def test_luma_goes_from_black_to_white_in_any_layout(tmp_path: Path) -> None:
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
        luma = thumbnails_by_number(scan_file(path), [0])[0].luma
        assert luma[:, : SIDE // 2 - 1].max() < 0.01, pix_fmt
        assert luma[:, SIDE // 2 + 1 :].min() > 0.99, pix_fmt


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
    luma = thumbnails_by_number(scan_file(path), [0])[0].luma
    rows = luma[2 :: SIDE // 4] * 255
    assert np.abs(rows - [[0], [4], [5], [9]]).max() < 0.05
