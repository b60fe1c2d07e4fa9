"""Scores as text, Markdown and JSON, and what papers printed."""

import json

from ciaovideo.evaluate.cost import Cost
from ciaovideo.evaluate.protocol import FrameScore, Score
from ciaovideo.evaluate.report import Report, Row

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
        "channel": "Y",
        "ssim": None,
        "lpips": None,
        "equivariance": None,
        "temporal": None,
        "shift": None,
        "true_shift": None,
        "coding": None,
        "pictures": 5,
        "frames": None,
        "source": None,
    }
    assert (entries[2]["method"], entries[2]["source"]) == ("RDN", "a paper")
    assert entries[3]["psnr"] is None


def test_videos_and_costs_have_their_own_words() -> None:
    frames = (FrameScore(psnr=30.0), FrameScore(psnr=float("inf"), temporal=1.25))
    score = Score(psnr=31.0, pictures=2, temporal=1.25, frames=frames)
    row = Row(method="net", dataset="clip", scores={2.0: score})
    costs = (
        Cost(method="net", decoder=30_000, milliseconds=71.6, device="cpu, bf16", weights=190_000),
        Cost(method="RDN-LTE", decoder=1_700_000, milliseconds=148, device="a GPU", source="paper"),
    )
    report = Report(scales=(2.0,), rows=(row,), costs=costs)
    lines = report.as_text().splitlines()
    assert lines[0] == "PSNR in dB on Y, temporal error in 8-bit steps of Y, 2 frames"
    assert lines[2].split() == ["net", "31.00", "/", "1.25"]
    assert lines[4] == "LR of 192x192 px at x4"
    assert lines[6].split() == ["net", "0.19", "M", "0.03", "M", "72", "cpu,", "bf16"]
    assert lines[7].split()[:4] == ["RDN-LTE", "(published)", "–", "1.70"]
    entries = json.loads(report.as_json())
    assert entries[0]["frames"] == [30.0, None]
    assert entries[1]["decoder_weights"] == 30_000
