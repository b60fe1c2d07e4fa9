"""All options, as frozen dataclasses for the command line, the library and TOML.

``size`` has options for the output's size, ``source`` for reading the input, ``network`` for
computing the picture, ``output`` for writing the result; ``run`` combines them. None of these
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
