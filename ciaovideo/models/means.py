"""Weighted means of networks' weights."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ciaovideo.errors import MismatchedWeightsError, OptionError
from ciaovideo.models.growth import grown
from ciaovideo.models.protocols import Network


@torch.no_grad()
def weighted_mean(networks: Sequence[Network], shares: Sequence[float]) -> Network:
    """The mean of networks that were trained from common weights (arXiv 2203.05482).

    ``shares`` are relative to each other. Where one network is deeper, the others get residual
    blocks that change nothing. The deepest one is changed and returned. Raises OptionError for
    shares that are negative or sum to zero, MismatchedWeightsError for networks with other weights.
    """
    if not all(share >= 0 for share in shares) or not 0 < sum(shares) < float("inf"):
        raise OptionError("shares are below 0, or all 0", "name shares such as 0.85 and 0.15")
    deepest = max(networks, key=lambda each: sum(p.numel() for p in each.parameters()))
    states = [_grown(deepest, each) for each in networks]
    made, total = states[0], shares[0]
    for state, share in zip(states[1:], shares[1:], strict=True):
        total += share
        # While all shares so far are 0, nothing is taken of any.
        made = _lerp(made, state, share / total if total else 0.0)
    deepest.load_state_dict(made)
    return deepest


def _lerp(under: dict[str, Tensor], over: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    return {key: torch.lerp(under[key], over[key], share) for key in under}


def _grown(deepest: Network, network: Network) -> dict[str, Tensor]:
    """A copy of a network's weights, with what only the deepest one has."""
    weights = grown(deepest, {key: value.clone() for key, value in network.state_dict().items()})
    wanted = {key: value.shape for key, value in deepest.state_dict().items()}
    differing = sorted(
        key
        for key in wanted.keys() | weights.keys()
        if key not in weights or wanted.get(key) != weights[key].shape
    )
    if differing:
        raise MismatchedWeightsError(
            f"the networks differ in {len(differing)} weights, first {differing[0]!r}",
            "name weights of one network, which may differ in its number of residual blocks alone",
        )
    return weights
