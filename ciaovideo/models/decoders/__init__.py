"""Decoders: latent codes and query points in, colour out."""

from torch import nn

from ciaovideo.registry import Registry

DECODERS: Registry[type[nn.Module]] = Registry(
    "decoder",
    {
        "ciaosr": "ciaovideo.models.decoders.ciaosr:CiaoSR",
        "ciaosr-separable": "ciaovideo.models.decoders.ciaosr_separable:SeparableCiaoSR",
        "lm-ciaosr": "ciaovideo.models.decoders.lm_ciaosr:LMCiaoSR",
    },
)
