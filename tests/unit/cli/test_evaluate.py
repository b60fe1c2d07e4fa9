"""``ciaovideo evaluate``."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ciaovideo.cli.evaluate.command import build_parser, run
from ciaovideo.engine.engine import Engine
from ciaovideo.errors import (
    MissingInputError,
    MissingWeightsError,
    OpenError,
    OptionError,
    UnsupportedScaleError,
)
from ciaovideo.evaluate.baselines import BASELINES
from ciaovideo.evaluate.protocol import benchmark
from ciaovideo.metrics.lpips import LPIPS
from ciaovideo.models.spec import NetworkSpec
from ciaovideo.models.weights import load_file, save
from ciaovideo.options import EngineOptions
from tests.media import make_clip
from tests.networks import lpips_weights

SPEC = NetworkSpec(
    encoder="edsr",
    decoder="ciaosr-separable",
    encoder_options={"channels": 8, "blocks": 1},
    decoder_options={"hidden": 8, "key_dim": 4, "rank": 2},
)
CPU = ("--device", "cpu", "--precision", "fp32")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "set5"
    made.mkdir()
    for index in range(2):
        coarse = np.random.default_rng(index).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((40, 30), Image.Resampling.BICUBIC).save(
            made / f"{index}.png"
        )
    return made


def evaluate(*words: str) -> int:
    return run(build_parser("ciaovideo evaluate").parse_args(words))


def test_baselines_as_a_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate("bicubic", "lanczos", "--on", str(folder), "--scales", "2,2.5", *CPU) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert ("PSNR" in lines[0], "2" in lines[0]) == (True, True)
    assert lines[1].split() == ["set5", "x2", "x2.5"]
    assert [line.split()[0] for line in lines[2:]] == ["bicubic", "lanczos"]
    assert said.err == ""  # no bar without a terminal


def test_a_network_from_a_file_as_json(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    path = tmp_path / "tiny.safetensors"
    save(path, SPEC, SPEC.build().state_dict(), torch.float32)
    words = (str(path), "--on", str(folder), "--scales", "2,3", "--ssim", "--json", *CPU)
    assert evaluate(*words) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [(entry["method"], entry["set"], entry["scale"]) for entry in entries] == [
        ("tiny", "set5", 2.0),
        ("tiny", "set5", 3.0),
    ]
    engine = Engine(load_file(path), EngineOptions(device="cpu", precision="fp32"))
    expected = benchmark(engine, folder, 3, ssim=True)
    assert entries[1]["psnr"] == pytest.approx(expected.psnr)
    assert entries[1]["ssim"] == pytest.approx(expected.ssim)


def test_published_figures_beside_ours(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate("bicubic", "--on", str(folder), "--published", "--markdown", *CPU) == 0
    said = capsys.readouterr().out
    assert "| set5 | x2 | x3 | x4 |" in said
    assert "| RDN-CiaoSR (published) | 38.29 | 34.85 | 32.66 |" in said


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("bicubic", "--scales", "2,1"), UnsupportedScaleError),
        (("bicubic", "--steps", "0.5"), UnsupportedScaleError),
        (("bicubic", "--scales", "2.37"), OptionError),
        (("absent.safetensors",), MissingWeightsError),
        (("bicubic", "--device", "tpu"), OptionError),
        (("bicubic", "--precision", "fp8"), OptionError),
    ],
)
def test_what_cannot_be_measured(
    words: tuple[str, ...], error: type[Exception], folder: Path
) -> None:
    with pytest.raises(error):
        evaluate(*words, "--on", str(folder))


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError):
        evaluate("bicubic", "--on", str(tmp_path))


@pytest.mark.parametrize(
    "words",
    [
        ("bicubic",),
        ("bicubic", "--on", "x", "--scales", "two"),
        ("bicubic", "--on", "x", "--json", "--markdown"),
    ],
)
def test_words_that_mean_nothing(words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit):
        evaluate(*words)


def test_a_video_stands_beside_pictures(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "clip.mkv"
    make_clip(path, width=72, height=48, seconds=0.25, codec="ffv1", options={})
    words = ("bicubic", "--on", str(folder), str(path), "--scales", "2", "--frames", "3", "--json")
    assert evaluate(*words, *CPU) == 0
    pictures, video = json.loads(capsys.readouterr().out)
    assert (pictures["set"], pictures["pictures"], pictures["temporal"]) == ("set5", 2, None)
    assert (video["set"], video["pictures"], len(video["frames"])) == ("clip", 3, 3)
    assert video["psnr"] == pytest.approx(sum(video["frames"]) / 3)
    assert video["temporal"] > 0


def test_the_protocol_decides_what_is_compared_and_what_stands_beside(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    div2k = folder.rename(folder.with_name("DIV2K_valid_HR"))
    words = ("bicubic", "--on", str(div2k), "--scales", "1.4,2", "--published", *CPU)
    found = {}
    for protocol in ("benchmark", "div2k", "eqsr"):
        assert evaluate(*words, "--protocol", protocol) == 0
        said = capsys.readouterr().out
        assert ("EDSR-baseline-CiaoSR" in said) == (protocol == "div2k")
        assert ("RGB" in said.splitlines()[0]) == (protocol == "div2k")
        found[protocol] = said.splitlines()[2]
    assert len(set(found.values())) == 3


@pytest.mark.heavy
def test_steps_and_cost(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tiny.safetensors"
    save(path, SPEC, SPEC.build().state_dict(), torch.float32)
    words = (str(path), "bicubic", "--on", str(folder), "--scales", "6", "--steps", "2,4")
    assert evaluate(*words, "--cost", "--published", "--json", *CPU) == 0
    entries = json.loads(capsys.readouterr().out)
    names = [entry["method"] for entry in entries if entry.get("scale") and not entry["source"]]
    assert names == ["tiny", "bicubic", "tiny via x2, x4", "bicubic via x2, x4"]
    psnrs = [entry["psnr"] for entry in entries[:4]]
    assert psnrs[1] != psnrs[3]
    costs = [entry for entry in entries if "milliseconds" in entry]
    assert [each["method"] for each in costs][:2] == ["tiny", "RDN-MetaSR"]
    network = SPEC.build()
    assert costs[0]["weights"] == sum(each.numel() for each in network.parameters())
    decoder = sum(
        each.numel() for name, each in network.named_parameters() if name.startswith("decoder")
    )
    assert costs[0]["decoder_weights"] == decoder < costs[0]["weights"]


def test_files_of_the_same_name_keep_their_own_rows(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / name / "tiny.safetensors" for name in "ab"]
    for path in paths:
        path.parent.mkdir()
        save(path, SPEC, SPEC.build().state_dict(), torch.float32)
    words = (*map(str, paths), "--on", str(folder), "--scales", "2", "--json")
    assert evaluate(*words, *CPU) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [entry["method"] for entry in entries] == ["tiny", str(paths[1])]
    assert entries[0]["psnr"] != entries[1]["psnr"]


def test_sets_of_the_same_name_keep_their_own_tables(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other" / folder.name
    shutil.copytree(folder, other)
    words = ("bicubic", "--on", str(folder), str(other), "--scales", "2", "--json")
    assert evaluate(*words, *CPU) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [entry["set"] for entry in entries] == ["set5", str(other)]


def test_what_is_not_there_is_named_before_anything_is_measured(folder: Path) -> None:
    with pytest.raises(MissingInputError, match=r"absent\.mkv"):
        evaluate("bicubic", "--on", str(folder), "absent.mkv")
    with pytest.raises(OptionError, match="got 0"):
        evaluate("bicubic", "--on", str(folder), "--frames", "0")
    with pytest.raises(OpenError, match=r"test_evaluate\.py"):
        evaluate("bicubic", "--on", str(folder / "0.png"), str(Path(__file__)))


@pytest.mark.usefixtures("no_pyav")
def test_without_pyav_pictures_are_measured_and_videos_refused(
    folder: Path, tmp_path: Path
) -> None:
    make_clip(tmp_path / "a.mkv", width=64, height=48, seconds=0.1)
    page = tmp_path / "page.html"
    assert evaluate("bicubic", "--on", str(folder), "--scales", "2", "--html", str(page)) == 0
    assert page.is_file()
    with pytest.raises(OptionError, match=r"a\.mkv: .*PyAV"):
        evaluate("bicubic", "--on", str(folder), str(tmp_path / "a.mkv"))


def test_equivariance(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("bicubic", "--on", str(folder), "--scales", "2", "--equivariance", "--json")
    assert evaluate(*words) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert -60 < entry["equivariance"] < -10


@pytest.mark.heavy
def test_lpips_with_weights_of_the_user(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in folder.iterdir():
        with Image.open(path) as picture:
            picture.resize((96, 84)).save(path)
    paths = [tmp_path / "alexnet.pth", tmp_path / "alex.pth"]
    for path, content in zip(paths, lpips_weights(), strict=True):
        torch.save(content, path)
    words = ("bicubic", "lanczos", "--on", str(folder), "--scales", "3")
    given = ("--lpips", *map(str, paths))
    assert evaluate(*words, *given, "--json", *CPU) == 0
    entries = json.loads(capsys.readouterr().out)
    expected = benchmark(BASELINES["lanczos"], folder, 3, lpips=LPIPS.load(*paths)).lpips
    assert entries[1]["lpips"] == pytest.approx(expected)
    assert entries[0]["lpips"] != entries[1]["lpips"]
    assert evaluate(*words, *given, *CPU) == 0
    assert "LPIPS" in capsys.readouterr().out.splitlines()[0]
    with pytest.raises(MissingWeightsError):
        evaluate(*words, "--lpips", "none.pth", str(paths[1]))


@pytest.mark.heavy
def test_coded_video_as_a_table_and_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, page = tmp_path / "clip.mkv", tmp_path / "page.html"
    make_clip(clip, width=64, height=64, seconds=0.2, codec="ffv1", options={})
    words = ("--protocol", "video", "--scales", "2", "--frames", "2", *CPU)
    codings = ("--codings", "clean,h264:20,h264:35")
    evaluate("lanczos", "bicubic", "--on", str(clip), *words, *codings, "--html", str(page))
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split(maxsplit=2)[:2] == ["clip", "x2"]
    assert lines[1].endswith("x264 crf 35")
    assert [line.split()[0] for line in lines[2:]] == ["lanczos", "bicubic"]
    shown = page.read_text()
    assert "PSNR over x264 crf" in shown
    assert "Gain over lanczos" in shown
    assert "clip, x264 crf 35" in shown


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--codings", "clean"), "codings"),
        (("--protocol", "video", "--codings", "av2:1"), "av2"),
    ],
)
def test_codings_that_cannot_be_are_refused(
    words: tuple[str, ...], named: str, folder: Path
) -> None:
    with pytest.raises(OptionError, match=named):
        evaluate("bicubic", "--on", str(folder), *words, *CPU)
