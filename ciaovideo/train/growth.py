"""Begin with the weights of a network that differs: in depth, or in its decoder."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ciaovideo.models.networks.implicit import ImplicitSR
from ciaovideo.models.spec import IMPLICIT, NetworkSpec
from ciaovideo.models.weights import load_file, read_tensors
from ciaovideo.train.state import load_weights

BLOCK = re.compile(r"(encoder\.body\.\d+)\.")
LAST = ("conv2.weight", "conv2.bias")  # of a residual block: with these at zero it does nothing


ENCODER = "encoder."


def begin(network: ImplicitSR, path: Path, spec: NetworkSpec) -> list[str]:
    """Have a network begin with the weights in a file; what a user should know of it.

    Of a file with another decoder than ``spec`` says the encoder's are taken, and the decoder's are
    the network's own. Raises MissingWeightsError, CorruptWeightsError or MismatchedWeightsError.
    """
    weights = dict(load_file(path).state_dict())
    found, _ = read_tensors(path)
    other = found.network == IMPLICIT and found.decoder != spec.decoder
    if other:
        own = network.state_dict()
        weights = {name: w for name, w in weights.items() if name.startswith(ENCODER)}
        weights |= {name: w for name, w in own.items() if not name.startswith(ENCODER)}
    hint = "set start to weights of the recipe's network"
    load_weights(network, grown(network, weights), path, hint)
    said = f"{path} has decoder {found.decoder}: its encoder is taken, {spec.decoder} begins anew"
    return [said] if other else []


@torch.no_grad()
def grown(network: ImplicitSR, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``weights`` and, for residual blocks that only ``network`` has, ones that change nothing.

    These keep the network's own first convolution, and their second one is zero. Weights that lack
    anything else come back as they are.
    """
    own = network.state_dict()
    missing = {name for name in own if name not in weights}
    blocks = {match[1] for name in missing if (match := BLOCK.match(name))}
    fresh = {name for name in own if (match := BLOCK.match(name)) and match[1] in blocks}
    if not missing or missing != fresh:
        return dict(weights)
    silent = {f"{block}.{last}" for block in blocks for last in LAST}
    if not silent <= missing:
        return dict(weights)
    added = {
        name: torch.zeros_like(own[name]) if name in silent else own[name].clone()
        for name in missing
    }
    return {**weights, **added}
