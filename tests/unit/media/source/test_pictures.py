"""Pictures in the order of their times."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from ciaovideo.media.inspect.scan import decoded_times, scan_file
from ciaovideo.media.read.probe import probe
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.source.pictures import in_order
from tests.media import make_clip


@pytest.mark.parametrize(
    ("times", "wanted"),
    [
        ([3, 4, 6, 5, 7, 9, 8, 10], [3, 4, 5, 6, 7, 8, 9, 10]),  # Xvid with two B-frames
        ([1, 2, 3, 0, 4], [0, 1, 2, 3, 4]),  # further apart, as H.264's may be
        ([0, 1, 2, 3], [0, 1, 2, 3]),
        ([2, 1, None, 4, 3], [1, 2, None, 3, 4]),
        ([5], [5]),
        ([], []),
    ],
)
def test_pictures_of_avi_get_their_times_in_order(
    times: list[int | None], wanted: list[int | None]
) -> None:
    pictures = [av.VideoFrame(16, 16, "gray") for _ in times]
    for picture, time in zip(pictures, times, strict=True):
        picture.pts = time
    found = list(in_order(pictures))
    assert [picture.pts for picture in found] == wanted
    assert list(map(id, found)) == list(map(id, pictures))  # in the decoder's order


@pytest.mark.parametrize(("reordered", "late"), [("bf=0", 0), ("bf=1", 1), ("bf=3:b_pyramid=2", 2)])
def test_pictures_of_h264_in_avi_are_as_late_as_they_are_reordered(
    tmp_path: Path, reordered: str, late: int
) -> None:
    """FFmpeg makes it one frame for all, and what is beside them stays: sound would be early."""
    path = tmp_path / "in.avi"
    options = dict(word.split("=") for word in reordered.split(":"))
    given = {"width": 64, "height": 48, "seconds": 1, "fps": Fraction(25), "options": options}
    make_clip(path, sound=True, sound_codec="pcm_s16le", **given)
    wanted = [Fraction(number + late, 25) for number in range(25)]
    with VideoReader(path) as reader:
        assert [frame.time for frame in reader.frames()] == wanted
    scan = scan_file(path)
    assert sorted(pts * scan.video.tick for pts in scan.video.pts) == wanted
    assert decoded_times(scan) == wanted
    assert list(probe(path).packets.frame_times) == wanted
