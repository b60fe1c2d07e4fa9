"""Commands as a shell gives them: the error they raise, and the JSON they print."""

import json
from importlib import import_module
from typing import Any

import pytest

from ciaovideo.cli.main import parse_args
from ciaovideo.errors import CiaoVideoError

PLAIN = [
    "--model",
    "bicubic",
    "--scale",
    "1",
    "--preset",
    "ultrafast",
]  # a run that changes no picture


def error_of[E: CiaoVideoError](kind: type[E], *words: object) -> E:
    """The error of a command line, which is of exactly this kind."""
    module, arguments = parse_args([str(word) for word in words])
    with pytest.raises(kind) as caught:
        import_module(module).run(arguments)
    assert type(caught.value) is kind
    return caught.value


def result_in(printed: str) -> dict[str, Any]:
    """The object that ``--json`` printed, after any other lines."""
    result: dict[str, Any] = json.loads(printed[printed.index("{\n") :])
    return result


def found_in(result: dict[str, Any]) -> set[tuple[str, str]]:
    """Kind and subject of each finding of a plan or summary."""
    return {(finding["kind"], finding["subject"]) for finding in result["findings"]}
