"""The VapourSynth filter with every decoder and network: it makes what the library makes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ciaovideo import Upscaler
from ciaovideo.models.decoders import DECODERS
from ciaovideo.models.networks import NETWORKS
from ciaovideo.models.spec import IMPLICIT, NetworkSpec
from ciaovideo.models.weights import save
from tests.vapoursynth_clips import EXACT, vs

pytestmark = pytest.mark.vapoursynth

WIDTH, HEIGHT, SCALE = 18, 14, 2.5
SIZES: dict[str, dict[str, Any]] = {
    "ciaosr": {"hidden": [8], "window": 12, "window_margin": 3},
    "ciaosr-separable": {"hidden": 8, "key_dim": 4, "rank": 2},
    "hiif": {"width": 8, "heads": 2, "levels": 3},
    "itsrn": {"hidden": [8], "score": 4, "blend": 4},
    "liif": {"hidden": [8]},
    "lm-ciaosr": {"hidden": 8, "code": 6, "depth": 2, "non_local_scales": []},
    "lte": {"waves": 4, "hidden": [8]},
    "metasr": {"hidden": 8},
}
WHOLE: dict[str, dict[str, Any]] = {
    "asdn": {"features": 4, "blocks": 1, "layers": 1, "reduction": 2},
    "eqsr": {
        **{"channels": 8, "groups": 1, "blocks": 1, "heads": 2, "window": 4, "overlap": 6},
        **{"frequencies": 2, "hidden": 8},
    },
    "fsdn": {"scale": 3, "features": 4, "blocks": 1, "layers": 1, "reduction": 2},
    "pixel-shuffle": {"scale": 2, "encoder": "edsr", "encoder_options": {"channels": 8}},
}


@pytest.mark.parametrize("decoder", DECODERS)
def test_every_decoder_makes_what_the_library_makes_of_it(decoder: str, tmp_path: Path) -> None:
    spec = NetworkSpec(
        encoder="edsr",
        encoder_options={"channels": 8, "blocks": 1},
        decoder=decoder,
        decoder_options=SIZES[decoder],
    )
    assert_same_picture(spec, SCALE, tmp_path / "small.safetensors")


@pytest.mark.parametrize("network", [name for name in NETWORKS if name != IMPLICIT])
def test_every_network_in_one_piece_does_too(network: str, tmp_path: Path) -> None:
    spec = NetworkSpec(network=network, options=WHOLE.get(network, {}))
    (scale, *_) = spec.build().scales.only or (SCALE,)
    assert_same_picture(spec, scale, tmp_path / "small.safetensors")


def assert_same_picture(spec: NetworkSpec, scale: float, path: Path) -> None:
    """One frame of random weights, as the filter and as the library make it."""
    from vsciaovideo import upscale

    torch.manual_seed(0)
    save(path, spec, spec.build().state_dict(), torch.float32)
    color = [0.2, 0.7, 0.4]
    clip = vs.core.std.BlankClip(format=vs.RGBS, width=WIDTH, height=HEIGHT, length=1, color=color)
    clip = clip.std.AddBorders(left=3, top=2, color=[0.9, 0.1, 0.5])
    frame = clip.get_frame(0)
    lr = torch.from_numpy(np.stack([np.array(frame[plane]) for plane in range(3)]))[None]
    expected = Upscaler(scale=scale, weights=path, **EXACT)(lr)[0]
    made = upscale(clip, scale, weights=path, **EXACT).get_frame(0)
    for plane in range(3):
        np.testing.assert_array_equal(np.array(made[plane]), expected[plane].numpy())
