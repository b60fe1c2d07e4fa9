"""Clips with alpha: the pictures of ``tests.media`` behind a disc with a soft edge, which moves."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ciaovideo.color import ColorSpec, PixelLayout
from ciaovideo.media.codecs.choice import choose_codec
from ciaovideo.media.frame import Frame
from ciaovideo.media.write.writer import VideoTarget, VideoWriter
from ciaovideo.options import EncodeOptions
from tests.media import Clip, planes_of
from tests.places import container_of


def matte(height: int, width: int, number: int, *, scale: int = 1) -> NDArray[np.float64]:
    """Opacity in [0, 1], of (H, W) samples or ``scale`` times as many along each side."""
    y, x = (np.mgrid[0 : height * scale, 0 : width * scale] + 0.5) / scale - 0.5
    radius = np.hypot(y - height / 2, x - width / 3 - number)
    opacity: NDArray[np.float64] = np.clip((height / 3 - radius) / 4 + 0.5, 0, 1)
    return opacity


def planes_with_alpha(clip: Clip, number: int) -> list[NDArray[Any]]:
    """The planes of one frame in any planar layout, opacity the last if it has alpha."""
    layout = PixelLayout.of(clip.pix_fmt)
    planes = planes_of(replace(clip, pix_fmt=layout.opaque.name), number)
    if layout.alpha:
        opacity = np.rint(matte(clip.height, clip.width, number) * layout.peak)
        planes.append(opacity.astype(planes[0].dtype))
    return planes


def make_alpha_clip(path: Path, clip: Clip) -> None:
    """Write the clip with its codec, by the package's own writer."""
    color = ColorSpec(*clip.color)  # type: ignore[arg-type]
    size = clip.height, clip.width
    choice = choose_codec(EncodeOptions(codec=clip.codec), container_of(path), clip.pix_fmt, *size)
    assert choice.pix_fmt == clip.pix_fmt
    target = VideoTarget(
        height=clip.height, width=clip.width, encoding=choice, color=color, time_base=clip.tick
    )
    with VideoWriter(path, target) as writer:
        for frame in _frames(clip):
            writer.write(frame)


def _frames(clip: Clip) -> Iterator[Frame]:
    for number, (pts, duration) in enumerate(zip(clip.times, clip.durations, strict=True)):
        planes = tuple(torch.from_numpy(plane) for plane in planes_with_alpha(clip, number))
        yield Frame(planes, pts, clip.tick, duration)
