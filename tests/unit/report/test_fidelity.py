"""What is read off all pictures of two files: invented detail, and flicker."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ciaovideo.media.read.reader import VideoReader
from ciaovideo.report.fidelity import Fidelity, measure
from tests.media import write_gray

type Plane = NDArray[np.uint8]

COUNT = 8
LR = (32, 48)


def compare(folder: Path, given: Sequence[Plane], made: Sequence[Plane]) -> Fidelity:
    """The measure of two videos."""
    files = write_gray(folder / "in.mkv", given), write_gray(folder / "out.mkv", made)
    with VideoReader(files[0]) as source, VideoReader(files[1]) as output:
        return measure(source, output, len(given))


@pytest.fixture
def still() -> list[Plane]:
    """A soft picture that stands."""
    y, x = np.mgrid[: LR[0], : LR[1]]
    picture = (120 + 30 * np.sin(x / 9) + 20 * np.cos(y / 7)).astype(np.uint8)
    return [picture] * COUNT


def doubled(picture: Plane) -> Plane:
    return picture.repeat(2, axis=0).repeat(2, axis=1)


def test_what_was_invented_is_found_at_its_frame_and_place(
    tmp_path: Path, still: list[Plane]
) -> None:
    made = [doubled(picture) for picture in still]
    made[5][40:48, 70:78] = 235
    found = compare(tmp_path, still, made)
    worst = found.worst[0]
    assert worst.frame == 5
    assert worst.psnr == min(found.psnr)
    assert worst.size == (64, 96)  # the whole picture is smaller than a crop
    assert sorted(found.psnr)[1] > worst.psnr + 20  # 8 x 8 px of 100 codes against rounding
    assert [one.frame for one in found.worst].count(5) == 1
    assert all(view.startswith(b"RIFF") for view in worst.views.values())


def test_equal_pictures_have_the_best_figure(tmp_path: Path, still: list[Plane]) -> None:
    found = compare(tmp_path, still, still)
    assert list(found.psnr) == [100.0] * COUNT
    assert found.mean_psnr == 100
    assert found.mean_flicker == (0, 0)
    assert len(found.sheet) == COUNT


def test_flicker_is_what_changes_where_the_source_stands(
    tmp_path: Path, still: list[Plane]
) -> None:
    made = [doubled(picture) + np.uint8(3 * (n % 2)) for n, picture in enumerate(still)]
    found = compare(tmp_path, still, made)
    assert found.mean_flicker[0] == 0
    # 3 codes of the 219 between black and white, in steps of which white has 255
    assert found.mean_flicker[1] == pytest.approx(3 * 255 / 219, rel=1e-4)  # fp32 sums
    assert math.isnan(found.output_flicker[0])


def test_where_all_moves_nothing_is_said_of_flicker(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    moving = [rng.integers(16, 236, LR, dtype=np.uint8) for _ in range(COUNT)]
    found = compare(tmp_path, moving, [doubled(picture) for picture in moving])
    assert all(math.isnan(value) for value in found.mean_flicker)
