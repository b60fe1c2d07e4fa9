"""One small network for every registry entry: all networks, all encoders, all decoders."""

import torch

from ciaovideo.models.decoders import DECODERS
from ciaovideo.models.encoders import ENCODERS
from ciaovideo.models.networks import NETWORKS
from ciaovideo.models.networks.implicit import ImplicitSR
from ciaovideo.models.protocols import Network

NAMES = [
    *NETWORKS,
    *(f"edsr+{decoder}" for decoder in DECODERS),
    *(f"{encoder}+ciaosr-separable" for encoder in ENCODERS if encoder != "edsr"),
]


def small_network(name: str) -> Network:
    """The network of this name with random weights, the same ones every time."""
    torch.manual_seed(7)
    if name in NETWORKS:
        return NETWORKS[name].small()
    encoder, _, decoder = name.partition("+")
    half = ENCODERS[encoder].small()
    return ImplicitSR(half, DECODERS[decoder].small(half.out_channels))
