"""Figures of papers, one TOML file per paper: tables as printed, by set and scale.

A ``[[table]]`` names the paper's table, the set, the measure (psnr, ssim, lpips), the channel (Y,
RGB) of PSNR and the scales that are its columns; ``rows`` are methods, and ``nan`` is a gap. A
``[[cost]]`` has the columns of ``ciaovideo.evaluate.cost``.
"""

import math
import tomllib
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any

from ciaovideo.evaluate.cost import Cost
from ciaovideo.evaluate.protocol import Score
from ciaovideo.evaluate.report import Row

# Other common folder names.
SETS = {"b100": "bsd100", "div2k_valid_hr": "div2k", "div2k100": "div2k", "manga109hr": "manga109"}


def published(dataset: str, scales: Sequence[float], channel: str = "Y") -> list[Row]:
    """Published figures for a set, by its folder's name; none for an unknown set."""
    name = SETS.get(dataset.lower(), dataset.lower())
    rows = []
    for paper in _papers():
        figures: dict[str, dict[float, dict[str, float]]] = {}
        tables: dict[str, list[str]] = {}
        for table in paper.get("table", ()):
            if (table["set"], table["channel"]) == (name, channel):
                for method, values in table["rows"].items():
                    tables.setdefault(method, []).append(table["table"])
                    for scale, value in zip(table["scales"], values, strict=True):
                        if scale in scales and not math.isnan(value):
                            places = figures.setdefault(method, {}).setdefault(float(scale), {})
                            places[table["measure"]] = value
        for method, by_scale in figures.items():
            scores = {
                scale: Score(psnr=by["psnr"], ssim=by.get("ssim"), lpips=by.get("lpips"))
                for scale, by in by_scale.items()
                if "psnr" in by
            }
            if scores:
                source = f"{paper['paper']}, {_numbers(tables[method])}"
                rows.append(
                    Row(
                        method=method,
                        dataset=dataset,
                        scores=scores,
                        source=source,
                        channel=channel,
                    )
                )
    return rows


def published_costs() -> list[Cost]:
    """Costs from papers."""
    return [
        Cost(
            method=method,
            decoder=round(millions * 1e6),
            milliseconds=milliseconds,
            device=table["device"],
            source=f"{paper['paper']}, {_numbers([table['table']])}",
        )
        for paper in _papers()
        for table in paper.get("cost", ())
        for method, (millions, milliseconds) in table["rows"].items()
    ]


def _papers() -> Iterator[dict[str, Any]]:
    folder = files("ciaovideo.evaluate.published")
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".toml"):
            yield tomllib.loads(entry.read_text(encoding="utf-8"))


def _numbers(tables: Sequence[str]) -> str:
    """The source tables of a row, in words."""
    once = sorted(set(tables))
    return f"table {once[0]}" if len(once) == 1 else f"tables {', '.join(once)}"
