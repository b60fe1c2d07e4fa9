"""Finds the files that a name with a number pattern (%06d) stands for."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Self

from ciaovideo.errors import MissingInputError, OpenError, OptionError

PICTURES = frozenset(
    {
        *(".dpx", ".tif", ".tiff", ".png", ".exr", ".bmp", ".jpg", ".jpeg", ".jp2", ".j2k"),
        *(".webp", ".tga", ".sgi", ".ppm", ".pgm", ".pnm"),
    }
)
PLACE = re.compile(r"(?<!%)((?:%%)*)%(0?[0-9]{0,2})d")  # the pattern; %% is a percent sign
DIGITS = re.compile(r"(.*?)([0-9]+)(\.[^.]+)")  # a name that ends in a number
MOST_SHOWN = 8  # ranges in a message


def is_sequence(path: Path) -> bool:
    """Whether a path has a number pattern and a picture suffix, and is not itself a file."""
    return (
        path.suffix.lower() in PICTURES
        and PLACE.search(path.name) is not None
        and not path.is_file()
    )


@dataclass(frozen=True)
class Numbered:
    """The files of a sequence without gaps, ``first`` and the ``count - 1`` after it.

    ``path`` has the number pattern, as in FFmpeg: %d, or %06d for six digits.
    """

    path: Path
    first: int
    count: int

    @classmethod
    def find(cls, path: Path) -> Self:
        """Find the files.

        Raises OptionError for a name with several patterns, MissingInputError if there are no files
        or numbers are missing between the first and the last.
        """
        numbers = sorted(found_numbers(path))
        if not numbers:
            raise MissingInputError(
                f"no file matches {path}", "check the folder, and the number of digits"
            )
        first, count = numbers[0], numbers[-1] - numbers[0] + 1
        if len(numbers) != count:
            lacking = [(one + 1, other - 1) for one, other in pairwise(numbers) if other - one > 1]
            total = count - len(numbers)
            raise MissingInputError(
                f"{path} lacks {_frames(total)} between {first} and {numbers[-1]}:"
                f" {_ranges(lacking)}",
                "restore them, or renumber the others without gaps",
            )
        return cls(path, first, count)

    @cached_property
    def last(self) -> int:
        """The number of the last file."""
        return self.first + self.count - 1

    def file(self, number: int) -> Path:
        """The file of a number."""
        return self.path.with_name(file_name(self.path.name, number))

    @property
    def files(self) -> Iterator[Path]:
        """All of them, in order."""
        return map(self.file, range(self.first, self.last + 1))

    def refuse_empty(self) -> None:
        """Raise OpenError if files are empty, as FFmpeg would end the video there."""
        empty = [
            number
            for number, file in enumerate(self.files, self.first)
            if not file.is_file() or not file.stat().st_size
        ]
        if empty:
            ranges = _ranges(_joined(empty))
            raise OpenError(
                f"{self.path}: {_frames(len(empty))} cannot be read, or are empty: {ranges}",
                "copy them again",
            )


def source_files(path: Path) -> list[Path]:
    """The files of a source: itself, or all of its pictures."""
    return [*Numbered.find(path).files] if is_sequence(path) else [path]


def found_numbers(path: Path) -> set[int]:
    """The numbers of the files that match a name with a number pattern, in any order.

    Raises OptionError for a name with more than one pattern.
    """
    name = _pattern(path)
    try:
        with os.scandir(path.parent) as entries:
            texts = [match[1] for entry in entries if (match := name.fullmatch(entry.name))]
    except OSError:
        return set()
    return {int(text) for text in texts if file_name(path.name, int(text)) == name_of(path, text)}


def name_of(path: Path, digits: str) -> str:
    """A file's name with these digits in place of the pattern."""
    before, _, after = _split(path.name)
    return f"{before}{digits}{after}"


def file_name(name: str, number: int) -> str:
    """A name with the number in place of the pattern."""
    before, width, after = _split(name)
    return f"{before}{number:0{width}d}{after}"


def demuxer_name(path: Path) -> str:
    """The absolute path for FFmpeg's demuxer: percent signs in folders are doubled."""
    absolute = path.absolute()
    return f"{str(absolute.parent).replace('%', '%%')}{os.sep}{absolute.name}"


def sequences_among(names: Iterable[str]) -> dict[str, int]:
    """The sequences among file names of one folder, as patterns, with their numbers of files.

    A single file is not a sequence.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for name in names:
        match = DIGITS.fullmatch(name)
        if match and match[3].lower() in PICTURES:
            found.setdefault((match[1], match[3]), []).append(match[2])
    patterns: dict[str, int] = {}
    for (before, suffix), digits in found.items():
        padded = any(text.startswith("0") and len(text) > 1 for text in digits)
        width = min(map(len, digits)) if padded else 0
        place = f"%0{width}d" if padded else "%d"
        if len(digits) > 1:
            patterns[f"{before.replace('%', '%%')}{place}{suffix}"] = len(digits)
    return patterns


def stem_of(path: Path) -> str:
    """The name of a sequence without its number; empty if it has no other name."""
    before, _, after = _split(path.name)
    return f"{before}{Path(after).stem if Path(after).suffix else ''}".strip(" ._-")


def _split(name: str) -> tuple[str, int, str]:
    """The text before the number, its minimum number of digits, and the text after it."""
    places = [*PLACE.finditer(name)]
    if len(places) != 1:
        raise OptionError(
            f"{name} has {len(places)} number patterns", "use exactly one, such as %06d"
        )
    (place,) = places
    before, after = (
        text.replace("%%", "%") for text in (name[: place.end(1)], name[place.end() :])
    )
    return before, int(place[2] or 0), after


def _pattern(path: Path) -> re.Pattern[str]:
    before, _, after = _split(path.name)
    return re.compile(f"{re.escape(before)}([0-9]+){re.escape(after)}")


def _joined(numbers: list[int]) -> list[tuple[int, int]]:
    """Rising numbers as inclusive ranges."""
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = ranges[-1][0], number
        else:
            ranges.append((number, number))
    return ranges


def _ranges(ranges: list[tuple[int, int]]) -> str:
    words = [f"{one}-{other}" if other > one else str(one) for one, other in ranges]
    more = f" and {len(words) - MOST_SHOWN} more" if len(words) > MOST_SHOWN else ""
    return ", ".join(words[:MOST_SHOWN]) + more


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count} frames"
