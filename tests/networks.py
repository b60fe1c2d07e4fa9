"""Small networks of random weights: one for every registry entry, and LPIPS's."""

import torch
from torch import Tensor

from ciaovideo.metrics.lpips import LAYERS
from ciaovideo.models.decoders import DECODERS
from ciaovideo.models.encoders import ENCODERS
from ciaovideo.models.networks import NETWORKS
from ciaovideo.models.networks.implicit import ImplicitSR
from ciaovideo.models.protocols import Network
from ciaovideo.models.spec import NetworkSpec

NAMES = [
    *NETWORKS,
    *(f"edsr+{decoder}" for decoder in DECODERS),
    *(f"{encoder}+ciaosr-separable" for encoder in ENCODERS if encoder != "edsr"),
]
IMPLICIT_DECODERS: dict[str, tuple[str, dict[str, object]]] = {
    "separable": ("ciaosr-separable", {"hidden": 8, "key_dim": 4, "rank": 3}),
    "plain": ("ciaosr", {"hidden": [8, 8], "non_local_scales": []}),
    "windows": ("ciaosr", {"hidden": [8, 8], "window": 12, "window_margin": 3}),
    "modulated": ("lm-ciaosr", {"hidden": 8, "code": 6, "width": 5, "window": 12}),
}
IMPLICIT_ENCODERS: dict[str, dict[str, object]] = {
    "edsr": {"channels": 8, "blocks": 1},
    "rdn": {"channels": 8, "blocks": 1, "layers": 2, "growth": 8},
    "swinir": {"channels": 8, "depths": [2], "heads": 2, "window": 4},
}


def small_network(name: str) -> Network:
    """The network of this name with random weights, the same ones every time."""
    torch.manual_seed(7)
    if name in NETWORKS:
        return NETWORKS[name].small()
    encoder, _, decoder = name.partition("+")
    half = ENCODERS[encoder].small()
    return ImplicitSR(half, DECODERS[decoder].small(half.out_channels))


def small_implicit(decoder: str = "separable", encoder: str = "edsr") -> ImplicitSR:
    """A network of random weights, large enough that every part of it shows in the picture."""
    torch.manual_seed(7)
    name, options = IMPLICIT_DECODERS[decoder]
    spec = NetworkSpec(
        encoder=encoder,
        decoder=name,
        encoder_options=IMPLICIT_ENCODERS[encoder],
        decoder_options=options,
    )
    network = spec.build_implicit()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.5)
    return network


def lpips_weights() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """AlexNet's convolutions, with a gain that keeps the signal alive, and positive heads."""
    generator = torch.Generator().manual_seed(17)
    backbone, heads = {}, {}
    before = 3
    for number, (index, after, kernel, *_) in enumerate(LAYERS):
        spread = (2 / (before * kernel**2)) ** 0.5
        shape = (after, before, kernel, kernel)
        backbone[f"features.{index}.weight"] = spread * torch.randn(shape, generator=generator)
        backbone[f"features.{index}.bias"] = 0.1 * torch.randn(after, generator=generator)
        heads[f"lin{number}.model.1.weight"] = torch.rand(1, after, 1, 1, generator=generator)
        before = after
    return backbone, heads
