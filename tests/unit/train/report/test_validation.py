"""What can be measured is known before a run begins."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ciaovideo.errors import OptionError
from ciaovideo.models.spec import NetworkSpec
from ciaovideo.train.options import ValidationOptions
from ciaovideo.train.report.validation import Validation


@pytest.mark.parametrize(
    ("side", "said"), [(10, "10x10 has none"), (12, "a border of 12 px leaves nothing of 12x12")]
)
def test_a_picture_with_no_pixel_to_measure_is_named(side: int, said: str, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((side, side, 3), np.uint8)).save(tmp_path / "small.png")
    spec = NetworkSpec(
        encoder="edsr", decoder="ciaosr-separable", encoder_options={"channels": 4, "blocks": 1}
    )
    options = ValidationOptions(folder=tmp_path, scales=(12.0,))
    with pytest.raises(OptionError, match=f"small.png: .*{said}"):
        Validation(options, tmp_path, spec.build_implicit(), torch.device("cpu"))
