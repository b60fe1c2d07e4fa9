"""Results as JSON: one object, whose findings have kind, subject, text and time."""

import dataclasses
import json
from collections.abc import Mapping, Set
from typing import Any


def as_json(result: Any) -> str:
    """A result, usually a dataclass, as JSON text."""
    return json.dumps(result, default=to_plain, indent=2)


def to_plain(value: Any) -> Any:
    """A value in JSON's types; rationals and paths as text."""
    if hasattr(value, "plain"):  # a Finding, a Container
        return value.plain()
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Set):
        return sorted(value)
    return str(value)
