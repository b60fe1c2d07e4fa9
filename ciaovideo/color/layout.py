"""How the samples of a picture lie in planes: FFmpeg's planar integer formats, by their names."""

import re
from dataclasses import dataclass, replace
from typing import Literal, Self

import torch

from ciaovideo.errors import ColorError

Family = Literal["yuv", "gray", "rgb"]

LOG2_CHROMA = {
    "410": (2, 2),
    "411": (0, 2),
    "420": (1, 1),
    "422": (0, 1),
    "440": (1, 0),
    "444": (0, 0),
}
PLANAR = re.compile(
    r"(?:yuv(?P<full>j?)(?P<chroma>4\d\d)p|(?P<plain>gray|gbrp))(?:(?P<depth>9|10|12|14|16)le)?"
)
# The same with alpha. FFmpeg has gray with alpha in one plane only: here it is two.
WITH_ALPHA = re.compile(r"yuva(4[24]\d)p(.*)|gbrap(.*)|ya(8|16le)")


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """A planar format of 8 to 16 bits: planes Y, U, V, or Y alone, or G, B, R in that order.

    ``log2_chroma`` is how many times chroma is halved along (y, x). ``full_range_name`` is true
    for the old yuvj names, which mean full range whatever the tag says. With ``alpha`` one plane
    more comes last: opacity, of full size, 0 is transparent and the peak opaque in any range.
    """

    name: str
    family: Family
    bit_depth: int
    log2_chroma: tuple[int, int] = (0, 0)
    full_range_name: bool = False
    alpha: bool = False

    @classmethod
    def of(cls, pix_fmt: str) -> Self:
        """The layout of FFmpeg's pixel format of that name."""
        if with_alpha := WITH_ALPHA.fullmatch(pix_fmt):
            try:
                return replace(cls.of(_without_alpha(with_alpha)), name=pix_fmt, alpha=True)
            except ColorError:
                pass  # reported below, under the right name
        match = PLANAR.fullmatch(pix_fmt)
        depth = int(match["depth"] or 8) if match else 0
        if match and match["plain"]:
            family: Family = "gray" if match["plain"] == "gray" else "rgb"
            return cls(pix_fmt, family, depth)
        if match and match["chroma"] in LOG2_CHROMA and not (match["full"] and depth > 8):
            return cls(pix_fmt, "yuv", depth, LOG2_CHROMA[match["chroma"]], bool(match["full"]))
        raise ColorError(
            f"pixel format {pix_fmt!r} {_obstacle(pix_fmt)}",
            "convert the frames to a planar format of 8 to 16 bits first, "
            "such as yuv420p, yuv444p16le, gray or gbrp",
        )

    @property
    def opaque(self) -> Self:
        """The same layout without alpha."""
        match = WITH_ALPHA.fullmatch(self.name)
        if not self.alpha or match is None:
            return replace(self, alpha=False)
        return replace(self, name=_without_alpha(match), alpha=False)

    @property
    def dtype(self) -> torch.dtype:
        """The type of a sample."""
        return torch.uint8 if self.bit_depth == 8 else torch.uint16

    @property
    def peak(self) -> int:
        """The largest code a sample can hold."""
        return (1 << self.bit_depth) - 1

    @property
    def even_sides(self) -> tuple[bool, bool]:
        """Whether many encoders refuse an odd (height, width) in this layout."""
        return self.log2_chroma[0] > 0, self.log2_chroma[1] > 0

    def plane_log2(self, index: int) -> tuple[int, int]:
        """How many times the plane of this index is halved along (y, x)."""
        return self.log2_chroma if self.family == "yuv" and index in (1, 2) else (0, 0)

    def plane_shapes(self, height: int, width: int) -> tuple[tuple[int, int], ...]:
        """The (height, width) of each plane; chroma sides are rounded up."""
        luma = height, width
        alpha = (luma,) if self.alpha else ()
        if self.family == "gray":
            return luma, *alpha
        log2_y, log2_x = self.log2_chroma
        chroma = -(-height >> log2_y), -(-width >> log2_x)
        return luma, chroma, chroma, *alpha


def _without_alpha(match: re.Match[str]) -> str:
    """The name of a layout without its alpha."""
    chroma, depth, rgb_depth, gray_depth = match.groups()
    if chroma:
        return f"yuv{chroma}p{depth}"
    return f"gbrp{rgb_depth}" if gray_depth is None else f"gray{gray_depth.removeprefix('8')}"


def _obstacle(pix_fmt: str) -> str:
    """Why a format is unsupported."""
    if re.search(r"f(16|32)(le|be)$", pix_fmt):
        return "holds floating-point samples"
    if pix_fmt.endswith("be"):
        return "holds samples in big-endian order"
    return "is packed, semi-planar or unknown"
