"""Numbered pictures: the name with a number pattern (%06d), and the files it stands for."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
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


@dataclass(frozen=True, slots=True)
class PictureName:
    """A name with one number pattern, as in FFmpeg: %d, or %06d for six digits.

    ``before`` and ``after`` are the text around the number, ``width`` is its least number of
    digits.
    """

    path: Path
    before: str
    width: int
    after: str

    @classmethod
    def of(cls, path: Path) -> Self | None:
        """Parse a path; None if it does not name numbered pictures.

        Raises OptionError for a name with several patterns.
        """
        if not is_sequence(path):
            return None
        places = [*PLACE.finditer(path.name)]
        if len(places) != 1:
            raise OptionError(
                f"{path.name} has {len(places)} number patterns", "use exactly one, such as %06d"
            )
        (place,) = places
        texts = path.name[: place.end(1)], path.name[place.end() :]
        before, after = (text.replace("%%", "%") for text in texts)
        return cls(path, before, int(place[2] or 0), after)

    @property
    def stem(self) -> str:
        """The name without its number; empty if there is no other name."""
        after = Path(self.after)
        return f"{self.before}{after.stem if after.suffix else ''}".strip(" ._-")

    def inside(self, folder: Path) -> Self:
        """The same name in another folder."""
        return replace(self, path=folder / self.path.name)

    def file(self, number: int) -> Path:
        """The file of a number."""
        return self.path.with_name(self._with(number))

    def found(self) -> set[int]:
        """The numbers of the files that exist, in any order."""
        name = re.compile(f"{re.escape(self.before)}([0-9]+){re.escape(self.after)}")
        try:
            with os.scandir(self.path.parent) as entries:
                matches = [match for entry in entries if (match := name.fullmatch(entry.name))]
        except OSError:
            return set()
        numbers = ((int(match[1]), match[0]) for match in matches)
        return {number for number, text in numbers if self._with(number) == text}

    def _with(self, number: int) -> str:
        return f"{self.before}{number:0{self.width}d}{self.after}"


@dataclass(frozen=True)
class Numbered:
    """The files of a sequence without gaps, ``first`` and the ``count - 1`` after it."""

    name: PictureName
    first: int
    count: int

    @classmethod
    def of(cls, path: Path) -> Self | None:
        """Find the files; None if the path does not name numbered pictures.

        Raises OptionError for a name with several patterns, MissingInputError if there are no files
        or numbers are missing between the first and the last.
        """
        name = PictureName.of(path)
        if name is None:
            return None
        numbers = sorted(name.found())
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
        return cls(name, first, count)

    @cached_property
    def last(self) -> int:
        """The number of the last file."""
        return self.first + self.count - 1

    def file(self, number: int) -> Path:
        """The file of a number."""
        return self.name.file(number)

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
                f"{self.name.path}: {_frames(len(empty))} cannot be read, or are empty: {ranges}",
                "copy them again",
            )


def source_files(path: Path) -> list[Path]:
    """The files of a source: itself, or all of its pictures."""
    numbered = Numbered.of(path)
    return [*numbered.files] if numbered else [path]


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
