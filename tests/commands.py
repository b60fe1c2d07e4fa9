"""Commands as a shell gives them: what they raise, before it becomes words and an exit code."""

from importlib import import_module

import pytest

from ciaovideo.cli.main import parse_args
from ciaovideo.errors import CiaoVideoError


def error_of[E: CiaoVideoError](kind: type[E], *words: object) -> E:
    """The error of a command line, which is of exactly this kind."""
    module, arguments = parse_args([str(word) for word in words])
    with pytest.raises(kind) as caught:
        import_module(module).run(arguments)
    assert type(caught.value) is kind
    return caught.value
