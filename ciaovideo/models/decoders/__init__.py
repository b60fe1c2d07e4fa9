"""Decoders: latent codes and query points in, colour out."""

from ciaovideo.models.protocols import Decoder
from ciaovideo.registry import Registry

DECODERS: Registry[type[Decoder]] = Registry(
    "decoder",
    {
        "ciaosr": "ciaovideo.models.decoders.ciaosr:CiaoSR",
        "ciaosr-separable": "ciaovideo.models.decoders.ciaosr_separable:SeparableCiaoSR",
        "hiif": "ciaovideo.models.decoders.hiif:HIIF",
        "itsrn": "ciaovideo.models.decoders.itsrn:ITSRN",
        "liif": "ciaovideo.models.decoders.liif:LIIF",
        "lm-ciaosr": "ciaovideo.models.decoders.lm_ciaosr:LMCiaoSR",
        "lte": "ciaovideo.models.decoders.lte:LTE",
        "metasr": "ciaovideo.models.decoders.metasr:MetaSR",
    },
)
