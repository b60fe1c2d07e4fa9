"""HDR10's static metadata: read from a decoded picture, written as an encoder's parameters.

FFmpeg provides both blocks as bytes (AVMasteringDisplayMetadata, AVContentLightMetadata); the
encoders' libraries expect text, each in its own units.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from av.sidedata.sidedata import SideData, Type

# Fractions: x and y of red, green, blue and white, darkest, brightest; then two flags.
DISPLAY = struct.Struct("<22i")
LIGHT = struct.Struct("<2I")
CHROMATICITY_STEPS, LUMINANCE_STEPS = 50000, 10000  # in H.265, of 1 and of 1 cd/m²
BRIGHTEST_STEPS = 128  # AV1 rounds to 1 / 256, after its parameter's four decimals
HDR10_CODECS = {"h264", "hevc", "av1"}  # that store it


@dataclass(frozen=True, slots=True)
class MasteringDisplay:
    """The screen that a video was graded on: chromaticities (x, y), luminance in cd/m²."""

    red: tuple[Fraction, Fraction]
    green: tuple[Fraction, Fraction]
    blue: tuple[Fraction, Fraction]
    white: tuple[Fraction, Fraction]
    darkest: Fraction
    brightest: Fraction


@dataclass(frozen=True, slots=True)
class LightLevel:
    """The brightest pixel and the brightest frame's mean (MaxCLL, MaxFALL), in cd/m²."""

    max_content: int
    max_average: int


NO_LIGHT = LightLevel(0, 0)


@dataclass(frozen=True, slots=True)
class Hdr10:
    """The HDR10 metadata of a file; absent parts are None."""

    display: MasteringDisplay | None = None
    light: LightLevel | None = None

    def __str__(self) -> str:
        parts = {"mastering display": self.display, "light level": self.light}
        return f"HDR10 metadata ({', '.join(name for name, part in parts.items() if part)})"


def read_hdr10(blocks: Iterable[SideData]) -> Hdr10 | None:
    """The HDR10 metadata in a picture's side data; None if there is no complete part."""
    hanging: Mapping[Type, SideData] = {block.type: block for block in blocks}
    display = light = None
    if Type.MASTERING_DISPLAY_METADATA in hanging:
        display = _display(bytes(hanging[Type.MASTERING_DISPLAY_METADATA]))
    if Type.CONTENT_LIGHT_LEVEL in hanging:
        light = LightLevel(*LIGHT.unpack_from(bytes(hanging[Type.CONTENT_LIGHT_LEVEL])))
    return Hdr10(display, light) if display or light else None


def hdr10_params(codec: str, hdr10: Hdr10) -> str:
    """The metadata as parameters of an encoder's library; empty if it cannot store them."""
    writer = WRITERS.get(codec)
    return ":".join(writer(hdr10)) if writer else ""


def same_hdr10(given: Hdr10 | None, made: Hdr10 | None) -> bool:
    """Whether two are equal up to the codecs' rounding.

    H.264 and H.265 store chromaticities in 50000ths and luminance in 10000ths of 1 cd/m²; AV1 in
    65536ths, 256ths for the brightest and 16384ths for the darkest. A light level of 0 means none.
    """
    one, other = given or Hdr10(), made or Hdr10()
    if (one.light or NO_LIGHT) != (other.light or NO_LIGHT):
        return False
    if one.display is None or other.display is None:
        return one.display == other.display
    a, b = one.display, other.display
    points = ((a.red, b.red), (a.green, b.green), (a.blue, b.blue), (a.white, b.white))
    return (
        all(_near(x, y, CHROMATICITY_STEPS) for pair in points for x, y in zip(*pair, strict=True))
        and _near(a.darkest, b.darkest, LUMINANCE_STEPS)
        and _near(a.brightest, b.brightest, BRIGHTEST_STEPS)
    )


def _near(one: Fraction, other: Fraction, steps: int) -> bool:
    """Whether two numbers are at most a step apart."""
    return abs(one - other) <= Fraction(1, steps)


def _display(data: bytes) -> MasteringDisplay | None:
    *numbers, has_primaries, has_luminance = DISPLAY.unpack_from(data)
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    if not (has_primaries and has_luminance and all(below for _, below in pairs)):
        return None
    v = [Fraction(above, below) for above, below in pairs]
    return MasteringDisplay((v[0], v[1]), (v[2], v[3]), (v[4], v[5]), (v[6], v[7]), v[8], v[9])


def _whole(display: MasteringDisplay) -> str:
    """The display in H.265's integers."""

    def point(name: str, place: tuple[Fraction, Fraction]) -> str:
        x, y = (round(value * CHROMATICITY_STEPS) for value in place)
        return f"{name}({x},{y})"

    brightest, darkest = (
        round(value * LUMINANCE_STEPS) for value in (display.brightest, display.darkest)
    )
    points = {"G": display.green, "B": display.blue, "R": display.red, "WP": display.white}
    return "".join(point(*item) for item in points.items()) + f"L({brightest},{darkest})"


def _decimal(display: MasteringDisplay) -> str:
    """The display in decimal fractions."""

    def point(name: str, place: tuple[Fraction, Fraction]) -> str:
        return f"{name}({float(place[0]):.5f},{float(place[1]):.5f})"

    points = {"G": display.green, "B": display.blue, "R": display.red, "WP": display.white}
    luminance = f"L({float(display.brightest):.4f},{float(display.darkest):.4f})"
    return "".join(point(*item) for item in points.items()) + luminance


def _x264(hdr10: Hdr10) -> list[str]:
    display, light = hdr10.display, hdr10.light
    found = [f"mastering-display={_whole(display)}"] if display else []
    return found + ([f"cll={light.max_content},{light.max_average}"] if light else [])


def _x265(hdr10: Hdr10) -> list[str]:
    display, light = hdr10.display, hdr10.light
    found = ["hdr10=1"] + ([f"master-display={_whole(display)}"] if display else [])
    return found + ([f"max-cll={light.max_content},{light.max_average}"] if light else [])


def _svtav1(hdr10: Hdr10) -> list[str]:
    display, light = hdr10.display, hdr10.light
    found = [f"mastering-display={_decimal(display)}"] if display else []
    return found + ([f"content-light={light.max_content},{light.max_average}"] if light else [])


WRITERS = {"libx264": _x264, "libx265": _x265, "libsvtav1": _svtav1}
