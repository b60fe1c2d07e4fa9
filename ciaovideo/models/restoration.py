"""One network from faithful to restored: weights between those of its anchors.

Each anchor was trained from the one before, so that weights in between work as well (deep network
interpolation, Wang and others, CVPR 2019, arXiv 1811.10515). 0 only enlarges, 0.5 also removes
codec artefacts, 1 repairs worn film and tape. The anchor at 0 was trained further than the weights
that the one at 0.5 began from: those, a tenth of the way to it, are the anchor at 0.05.
"""

from itertools import pairwise

from ciaovideo.models.means import weighted_mean
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
    return weighted_mean([load_bundled(under), load_bundled(over)], [1 - share, share])
