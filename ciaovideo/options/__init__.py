"""What a user can set, as frozen dataclasses: command line, library and TOML read them here.

``size`` is how large the output is, ``source`` what is read of the input and how, ``network`` what
computes the picture, ``output`` how the result is written; ``run`` has them all. None of these
modules imports torch or av, so that ``--help`` is quick.
"""

from ciaovideo.options.network import EngineOptions, ModelOptions, Precision
from ciaovideo.options.output import (
    BIT_DEPTHS,
    Chroma,
    Dithering,
    EncodeOptions,
    SoundPolicy,
    StreamOptions,
)
from ciaovideo.options.run import UpscaleOptions, option_groups
from ciaovideo.options.size import MAX_SCALE, SizeOptions
from ciaovideo.options.source import (
    CROP_AUTO,
    CROP_SOURCE,
    Deinterlace,
    InputOptions,
    Telecine,
    TransferName,
)

__all__ = [
    "BIT_DEPTHS",
    "CROP_AUTO",
    "CROP_SOURCE",
    "MAX_SCALE",
    "Chroma",
    "Deinterlace",
    "Dithering",
    "EncodeOptions",
    "EngineOptions",
    "InputOptions",
    "ModelOptions",
    "Precision",
    "SizeOptions",
    "SoundPolicy",
    "StreamOptions",
    "Telecine",
    "TransferName",
    "UpscaleOptions",
    "option_groups",
]
