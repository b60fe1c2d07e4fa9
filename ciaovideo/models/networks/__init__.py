"""Whole networks: LR image in, colour at any point out.

``implicit`` joins any encoder with any decoder, ``pixel-shuffle`` any encoder with one scale; the
others are networks as they are. bicubic and lanczos have no weights. Two are in no file, and so not
listed: ``by_scale`` is several networks of one scale each under one name, ``consistent`` corrects
the pictures of another network.
"""

from ciaovideo.models.protocols import Network
from ciaovideo.registry import Registry

NETWORKS: Registry[type[Network]] = Registry(
    "network",
    {
        "implicit": "ciaovideo.models.networks.implicit:ImplicitSR",
        "asdn": "ciaovideo.models.networks.asdn:ASDN",
        "bicubic": "ciaovideo.models.networks.interpolation:Bicubic",
        "eqsr": "ciaovideo.models.networks.eqsr.network:EQSR",
        "fsdn": "ciaovideo.models.networks.fsdn:FSDN",
        "lanczos": "ciaovideo.models.networks.interpolation:Lanczos",
        "pixel-shuffle": "ciaovideo.models.networks.pixel_shuffle:PixelShuffleSR",
    },
)
