"""A batch's data: its jobs, its options, and the events that it reports."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ciaovideo.errors import MissingInputError
from ciaovideo.media.sequence.numbered import source_files
from ciaovideo.options import ModelOptions, UpscaleOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A source, an output, and the options of the run between them.

    ``name`` is the output's path below the batch's folder: the job's key.
    """

    name: str
    source: Path
    output: Path
    options: UpscaleOptions

    @property
    def settings(self) -> str:
        """A digest of the job's source, options and weights, and of the version of ciaovideo.

        It decides, without opening a file, whether a finished output is up to date.
        """
        options = replace(self.options, overwrite=False)
        said = json.dumps(asdict(options), default=str, sort_keys=True)
        said += f" {self.source} {version('ciaovideo')} {_stamp(self.options.model)}"
        return hashlib.sha256(said.encode(errors="surrogateescape")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """Options of a batch besides its jobs.

    ``retries`` are per file. ``redo`` replaces outputs that were made with other settings,
    ``mixed`` allows an output segments from several kinds of machines, ``report`` adds a page for
    each.
    """

    retries: int = 3
    redo: bool = False
    mixed: bool = False
    report: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event of a batch; kinds are begin, plan, segment, retry, done, skip, fail, end."""

    kind: str
    name: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def file_stamp(path: Path) -> str:
    """Size and modification time of a file or of numbered pictures; "" if it is missing."""
    try:
        found = [file.stat() for file in source_files(path)]
    except (OSError, MissingInputError):
        return ""
    size, changed = sum(one.st_size for one in found), max(one.st_mtime_ns for one in found)
    return f"{size} {changed}" + (f" {len(found)}" if len(found) > 1 else "")


def _stamp(model: ModelOptions) -> str:
    return file_stamp(model.weights) if model.weights else ""
