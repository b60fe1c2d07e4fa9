"""A table of scores as text for a terminal, as Markdown and as JSON."""

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from ciaovideo.evaluate.protocol import Score

MISSING = "–"
MEASURED = "PSNR in dB on Y"
WITH_SSIM = "PSNR in dB and SSIM on Y"
SETS = {"b100": "bsd100"}  # other names that folders have


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one method reaches on one set, by scale; ``source`` is the paper of a published row."""

    method: str
    dataset: str
    scores: Mapping[float, Score]
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Rows of any sets, and the scales that are the columns."""

    scales: tuple[float, ...]
    rows: tuple[Row, ...]

    def as_text(self) -> str:
        """One aligned block for each set."""
        return "\n\n".join(self._block(dataset) for dataset in self._datasets())

    def as_markdown(self) -> str:
        """One table for each set."""
        return "\n\n".join(self._table(dataset) for dataset in self._datasets())

    def as_json(self) -> str:
        """A list of one object for each number; infinite ones are null."""
        return json.dumps([entry for row in self.rows for entry in _entries(row)], indent=2)

    def _datasets(self) -> list[str]:
        return list(dict.fromkeys(row.dataset for row in self.rows))

    def _cells(self, dataset: str) -> list[list[str]]:
        """Heading and rows of the table of one set."""
        rows = [row for row in self.rows if row.dataset == dataset]
        heading = [dataset, *(f"x{scale:g}" for scale in self.scales)]
        lines = [[_name(row), *(_cell(row.scores.get(s)) for s in self.scales)] for row in rows]
        return [heading, *lines]

    def _block(self, dataset: str) -> str:
        cells = self._cells(dataset)
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
            for line in cells
        ]
        return "\n".join([f"{self._title(dataset)}", *lines])

    def _table(self, dataset: str) -> str:
        heading, *lines = self._cells(dataset)
        rule = ["---", *("---:" for _ in self.scales)]
        rows = (f"| {' | '.join(line)} |" for line in (heading, rule, *lines))
        return "\n".join([f"{self._title(dataset)}:", "", *rows])

    def _title(self, dataset: str) -> str:
        scores = [
            score for row in self.rows if row.dataset == dataset for score in row.scores.values()
        ]
        measured = WITH_SSIM if any(score.ssim is not None for score in scores) else MEASURED
        pictures = max((score.pictures for score in scores), default=0)
        return f"{measured}, {pictures} pictures" if pictures else measured


def published(dataset: str, scales: Sequence[float]) -> list[Row]:
    """The figures of papers for a set, by its folder's name; none for a set that nobody knows."""
    text = (files("ciaovideo.evaluate") / "published.toml").read_text(encoding="utf-8")
    name = SETS.get(dataset.lower(), dataset.lower())
    rows = []
    for method, table in tomllib.loads(text).items():
        figures = {float(scale[1:]): psnr for scale, psnr in table.get(name, {}).items()}
        scores = {scale: Score(psnr=figures[scale]) for scale in scales if scale in figures}
        if scores:
            rows.append(Row(method=method, dataset=dataset, scores=scores, source=table["source"]))
    return rows


def _name(row: Row) -> str:
    return f"{row.method} (published)" if row.source else row.method


def _cell(score: Score | None) -> str:
    if score is None:
        return MISSING
    return f"{score.psnr:.2f}" if score.ssim is None else f"{score.psnr:.2f} / {score.ssim:.4f}"


def _entries(row: Row) -> list[dict[str, Any]]:
    """One object for each scale of a row."""
    return [
        {
            "method": row.method,
            "set": row.dataset,
            "scale": scale,
            "psnr": score.psnr if math.isfinite(score.psnr) else None,
            "ssim": score.ssim,
            "pictures": score.pictures or None,
            "source": row.source or None,
        }
        for scale, score in row.scores.items()
    ]
