"""What to do with OpenEXR, whose samples are floating-point linear light.

Frames hold whole numbers, and networks were trained with pictures for a display. FFmpeg's decoder
can encode the light by a gamma of 2.2, and its encoder of PNG tags that. 16 bits hold the result as
exactly as half floats do; only what is darker than black or brighter than white is lost.
"""

import shlex
from pathlib import Path

import av

from ciaovideo.media.ffmpeg.remedies import FULL_RANGE
from ciaovideo.media.sequence.numbered import Numbered

SUFFIX = ".exr"
GAMMA = "gamma22"
PROBLEM = "OpenEXR holds floating-point linear light, and frames are whole numbers"


def as_png(path: Path, given: av.VideoFormat) -> str:
    """The hint for one picture or numbered ones: a complete command that makes PNG of them."""
    transparent = any(part.is_alpha for part in given.components)
    name = "rgb48be" if len(given.components) > 1 else "gray16be"
    name = "rgba64be" if transparent else name
    words, made = [*FULL_RANGE, "-apply_trc", GAMMA], Path(f"{path.stem}.png")
    then, before = ["-pix_fmt", name], ""
    if numbered := Numbered.of(path):
        numbers = ["-start_number", str(numbered.first)]
        folder = f"{path.absolute().parent.name}-png"
        words, then, made = words + numbers, then + numbers, folder / made
        before = f"mkdir {shlex.quote(folder)} && "
    else:
        then += ["-update", "1"]
    command = shlex.join(["ffmpeg", *words, "-i", str(path), *then, str(made)])
    return (
        "convert it first, which encodes the light by a gamma of 2.2 and clips it below 0 and above"
        f" 1: {before}{command}"
    )
