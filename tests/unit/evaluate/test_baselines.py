"""Interpolation without a network."""

import numpy as np
import pytest
import torch
from PIL import Image

from ciaovideo.evaluate.baselines import BASELINES

FILTERS = {"bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}


@pytest.mark.parametrize("name", list(BASELINES))
def test_a_baseline_is_pillows(name: str) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    lr = torch.from_numpy(rgb).permute(2, 0, 1).unsqueeze(0) / 255
    expected = np.asarray(Image.fromarray(rgb).resize((23, 16), FILTERS[name]))
    made = BASELINES[name](lr, (16, 23))
    assert torch.equal(made[0].permute(1, 2, 0) * 255, torch.tensor(expected).float())
