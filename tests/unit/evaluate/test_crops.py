"""Which details are shown, and that they are what was measured."""

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ciaovideo.evaluate.crops import CROPS, SIDE, Gallery, busiest_places
from ciaovideo.evaluate.protocol import Sample


def sample(name: str = "a", at: tuple[int, int] = (40, 400)) -> Sample:
    """Gray, with a checkerboard that no interpolation keeps, in one place."""
    hr = torch.full((1, 3, 400, 640), 0.5)
    top, left = at
    hr[..., top : top + 96 : 2, left : left + 96 : 2] = 1.0
    return Sample(name, torch.full((1, 3, 200, 320), 0.25), torch.full_like(hr, 0.75), hr)


def pixels(content: bytes) -> Tensor:
    return torch.tensor(np.asarray(Image.open(io.BytesIO(content))))


def test_the_place_is_where_detail_is_lost() -> None:
    ((top, left),) = busiest_places(sample(), 1)
    assert top <= 40
    assert top + SIDE >= 40 + 96
    assert left <= 400
    assert left + SIDE >= 400 + 96


def test_places_do_not_overlap_and_lie_inside() -> None:
    places = busiest_places(sample(), 10)
    assert 2 <= len(places) <= 6  # two rows of three
    for index, (top, left) in enumerate(places):
        assert 0 <= top <= 400 - SIDE
        assert 0 <= left <= 640 - SIDE
        for other in places[:index]:
            assert abs(top - other[0]) >= SIDE or abs(left - other[1]) >= SIDE


def test_every_method_shows_the_same_place_of_the_first_pictures() -> None:
    gallery = Gallery(2.0)
    for method in ("net", "bicubic"):
        for index in range(CROPS + 2):
            gallery.add("set", method, sample(f"picture {index}"))
    crops = gallery.crops()
    assert [crop.name for crop in crops] == [f"picture {index}" for index in range(CROPS)]
    assert list(crops[0].views) == ["LR", "net", "bicubic", "truth"]
    assert crops[0].size == (SIDE, SIDE)
    assert (pixels(crops[0].views["LR"]) == 64).all()
    assert (pixels(crops[0].views["net"]) == 191).all()
    truth = pixels(crops[0].views["truth"])
    assert truth.min() == 128
    assert (truth == 255).sum() == 3 * 48 * 48


def test_of_a_video_the_first_frame_shows_several_places() -> None:
    gallery = Gallery(2.0)
    for frame in range(3):
        gallery.add("clip", "net", sample(f"frame {frame}"), is_video=True)
    assert {crop.name for crop in gallery.crops()} == {"frame 0"}
    assert 2 <= len(gallery.crops()) <= CROPS


def test_a_picture_smaller_than_a_crop_is_shown_whole() -> None:
    small = torch.rand(1, 3, 24, 36, generator=torch.Generator().manual_seed(0))
    gallery = Gallery(2.0)
    gallery.add("set", "net", Sample("a", small[..., ::2, ::2], small, small))
    assert gallery.crops()[0].size == (24, 36)
