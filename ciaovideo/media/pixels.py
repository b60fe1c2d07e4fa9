"""From the decoder's pixel layouts to planar ones, sample by sample, and into tensors."""

from collections.abc import Callable, Sequence

import av
import torch
from torch import Tensor

from ciaovideo.color import PixelLayout
from ciaovideo.errors import ColorError

# Layouts that FFmpeg rearranges into planes without touching a sample (measured: see the tests).
REPACKED = {
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "nv16": "yuv422p",
    "nv24": "yuv444p",
    "nv42": "yuv444p",
    "nv20le": "yuv422p10le",
    "p010le": "yuv420p10le",
    "p012le": "yuv420p12le",
    "p016le": "yuv420p16le",
    "p210le": "yuv422p10le",
    "p212le": "yuv422p12le",
    "p216le": "yuv422p16le",
    "p410le": "yuv444p10le",
    "p412le": "yuv444p12le",
    "p416le": "yuv444p16le",
    "uyvy422": "yuv422p",
    "yuyv422": "yuv422p",
    "yvyu422": "yuv422p",
    "y210le": "yuv422p10le",
    "y212le": "yuv422p12le",
    "xv30le": "yuv444p10le",
    "yuv444p10msble": "yuv444p10le",
    "yuv444p12msble": "yuv444p12le",
    "rgb24": "gbrp",
    "bgr24": "gbrp",
    "rgb0": "gbrp",
    "bgr0": "gbrp",
    "0rgb": "gbrp",
    "0bgr": "gbrp",
    "pal8": "gbrp",
    "rgb48le": "gbrp16le",
    "bgr48le": "gbrp16le",
    "x2rgb10le": "gbrp10le",
    "x2bgr10le": "gbrp10le",
}
ALPHA_HINT = "transparency is not supported: flatten the video onto a background first"

type Acquire = Callable[[Sequence[tuple[int, int]], torch.dtype], tuple[Tensor, ...]]


def planar_name(pix_fmt: str) -> str:
    """The planar layout that holds exactly the samples of ``pix_fmt``.

    Full-range doubles such as yuvj420p lose their ``j``: range is a tag, not a layout. Raises
    ColorError for what has no such layout.
    """
    video_format = av.VideoFormat(pix_fmt)
    if any(component.is_alpha for component in video_format.components):
        raise ColorError(f"pixel format {pix_fmt} has an alpha channel", ALPHA_HINT)
    little = f"{pix_fmt[:-2]}le" if video_format.is_big_endian else pix_fmt
    target = REPACKED.get(little, little.replace("yuvj", "yuv"))
    PixelLayout.of(target)
    return target


def repacked(picture: av.VideoFrame, pix_fmt: str) -> av.VideoFrame:
    """The same samples in another order.

    In one thread: with more, FFmpeg now and then leaves rows of chroma gray (measured: 3 % of
    small p010le pictures).
    """
    return picture.reformat(format=pix_fmt, threads=1)


def picture_of(planes: Sequence[Tensor], pix_fmt: str, height: int, width: int) -> av.VideoFrame:
    """Planes of a planar layout as a picture for an encoder."""
    picture = av.VideoFrame(width, height, pix_fmt)
    for plane, samples in zip(picture.planes, planes, strict=True):
        coded = torch.from_dlpack(plane)  # type: ignore[attr-defined]
        assert coded.shape == samples.shape, "frames must have the target's size and layout"
        coded.copy_(samples)
    return picture


def copy_planes(
    picture: av.VideoFrame, layout: PixelLayout, acquire: Acquire
) -> tuple[Tensor, ...]:
    """The picture's planes, copied out of the decoder's memory and without its padding.

    ``acquire`` makes the tensors to copy into. The picture must be in a layout for which
    ``planar_name`` gives ``layout``.
    """
    name = picture.format.name
    if name.replace("yuvj", "yuv") != layout.name:
        if name == "pal8":
            _check_palette(picture)
        picture = repacked(picture, layout.name)
    planes = acquire(layout.plane_shapes(picture.height, picture.width), layout.dtype)
    for target, plane in zip(planes, picture.planes, strict=True):
        if plane.line_size < 0:
            raise ColorError(f"the decoder stores {name} upside down", "convert the video first")
        height, width = target.shape
        target.copy_(torch.from_dlpack(plane)[:height, :width])  # type: ignore[attr-defined]
    return planes


def _check_palette(picture: av.VideoFrame) -> None:
    """Refuse palettes with transparent colours that the picture uses."""
    rgba = torch.from_dlpack(repacked(picture, "rgba").planes[0])  # type: ignore[attr-defined]
    if rgba.reshape(picture.height, -1, 4)[..., 3].min() < 255:
        raise ColorError("the palette has transparent colours", ALPHA_HINT)
