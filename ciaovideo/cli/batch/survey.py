"""Prints the survey of a batch's files, as a table or as JSON."""

import json
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from tqdm import tqdm

from ciaovideo.cli.json_output import to_plain
from ciaovideo.cli.progress import LINE_EVERY_S, has_width
from ciaovideo.errors import CiaoVideoError

if TYPE_CHECKING:
    from ciaovideo.jobs.job import Job
    from ciaovideo.jobs.survey import Survey, SurveyedFile

SOME_FAIL = 7
TELLS = ("lost", "guessed", "damaged", "changed")


class SurveyProgress:
    """Prints how many files were surveyed: a bar on a terminal, else a line a minute.

    A context manager. ``seen`` is called after each file.
    """

    def __init__(
        self, total: int, *, quiet: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total, self._clock, self._quiet = total, clock, quiet
        self._count, self._next_line = 0, clock() + LINE_EVERY_S
        self._drawn = has_width() and not quiet
        self._bar = tqdm(
            total=total,
            desc="survey",
            unit=" files",
            file=sys.stderr,
            disable=not self._drawn,
            leave=False,
            dynamic_ncols=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def seen(self) -> None:
        """Count a file."""
        self._count += 1
        self._bar.update()
        if not self._drawn and not self._quiet and self._clock() >= self._next_line:
            self._next_line = self._clock() + LINE_EVERY_S
            print(f"{self._count} of {self._total} files surveyed", file=sys.stderr, flush=True)


class SurveyPrinter:
    """Collects the facts of each file for JSON, and prints tables."""

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self._json, self._quiet = as_json, quiet
        self._files: list[dict[str, Any]] = []

    def add(self, job: "Job", file: "SurveyedFile | CiaoVideoError") -> None:
        """Add the facts of one file."""
        if isinstance(file, CiaoVideoError):
            facts: dict[str, Any] = {"problem": file.problem, "hint": file.hint}
        else:
            facts = to_plain(file)
        self._files.append({"file": job.name, "source": str(job.source), **facts})

    def result(self, survey: "Survey") -> None:
        """Print the facts of all files."""
        if self._json:
            print(json.dumps({**_totals(survey), "files": self._files}, default=to_plain, indent=2))
            return
        for file in self._files:
            print(_line(file))
        print("\n".join(_table(survey)))

    def brief(self, survey: "Survey") -> None:
        """Print only the sums, on standard error; nothing among JSON events."""
        if not self._quiet and not self._json and survey.files:
            print("\n".join(_table(survey)), file=sys.stderr)


def dry_run_code(survey: "Survey") -> int:
    """The exit code that a batch would have, as far as known."""
    if not survey.problems:
        return 0
    return SOME_FAIL if survey.files else next(iter(survey.problems.values())).exit_code


def _line(file: dict[str, Any]) -> str:
    if "problem" in file:
        return f"{file['file']}: fails: {file['problem']}"
    (height, width), (out_height, out_width) = file["in_size"], file["out_size"]
    length = timedelta(seconds=round(file["duration_s"]))
    text = f"{file['file']}: {width}x{height} to {out_width}x{out_height}, {length},"
    text += f" {file['frames']} frames, {file['codec']}"
    found = [one for one in file["findings"] if one.kind in TELLS]
    return "\n".join([text, *(f"  {one.kind}: {one}" for one in found)])


def _table(survey: "Survey") -> list[str]:
    """The sums of a batch, one line each."""
    rows = {
        "files": f"{survey.files}, {timedelta(seconds=round(survey.duration_s))},"
        f" {survey.frames} frames, {survey.source_bytes / 1e9:.2f} GB",
        "models": ", ".join(sorted({kind[0] for kind in survey.cost_classes})),
        "memory": f"about {survey.memory / 1e6:.0f} MB for each worker",
    }
    if survey.finished:
        rows["finished"] = f"{survey.finished} of these, which are skipped"
    if survey.samples:
        rows["time"] = f"about {timedelta(seconds=round(survey.seconds))}, by a sample of frames"
        rows["disk"] = (
            f"about {survey.disk / 1e9:.2f} GB of video, {survey.disk_free / 1e9:.2f} GB free"
        )
    lines = [f"{name:8} {text}" for name, text in rows.items() if text]
    for (kind, subject), count in sorted(survey.losses.items()):
        if kind in TELLS:
            lines.append(f"{kind:8} {subject}: in {count} file{'s' if count > 1 else ''}")
    if survey.problems:
        lines.append(f"fails    {len(survey.problems)}")
    return lines


def _totals(survey: "Survey") -> dict[str, Any]:
    return {
        "count": survey.files,
        "finished": survey.finished,
        "frames": survey.frames,
        "duration_s": survey.duration_s,
        "source_bytes": survey.source_bytes,
        "memory_bytes": survey.memory,
        "seconds": survey.seconds,
        "disk_bytes": survey.disk,
        "disk_free_bytes": survey.disk_free,
        "losses": [
            {"kind": kind, "subject": subject, "files": count}
            for (kind, subject), count in sorted(survey.losses.items())
        ],
        "failing": len(survey.problems),
    }
