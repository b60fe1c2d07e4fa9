"""Names in published checkpoints."""

import pytest
import torch

from ciaovideo.models.decoders.ciaosr import CiaoSR
from ciaovideo.models.encoders.edsr import EDSR
from ciaovideo.models.foreign.ciaosr import from_published, our_name
from ciaovideo.models.networks.implicit import ImplicitSR


@pytest.mark.parametrize(
    ("published", "ours"),
    [
        ("conv_first.weight", "encoder.conv_first.weight"),
        ("generator.body.3.conv1.bias", "encoder.body.3.conv1.bias"),
        ("imnet_q.layers.0.weight", "decoder.color.layers.0.weight"),
        ("generator.imnet_k.layers.8.bias", "decoder.key.layers.8.bias"),
        ("cs_attn.conv_match_2.1.weight", "decoder.non_local.key.1.weight"),
        ("cs_attn.down.bias", "decoder.non_local.down.2.bias"),
        ("cs_attn.downx4.bias", "decoder.non_local.down.4.bias"),
        ("generator.cs_attn.escape_NaN", None),
    ],
)
def test_names(published: str, ours: str | None) -> None:
    assert our_name(published) == ours


def test_every_name_exists_here() -> None:
    network = ImplicitSR(EDSR(8, 2), CiaoSR(8, hidden=(4,) * 4, non_local_scales=(2, 3, 4)))
    state = dict.fromkeys(
        ["cs_attn.down.weight", "cs_attn.downx3.weight", "cs_attn.downx4.weight"]
        + [f"imnet_{letter}.layers.{index}.bias" for letter in "qkv" for index in (0, 2, 4, 6, 8)]
        + ["body.1.conv2.weight", "conv_after_body.bias", "cs_attn.conv_assembly.1.weight"],
        torch.zeros(1),
    )
    assert set(from_published(state)) <= set(network.state_dict())
