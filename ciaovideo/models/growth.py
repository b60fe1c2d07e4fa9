"""A deeper or wider network with the weights of a smaller one, so that nothing is lost."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from ciaovideo.models.protocols import Network

BLOCK = re.compile(r"(encoder\.body\.\d+)\.")
LAST = ("conv2.weight", "conv2.bias")  # of a residual block: with these at zero it does nothing
# Layers that take every channel of the encoder for itself, so that new ones may follow the old.
WIDE = re.compile(
    r"encoder\.(conv_first|conv_after_body|body\.\d+\.(conv\d|gate))\.(weight|bias)"
    r"|decoder\.trunk\.weight"
)


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


@torch.no_grad()
def widened(network: Network, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``weights``, with channels that only the encoder of ``network`` has and that change nothing.

    New channels follow the old ones and keep the network's own weights; what the old channels and
    the decoder make of them is zero (the function-preserving step of Chen and others, arXiv
    1511.05641, for a residual stream). Weights that differ in another way come back as they are.
    """
    own = network.state_dict()
    shared = [name for name in weights if name in own]
    other = {name for name in shared if own[name].shape != weights[name].shape}
    if not all(WIDE.fullmatch(name) and _holds(own[name], weights[name]) for name in other):
        return dict(weights)
    return {**weights, **{name: _within(own[name], weights[name]) for name in other}}


def _holds(large: Tensor, small: Tensor) -> bool:
    return large.ndim == small.ndim and all(
        ours >= theirs for ours, theirs in zip(large.shape, small.shape, strict=True)
    )


def _within(large: Tensor, small: Tensor) -> Tensor:
    """A copy of ``large`` (outputs, inputs, ...) in whose first places ``small`` is."""
    made = large.clone()
    made[: len(small)] = 0
    made[tuple(slice(size) for size in small.shape)] = small
    return made
