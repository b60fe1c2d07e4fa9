"""Converts the decoder's pixel layouts to planar ones without loss, and to tensors."""

from collections.abc import Callable, Sequence

import av
import torch
from torch import Tensor

from ciaovideo.color import PixelLayout
from ciaovideo.errors import ColorError
from ciaovideo.media.margins import NO_MARGINS, Margins

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
    "rgba": "gbrap",
    "bgra": "gbrap",
    "argb": "gbrap",
    "abgr": "gbrap",
    "rgba64le": "gbrap16le",
    "bgra64le": "gbrap16le",
    "ayuv": "yuva444p",
    "vuya": "yuva444p",
    "uyva": "yuva444p",
    "ayuv64le": "yuva444p16le",
}
PALETTE_HINT = "convert it to RGBA first, for example with ffmpeg -pix_fmt rgba"
INTERLEAVED = {"ya8", "ya16le"}  # gray and alpha interleaved; FFmpeg has no planar layout

type Acquire = Callable[[Sequence[tuple[int, int]], torch.dtype], tuple[Tensor, ...]]


def planar_name(pix_fmt: str) -> str:
    """The planar layout that holds exactly the samples of ``pix_fmt``.

    Full-range variants such as yuvj420p lose their ``j``: range is a tag, not a layout. A palette
    counts as opaque here, unlike in ``planar_layout``. Raises ColorError if there is no such
    layout.
    """
    little = f"{pix_fmt[:-2]}le" if av.VideoFormat(pix_fmt).is_big_endian else pix_fmt
    target = REPACKED.get(little, little.replace("yuvj", "yuv"))
    PixelLayout.of(target)
    return target


def planar_layout(picture: av.VideoFrame) -> str:
    """The planar layout for a picture and those after it; with alpha if its palette has it."""
    name = picture.format.name
    if name == "pal8" and not _opaque(picture):
        return "gbrap"
    return planar_name(name)


def repacked(picture: av.VideoFrame, pix_fmt: str) -> av.VideoFrame:
    """The same samples in another layout.

    It uses one thread: with more, FFmpeg sometimes leaves rows of chroma gray (measured: in 3 % of
    small p010le pictures).
    """
    return picture.reformat(format=pix_fmt, threads=1)


def picture_of(planes: Sequence[Tensor], pix_fmt: str, height: int, width: int) -> av.VideoFrame:
    """Planes of a planar layout as a picture for an encoder."""
    picture = av.VideoFrame(width, height, pix_fmt)
    for coded, samples in zip(samples_of(picture), planes, strict=True):
        assert coded.shape == samples.shape, "frames must have the target's size and layout"
        coded.copy_(samples)
    return picture


def copy_planes(
    picture: av.VideoFrame, layout: PixelLayout, acquire: Acquire, cut: Margins = NO_MARGINS
) -> tuple[Tensor, ...]:
    """The picture's planes, copied out of the decoder's memory and without its padding.

    ``acquire`` provides the tensors to copy into. The picture must be in a layout for which
    ``planar_name`` gives ``layout``. ``cut`` is removed; it must be aligned to chroma samples.
    """
    name = picture.format.name
    if name.replace("yuvj", "yuv") != layout.name:
        if name == "pal8" and not layout.alpha and not _opaque(picture):
            raise ColorError(
                "the palette has transparent colours, which those before had not", PALETTE_HINT
            )
        picture = repacked(picture, layout.name)
    planes = acquire(layout.plane_shapes(*cut.inner(picture.height, picture.width)), layout.dtype)
    if any(plane.line_size < 0 for plane in picture.planes):
        raise ColorError(f"the decoder stores {name} upside down", "convert the video first")
    for index, (target, samples) in enumerate(zip(planes, samples_of(picture), strict=True)):
        log2_y, log2_x = layout.plane_log2(index)
        kept = samples[cut.top >> log2_y :, cut.left >> log2_x :]
        target.copy_(kept[: target.shape[0], : target.shape[1]])
    return planes


def samples_of(picture: av.VideoFrame) -> tuple[Tensor, ...]:
    """The planes (h_p, w_p) of a picture in a planar layout: its own memory, to read or write."""
    shapes = PixelLayout.of(picture.format.name).plane_shapes(picture.height, picture.width)
    if picture.format.name not in INTERLEAVED:
        planes = (torch.from_dlpack(plane) for plane in picture.planes)  # type: ignore[attr-defined]
        return tuple(
            plane[:height, :width] for plane, (height, width) in zip(planes, shapes, strict=True)
        )
    (plane,) = picture.planes
    kind = torch.uint8 if picture.format.name == "ya8" else torch.uint16
    pairs = torch.frombuffer(plane, dtype=kind).view(picture.height, -1, 2)
    return pairs[:, : picture.width, 0], pairs[:, : picture.width, 1]


def _opaque(picture: av.VideoFrame) -> bool:
    """Whether a picture with a palette uses no transparent colour."""
    rgba = torch.from_dlpack(repacked(picture, "rgba").planes[0])  # type: ignore[attr-defined]
    return bool(rgba.reshape(picture.height, -1, 4)[..., 3].min() == 255)
