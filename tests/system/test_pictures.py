"""Image sequences in and out: every sample, number, rate, transfer and timecode."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ciaovideo
from ciaovideo.cli.main import run
from ciaovideo.errors import MissingInputError, OptionError, OutputExistsError, VerificationError
from ciaovideo.media.inspect.scan import scan_file
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.sequence.dpx import PRINTING_DENSITY, DpxHead, read_head
from ciaovideo.options import InputOptions
from ciaovideo.pipeline.verification import result
from ciaovideo.pipeline.verification import verify as checks
from tests.media import make_clip, read_counter
from tests.reel import CODERS, HEAD, make_reel, samples
from tests.stopping import StoppedError, stop_at

AS_IT_IS: dict[str, Any] = {"model": "bicubic", "scale": 1.0}
RATE = Fraction(24000, 1001)


def pictures(path: Path, rate: Fraction | None = None) -> list[np.ndarray[Any, Any]]:
    """The frames of a file or sequence as codes (planes, height, width)."""
    with VideoReader(path, options=InputOptions(rate=rate)) as reader:
        return [np.stack([p.numpy() for p in frame.planes]) for frame in reader.frames()]


@pytest.mark.parametrize("kind", CODERS)
def test_ffv1_in_matroska_keeps_every_sample(kind: str, tmp_path: Path) -> None:
    source = make_reel(tmp_path / "100%", kind)
    summary = ciaovideo.upscale(
        source, output := tmp_path / "out.mkv", rate=RATE, codec="ffv1", **AS_IT_IS
    )
    bits = CODERS[kind][2]
    assert summary.frames == summary.verification.frames == 6
    for number, planes in enumerate(pictures(output)):
        assert np.array_equal(planes[[2, 0, 1]], samples(number, bits))
    scan = scan_file(output)
    assert scan.rate == RATE
    assert ciaovideo.verify(output, source, rate=RATE).wrong == ()


def test_what_a_dpx_header_says_is_tagged(tmp_path: Path) -> None:
    source = make_reel(tmp_path / "in")
    summary = ciaovideo.upscale(source, output := tmp_path / "out.mov", rate="24", **AS_IT_IS)
    told = [str(finding) for finding in summary.findings]
    assert any("logarithmic" in text for text in told)
    assert not any("timecode" in text for text in told)
    facts = ciaovideo.probe(output)
    assert facts.info.color.transfer.name == "LOG"
    assert scan_file(output).timecode == HEAD.timecode


@pytest.mark.parametrize(
    ("transfer", "asked", "tagged", "kind"),
    [
        (2, None, "LINEAR", ""),
        (PRINTING_DENSITY, None, "LOG", "changed"),
        (3, "linear", "LINEAR", "chosen"),
        (2, "log", "LOG", "chosen"),
        (6, None, "BT709", ""),
    ],
)
def test_log_and_linear_are_said_and_kept(
    transfer: int, asked: Any, tagged: str, kind: str, tmp_path: Path
) -> None:
    source = make_reel(tmp_path / "in", count=2, head=DpxHead(transfer=transfer))
    output = tmp_path / "out" / "%d.dpx"
    output.parent.mkdir()
    summary = ciaovideo.upscale(source, output, rate="24", transfer=asked, **AS_IT_IS)
    about = [one.kind.value for one in summary.findings if one.subject == "color transfer"]
    assert about == ([kind] if kind else [])
    color = ciaovideo.probe(output, options=InputOptions(rate="24")).info.color
    assert color.transfer.name == tagged


def test_dpx_to_dpx_keeps_numbers_clock_and_reel(tmp_path: Path) -> None:
    source = make_reel(tmp_path / "in")
    (tmp_path / "out").mkdir()
    output = tmp_path / "out" / "%08d.dpx"
    ciaovideo.upscale(source, output, rate="24", **AS_IT_IS)
    made = sorted(output.parent.iterdir())
    assert [file.name for file in made] == [f"{1001 + n:08d}.dpx" for n in range(6)]
    for file, given in zip(made, sorted(source.parent.iterdir()), strict=True):
        assert read_head(file) == read_head(given)
    for one, other in zip(pictures(output, RATE), pictures(source, RATE), strict=True):
        assert np.array_equal(one, other)
    ciaovideo.upscale(
        source, part := tmp_path / "%d.dpx", rate="24", start="2/24", frames=2, **AS_IT_IS
    )
    assert [*pictures(part, RATE)[0].flat] == [*pictures(source, RATE)[2].flat]
    assert sorted(file.name for file in tmp_path.glob("*.dpx")) == ["1003.dpx", "1004.dpx"]


@pytest.mark.parametrize("suffix", ["png", "tif", "dpx"])
def test_a_video_becomes_pictures(suffix: str, tmp_path: Path) -> None:
    """Y'CbCr becomes R'G'B' of full range; what pictures cannot hold is told before the start."""
    make_clip(
        source := tmp_path / "in.mkv",
        width=64,
        height=48,
        seconds=0.25,
        counter=True,
        sound=True,
        subtitle="words",
    )
    output = tmp_path / f"%04d.{suffix}"
    summary = ciaovideo.upscale(source, output, model="bicubic")
    lost = {one.subject for one in summary.findings if one.kind == "lost"}
    assert {"audio 1", "subtitle 2"} <= lost
    assert ("frame rate" in lost) is (suffix != "dpx")
    assert len([*tmp_path.glob(f"*.{suffix}")]) == 6
    frames = pictures(output, Fraction(24))
    assert frames[0].shape == (3, 96, 128)
    assert [read_counter(planes.mean(axis=0)) for planes in frames] == list(range(6))
    assert frames[0].min() < 8, "limited range was left as it is"
    assert frames[0].max() > 247
    assert ciaovideo.verify(output, source).wrong == ()
    (tmp_path / f"0006.{suffix}").unlink()
    assert [str(one) for one in ciaovideo.verify(output, source).wrong]


def test_ten_bits_stay_ten_in_dpx(tmp_path: Path) -> None:
    make_clip(
        source := tmp_path / "in.mkv", width=64, height=48, seconds=0.1, pix_fmt="yuv420p10le"
    )
    ciaovideo.upscale(source, output := tmp_path / "%d.dpx", model="bicubic")
    assert ciaovideo.probe(output, options=InputOptions(rate="24")).info.pix_fmt == "gbrp10le"
    ciaovideo.upscale(source, deep := tmp_path / "%d.tif", model="bicubic")
    assert ciaovideo.probe(deep, options=InputOptions(rate="24")).info.pix_fmt == "gbrp16le"


def test_nothing_is_left_of_a_run_that_stops(tmp_path: Path) -> None:
    source = make_reel(tmp_path / "in")
    (tmp_path / "out").mkdir()
    with pytest.raises(StoppedError):
        ciaovideo.upscale(
            source, tmp_path / "out" / "%d.png", rate="24", on_progress=stop_at(4), **AS_IT_IS
        )
    assert not [*(tmp_path / "out").iterdir()]


def test_pictures_that_are_there_are_not_touched(tmp_path: Path) -> None:
    source = make_reel(tmp_path / "in", count=3)
    (tmp_path / "out").mkdir()
    output = tmp_path / "out" / "%04d.dpx"
    for number in range(1001, 1010):
        (tmp_path / "out" / f"{number}.dpx").write_bytes(b"old")
    with pytest.raises(OutputExistsError, match="1001 to 1009"):
        ciaovideo.upscale(source, output, rate="24", **AS_IT_IS)
    ciaovideo.upscale(source, output, rate="24", overwrite=True, **AS_IT_IS)
    names = sorted(file.name for file in output.parent.iterdir())
    assert names == ["1001.dpx", "1002.dpx", "1003.dpx"]  # no older one follows the new
    for name in ("shot.%06d.dpx", "shot.%d.dpx"):
        given = make_reel(tmp_path / "own", name="shot.%06d", count=2, first=100001)
        with pytest.raises(OutputExistsError, match="input"):
            ciaovideo.upscale(given, given.with_name(name), rate="24", overwrite=True, **AS_IT_IS)


def test_pictures_that_fail_their_verification_are_kept_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_reel(tmp_path / "in", count=3)
    (tmp_path / "out").mkdir()
    verify = checks.verify_contract

    def spoiled(output: Path, contract: Any) -> Any:
        (output.parent / "1002.dpx").unlink()
        (output.parent / "1003.dpx").rename(output.parent / "1002.dpx")
        return verify(output, contract)

    monkeypatch.setattr(result, "verify_contract", spoiled)
    with pytest.raises(VerificationError):
        ciaovideo.upscale(source, tmp_path / "out" / "%d.dpx", rate="24", **AS_IT_IS)
    (kept,) = (tmp_path / "out").iterdir()
    assert kept.name.endswith(".part.dpx")
    assert len([*kept.iterdir()]) == 2


def test_what_is_missing_is_told_before_the_work(tmp_path: Path) -> None:
    source = make_reel(tmp_path / "in")
    with pytest.raises(OptionError, match="numbered pictures") as no_rate:
        ciaovideo.upscale(source, tmp_path / "out.mkv")
    assert "24" in no_rate.value.hint
    (tmp_path / "in" / "shot.001003.dpx").unlink()
    with pytest.raises(MissingInputError, match="1003"):
        ciaovideo.upscale(source, tmp_path / "out.mkv", rate="24")
    make_clip(video := tmp_path / "in.mkv", width=64, height=48, seconds=0.1)
    with pytest.raises(OptionError, match="numbered pictures"):
        ciaovideo.upscale(video, tmp_path / "out.mkv", rate="24")
    with pytest.raises(OptionError, match="resume"):
        ciaovideo.upscale(video, tmp_path / "%d.png", resume=True)
    with pytest.raises(OptionError, match="jpg"):
        ciaovideo.upscale(video, tmp_path / "%d.jpg")


def test_a_folder_and_a_wildcard_are_told_how_to_name_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_reel(tmp_path / "in", count=2)
    for name in ("in", "in/*.dpx"):
        assert run([str(tmp_path / name), "out.mkv"]) == 2
        assert str(tmp_path / "in" / "shot.%06d.dpx") in capsys.readouterr().err
    (empty := tmp_path / "empty").mkdir()
    for path in (empty, tmp_path / "absent%03d.mkv", empty / "absent.png"):
        with pytest.raises(MissingInputError) as missing:
            VideoReader(path)
        assert missing.value.hint == "name a video file"


def test_a_resumed_run_of_pictures_has_the_same_bytes(tmp_path: Path) -> None:
    source = make_reel(tmp_path / "in", count=20)
    given: dict[str, Any] = {"rate": "24", "resume": True, "segment": 4, **AS_IT_IS}
    ciaovideo.upscale(source, whole := tmp_path / "whole.mkv", **given)
    output = tmp_path / "out.mkv"
    with pytest.raises(StoppedError):
        ciaovideo.upscale(source, output, on_progress=stop_at(11), **given)
    summary = ciaovideo.upscale(source, output, **given)
    assert any("8 frames" in str(one) for one in summary.findings)
    assert output.read_bytes() == whole.read_bytes()


def test_the_command_reports_on_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = make_reel(tmp_path / "in", count=3)
    output, page = tmp_path / "%d.png", tmp_path / "report.json"
    words = [str(source), str(output), "--rate", "24", "--model", "bicubic", "-q"]
    assert run([*words, "--report", str(page)]) == 0
    facts = {fact["name"]: fact for fact in json.loads(page.read_text())["facts"]}
    assert facts["timecode"]["outcome"] == "lost"
    assert facts["frames"]["output"] == "3"
    words = ["verify", str(output), "--against", str(source), "--rate", "24"]
    assert run(words) == 0
    assert "3 frames" in capsys.readouterr().out


def test_pictures_of_two_sizes_are_an_error_with_a_hint_for_pictures(tmp_path: Path) -> None:
    source = make_reel(tmp_path / "in", "png", count=3)
    (odd,) = tmp_path.glob("in/*1003.png")
    larger = make_reel(tmp_path / "large", "png", count=1, size=(64, 80))
    odd.write_bytes(next(larger.parent.iterdir()).read_bytes())
    with pytest.raises(ciaovideo.MediaError, match="64x48") as changed:
        ciaovideo.upscale(source, tmp_path / "out.mkv", rate="24", **AS_IT_IS)
    assert "number the pictures" in changed.value.hint
    assert not (tmp_path / "out.mkv").exists()
