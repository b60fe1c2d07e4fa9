"""Tables of scores as text for a terminal, as Markdown and as JSON."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ciaovideo.evaluate.cost import Cost
from ciaovideo.evaluate.protocol import Score
from ciaovideo.evaluate.suites.load import SIDE, Load

MISSING = "–"
COST_TITLE = "LR of 192x192 px at x4"
LOAD_TITLE = f"LR of {SIDE}x{SIDE} px"
LOAD_HEADING = ("load", "scale", "weights", "MACs/px", "CPU s/Mpx", "MB")
COST_HEADING = ("cost", "weights", "in the decoder", "ms", "on")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Scores of one method on one set, by scale; ``source`` is the paper of a published row.

    ``channel`` is that of PSNR: Y or RGB. ``coding`` is the codec and quality of LR, if it was
    coded.
    """

    method: str
    dataset: str
    scores: Mapping[float, Score]
    source: str = ""
    channel: str = "Y"
    coding: str = ""

    @property
    def section(self) -> str:
        """The set and its coding, within which methods are compared."""
        return f"{self.dataset}, {self.coding}" if self.coding else self.dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Rows for any sets, scales as columns, and costs and loads if measured."""

    scales: tuple[float, ...]
    rows: tuple[Row, ...]
    costs: tuple[Cost, ...] = ()
    loads: tuple[Load, ...] = ()

    def as_text(self) -> str:
        """One aligned block for each set."""
        blocks = [f"{title}\n{_aligned(cells)}" for title, cells in self.tables()]
        return "\n\n".join(blocks)

    def as_markdown(self) -> str:
        """One table for each set."""
        blocks = [f"{title}:\n\n{_ruled(cells)}" for title, cells in self.tables()]
        return "\n\n".join(blocks)

    def as_json(self) -> str:
        """A list of one object for each number, cost and load; infinite ones are null."""
        entries = [entry for row in self.rows for entry in _entries(row)]
        others = [*map(_cost_entry, self.costs), *map(asdict, self.loads)]
        return json.dumps([*entries, *others], indent=2)

    def sections(self) -> list[str]:
        """The sets with their codings, in the order of the rows."""
        return list(dict.fromkeys(row.section for row in self.rows))

    def codings(self, dataset: str) -> list[str]:
        """The codings of a set's LR, in the order of the rows; empty if it was not coded."""
        coded = [row.coding for row in self.rows if row.dataset == dataset and row.coding]
        return list(dict.fromkeys(coded))

    def tables(self) -> list[tuple[str, list[list[str]]]]:
        """Title and cells, the heading first, for each set and for costs.

        For a coded set, one table for each scale, with codings as columns.
        """
        tables = []
        for dataset in dict.fromkeys(row.dataset for row in self.rows):
            rows = [row for row in self.rows if row.dataset == dataset]
            if self.codings(dataset):
                tables += [(_title(rows), self.over_codings(dataset, s)) for s in self.scales]
            else:
                tables.append((_title(rows), self.cells(dataset)))
        if self.loads:
            loads = [_load_cells(each) for each in self.loads]
            tables.append((LOAD_TITLE, [list(LOAD_HEADING), *loads]))
        if self.costs:
            lines = [_cost_cells(each) for each in self.costs]
            tables.append((COST_TITLE, [list(COST_HEADING), *lines]))
        return tables

    def cells(self, section: str) -> list[list[str]]:
        """Heading and rows of the table of one section, with scales as its columns."""
        rows = [row for row in self.rows if row.section == section]
        heading = [section, *(f"x{scale:g}" for scale in self.scales)]
        lines = [[_name(row), *(_cell(row, s) for s in self.scales)] for row in rows]
        return [heading, *lines]

    def title(self, section: str) -> str:
        """The measures in the cells of a section, and the number of pictures or frames."""
        return _title([row for row in self.rows if row.section == section])

    def over_codings(self, dataset: str, scale: float) -> list[list[str]]:
        """Heading and rows of a coded set at one scale."""
        rows = {(row.method, row.coding): row for row in self.rows if row.dataset == dataset}
        codings = self.codings(dataset)
        lines = [
            [
                method,
                *(
                    _cell(rows[method, coding], scale) if (method, coding) in rows else MISSING
                    for coding in codings
                ),
            ]
            for method in dict.fromkeys(method for method, _ in rows)
        ]
        return [[f"{dataset} x{scale:g}", *codings], *lines]


def _title(rows: Sequence[Row]) -> str:
    scores = [score for row in rows for score in row.scores.values()]
    channel = rows[0].channel
    title = f"PSNR in dB on {channel}"
    if any(score.ssim is not None for score in scores):
        title = "PSNR in dB and SSIM on Y" if channel == "Y" else f"{title}, SSIM on Y"
    if any(score.lpips is not None for score in scores):
        title += ", LPIPS on RGB"
    if any(score.equivariance is not None for score in scores):
        title += ", equivariance error in dB (less is better)"
    if any(score.temporal is not None for score in scores):
        title += ", temporal error in 8-bit steps of Y"
    if any(score.shift is not None for score in scores):
        title += ", shift of a frame's mean colour from LR's (from HR's) in 8-bit steps"
    pictures = max((score.pictures for score in scores), default=0)
    kind = "frames" if any(score.frames for score in scores) else "pictures"
    return f"{title}, {pictures} {kind}" if pictures else title


def _aligned(cells: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in cells
    )


def _ruled(cells: list[list[str]]) -> str:
    heading, *lines = cells
    rule = ["---", *("---:" for _ in heading[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in (heading, rule, *lines))


def _name(row: Row) -> str:
    return f"{row.method} (published)" if row.source else row.method


def _cell(row: Row, scale: float) -> str:
    """The figures of a cell; ours have one digit more than papers'."""
    score = row.scores.get(scale)
    if score is None:
        return MISSING
    parts = [f"{score.psnr:.2f}"]
    if score.ssim is not None:
        parts.append(f"{score.ssim:.{3 if row.source else 4}f}")
    if score.lpips is not None:
        parts.append(f"{score.lpips:.{3 if row.source else 4}f}")
    if score.equivariance is not None:
        parts.append(f"{score.equivariance:.2f}")
    if score.temporal is not None:
        parts.append(f"{score.temporal:.2f}")
    if score.shift is not None and score.true_shift is not None:
        parts.append(f"{score.shift:.2f} ({score.true_shift:.2f})")
    return " / ".join(parts)


def _load_cells(each: Load) -> list[str]:
    weights = f"{each.weights / 1e6:.2f} M"
    figures = (f"{each.macs / 1e3:.1f} k", f"{each.cpu_s:.2f}", f"{each.memory_mb:.0f}")
    return [each.method, f"x{each.scale:g}", weights, *figures]


def _cost_cells(each: Cost) -> list[str]:
    name = f"{each.method} (published)" if each.source else each.method
    weights = MISSING if each.weights is None else f"{each.weights / 1e6:.2f} M"
    time = f"{each.milliseconds:.0f}"
    return [name, weights, f"{each.decoder / 1e6:.2f} M", time, each.device]


def _entries(row: Row) -> list[dict[str, Any]]:
    """One object for each scale of a row."""
    return [
        {
            "method": row.method,
            "set": row.dataset,
            "scale": scale,
            "channel": row.channel,
            "psnr": _number(score.psnr),
            "ssim": score.ssim,
            "lpips": score.lpips,
            "equivariance": None if score.equivariance is None else _number(score.equivariance),
            "temporal": score.temporal,
            "shift": score.shift,
            "true_shift": score.true_shift,
            "coding": row.coding or None,
            "pictures": score.pictures or None,
            "frames": [_number(frame.psnr) for frame in score.frames] or None,
            "source": row.source or None,
        }
        for scale, score in row.scores.items()
    ]


def _cost_entry(each: Cost) -> dict[str, Any]:
    return {
        "method": each.method,
        "weights": each.weights,
        "decoder_weights": each.decoder,
        "milliseconds": each.milliseconds,
        "device": each.device,
        "source": each.source or None,
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
