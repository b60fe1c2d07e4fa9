"""Reports the crop of pictures, and pads pictures with black."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ciaovideo.color import ColorSpec, PixelLayout
from ciaovideo.color.coefficients import Coefficients
from ciaovideo.errors import OptionError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.frame import Frame, VideoInfo
from ciaovideo.media.margins import NO_MARGINS, Margins
from ciaovideo.options import CROP_SOURCE


def margins_around(
    picture: tuple[int, int], full: tuple[int, int], layout: PixelLayout, *, fields: bool = False
) -> Margins:
    """The margins that centre a picture (height, width) in a larger one.

    The picture begins at a whole chroma sample, and with ``fields`` at a row of the first field, so
    that it may be off centre by a pixel or two. Raises OptionError for a picture that ends inside a
    chroma sample, which would colour the black beside it.
    """
    (height, width), (tall, wide) = picture, full
    rows, columns = (1 << log2 for log2 in layout.log2_chroma)
    if (tall > height and height % rows) or (wide > width and width % columns):
        raise OptionError(
            f"a picture of {width}x{height} {layout.name} ends inside a chroma sample, and cannot"
            " be padded",
            "ask for even sides, or for chroma 444",
        )
    rows *= 2 if fields else 1
    top, left = (tall - height) // 2 // rows * rows, (wide - width) // 2 // columns * columns
    return Margins(top, tall - height - top, left, wide - width - left)


def crop_findings(
    info: VideoInfo, out_size: tuple[int, int], *, holds_crop: bool
) -> Iterator[Finding]:
    """The finding on the crop that the source states, in an output that ``holds_crop`` or not."""
    crop = info.marks.crop
    if info.cut:
        text = f"cropped before enlarging: {info.cut}"
        yield Finding(kind=Kind.CHOSEN, subject="crop", text=text)
    elif crop and not holds_crop:
        text = (
            f"the crop ({crop}) is not carried over: all stored pixels are enlarged and shown"
            f" (crop {CROP_SOURCE} applies it)"
        )
        yield Finding(kind=Kind.LOST, subject="crop", text=text)
    elif crop:
        scaled = crop.scaled((info.height, info.width), out_size)
        text = f"all stored pixels are enlarged, and the crop with them: {scaled}"
        yield Finding(kind=Kind.CHANGED, subject="crop", text=text)


def padding_findings(pad: Margins, picture: tuple[int, int], info: VideoInfo) -> Iterator[Finding]:
    """The finding on the padding; raises OptionError if players would crop it."""
    if not pad:
        return
    if info.marks.crop and not info.cut:
        raise OptionError(
            f"{info.path} states a crop of {info.marks.crop}, which would remove the padding, too",
            "apply that crop (crop source)",
        )
    top, bottom, left, right = pad
    height, width = picture
    text = (
        f"{width}x{height} in the middle of {width + left + right}x{height + top + bottom},"
        f" black around it: {pad}"
    )
    if max(abs(top - bottom), abs(left - right)) > 1:
        text += "; the picture begins at a whole chroma sample"
    yield Finding(kind=Kind.CHOSEN, subject="pad", text=text)


class Padder:
    """Centres pictures in black ones; the black is opaque.

    ``size`` is the (height, width) of the picture. The planes are reused for each frame.
    """

    def __init__(
        self, pad: Margins, size: tuple[int, int], layout: PixelLayout, color: ColorSpec
    ) -> None:
        self._pad, self._size, self._layout, self._color = pad, size, layout, color
        self._planes: tuple[Tensor, ...] = ()

    def padded(self, frame: Frame) -> Frame:
        """The frame with black around it."""
        if self._pad == NO_MARGINS:
            return frame
        self._planes = self._planes or self._black()
        for index, (plane, inner) in enumerate(zip(self._planes, frame.planes, strict=True)):
            rows, columns = self._layout.plane_log2(index)
            top, left = self._pad.top >> rows, self._pad.left >> columns
            plane[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
        return replace(frame, planes=self._planes)

    def _black(self) -> tuple[Tensor, ...]:
        layout, opaque = self._layout, self._layout.opaque
        codes = Coefficients.of(opaque, self._color).black(opaque)
        codes += (layout.peak,) if layout.alpha else ()
        top, bottom, left, right = self._pad
        height, width = self._size[0] + top + bottom, self._size[1] + left + right
        shapes = layout.plane_shapes(height, width)
        # Older torch has no full() for uint16, so the code is copied in afterwards.
        planes = tuple(torch.zeros(shape, dtype=layout.dtype) for shape in shapes)
        for plane, code in zip(planes, codes, strict=True):
            plane.copy_(torch.full(plane.shape, code, dtype=torch.int32))
        return planes
