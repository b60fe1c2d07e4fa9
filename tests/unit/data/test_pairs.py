"""HR and the LR made from it: cropping, and Pillow's bicubic."""

import numpy as np
import pytest
import torch
from PIL import Image

from ciaovideo.data.pairs import crop_step, pair
from ciaovideo.errors import OptionError, UnsupportedScaleError


def picture(height: int, width: int) -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    ("scale", "step"), [(2, 12), (3, 12), (4, 12), (1.5, 12), (6, 12), (2.5, 5), (8, 8), (3.2, 16)]
)
def test_sides_are_cropped_so_that_lr_is_whole(scale: float, step: int) -> None:
    assert crop_step(scale) == step
    assert (step / scale).is_integer()


@pytest.mark.parametrize("scale", [1, 1.0001, 0.5, 31, float("nan"), float("inf")])
def test_scales_that_cannot_be_measured(scale: float) -> None:
    with pytest.raises(UnsupportedScaleError):
        crop_step(scale)


def test_a_pair_is_a_crop_and_pillows_bicubic_of_it() -> None:
    source = picture(53, 62)
    hr, lr = pair(torch.tensor(np.asarray(source)).permute(2, 0, 1).unsqueeze(0), 2.5)
    assert hr.shape == (1, 3, 50, 60)
    assert lr.shape == (1, 3, 20, 24)
    cropped = source.crop((0, 0, 60, 50))
    expected = np.asarray(cropped.resize((24, 20), Image.Resampling.BICUBIC))
    assert torch.equal(hr[0].permute(1, 2, 0), torch.tensor(np.asarray(cropped)))
    assert torch.equal(lr[0].permute(1, 2, 0), torch.tensor(expected))


def test_a_picture_too_small_for_a_scale_is_refused() -> None:
    with pytest.raises(OptionError, match="237 px"):
        pair(torch.zeros(1, 3, 100, 300, dtype=torch.uint8), 2.37)
