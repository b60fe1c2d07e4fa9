"""Pictures padded to a size: geometry, tags, findings, verification, the way through a batch."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import ciaovideo
from ciaovideo.cli.main import run
from ciaovideo.errors import OptionError
from ciaovideo.media.margins import Margins
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.write.framing import Padder
from ciaovideo.pipeline.frames import frame_maker
from tests.media import make_clip, read_counter
from tests.stopping import StoppedError, stop_at

SMALL: dict[str, Any] = {"width": 96, "height": 72, "seconds": 0.25, "counter": True}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    make_clip(tmp_path / "in.mkv", **SMALL, sound=True, sar=Fraction(16, 15))
    return tmp_path / "in.mkv"


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("out.mp4", {}),
        ("out.mkv", {"codec": "ffv1"}),
        ("out.y4m", {}),
        ("%d.png", {}),
        ("out.mkv", {"resume": True, "segment": 4}),
    ],
)
def test_the_picture_is_in_the_middle(
    name: str, given: dict[str, Any], source: Path, tmp_path: Path
) -> None:
    output = tmp_path / name
    summary = ciaovideo.upscale(
        source, output, size="192x144", pad="256x150", model="bicubic", **given
    )
    assert summary.out_size == (150, 256)
    assert summary.picture_size == (144, 192)
    (told,) = [one for one in summary.findings if one.subject == "pad"]
    assert told.kind == "chosen"
    options = ciaovideo.InputOptions(rate="24" if name == "%d.png" else None)
    top = 3 if name == "%d.png" else 2  # where chroma is halved, at a whole sample
    margins = Margins(top, 6 - top, 32, 32)
    assert told.text == f"192x144 in the middle of 256x150, black around it: {margins}" + (
        "; the picture begins at a whole chroma sample" if top == 2 else ""
    )
    with VideoReader(output, options=options) as reader:
        assert reader.info.sar == Fraction(16, 15)
        for number, frame in enumerate(reader.frames()):
            luma = frame.planes[0].int()
            inner = luma[top : top + 144, 32:-32]
            assert read_counter(inner.numpy()) == number
            black = 0 if name == "%d.png" else 16
            assert abs(luma[:, :24] - black).max() <= 2
            assert abs(luma[:, -24:] - black).max() <= 2
    assert ciaovideo.verify(output, source, inside="192x144").wrong == ()
    assert ciaovideo.verify(output, source).wrong != ()


def test_without_a_size_the_picture_is_as_large_as_fits(source: Path, tmp_path: Path) -> None:
    summary = ciaovideo.upscale(source, tmp_path / "a.mkv", pad="320x200", model="bicubic")
    assert (summary.out_size, summary.picture_size) == ((200, 320), (200, 266))
    square = ciaovideo.upscale(
        source, tmp_path / "b.mkv", pad=(200, 320), square_pixels=True, model="bicubic"
    )
    assert square.picture_size == (200, 284)
    with VideoReader(tmp_path / "b.mkv") as reader:
        assert reader.info.sar == 1


def test_what_cannot_be_padded_is_refused(source: Path, tmp_path: Path) -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"size": "200x200", "pad": "192x256"}, "does not fit"),
        ({"size": "193x144", "pad": "256x256", "codec": "ffv1"}, "chroma sample"),
        ({"pad": "wide"}, "not a size"),
    ]
    for given, told in refused:
        with pytest.raises(OptionError, match=told):
            ciaovideo.upscale(source, tmp_path / "out.mkv", model="bicubic", **given)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv"]


def test_bars_that_are_not_black_are_found(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gray(Padder):
        def padded(self, frame: Any) -> Any:
            made = super().padded(frame)
            made.planes[0][:, :32] = 120
            return made

    monkeypatch.setattr(frame_maker, "Padder", Gray)
    with pytest.raises(ciaovideo.MediaError, match="not black"):
        ciaovideo.upscale(
            source, tmp_path / "out.mkv", size="192x144", pad="256x144", model="bicubic"
        )


def test_a_stopped_run_pads_the_same(source: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"pad": "256x150", "model": "bicubic", "resume": True, "segment": 2}
    ciaovideo.upscale(source, whole := tmp_path / "whole.mkv", **given)
    with pytest.raises(StoppedError):
        ciaovideo.upscale(source, tmp_path / "out.mkv", on_progress=stop_at(4), **given)
    ciaovideo.upscale(source, output := tmp_path / "out.mkv", **given)
    assert output.read_bytes() == whole.read_bytes()


def test_the_command_and_its_report(source: Path, tmp_path: Path) -> None:
    """What is measured of the pictures does not know of the black around them."""
    means = []
    for name, more in (("plain", ()), ("padded", ("--pad", "256x150"))):
        output, page = tmp_path / f"{name}.mkv", tmp_path / f"{name}.json"
        words = [str(source), str(output), "--scale", "2", *more, "--model", "bicubic", "-q"]
        assert run([*words, "--codec", "ffv1", "--report", str(page)]) == 0
        means.append(json.loads(page.read_text())["consistency"]["mean_psnr"])
    assert means[0] == pytest.approx(means[1], abs=0.01)
    assert run(["verify", str(output), "--against", str(source), "--inside", "192x144"]) == 0
