"""The mastering display and the light level of an output are verified against the source's."""

from dataclasses import replace
from pathlib import Path

import pytest

from ciaovideo.cli.main import run
from ciaovideo.media.codecs import choice as codecs
from ciaovideo.media.hdr import Hdr10, LightLevel, hdr10_params
from tests.media import make_clip

DISPLAY = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
IN_DECIMALS = "G(0.265,0.69)B(0.15,0.06)R(0.68,0.32)WP(0.3127,0.329)L(1000,0.005)"
SOURCES = {
    "libx265": {"x265-params": f"log-level=none:hdr10=1:master-display={DISPLAY}:max-cll=1000,400"},
    "libsvtav1": {
        "preset": "12",
        "svtav1-params": f"mastering-display={IN_DECIMALS}:content-light=1000,400",
    },
}
PLAIN = ("--model", "bicubic")
FASTEST = {"libx264": "ultrafast", "libx265": "ultrafast", "libsvtav1": "12"}


def make_source(path: Path, codec: str = "libx265") -> None:
    make_clip(
        path,
        width=64,
        height=64,
        seconds=0.125,
        codec=codec,
        pix_fmt="yuv420p10le",
        options=SOURCES[codec],
        color=(9, 1, 9, 16, 1),
    )


@pytest.mark.parametrize("codec", FASTEST)
@pytest.mark.parametrize("given", SOURCES)
def test_it_is_found_as_each_encoder_stores_it(tmp_path: Path, given: str, codec: str) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    make_source(source, given)
    words = [str(source), str(output), "--codec", codec, "--preset", FASTEST[codec], *PLAIN]
    assert run([*words, "--strict", "-q"]) == 0
    assert run(["verify", str(output), "--against", str(source)]) == 0


def nothing(codec: str, hdr10: Hdr10) -> str:
    return "log-level=none"


def other_display(codec: str, hdr10: Hdr10) -> str:
    assert hdr10.display is not None
    display = replace(hdr10.display, brightest=hdr10.display.brightest * 4)
    return hdr10_params(codec, replace(hdr10, display=display))


def other_light(codec: str, hdr10: Hdr10) -> str:
    return hdr10_params(codec, replace(hdr10, light=LightLevel(1000, 401)))


@pytest.mark.parametrize(
    ("written", "finding"),
    [
        (nothing, "is missing"),
        (other_display, "is not the source's"),
        (other_light, "is not the source's"),
    ],
)
def test_what_is_missing_or_other_is_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    written: object,
    finding: str,
) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    make_source(source)
    monkeypatch.setattr(codecs, "hdr10_params", written)
    words = [str(source), str(output), "--codec", "libx265", "--preset", "ultrafast", "-q", *PLAIN]
    assert run(words) == 3
    text = f"its HDR10 metadata (mastering display, light level) {finding}"
    assert text in capsys.readouterr().err
    kept = next(path for path in tmp_path.iterdir() if ".part" in path.name)
    assert run(["verify", str(kept), "--against", str(source)]) == 3
    assert text in capsys.readouterr().out


def test_what_was_said_to_be_lost_is_no_finding(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mkv"
    make_source(source)
    assert run([str(source), str(output), "--codec", "ffv1", "-q", *PLAIN]) == 0
    assert run(["verify", str(output), "--against", str(source)]) == 0
