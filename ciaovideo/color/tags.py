"""The colour tags of a file, and the defaults for missing ones.

Numbers of matrix, primaries and transfer are those of H.273, of range and siting those of FFmpeg.
"""

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Self

from ciaovideo.color.layout import PixelLayout
from ciaovideo.findings import Finding, Kind


class _Tag(IntEnum):
    """A number from a file; an unknown one becomes a member of its own."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, int):
            return None
        unknown = int.__new__(cls, value)
        unknown._name_ = f"UNKNOWN_{value}"
        unknown._value_ = value
        return unknown


class Matrix(_Tag):
    """How R'G'B' becomes Y'CbCr (H.273 MatrixCoefficients)."""

    RGB = 0
    BT709 = 1
    UNSPECIFIED = 2
    FCC = 4
    BT470BG = 5
    SMPTE170M = 6
    SMPTE240M = 7
    YCGCO = 8
    BT2020_NCL = 9
    BT2020_CL = 10
    SMPTE2085 = 11
    CHROMA_DERIVED_NCL = 12
    CHROMA_DERIVED_CL = 13
    ICTCP = 14
    IPT_C2 = 15
    YCGCO_RE = 16
    YCGCO_RO = 17


class Range(_Tag):
    """Which codes are black and white (FFmpeg's AVColorRange)."""

    UNSPECIFIED = 0
    LIMITED = 1
    FULL = 2


class Primaries(_Tag):
    """Which colours red, green and blue are (H.273 ColourPrimaries)."""

    BT709 = 1
    UNSPECIFIED = 2
    BT470M = 4
    BT470BG = 5
    SMPTE170M = 6
    SMPTE240M = 7
    FILM = 8
    BT2020 = 9
    SMPTE428 = 10
    SMPTE431 = 11
    SMPTE432 = 12
    EBU3213 = 22


class Transfer(_Tag):
    """How light becomes signal (H.273 TransferCharacteristics)."""

    BT709 = 1
    UNSPECIFIED = 2
    GAMMA22 = 4
    GAMMA28 = 5
    SMPTE170M = 6
    SMPTE240M = 7
    LINEAR = 8
    LOG = 9
    LOG_SQRT = 10
    IEC61966_2_4 = 11
    BT1361_ECG = 12
    IEC61966_2_1 = 13
    BT2020_10 = 14
    BT2020_12 = 15
    SMPTE2084 = 16
    SMPTE428 = 17
    ARIB_STD_B67 = 18


class Siting(_Tag):
    """Where a chroma sample sits among its luma samples (FFmpeg's AVChromaLocation)."""

    UNSPECIFIED = 0
    LEFT = 1
    CENTER = 2
    TOPLEFT = 3
    TOP = 4
    BOTTOMLEFT = 5
    BOTTOM = 6

    @property
    def level(self) -> "Siting":
        """The siting without its height: where chroma has as many rows as luma, all sit level."""
        if self in (Siting.TOPLEFT, Siting.BOTTOMLEFT):
            return Siting.LEFT
        return Siting.CENTER if self in (Siting.TOP, Siting.BOTTOM) else self


# Defaults for missing tags in the standard of each codec. FFmpeg fills in other sitings itself.
LIMITED_CODECS = {
    "h264",  # H.264 E.2.1: video_full_range_flag, when not present, is 0
    "hevc",  # H.265 E.3.1: the same
    "vvc",  # H.274 7.3: the same
    "mpeg1video",  # ISO 11172-2 2.4.1 codes as BT.601 does
    "mpeg2video",  # H.262 6.3.6: 16 to 235 and 240
    "mpeg4",  # ISO 14496-2 6.3.2: video_range, when not present, is 0
    "dvvideo",  # IEC 61834-2 and SMPTE 314M sample as BT.601 does
    "prores",  # SMPTE RDD 36, as BT.601 and BT.709 do
    "theora",  # Theora specification 4.2
}
LEFT_CODECS = {
    "h264",  # H.264 E.2.1: chroma_sample_loc_type, when not present, is 0
    "hevc",  # H.265 E.3.1: the same
    "mpeg2video",  # H.262 6.1.1.8
    "mpeg4",  # ISO 14496-2 6.1.3.6
    "prores",  # SMPTE RDD 36: 4:2:2 as BT.601 has it, on every second sample of luma
    "dnxhd",  # SMPTE 2019-1: the same
}
MATRIX_OF_PRIMARIES = {
    Primaries.BT709: Matrix.BT709,
    Primaries.BT470BG: Matrix.BT470BG,
    Primaries.SMPTE170M: Matrix.SMPTE170M,
    Primaries.SMPTE240M: Matrix.SMPTE240M,
    Primaries.BT2020: Matrix.BT2020_NCL,
}


@dataclass(frozen=True, slots=True)
class ColorSpec:
    """The five colour tags of a picture, as its file has them."""

    matrix: Matrix = Matrix.UNSPECIFIED
    color_range: Range = Range.UNSPECIFIED
    primaries: Primaries = Primaries.UNSPECIFIED
    transfer: Transfer = Transfer.UNSPECIFIED
    siting: Siting = Siting.UNSPECIFIED

    def resolved(
        self, height: int, width: int, layout: PixelLayout, codec: str = ""
    ) -> tuple[Self, tuple[Finding, ...]]:
        """The tags to compute with, and a finding for each that had to be guessed.

        Guesses are those of video players. A default in the standard of a ``codec`` (by FFmpeg's
        name) is no guess. Give the size of the source: an upscaled picture must be
        converted back with its source's spec, and only tags from the file go into a file.
        """
        if codec:
            return self._as_defined(layout, codec).resolved(height, width, layout)
        matrix, of_matrix = self._resolved_matrix(height, width, layout)
        color_range, of_range = self._resolved_range(layout)
        siting, of_siting = self._resolved_siting(layout)
        spec = replace(self, matrix=matrix, color_range=color_range, siting=siting)
        guesses = {"color matrix": of_matrix, "color range": of_range, "chroma siting": of_siting}
        return spec, tuple(
            Finding(kind=Kind.GUESSED, subject=subject, text=text)
            for subject, text in guesses.items()
            if text
        )

    def _as_defined(self, layout: PixelLayout, codec: str) -> Self:
        """The tags with those that a codec's standard gives to files without."""
        color_range, siting = self.color_range, self.siting
        if layout.family != "rgb" and not color_range and codec in LIMITED_CODECS:
            color_range = Range.FULL if layout.full_range_name else Range.LIMITED
        if any(layout.log2_chroma) and not siting and codec in LEFT_CODECS:
            siting = Siting.LEFT
        return replace(self, color_range=color_range, siting=siting)

    def _resolved_matrix(self, height: int, width: int, layout: PixelLayout) -> tuple[Matrix, str]:
        if layout.family == "rgb":
            return Matrix.RGB, ""
        tagged_as_rgb = layout.family == "gray" and self.matrix == Matrix.RGB
        if self.matrix != Matrix.UNSPECIFIED and not tagged_as_rgb:
            return self.matrix, ""
        if self.primaries in MATRIX_OF_PRIMARIES:
            matrix = MATRIX_OF_PRIMARIES[self.primaries]
            return matrix, f"no colour matrix given: {matrix.name} assumed from the primaries"
        if width >= 1280 or height > 576:
            matrix = Matrix.BT709
        else:
            matrix = Matrix.BT470BG if height == 576 else Matrix.SMPTE170M
        return matrix, f"no colour matrix given: {matrix.name} assumed for {width}x{height}"

    def _resolved_range(self, layout: PixelLayout) -> tuple[Range, str]:
        if layout.full_range_name:
            contradicted = self.color_range == Range.LIMITED
            text = f"tagged as limited range, but {layout.name} means full range: full assumed"
            return Range.FULL, text if contradicted else ""
        if self.color_range != Range.UNSPECIFIED:
            return self.color_range, ""
        if layout.family == "rgb":
            return Range.FULL, "no colour range given: full assumed for RGB"
        return Range.LIMITED, "no colour range given: limited assumed"

    def _resolved_siting(self, layout: PixelLayout) -> tuple[Siting, str]:
        if self.siting != Siting.UNSPECIFIED or layout.log2_chroma == (0, 0):
            return self.siting, ""
        return Siting.LEFT, "no chroma siting given: left assumed"
