"""One network from faithful to restored: weights between those of its anchors.

Each anchor was trained from the one before, so that weights in between work as well (deep network
interpolation, Wang and others, CVPR 2019, arXiv 1811.10515). 0 only enlarges, 0.5 also removes
codec artefacts, 1 repairs worn film and tape.
"""

from itertools import pairwise

import torch
from torch import Tensor

from ciaovideo.models.growth import grown
from ciaovideo.models.protocols import Network
from ciaovideo.models.weights import anchors, load_bundled

# Strength by the mean quantiser parameter of a video on H.264's scale, straight lines in between.
STRENGTHS = ((16.0, 0.0), (24.0, 0.3), (30.0, 0.4), (38.0, 0.5))


def restore_for(qp: float | None) -> float:
    """The strength for a quantiser parameter, 0 for a lossless video.

    From 0 to 0.5 in steps of 0.05: quantisers show nothing of worn film.
    """
    if qp is None or qp <= STRENGTHS[0][0]:
        return 0.0
    for (low, under), (high, over) in pairwise(STRENGTHS):
        if qp <= high:
            value = under + (over - under) * (qp - low) / (high - low)
            return round(20 * value) / 20
    return STRENGTHS[-1][1]


def load_restored(name: str, restore: float) -> Network:
    """A bundled network that has anchors, at a strength from 0 to the last one's."""
    if not restore:
        return load_bundled(name)
    known = sorted(anchors(name).items())
    (low, under), (high, over) = next(
        pair for pair in pairwise(known) if pair[0][0] <= restore <= pair[1][0]
    )
    share = (restore - low) / (high - low)
    return _between(load_bundled(under), load_bundled(over), share)


def _between(under: Network, over: Network, share: float) -> Network:
    """A network ``share`` of the way from one to the other.

    Where one is deeper, the other gets residual blocks that change nothing.
    """
    deeper = max(under, over, key=lambda each: sum(p.numel() for p in each.parameters()))
    state, target = (_grown(deeper, each) for each in (under, over))
    deeper.load_state_dict({key: torch.lerp(state[key], target[key], share) for key in state})
    return deeper


def _grown(deeper: Network, network: Network) -> dict[str, Tensor]:
    """A copy of a network's weights, with what only the deeper one has."""
    weights = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    return grown(deeper, weights)
