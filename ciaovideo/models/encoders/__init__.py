"""Feature extractors: LR image in, latent codes out, at the same height and width."""

from torch import nn

from ciaovideo.registry import Registry

ENCODERS: Registry[type[nn.Module]] = Registry(
    "encoder",
    {
        "edsr": "ciaovideo.models.encoders.edsr:EDSR",
        "rdn": "ciaovideo.models.encoders.rdn:RDN",
        "span": "ciaovideo.models.encoders.span:SPAN",
        "swinir": "ciaovideo.models.encoders.swinir:SwinIR",
    },
)
