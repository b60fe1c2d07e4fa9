"""Whole networks: LR image in, colour at any point out.

``implicit`` joins any encoder with any decoder; the others are networks as they are. bicubic and
lanczos have no weights.
"""

from ciaovideo.models.protocols import Network
from ciaovideo.registry import Registry

NETWORKS: Registry[type[Network]] = Registry(
    "network",
    {
        "implicit": "ciaovideo.models.networks.implicit:ImplicitSR",
        "bicubic": "ciaovideo.models.networks.interpolation:Bicubic",
        "lanczos": "ciaovideo.models.networks.interpolation:Lanczos",
    },
)
