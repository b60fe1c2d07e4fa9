"""Bars and head-switching noise, found by a look at the whole file, and boxes to keep."""

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import ciaovideo
from ciaovideo.errors import OptionError
from ciaovideo.media.inspect.borders import find_crop
from ciaovideo.media.read.probe import probe
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.options import InputOptions
from tests.media import write_gray

type Plane = NDArray[np.uint8]

AUTO = InputOptions(crop="auto")


def pictures(height: int, width: int, count: int = 3) -> list[Plane]:
    """Columns of texture that slowly change downwards, brighter in each picture."""
    y, x = np.mgrid[:height, :width]
    base = 90 + 50 * np.sin(x * 1.7) + 20 * np.sin(y / 40)
    return [(base + 10 * n).astype(np.uint8) for n in range(count)]


def found(path: Path) -> tuple[str, list[str]]:
    """The box that an automatic crop keeps, and what is said of it."""
    box, told = find_crop(probe(path))
    return box, [one.text for one in told]


def test_bars_are_what_is_black_in_every_picture(tmp_path: Path) -> None:
    planes = pictures(64, 96)
    rng = np.random.default_rng(0)
    for number, plane in enumerate(planes):
        bars = np.ones(plane.shape, bool)
        bars[10:52, 6:92] = False
        plane[bars] = 16 + rng.integers(0, 4, plane.shape, dtype=np.uint8)[bars]
        if number == 1:
            plane[10:20] = 16  # a dark top of one picture is no bar
    box, told = found(write_gray(tmp_path / "in.mkv", planes, 2))
    assert box == "86x42+6+10"
    (text,) = told
    for word in ("bars", "10 px at the top", "12 px at the bottom", "(86x42+6+10)"):
        assert word in text


def test_a_side_without_bars_keeps_its_odd_pixel(tmp_path: Path) -> None:
    planes = pictures(65, 97)
    assert found(write_gray(tmp_path / "whole.mkv", planes, 2))[0] == "97x65+0+0"
    for plane in planes:
        plane[:8] = 16
    assert found(write_gray(tmp_path / "barred.mkv", planes, 2))[0] == "97x56+0+8"


def test_rows_that_heads_displace_are_noise(tmp_path: Path) -> None:
    planes = pictures(480, 96)
    for plane in planes:
        plane[-8:] = np.roll(plane[-8:], 2, axis=1)
    box, told = found(write_gray(tmp_path / "in.mkv", planes, 2))
    assert box == "96x472+0+0"
    (text,) = told
    assert all(word in text for word in ("8 rows of head-switching noise", "(96x472+0+0)"))


@pytest.mark.parametrize(("height", "code"), [(480, 0), (64, 0), (64, 20)])
def test_without_evidence_nothing_is_cut(tmp_path: Path, height: int, code: int) -> None:
    planes = [np.full_like(p, code) for p in pictures(height, 96)] if code else pictures(height, 96)
    box, told = found(write_gray(tmp_path / "in.mkv", planes, 2))
    assert box == f"96x{height}+0+0"
    assert f"(96x{height}+0+0)" in told[0]


def test_rows_before_the_picture_are_told_and_cut(tmp_path: Path) -> None:
    planes = pictures(512, 720, 2)
    for plane in planes:
        plane[:32] = 120  # data, which is not black
    path = write_gray(tmp_path / "in.mkv", planes, 2)
    with VideoReader(path) as reader:
        (told,) = [one.text for one in reader.findings if one.subject == "crop"]
    assert all(word in told for word in ("32 rows", "vertical blanking interval"))
    assert "720x480+0+32" in told
    assert found(path)[0] == "720x480+0+32"


def test_a_box_is_kept_to_the_pixel(tmp_path: Path) -> None:
    planes = pictures(64, 96)
    path = write_gray(tmp_path / "in.mkv", planes, 2)
    with VideoReader(path, options=InputOptions(crop="50x31+7+9")) as reader:
        (kept,) = next(reader.frames(1)).planes
        assert (reader.info.height, reader.info.width) == (31, 50)
    assert np.array_equal(kept.numpy(), planes[0][9:40, 7:57])


@pytest.mark.parametrize(
    "crop",
    ["96x64", "90x64+7+0", "0x4+0+0"],
)
def test_a_box_that_cannot_be_is_refused(tmp_path: Path, crop: str) -> None:
    path = write_gray(tmp_path / "in.mkv", pictures(64, 96), 2)
    with pytest.raises(OptionError, match=re.escape(crop)):
        VideoReader(path, options=InputOptions(crop=crop))


def test_a_run_settles_the_box_once_and_verifies_by_it(tmp_path: Path) -> None:
    planes = pictures(64, 96)
    for plane in planes:
        plane[:8] = plane[-8:] = 16
    source, output = write_gray(tmp_path / "in.mkv", planes, 2), tmp_path / "out.mkv"
    summary = ciaovideo.upscale(source, output, scale=2, model="bicubic", crop="auto")
    assert summary.out_size == (96, 192)
    assert any("96x48+0+8" in one.text for one in summary.findings)
    assert not ciaovideo.verify(output, against=source, crop="auto").wrong
    assert not ciaovideo.verify(output, against=source, crop="96x48+0+8").wrong
    with pytest.raises(OptionError, match="pipe"):
        ciaovideo.upscale("-", tmp_path / "more.mkv", crop="auto")
