"""The report on a batch: JSON, and a page on all files with links to the page of each."""

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ciaovideo.findings import Kind, thing_of
from ciaovideo.pages.page import fill, write_page
from ciaovideo.report.page import clock

GRAVE = (Kind.WRONG, Kind.DAMAGED, Kind.LOST, Kind.GUESSED)
STATES = ("done", "failed", "working", "waiting")
OUTCOMES = ("kept", "changed", "lost", "added")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOutcome:
    """The result of one file of a batch.

    ``page`` is the path of its report, relative to the batch's folder; ``counts`` are the numbers
    of its facts by outcome, ``psnr`` is the consistency in dB, the mean and the worst frame's.
    Without a report they are empty. ``findings`` are the run's, as in JSON.
    """

    name: str
    source: str
    state: str
    frames: int = 0
    size: tuple[int, int] | None = None  # (width, height)
    seconds: float = 0.0
    model: str = ""
    restore: float = 0.0
    page: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    psnr: tuple[float, float] | None = None
    findings: tuple[Mapping[str, Any], ...] = ()
    problem: str = ""
    hint: str = ""

    @property
    def grave(self) -> list[Mapping[str, Any]]:
        """The findings that matter to an archive."""
        return [one for one in self.findings if one["kind"] in GRAVE]

    @property
    def link(self) -> str:
        """The address of its page."""
        return quote(os.fsencode(self.page))


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOutcome:
    """The results of all files of a batch, in their order."""

    folder: Path
    written: str
    files: tuple[FileOutcome, ...]

    @property
    def states(self) -> dict[str, int]:
        """The number of files by state, without states of no file."""
        counts = Counter(one.state for one in self.files)
        return {state: counts[state] for state in STATES if counts[state]}

    @property
    def counts(self) -> dict[str, int]:
        """The number of all files' facts by outcome."""
        return {word: sum(one.counts.get(word, 0) for one in self.files) for word in OUTCOMES}

    @property
    def graves(self) -> list[tuple[str, str, int]]:
        """Kinds and subjects of grave findings, and the number of files with each."""
        found: Counter[tuple[str, str]] = Counter()
        for one in self.files:
            found.update({(finding["kind"], thing_of(finding["subject"])) for finding in one.grave})
        order = [kind.value for kind in GRAVE]
        pairs = sorted(found.items(), key=lambda item: (order.index(item[0][0]), -item[1], item[0]))
        return [(kind, subject, count) for (kind, subject), count in pairs]

    def plain(self) -> dict[str, Any]:
        """The results in JSON's types."""
        return {
            "version": version("ciaovideo"),
            "folder": str(self.folder),
            "written": self.written,
            "states": self.states,
            "counts": self.counts,
            "frames": sum(one.frames for one in self.files),
            "seconds": round(sum(one.seconds for one in self.files), 3),
            "findings": [
                {"kind": kind, "subject": subject, "files": count}
                for kind, subject, count in self.graves
            ],
            "files": [asdict(one) for one in self.files],
        }


def batch_html(batch: BatchOutcome) -> str:
    """The page, self-contained; it links to the pages of files beside their outputs."""
    return fill(
        "ciaovideo.report",
        "batch.html",
        batch=batch,
        failed=[one for one in batch.files if one.state == "failed"],
        numbers=_figures(batch.files),
        outcomes=OUTCOMES,
        took=clock,
    )


def write_batch_report(batch: BatchOutcome) -> None:
    """Write ``report.html`` and ``report.json`` into the batch's folder, replacing older ones.

    Raises EncodeError on failure.
    """
    data = json.dumps(batch.plain(), indent=1, allow_nan=False)
    write_page(batch.folder / "report.json", data + "\n")
    write_page(batch.folder / "report.html", batch_html(batch))


def _figures(files: Sequence[FileOutcome]) -> list[tuple[str, str]]:
    """Names and values of the summary."""
    done = [one for one in files if one.state == "done"]
    figures = [
        ("files", f"{len(done)} of {len(files)}"),
        ("frames", f"{sum(one.frames for one in done):,}"),
        ("time of workers", clock(sum(one.seconds for one in files))),
    ]
    measured = [one.psnr for one in done if one.psnr]
    if measured:
        figures.append(
            ("consistency, mean", f"{sum(m for m, _ in measured) / len(measured):.1f} dB")
        )
        figures.append(("consistency, worst frame", f"{min(w for _, w in measured):.1f} dB"))
    return figures
