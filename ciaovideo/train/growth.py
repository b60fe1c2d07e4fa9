"""Begin with the weights of a network that differs: in depth, or in some of its parts."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ciaovideo.errors import MismatchedWeightsError
from ciaovideo.models.protocols import Network
from ciaovideo.models.spec import IMPLICIT, NetworkSpec
from ciaovideo.models.weights import load_file, read_tensors
from ciaovideo.train.state import load_weights

BLOCK = re.compile(r"(encoder\.body\.\d+)\.")
LAST = ("conv2.weight", "conv2.bias")  # of a residual block: with these at zero it does nothing
ENCODER = "encoder"


def begin(network: Network, path: Path, spec: NetworkSpec, parts: Sequence[str] = ()) -> list[str]:
    """Have a network begin with the weights in a file; what a user should know of it.

    With ``parts``, modules of these names take the file's weights, and the rest is the network's
    own. Without, of a file with another decoder than ``spec`` says the encoder is taken so. Raises
    MissingWeightsError, CorruptWeightsError or MismatchedWeightsError.
    """
    weights = dict(load_file(path).state_dict())
    found, _ = read_tensors(path)
    joined = found.network == spec.network == IMPLICIT
    other = not parts and joined and found.decoder != spec.decoder
    if other:
        parts = (ENCODER,)
    if parts:
        weights = _with_parts(network.state_dict(), weights, parts, path)
    hint = "set start to weights of the recipe's network, or start_with to what they share"
    load_weights(network, grown(network, weights), path, hint)
    said = f"{path} has decoder {found.decoder}: its encoder is taken, {spec.decoder} begins anew"
    return [said] if other else []


def _with_parts(
    own: Mapping[str, Tensor], weights: Mapping[str, Tensor], parts: Sequence[str], path: Path
) -> dict[str, Tensor]:
    """``weights`` of these modules, and for the rest a network's own."""
    for part in parts:
        if not all(any(name.startswith(f"{part}.") for name in table) for table in (own, weights)):
            shared = ", ".join(sorted(_modules(own) & _modules(weights)))
            raise MismatchedWeightsError(
                f"{path} and the recipe's network have no {part!r} in common",
                f"name modules that both have: {shared or 'there is none'}",
            )
    taken = tuple(f"{part}." for part in parts)
    made = {name: weight for name, weight in own.items() if not name.startswith(taken)}
    return made | {name: weight for name, weight in weights.items() if name.startswith(taken)}


def _modules(weights: Mapping[str, Tensor]) -> set[str]:
    return {name.partition(".")[0] for name in weights}


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
