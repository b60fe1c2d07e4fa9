"""Parsers of sizes, boxes, times and rates, and the sides that follow from a shape."""

import re
from fractions import Fraction

from ciaovideo.errors import OptionError

MAX_RATE = 1000  # frames a second
ROUNDED_RATE = Fraction(1, 5000)  # tolerance within which 23.98 means 24000/1001


def parse_size(text: str) -> tuple[int, int]:
    """``"WIDTHxHEIGHT"`` as (height, width); raises OptionError for anything else."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})[xX]([1-9][0-9]{0,5})", text)
    if match is None:
        raise OptionError(f"{text!r} is not a size", "write WIDTHxHEIGHT, for example 1920x1080")
    return int(match[2]), int(match[1])


def parse_box(text: str) -> tuple[int, int, int, int]:
    """``"WIDTHxHEIGHT+LEFT+TOP"`` as (width, height, left, top); OptionError for anything else."""
    side, place = r"([1-9][0-9]{0,5})", r"\+([0-9]{1,6})"
    match = re.fullmatch(f"{side}[xX]{side}{place}{place}", text)
    if match is None:
        raise OptionError(
            f"{text!r} is not a crop", "write WIDTHxHEIGHT+LEFT+TOP, such as 704x464+8+8, or auto"
        )
    width, height, left, top = map(int, match.groups())
    return width, height, left, top


def parse_time(text: str | Fraction) -> Fraction:
    """Seconds, exactly, from a time: 90, 90.25, 1:30.25, 0:01:30.25, or a fraction as 271/3."""
    if isinstance(text, Fraction):
        return text
    if re.fullmatch(r"[0-9]{1,18}/[1-9][0-9]{0,17}", text):
        return Fraction(text)
    match = re.fullmatch(
        r"(?:(?:([0-9]{1,6}):)?([0-9]{1,6}):)?([0-9]{1,9}(?:\.[0-9]{1,18})?)", text
    )
    hint = "seconds such as 90.25, or [HH:]MM:SS[.FRACTION] such as 1:30.25"
    if match is None:
        raise OptionError(f"{text!r} is not a time", hint)
    hours, minutes = (int(part or 0) for part in match.groups()[:2])
    seconds = Fraction(match[3])
    if (match[1] is not None and minutes >= 60) or (match[2] is not None and seconds >= 60):
        raise OptionError(f"{text!r} is not a time: minutes and seconds go up to 59", hint)
    return 3600 * hours + 60 * minutes + seconds


def parse_rate(text: str | Fraction) -> Fraction:
    """Frames a second, exactly, from 24, 24000/1001 or 12.5; OptionError for what is rounded."""
    written = r"[0-9]{1,9}(?:/[1-9][0-9]{0,8}|\.[0-9]{1,9})?"
    known = isinstance(text, Fraction) or re.fullmatch(written, text)
    number = Fraction(text) if known else Fraction(0)
    if not 0 < number <= MAX_RATE:
        raise OptionError(f"{text!r} is not a rate", "frames a second, such as 24 or 24000/1001")
    if isinstance(text, Fraction) or "." not in text:
        return number
    exact = round(number * Fraction(1001, 1000)) * Fraction(1000, 1001)
    if number != exact and abs(number - exact) < exact * ROUNDED_RATE:
        raise OptionError(f"the rate {text} is rounded", f"write {exact}")
    return number


def check_shape(target: tuple[int, int], shape: tuple[Fraction, Fraction]) -> None:
    """Raise OptionError where a size distorts the shape by more than even rounding does."""
    fitting = round(shape[1] * target[0] / shape[0])
    if abs(fitting - target[1]) > 1 + fitting / target[0]:
        raise OptionError(
            f"{target[1]}x{target[0]} of square pixels would distort the picture",
            f"{fitting}x{target[0]} would not; with only a height, the width follows",
        )


def nearest_side(side: Fraction | float, least: int, even: bool) -> int:
    """Round to a whole number of pixels, halves to even as the papers' code does.

    To an even number if asked, though never from at or above ``least`` to below it.
    """
    if not even:
        return round(side)
    nearest = 2 * round(side / 2)
    return nearest + 2 if nearest < least <= round(side) else nearest


def fitting_sides(
    shape: tuple[Fraction | float, Fraction | float],
    box: tuple[int, int],
    even: tuple[bool, bool],
) -> tuple[int, int]:
    """The largest (height, width) of a shape that fits into a box; even where that is asked for."""
    factor = min(Fraction(most) / Fraction(side) for most, side in zip(box, shape, strict=True))
    height, width = (int(Fraction(side) * factor) for side in shape)
    return height - (height % 2 if even[0] else 0), width - (width % 2 if even[1] else 0)
