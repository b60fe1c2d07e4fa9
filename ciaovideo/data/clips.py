"""Frames of videos as training pictures; PyAV is imported when needed."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ciaovideo.color import PixelLayout, to_rgb
from ciaovideo.errors import OptionError

# Suffixes of videos; other files in a folder are ignored.
SUFFIXES = frozenset(
    {".mkv", ".mp4", ".m4v", ".mov", ".avi", ".webm", ".mxf", ".dv", ".y4m"}
    | {".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".vob"}
)


def is_video(path: Path) -> bool:
    """Whether a name is a video's, by suffix; hidden files are not: they may hold metadata."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def read_frames(path: Path, every: int) -> Iterator[np.ndarray[Any, np.dtype[np.uint8]]]:
    """The first frame of a video and each ``every``-th after it: R'G'B' in 8 bit, (H, W, 3).

    Interlaced frames are deinterlaced. Raises the errors of opening and decoding, and OptionError
    if PyAV is not installed.
    """
    try:
        from ciaovideo.media.read.reader import VideoReader
    except ImportError as cause:
        raise OptionError(
            f"{path}: videos are read with PyAV, which is not installed",
            "install it, or name pictures",
        ) from cause
    with VideoReader(path) as reader:
        info = reader.info
        layout = PixelLayout.of(info.pix_fmt)
        color, _ = info.color.resolved(info.height, info.width, layout)
        for frame in islice(reader.frames(), None, None, every):
            rgb = to_rgb([plane[None] for plane in frame.planes], layout, color)[0]
            codes = (rgb * 255).round_().clamp_(0, 255).byte()
            yield codes.permute(1, 2, 0).contiguous().numpy()
