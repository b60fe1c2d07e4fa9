"""Frames of videos among the pictures to train on."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ciaovideo.data.clips import read_frames
from ciaovideo.data.images import PictureStore, load_pictures
from ciaovideo.errors import CiaoVideoError, OptionError
from ciaovideo.media.read.reader import VideoReader
from tests.media import make_clip, read_counter

LUMA = np.array([0.2126, 0.7152, 0.0722])


def counters(store: PictureStore) -> list[int]:
    """The numbers painted into the frames."""
    numbers = []
    for start, height, width in zip(store.starts, store.heights, store.widths, strict=True):
        samples = store.samples[start : start + 3 * height * width].numpy()
        luma = samples.reshape(int(height), int(width), 3) @ LUMA
        numbers.append(read_counter(luma.round().astype(np.uint8)))
    return numbers


def test_a_video_gives_one_frame_in_so_many(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mkv", width=64, height=48, seconds=1, counter=True)
    assert counters(load_pictures([tmp_path / "a.mkv"], 1, every=10)) == [0, 10, 20]
    assert counters(load_pictures([tmp_path / "a.mkv"], 1)) == list(range(24))


def test_a_folder_gives_its_videos_and_pictures_by_name(tmp_path: Path) -> None:
    make_clip(tmp_path / "b.MP4", width=64, height=48, seconds=0.5)
    (tmp_path / ".b.mp4").write_bytes(b"no video")
    for name in ("a.png", "c.png"):
        Image.new("RGB", (20, 30)).save(tmp_path / name)
    store = load_pictures([tmp_path], 20, every=6)
    assert store.heights.tolist() == [30, 48, 48, 30]
    assert len(load_pictures([tmp_path], 40)) == 12  # pictures that are too small are not taken


def test_colours_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    rgb = {"codec": "utvideo", "pix_fmt": "gbrp", "options": {}, "color": (0, 2, 1, 1, 0)}
    make_clip(path, width=64, height=48, seconds=0.1, **rgb)
    (frame,) = read_frames(path, 100)
    with VideoReader(path) as reader:
        planes = next(reader.frames()).planes
    assert np.array_equal(frame, np.stack([planes[index] for index in (2, 0, 1)], axis=-1))


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mkv").write_bytes(b"no video at all")
    with pytest.raises(CiaoVideoError, match=r"a\.mkv"):
        load_pictures([tmp_path], 1)


@pytest.mark.usefixtures("no_pyav")
def test_without_pyav_it_says_what_to_install(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mkv", width=64, height=48, seconds=0.1)
    with pytest.raises(OptionError, match=r"a\.mkv: .*PyAV"):
        load_pictures([tmp_path / "a.mkv"], 1)
