"""Pictures in the order of their times."""

import av
import pytest

from ciaovideo.media.video_stream import in_order


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
