"""The numbers of a conversion, from the tags: code range, luma weights, chroma siting."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from ciaovideo.color.layout import PixelLayout
from ciaovideo.color.tags import ColorSpec, Matrix, Range, Siting
from ciaovideo.errors import ColorError

type Weights = tuple[float, float, float]  # of red, green and blue

RED_BLUE = {  # weights in luma; green has the rest
    Matrix.BT709: (0.2126, 0.0722),
    Matrix.FCC: (0.30, 0.11),
    Matrix.BT470BG: (0.299, 0.114),
    Matrix.SMPTE170M: (0.299, 0.114),
    Matrix.SMPTE240M: (0.212, 0.087),
    Matrix.BT2020_NCL: (0.2627, 0.0593),
}
POSITIONS = {  # along (y, x), as chroma.py counts them
    Siting.LEFT: (0.5, 0.0),
    Siting.CENTER: (0.5, 0.5),
    Siting.TOPLEFT: (0.0, 0.0),
    Siting.TOP: (0.0, 0.5),
    Siting.BOTTOMLEFT: (1.0, 0.0),
    Siting.BOTTOM: (1.0, 0.5),
}
GBR = (1, 2, 0)  # the channel of R'G'B' that each plane of an identity picture holds


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Code = zero + gain * signal; ``luma`` holds its weights, or None where planes are G, B, R."""

    luma: Weights | None
    luma_zero: int
    luma_gain: int
    chroma_zero: int
    chroma_gain: int
    position: tuple[float, float]

    @classmethod
    def of(cls, layout: PixelLayout, spec: ColorSpec) -> Self:
        """The coefficients for a resolved spec; ColorError where there are none."""
        if layout.alpha:
            raise ColorError(
                f"{layout.name} holds opacity, which has no colour",
                "convert the planes before it, in the layout without alpha",
            )
        luma = _luma_weights(layout, spec.matrix)
        half = 1 << (layout.bit_depth - 1)
        position = _position(layout, spec.siting)
        if spec.color_range == Range.FULL:
            return cls(luma, 0, layout.peak, half, layout.peak, position)
        if spec.color_range == Range.LIMITED:
            step = half >> 7
            return cls(luma, 16 * step, 219 * step, half, 224 * step, position)
        raise _unusable("range", spec.color_range, "LIMITED or FULL")

    def black(self, layout: PixelLayout) -> tuple[int, ...]:
        """The code of black in each plane of a layout of colours."""
        if self.luma is None:
            return (self.luma_zero,) * len(GBR)
        if layout.family == "gray":
            return (self.luma_zero,)
        return self.luma_zero, self.chroma_zero, self.chroma_zero

    def rows(self, layout: PixelLayout) -> tuple[tuple[Weights, int], ...]:
        """For each plane its weights, in codes per signal, and its zero."""
        if self.luma is None:
            one_hot = ([float(i == channel) for i in range(3)] for channel in GBR)
            return tuple((_scaled(row, self.luma_gain), self.luma_zero) for row in one_hot)
        luma = _scaled(self.luma, self.luma_gain), self.luma_zero
        if layout.family == "gray":
            return (luma,)
        kr, kg, kb = self.luma
        cb = _scaled((-kr, -kg, 1 - kb), self.chroma_gain / (2 - 2 * kb)), self.chroma_zero
        cr = _scaled((1 - kr, -kg, -kb), self.chroma_gain / (2 - 2 * kr)), self.chroma_zero
        return luma, cb, cr


def _scaled(weights: Sequence[float], gain: float) -> Weights:
    red, green, blue = weights
    return red * gain, green * gain, blue * gain


def _luma_weights(layout: PixelLayout, matrix: Matrix) -> Weights | None:
    if layout.family == "rgb":
        return None
    if matrix == Matrix.RGB and layout.family == "yuv":
        if layout.log2_chroma == (0, 0):
            return None
        raise ColorError(
            f"{layout.name} cannot hold R'G'B' planes, as its matrix tag says",
            "correct the tag first",
        )
    if matrix not in RED_BLUE:
        raise _unusable("matrix", matrix, ", ".join(known.name for known in RED_BLUE))
    red, blue = RED_BLUE[matrix]
    return red, 1 - red - blue, blue


def _position(layout: PixelLayout, siting: Siting) -> tuple[float, float]:
    if layout.log2_chroma == (0, 0):
        return 0.0, 0.0
    if siting not in POSITIONS:
        raise _unusable("siting", siting, ", ".join(known.name for known in POSITIONS))
    return POSITIONS[siting]


def _unusable(tag: str, value: Matrix | Range | Siting, usable: str) -> ColorError:
    if value.name == "UNSPECIFIED":
        return ColorError(f"the colour {tag} is unspecified", "resolve the tags first")
    return ColorError(
        f"no conversion for colour {tag} {value.name} (number {value.value})",
        f"convert the video to one of {usable} first",
    )
