"""Options as frozen dataclasses: default, unit and help are written once, in the field.

A field is a ``bool``, ``int``, ``float``, ``str``, ``Path``, ``Fraction`` (text in files and on the
command line, so that it is one beside ``str``), a ``Literal`` of words, a tuple of such,
or a config itself; ``| None`` with the default None where an option may stay unset, which is the
only meaning that None has here (TOML knows no null).
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from numbers import Integral, Rational, Real
from pathlib import Path
from typing import Any, Literal, cast, get_args, get_origin

from ciaovideo.errors import OptionError

WORDS: Mapping[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    Fraction: "a fraction",
}

NUMBERS: Mapping[Any, type] = {
    int: Integral,
    float: Real,
    Fraction: Rational,
}  # what is accepted for a field of these


def opt[T](default: T, text: str, unit: str = "", *, flag: str = "") -> T:
    """A dataclass field with its help text, its unit, and its command-line name if that differs.

    The unit is what stands for the value in help: ``PX``, ``N``, ``FILE``.
    """
    return dataclasses.field(default=default, metadata={"help": text, "unit": unit, "flag": flag})


def field_types(config: type[Any]) -> dict[str, Any]:
    """The resolved type of each field of a config dataclass."""
    return typing.get_type_hints(config)


def check_word(kind: str, word: str, known: Any) -> None:
    """Raise OptionError for a word that a ``Literal`` does not list."""
    if word not in get_args(known):
        raise OptionError(f"no {kind} is called {word!r}", ", ".join(get_args(known)))


def choices(annotation: Any) -> tuple[str, ...]:
    """The words a ``Literal`` field may take, or nothing for other fields."""
    return tuple(
        word
        for kind in _alternatives(annotation)
        if get_origin(kind) is Literal
        for word in get_args(kind)
    )


def from_mapping[C](config: type[C], values: Mapping[str, Any], where: str) -> C:
    """Build a config from a mapping such as a parsed TOML table; nested configs from sub-tables.

    Raises OptionError for unknown keys, for values of the wrong type and for what the config itself
    refuses; ``where`` names the source in the message.
    """
    hints = field_types(config)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise OptionError(
            f"{where}: unknown option {unknown[0]!r}", f"known: {', '.join(sorted(hints))}"
        )
    arguments = {
        name: _checked(hints[name], value, f"{where}: {name}") for name, value in values.items()
    }
    try:
        return config(**arguments)
    except OptionError as cause:
        raise OptionError(f"{where}: {cause.problem}", cause.hint) from cause
    except TypeError as cause:  # a field without a default is missing
        raise OptionError(f"{where}: {cause}") from cause


def to_mapping(config: Any) -> dict[str, Any]:
    """The plain values of a config, which ``from_mapping`` reads back; without unset options."""
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return {name: _plain(value) for name, value in values.items() if value is not None}


def parse_text(annotation: Any, text: str, name: str) -> Any:
    """The value that a word from a command line means for a field of this type.

    Items of a tuple are separated by commas. Raises OptionError, ``name`` being the option's.
    """
    allowed = choices(annotation)
    if text in allowed:
        return text
    kinds = [kind for kind in _alternatives(annotation) if get_origin(kind) is not Literal]
    for kind in kinds:
        if get_origin(kind) is tuple:
            return _tuple(kind, text.split(","), name, parse_text)
        if kind is bool and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if kind in (int, float, str, Path):
            try:
                return kind(text)
            except ValueError:
                continue
    raise OptionError(f"{name}: {text!r} is not {_described(annotation)}")


def require_type(annotation: Any, value: Any, name: str) -> Any:
    """A value that Python code passed for a field of this type; numpy's scalars become plain ones.

    Raises OptionError, ``name`` being the field's.
    """
    if value is None and types.NoneType in get_args(annotation):
        return None
    if isinstance(value, str) and value in choices(annotation):
        return value
    for kind in _alternatives(annotation):
        if get_origin(kind) is tuple and isinstance(value, tuple | list):
            return _tuple(kind, value, name, require_type)
        if kind in NUMBERS and isinstance(value, NUMBERS[kind]) and not isinstance(value, bool):
            return kind(value)
        if kind in (bool, str, Path) and isinstance(value, kind):
            return value
    raise OptionError(f"{name} must be {_described(annotation)}, got {value!r}")


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    """The types that a union is made of, or the type itself; without None."""
    union = get_origin(annotation) in (types.UnionType, typing.Union)
    kinds = get_args(annotation) if union else (annotation,)
    return tuple(kind for kind in kinds if kind is not types.NoneType)


def _checked(annotation: Any, value: Any, where: str) -> Any:
    """A parsed TOML value as its field's type; a whole number is taken where a float is meant."""
    if isinstance(value, str) and value in choices(annotation):
        return value
    for kind in _alternatives(annotation):
        if dataclasses.is_dataclass(kind) and isinstance(value, Mapping):
            return from_mapping(cast(type[Any], kind), value, where)
        if get_origin(kind) is tuple and isinstance(value, list):
            return _tuple(kind, value, where, _checked)
        if kind is Path and isinstance(value, str) and value:  # empty, it would be this folder
            return Path(value)
        if kind is float and type(value) in (int, float):
            return float(value)
        if kind in (bool, int, str) and type(value) is kind:
            return value
    raise OptionError(f"{where}: {value!r} is not {_described(annotation)}")


def _tuple(
    kind: Any, parts: Sequence[Any], where: str, convert: Callable[[Any, Any, str], Any]
) -> tuple[Any, ...]:
    """Each part as the item type that ``tuple[T, ...]`` or ``tuple[A, B]`` has in its place."""
    items = get_args(kind)
    if items[-1] is Ellipsis:
        items = items[:1] * len(parts)
    if len(items) != len(parts):
        raise OptionError(f"{where}: {len(parts)} values where {len(items)} belong")
    return tuple(convert(item, part, where) for item, part in zip(items, parts, strict=True))


def _plain(value: Any) -> Any:
    """A field's value in the types that TOML has."""
    if dataclasses.is_dataclass(value):
        return to_mapping(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path | Fraction) else value


def _described(annotation: Any) -> str:
    """A type in words for people: ``one of auto, fp32, bf16, fp16`` or ``a number or auto``."""
    allowed = choices(annotation)
    kinds = [kind for kind in _alternatives(annotation) if get_origin(kind) is not Literal]
    if not kinds:
        return f"one of {', '.join(allowed)}"
    return " or ".join([*(WORDS.get(kind, "a list or table") for kind in kinds), *allowed])
