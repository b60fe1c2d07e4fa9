"""A batch's data: jobs, options, and the events and snapshots that it reports."""

import hashlib
import json
import math
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
        """A digest of the job's source, options and weights, and of the version that runs it.

        It decides, without opening a file, whether a finished output is up to date.
        """
        options = replace(self.options, overwrite=False)
        said = json.dumps(asdict(options), default=str, sort_keys=True)
        said += f" {self.source} {version('ciaovideo')} {_stamp(self.options.model)}"
        return hashlib.sha256(said.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """Options of a batch besides its jobs.

    ``retries`` are per file. ``redo`` replaces outputs that were made otherwise, ``mixed`` lets an
    output have segments of several kinds of machines, ``report`` adds a page on each.
    """

    retries: int = 3
    redo: bool = False
    mixed: bool = False
    report: bool = False


# Files of one class take equally long for a frame: model, sizes in and out, encoder.
type CostClass = tuple[str, tuple[int, int], tuple[int, int], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is expected of the files that are to be made: frames, and seconds of all workers.

    ``rates`` are seconds for an output pixel, by the class of a file.
    """

    frames: int = 0
    seconds: float = 0.0
    rates: Mapping[CostClass, float] = field(default_factory=dict)

    def seconds_per_frame(self, cost_class: CostClass) -> float:
        """Of a file; of a class that nobody foresaw the most of all, 0 without any."""
        rate = self.rates.get(cost_class, max(self.rates.values(), default=0.0))
        return math.prod(cost_class[2]) * rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The state of a batch: files in each state, and frames, where they are known."""

    waiting: int = 0
    working: int = 0
    done: int = 0
    failed: int = 0
    frames: int = 0
    frames_done: int = 0

    @property
    def files(self) -> int:
        """All of them."""
        return self.waiting + self.working + self.done + self.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened: kinds are begin, plan, segment, retry, done, skip, fail, end."""

    kind: str
    name: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """A worker's state: the file's name, the task, frames done and frames in it."""

    worker: str
    task: str = ""
    name: str = ""
    frames: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state of a batch: counts, frames with those in tasks, seconds, and each worker.

    ``new_frames`` are those that this command made. ``work`` are the seconds that were expected of
    these, ``work_left`` of those that are left: what they really take is in proportion.
    """

    counts: Counts
    frames: int
    total: int
    new_frames: int
    work: float
    work_left: float
    elapsed_s: float
    workers: tuple[WorkerState, ...]

    @property
    def left_s(self) -> float | None:
        """Seconds that are left at the rate up to now; None where nothing is known."""
        if not self.work or not self.work_left:
            return None
        return self.work_left * self.elapsed_s / self.work


def file_stamp(path: Path) -> str:
    """Size and modification time of a file, or of numbered pictures; "" where there is none."""
    try:
        found = [file.stat() for file in source_files(path)]
    except (OSError, MissingInputError):
        return ""
    size, changed = sum(one.st_size for one in found), max(one.st_mtime_ns for one in found)
    return f"{size} {changed}" + (f" {len(found)}" if len(found) > 1 else "")


def _stamp(model: ModelOptions) -> str:
    return file_stamp(model.weights) if model.weights else ""
