"""Makes command-line options from the config dataclasses."""

from argparse import ArgumentParser, ArgumentTypeError, BooleanOptionalAction, Namespace
from collections.abc import Callable, Collection
from dataclasses import fields, is_dataclass
from typing import Any

from ciaovideo.config import choices, field_types, parse_text
from ciaovideo.errors import OptionError


def add_group(parser: ArgumentParser, config: type[Any], *, without: Collection[str] = ()) -> None:
    """Add one option for each field of a config; its docstring becomes the group's heading.

    Fields that are configs themselves are skipped: each gets its own group. So are the fields in
    ``without``.
    """
    title, _, detail = (config.__doc__ or "").strip().partition(". ")
    group = parser.add_argument_group(title, detail.strip())
    types = field_types(config)
    for field in fields(config):
        if "help" not in field.metadata or field.name in without:
            continue
        annotation = types[field.name]
        name = f"--{field.metadata['flag'] or field.name.replace('_', '-')}"
        text = field.metadata["help"]
        if field.default not in (None, False, "", ()):
            text += " (default: %(default)s)"
        if annotation is bool:
            action = "store_true" if field.default is False else BooleanOptionalAction
            group.add_argument(
                name, dest=field.name, action=action, default=field.default, help=text
            )
            continue
        if annotation == tuple[str, ...]:
            unit = field.metadata["unit"]
            group.add_argument(name, dest=field.name, action="append", metavar=unit, help=text)
            continue
        group.add_argument(
            name,
            dest=field.name,
            type=_reader(annotation, field.name),
            default=field.default,
            metavar=field.metadata["unit"] or "|".join(choices(annotation)) or None,
            help=text,
        )


def read_group[C](config: type[C], arguments: Namespace) -> C:
    """The config from parsed arguments; raises OptionError for invalid values."""
    names = [
        field.name
        for field in fields(config)  # type: ignore[arg-type]
        if not is_dataclass(field.default) and hasattr(arguments, field.name)
    ]
    values = {name: getattr(arguments, name) for name in names}
    for name, annotation in field_types(config).items():
        if annotation == tuple[str, ...] and name in values:  # given once for each item
            values[name] = tuple(values[name] or ())
    return config(**values)


def _reader(annotation: Any, name: str) -> Callable[[str], Any]:
    """A function that parses a word, and raises argparse's error."""

    def read(text: str) -> Any:
        try:
            return parse_text(annotation, text, name)
        except OptionError as cause:
            raise ArgumentTypeError(cause.problem) from cause

    return read
