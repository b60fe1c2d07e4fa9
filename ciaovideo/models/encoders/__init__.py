"""Feature extractors: LR image in, latent codes out, at the same height and width."""

from ciaovideo.models.protocols import Encoder
from ciaovideo.registry import Registry

ENCODERS: Registry[type[Encoder]] = Registry(
    "encoder",
    {
        "edsr": "ciaovideo.models.encoders.edsr:EDSR",
        "hiet": "ciaovideo.models.encoders.hiet:HiET",
        "rdn": "ciaovideo.models.encoders.rdn:RDN",
        "span": "ciaovideo.models.encoders.span:SPAN",
        "swinir": "ciaovideo.models.encoders.swinir:SwinIR",
    },
)
