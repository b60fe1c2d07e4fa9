"""Bicubic and Lanczos in place of a network: Pillow's, at any size, whole or in parts."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ciaovideo.engine.engine import Engine
from ciaovideo.engine.model_choice import load_network
from ciaovideo.models.networks import NETWORKS
from ciaovideo.options import EngineOptions, ModelOptions
from ciaovideo.tiling import Rect

FILTERS = {"bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}
CPU = EngineOptions(device="cpu")


@pytest.mark.parametrize("kind", FILTERS)
@settings(max_examples=15)
@given(
    size=st.tuples(st.integers(1, 17), st.integers(1, 17)),
    scales=st.tuples(st.floats(1, 5), st.floats(1, 5)),
)
def test_it_is_pillows(kind: str, size: tuple[int, int], scales: tuple[float, float]) -> None:
    lr = torch.rand(size, generator=torch.Generator().manual_seed(sum(size)))
    out_size = round(size[0] * scales[0]), round(size[1] * scales[1])
    picture = Image.fromarray(lr.numpy()).resize(out_size[::-1], FILTERS[kind])
    sr = Engine(NETWORKS[kind](), CPU)(lr.expand(1, 3, *size), out_size)
    torch.testing.assert_close(sr[0, 1], torch.from_numpy(np.array(picture)), atol=2e-6, rtol=0)


@pytest.mark.parametrize("kind", FILTERS)
def test_tiles_and_parts_equal_the_whole(kind: str) -> None:
    lr = torch.rand(2, 3, 70, 51, generator=torch.Generator().manual_seed(0))
    whole = Engine(NETWORKS[kind](), CPU)(lr, (133, 120))
    tiled = Engine(NETWORKS[kind](), EngineOptions(device="cpu", tile=32))
    torch.testing.assert_close(tiled(lr, (133, 120)), whole, atol=1e-6, rtol=0)
    part = Rect(31, 7, 133, 64)
    torch.testing.assert_close(
        tiled(lr, (133, 120), part), whole[(..., *part.slices)], atol=1e-6, rtol=0
    )


def test_it_goes_by_name_like_a_model_and_is_never_cast() -> None:
    name, network = load_network(ModelOptions(model="bicubic"), "cpu")
    assert name == "bicubic"
    assert Engine(network, EngineOptions(device="cpu", precision="bf16")).precision == "fp32"
