"""Colour tags, planar pixel layouts, and the way between integer planes and float R'G'B'.

Conversion keeps what the file holds. R'G'B' is never clamped, since codes outside the nominal
range and saturated chroma leave [0, 1] and must come back; chroma is resampled by a triangle filter
at its true siting; samples are rounded once, at the end, as they are or dithered. Transfer and
primaries never enter the arithmetic: they are passed on.

``to_rgb`` and ``from_rgb`` (``planes.py``) are the only way in and out, whatever the device and the
type of a sample. ``tags.py`` has the colour tags, ``layout.py`` the pixel layouts, and
``coefficients.py`` the numbers that follow from both. ``convert.py``, ``chroma.py`` and
``dither.py`` are the arithmetic.
"""

from ciaovideo.color.dither import Dither
from ciaovideo.color.layout import PixelLayout
from ciaovideo.color.planes import PlaneFormat, from_rgb, to_rgb
from ciaovideo.color.tags import ColorSpec, Matrix, Primaries, Range, Siting, Transfer

__all__ = [
    "ColorSpec",
    "Dither",
    "Matrix",
    "PixelLayout",
    "PlaneFormat",
    "Primaries",
    "Range",
    "Siting",
    "Transfer",
    "from_rgb",
    "to_rgb",
]
