"""The input files of a batch and their outputs."""

import csv
import logging
import os
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ciaovideo.config import field_types, parse_text
from ciaovideo.errors import MissingInputError, OptionError, UnknownNameError
from ciaovideo.jobs.job import Job
from ciaovideo.media.sequence.numbered import PICTURES, PictureName, is_sequence, sequences_among
from ciaovideo.options import UpscaleOptions
from ciaovideo.pipeline.keywords import field_homes, with_fields

log = logging.getLogger(__name__)

VIDEOS = re.compile(
    r"\.(264|265|266|3g2|3gp|asf|avc|avi|divx|dv|evo|f4v|flv|gif|gxf|h264|h265|h266|hevc|ivf|m1v|m2p"
    r"|m2t|m2ts|m2v|m4v|mjpeg|mk3d|mkv|mov|mp4|mpeg|mpg|mpv|mts|mxf|nut|obu|ogm|ogv|ps|qt|rm|rmvb|swf"
    r"|ts|vob|vro|vvc|webm|wmv|wtv|y4m)",
    re.IGNORECASE,
)
LISTS = (".csv", ".toml")
WRITTEN = re.compile(r"\.(mp4|m4v|mov|mkv|webm|avi|mxf)", re.IGNORECASE)  # kept for outputs
OTHERWISE = ".mkv"
SIDES = re.compile(r"\{(height|width)\b")
MAGIC = re.compile(r"[*?\[]")
OWN_COLUMNS = ("input", "output")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A source, its path below the named folder, and its settings from a list."""

    source: Path
    place: Path
    output: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


type Owned = Sequence[tuple[Found, UpscaleOptions]]  # sources with options of their own


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Sources found, and the number of other files in the folders, by suffix."""

    found: tuple[Found, ...]
    others: Mapping[str, int]


def find_sources(names: Sequence[str], output: Path, *, pictures: bool = False) -> Listing:
    """The sources named by files, folders, wildcards and lists, in order, each once.

    Folders are searched to any depth, without hidden files and without ``output``. With
    ``pictures``, numbered ones in a folder are a source. Raises MissingInputError for missing
    files, OptionError for an unreadable list.
    """
    found: dict[tuple[Path, str], Found] = {}
    others: dict[str, int] = {}
    for name in names:
        for one in _named(name, output, others, pictures=pictures):
            key = one.source.absolute(), repr(sorted(one.settings.items(), key=str))
            found.setdefault(key, one)
    if not found:
        raise MissingInputError(f"no video in {', '.join(names)}", "name files or folders")
    return Listing(found=tuple(found.values()), others=others)


def names_sizes(name: str) -> bool:
    """Whether a pattern for outputs' names has their {height} or {width}."""
    return SIDES.search(name) is not None


def draft_jobs(
    found: Sequence[Found], output: Path, options: UpscaleOptions, name: str
) -> list[Job]:
    """A job for each source to survey it by, named by its number, before its output has a name."""
    jobs = []
    for number, one in enumerate(found, 1):
        own = _own_options(one, options)
        place = one.output or Path(_name(one, own, name, (number, 0, 0)))
        made = (output / f"{number}{place.suffix}").absolute()
        jobs.append(Job(name=str(number), source=one.source.absolute(), output=made, options=own))
    return jobs


def make_jobs(
    found: Sequence[Found],
    output: Path,
    options: UpscaleOptions,
    *,
    name: str = "",
    sizes: Sequence[tuple[int, int]] = (),
    given: Mapping[str, Path] = MappingProxyType({}),
) -> list[Job]:
    """A job for each source; raises OptionError if two would have the same output.

    ``name`` is a pattern for the outputs' names with {stem}, {suffix}, {folder}, {number} and any
    option. {height} and {width} are those of the outputs' ``sizes``. Without it an output is named
    like its source; ``given`` are the names that the batch has given before, with their sources.
    """
    owned = [(one, _own_options(one, options)) for one in found]
    places = _places(owned, name, sizes) if name else _default_places(owned, given)
    jobs: dict[str, Job] = {}
    for (one, own), place in zip(owned, places, strict=True):
        made = output / place
        if not made.resolve().is_relative_to(output.resolve()):
            raise OptionError(f"{place} lies outside {output}", "name outputs below it")
        if is_sequence(made):
            raise OptionError(
                f"{made}: a batch makes files that can be resumed, and no numbered pictures",
                "make a .mkv, and pictures of it afterwards",
            )
        if made.exists() and one.source.exists() and made.samefile(one.source):
            raise OptionError(f"the output {made} is the input itself", "choose another folder")
        key = _key(place)
        if key in jobs:
            raise OptionError(
                f"{jobs[key].source} and {one.source} would both become {made}",
                "name outputs by a pattern with what tells them apart, such as"
                " {folder}-{stem}-{suffix}.mkv or {number}-{stem}.mkv",
            )
        jobs[key] = Job(  # other machines may have another current folder
            name=str(place), source=one.source.absolute(), output=made.absolute(), options=own
        )
    return list(jobs.values())


def _key(place: Path | str) -> str:
    """A name as file systems compare it: many ignore case."""
    return str(place).casefold()


def _places(owned: Owned, pattern: str, sizes: Sequence[tuple[int, int]]) -> list[Path]:
    """The outputs' paths below the batch's folder, by a pattern."""
    places = []
    for number, (one, own) in enumerate(owned, 1):
        size = sizes[number - 1] if sizes else (0, 0)
        places.append(one.output or _folder_of(one) / _name(one, own, pattern, (number, *size)))
    return places


def _default_places(owned: Owned, given: Mapping[str, Path]) -> list[Path]:
    """The outputs' paths below the batch's folder, named like their sources.

    Of sources that would share a name, those whose suffix outputs do not keep have it in a longer
    name, such as X.ts.mkv. A name that was ``given`` stays with its source, and goes to no other.
    """
    holders = {_key(name): _file_name(source) for name, source in given.items()}
    usual = [one.output or _folder_of(one) / _default_name(one.source, own) for one, own in owned]
    counts = Counter(map(_key, usual))
    places = []
    for (one, own), place in zip(owned, usual, strict=True):
        longer = place.with_name(_default_name(one.source, own, longer=True))
        called, holder = _file_name(one.source), holders.get(_key(place))
        if holder is None:
            shared = counts[_key(place)] > 1 and not WRITTEN.fullmatch(one.source.suffix)
            taken = shared or holders.get(_key(longer)) == called
        else:
            taken = holder != called
        places.append(longer if taken and not one.output else place)
    return places


def _own_options(one: Found, options: UpscaleOptions) -> UpscaleOptions:
    """The options of one source; a common rate applies to numbered pictures only."""
    own = replace(with_fields(options, one.settings) if one.settings else options, resume=True)
    if is_sequence(one.source) or "rate" in one.settings:
        return own
    return replace(own, input=replace(own.input, rate=None))


def _folder_of(one: Found) -> Path:
    """The folder of an output; pictures named by a number alone get their folder's parent."""
    parent = one.place.parent
    pictures = PictureName.of(one.source)
    return parent.parent if pictures and not pictures.stem else parent


def _named(name: str, output: Path, others: dict[str, int], *, pictures: bool) -> Iterator[Found]:
    """The sources named by a word of a command line."""
    path = Path(name)
    if path.is_dir():
        yield from _in_folder(path, output, others, pictures=pictures)
    elif path.is_file():
        if path.suffix.lower() in LISTS:
            yield from _in_list(path)
        else:
            yield Found(source=path, place=Path(path.name))
    elif is_sequence(path):
        yield Found(source=path, place=Path(path.parent.absolute().name) / path.name)
    elif MAGIC.search(name):
        base = _fixed_part(path)
        matches = sorted(base.glob(str(path.relative_to(base))))
        matches = [
            match for match in matches if "/." not in f"/{match.relative_to(base).as_posix()}"
        ]
        if not matches:
            raise MissingInputError(f"nothing matches {name}", "check the folder")
        for match in matches:
            if match.is_file() and not _is_inside(match, output):
                yield Found(source=match, place=match.relative_to(base))
    else:
        raise MissingInputError(
            f"the input {path} does not exist", "name a file, a folder, a wildcard or a list"
        )


def _in_folder(
    folder: Path, output: Path, others: dict[str, int], *, pictures: bool
) -> Iterator[Found]:
    below = _walked(folder)
    if pictures:
        for parent in (folder, *(path for path in below if path.is_dir())):
            if not _is_inside(parent, output):
                yield from _sequences(parent, folder)
    for path in below:
        if not path.is_file() or _is_inside(path, output):
            continue
        place = path.relative_to(folder)
        suffix = path.suffix.lower()
        if VIDEOS.fullmatch(suffix):
            yield Found(source=path, place=place)
        elif not (pictures and suffix in PICTURES):
            others[suffix] = others.get(suffix, 0) + 1


def _walked(folder: Path) -> list[Path]:
    """All files and folders below a folder, in order, but no hidden ones; logs unreadable ones."""
    found = []
    for parent, folders, files in os.walk(folder, onerror=_log_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files = [name for name in files if not name.startswith(".")]
        found += [Path(parent, name) for name in (*folders, *files)]
    return sorted(found)


def _log_unreadable(error: OSError) -> None:
    log.warning("the folder %s is left out: %s", error.filename, error.strerror)


def _sequences(folder: Path, base: Path) -> Iterator[Found]:
    """The numbered pictures in one folder, ``base`` or below it."""
    place = folder.relative_to(base)
    names = (file.name for file in folder.iterdir() if not file.name.startswith("."))
    for pattern in sorted(sequences_among(names)):
        below = place if place.parts else Path(folder.absolute().name)
        yield Found(source=folder / pattern, place=below / pattern)


def _is_inside(path: Path, output: Path) -> bool:
    return path.resolve().is_relative_to(output.resolve())


def _fixed_part(pattern: Path) -> Path:
    """The folder of a pattern down to its first wildcard."""
    parts: list[str] = []
    for part in pattern.parts[:-1]:
        if MAGIC.search(part):
            break
        parts.append(part)
    return Path(*parts)


def _in_list(path: Path) -> Iterator[Found]:
    """The sources of a list, with their settings; names are relative to the list's folder."""
    rows = _csv_rows(path) if path.suffix.lower() == ".csv" else _toml_rows(path)
    homes = field_homes()
    for where, row in rows:
        if not row.get("input"):
            raise OptionError(f"{where}: no input", "each row or table has an input")
        settings = {key: value for key, value in row.items() if key not in OWN_COLUMNS}
        for key in settings:
            if key not in homes:
                raise UnknownNameError.among("option", key, [*homes, *OWN_COLUMNS])
        source = path.parent / str(row["input"])
        if not source.is_file() and not is_sequence(source):
            raise MissingInputError(f"{where}: the input {source} does not exist", "check its name")
        given = row.get("output")
        place = Path(str(row["input"]))
        yield Found(
            source=source,
            place=Path(place.name) if place.is_absolute() or ".." in place.parts else place,
            output=Path(str(given)) if given else None,
            settings=settings,
        )


def _csv_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows below a line of column names; empty cells set nothing."""
    homes = field_homes()
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for number, row in enumerate(csv.DictReader(file, strict=True), 2):
                where = f"{path}, line {number}"
                if None in row or None in row.values():
                    raise OptionError(
                        f"{where}: more or fewer cells than columns", "correct the line"
                    )
                cells = {key.strip(): cell.strip() for key, cell in row.items() if cell.strip()}
                yield where, {key: _typed(key, text, homes, where) for key, text in cells.items()}
    except (UnicodeDecodeError, csv.Error, OSError) as cause:
        raise OptionError(f"{path} is not a list: {cause}", "write CSV in UTF-8") from cause


def _typed(key: str, text: str, homes: Mapping[str, str], where: str) -> Any:
    """A cell as its option's type; unknown columns are refused later."""
    if key not in homes:
        return text
    group = homes[key]
    config = type(getattr(UpscaleOptions(), group)) if group else UpscaleOptions
    return parse_text(field_types(config)[key], text, f"{where}: {key}")


def _toml_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The tables ``[[file]]``; each ``[[file.part]]`` is a job that overrides its settings."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, OSError) as cause:
        raise OptionError(f"{path} is not a list: {cause}", "write tables [[file]]") from cause
    tables = content.pop("file", [])
    if content or not isinstance(tables, list):
        raise OptionError(
            f"{path}: unknown {', '.join(content) or 'file'}", "write tables [[file]]"
        )
    for number, table in enumerate(tables, 1):
        whole = dict(table)
        parts = whole.pop("part", None)
        for part in parts if isinstance(parts, list) else [{}]:
            yield f"{path}, file {number}", {**whole, **part}


def _stem(source: Path) -> str:
    """The name of a source; pictures named by a number alone get their folder's."""
    if pictures := PictureName.of(source):
        return pictures.stem or source.absolute().parent.name
    return source.stem


def _file_name(source: Path) -> str:
    """The name of a source with its suffix."""
    return f"{_stem(source)}{source.suffix}"


def _default_name(source: Path, options: UpscaleOptions, *, longer: bool = False) -> str:
    """The name of an output like its source's; a ``longer`` one has the source's suffix, too."""
    start, end = options.input.times
    span = f"-{_clock(start)}-{_clock(end)}" if start or end is not None else ""
    if longer:
        return f"{_file_name(source)}{span}{OTHERWISE}"
    suffix = source.suffix if WRITTEN.fullmatch(source.suffix) else OTHERWISE
    return f"{_stem(source)}{span}{suffix}"


def _name(one: Found, options: UpscaleOptions, pattern: str, numbers: tuple[int, int, int]) -> str:
    """The name of an output by a pattern; ``numbers`` are its number, height and width."""
    source = one.source
    words = {
        "stem": _stem(source),
        "suffix": source.suffix[1:],
        "folder": source.parent.name,
        **_settings(options),
        **dict(zip(("number", "height", "width"), numbers, strict=True)),
    }
    try:
        name = pattern.format(**words)
    except (KeyError, IndexError, ValueError) as cause:
        raise OptionError(
            f"{pattern!r} is not a name: {cause}", f"it may hold {{{'}, {'.join(sorted(words))}}}"
        ) from cause
    if not name or "None" in name or name.startswith("/"):
        raise OptionError(
            f"{pattern!r} becomes {name!r}", "use options that are set, and no absolute path"
        )
    return name


def _settings(options: UpscaleOptions) -> dict[str, Any]:
    """All options by name, without their groups."""
    found: dict[str, Any] = {}
    for name, group in field_homes().items():
        found[name] = getattr(getattr(options, group) if group else options, name)
    return found


def _clock(time: Fraction | None) -> str:
    """A time in seconds, for the name of a file."""
    return "end" if time is None else f"{float(time):.9g}s"
