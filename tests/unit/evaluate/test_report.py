"""Scores as text, Markdown and JSON, and what papers printed."""

import json

from ciaovideo.evaluate.protocol import Score
from ciaovideo.evaluate.report import Report, Row, published

REPORT = Report(
    scales=(2.0, 2.5),
    rows=(
        Row(
            method="bicubic",
            dataset="set5",
            scores={2.0: Score(psnr=33.654, pictures=5), 2.5: Score(psnr=31.5, pictures=5)},
        ),
        Row(method="RDN", dataset="set5", scores={2.0: Score(psnr=38.24)}, source="a paper"),
        Row(
            method="bicubic",
            dataset="other",
            scores={
                2.0: Score(psnr=float("inf"), ssim=1.0, pictures=2),
                2.5: Score(psnr=9.0, ssim=0.98765, pictures=2),
            },
        ),
    ),
)

TEXT = """\
PSNR in dB on Y, 5 pictures
set5                x2   x2.5
bicubic          33.65  31.50
RDN (published)  38.24      –

PSNR in dB and SSIM on Y, 2 pictures
other              x2           x2.5
bicubic  inf / 1.0000  9.00 / 0.9877"""

MARKDOWN = """\
PSNR in dB on Y, 5 pictures:

| set5 | x2 | x2.5 |
| --- | ---: | ---: |
| bicubic | 33.65 | 31.50 |
| RDN (published) | 38.24 | – |

PSNR in dB and SSIM on Y, 2 pictures:

| other | x2 | x2.5 |
| --- | ---: | ---: |
| bicubic | inf / 1.0000 | 9.00 / 0.9877 |"""


def test_text() -> None:
    assert REPORT.as_text() == TEXT


def test_markdown() -> None:
    assert REPORT.as_markdown() == MARKDOWN


def test_json() -> None:
    entries = json.loads(REPORT.as_json())
    assert len(entries) == 5
    assert entries[1] == {
        "method": "bicubic",
        "set": "set5",
        "scale": 2.5,
        "psnr": 31.5,
        "ssim": None,
        "pictures": 5,
        "source": None,
    }
    assert (entries[2]["method"], entries[2]["source"]) == ("RDN", "a paper")
    assert entries[3]["psnr"] is None


def test_published_figures_of_the_scales_asked_for() -> None:
    rows = {row.method: row for row in published("set5", (2.0, 2.5, 4.0))}
    psnrs = {scale: score.psnr for scale, score in rows["RDN-CiaoSR"].scores.items()}
    assert psnrs == {2.0: 38.29, 4.0: 32.66}
    assert rows["Bicubic"].scores[2.0].psnr == 33.66
    assert "arXiv" in rows["RDN-CiaoSR"].source


def test_sets_by_other_names_and_sets_that_nobody_knows() -> None:
    assert published("B100", (3.0,))[0].scores == {3.0: Score(psnr=29.26)}
    assert [row.dataset for row in published("B100", (3.0,))] == ["B100"] * 4
    assert published("holiday", (2.0,)) == []
    assert published("set5", (2.5,)) == []
