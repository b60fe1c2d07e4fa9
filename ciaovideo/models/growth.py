"""A deeper network with the weights of a shallower one, so that nothing is lost."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from ciaovideo.models.protocols import Network

BLOCK = re.compile(r"(encoder\.body\.\d+)\.")
LAST = ("conv2.weight", "conv2.bias")  # of a residual block: with these at zero it does nothing


@torch.no_grad()
def grown(network: Network, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
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
