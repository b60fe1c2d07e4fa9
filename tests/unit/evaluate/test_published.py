"""Figures of papers: complete, and those that the papers print."""

import math
import re
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from ciaovideo.evaluate.protocol import Score
from ciaovideo.evaluate.published import published, published_costs

TEXTS = {"ciaosr": "001_*.txt", "eqsr": "003_*.txt", "asdn": "004_*.txt"}

IN_COLUMNS = {("asdn", "1"), ("ciaosr", "4")}  # tables whose lines are scales


def rows(paper: str) -> Iterator[tuple[str, list[float]]]:
    """Every row of a paper's tables, gaps left out, with the number of its table."""
    text = (files("ciaovideo.evaluate.published") / f"{paper}.toml").read_text(encoding="utf-8")
    for table in tomllib.loads(text)["table"]:
        for values in table["rows"].values():
            yield table["table"], [value for value in values if not math.isnan(value)]


def test_figures_of_the_scales_asked_for() -> None:
    found = {row.method: row for row in published("set5", (2.0, 2.5, 4.0)) if "Ciao" in row.method}
    psnrs = {scale: score.psnr for scale, score in found["RDN-CiaoSR"].scores.items()}
    assert psnrs == {2.0: 38.29, 4.0: 32.66}
    assert found["RDN-CiaoSR"].source.endswith("arXiv 2212.04362, tables 2, 3")


def test_what_several_tables_print_of_one_method_is_one_row() -> None:
    found = {row.method: row for row in published("urban100", (4.0, 12.0))}
    assert found["RDN-CiaoSR"].scores == {
        4.0: Score(psnr=27.11, ssim=0.814, lpips=0.255),
        12.0: Score(psnr=21.42, ssim=0.561),
    }
    assert found["RDN-CiaoSR via x2, x4"].scores == {12.0: Score(psnr=21.28, ssim=0.557)}


def test_sets_by_other_names_and_sets_that_nobody_knows() -> None:
    assert published("B100", (1.4,)) == [
        row for row in published("B100", (1.4, 99)) if row.dataset == "B100"
    ]
    assert {row.method for row in published("B100", (1.4,))} > {"EQSR", "LIIF"}
    assert published("holiday", (2.0,)) == []
    assert published("set5", (2.5,)) == []


def test_figures_on_rgb_stand_beside_figures_on_rgb_only() -> None:
    assert published("DIV2K_valid_HR", (2.0,)) == []
    found = published("DIV2K_valid_HR", (2.0, 30.0), "RGB")
    ours = next(row for row in found if row.method == "EDSR-baseline-CiaoSR")
    assert {scale: score.psnr for scale, score in ours.scores.items()} == {2.0: 34.91, 30.0: 20.59}
    assert ours.channel == "RGB"
    assert published("set5", (2.0,), "RGB") == []


def test_what_networks_cost() -> None:
    costs = {each.method: each for each in published_costs()}
    assert (costs["RDN-CiaoSR"].decoder, costs["RDN-CiaoSR"].milliseconds) == (1_400_000, 528)
    assert all(each.source and each.device for each in costs.values())


@pytest.mark.parametrize("paper", list(TEXTS))
def test_larger_scales_are_harder(paper: str) -> None:
    """What a slip of the pen would break: within a table, figures fall from scale to scale."""
    text = (files("ciaovideo.evaluate.published") / f"{paper}.toml").read_text(encoding="utf-8")
    for table in tomllib.loads(text)["table"]:
        for method, values in table["rows"].items():
            pairs = sorted(zip(table["scales"], values, strict=True))
            known = [value for _, value in pairs if not math.isnan(value)]
            falling = sorted(known, reverse=table["measure"] != "lpips")
            assert known == falling or max(known) - known[0] < 1, (table["set"], method)


@pytest.mark.parametrize("paper", list(TEXTS))
def test_every_figure_is_in_the_paper(paper: str, shared: Path) -> None:
    texts = list((shared / "papers").glob(TEXTS[paper]))
    if not texts:
        pytest.skip("the papers are not among the shared data here")
    lines = texts[0].read_text(encoding="utf-8").splitlines()
    printed = [set(map(float, re.findall(r"(?<![\d.])\d+\.\d+", line))) for line in lines]
    anywhere = set[float]().union(*printed)
    for table, values in rows(paper):
        in_columns = (paper, table) in IN_COLUMNS
        assert any(set(values) <= line for line in ([anywhere] if in_columns else printed)), values
