"""Runs that are stopped on purpose, for the tests of resuming."""

from pathlib import Path
from typing import Any

from ciaovideo.options import ModelOptions, UpscaleOptions
from ciaovideo.pipeline.session import Progress

SEGMENT = 8
FRAMES = 29  # three segments and a piece


class StoppedError(Exception):
    """In the middle of a run."""


def options(**changes: Any) -> UpscaleOptions:
    given: dict[str, Any] = {"model": ModelOptions(model="bicubic"), "resume": True}
    return UpscaleOptions(**(given | changes))


def stop_at(count: int) -> Any:
    def stop(progress: Progress) -> None:
        if progress.frames == count:
            raise StoppedError

    return stop


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.iterdir()}
