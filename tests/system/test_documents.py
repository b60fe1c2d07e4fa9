"""Every command and script in what users read is run, on small inputs under the names it gives."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ciaovideo.bench import growth
from ciaovideo.cli.main import run
from ciaovideo.evaluate import suites
from ciaovideo.models.spec import NetworkSpec
from ciaovideo.models.weights import save
from tests.documents import DOCUMENTS, ROOT, blocks, plain_commands, shell_blocks
from tests.media import make_clip
from tests.reel import make_reel
from tests.telecine import Reel, write_reels

pytestmark = [pytest.mark.slow, pytest.mark.thorough]

SMALL: dict[str, Any] = {"width": 64, "height": 48, "seconds": 1 / 12}  # two frames
CLIPS: dict[str, dict[str, Any]] = {
    "in.mp4": SMALL | {"sound": True},
    "in.mkv": SMALL | {"sound": True},
    "in.mov": SMALL | {"width": 128},  # a width of 2048 is 16 times that
    "dv.mov": SMALL | {"width": 90, "interlaced": True, "sar": Fraction(16, 15)},
    "film.mkv": SMALL,
    "pictures.mkv": SMALL,
    "city.mkv": SMALL,
    "vhs.avi": SMALL,
    "talk.mkv": SMALL | {"seconds": 104, "fps": Fraction(2)},
}
SETS = ("Set5", "Set14", "BSD100", "DIV2K_valid_HR", "DIV2K/DIV2K_train_HR", "pictures")
SIDE = 120  # a multiple of 2, 3, 4, 6, 8, 12 and 30, and more than EQSR's scales need
# What is added so that a command of hours takes a step: all that is named stays as it is named.
STEPS = ("--minutes", "0", "--device", "cpu", "--set", "optim.steps=2")
PATCHES = ("--set", "data.patch=8", "--set", "data.queries=16", "--set", "data.batch=2")
MORE = {"train": (*STEPS, *PATCHES), "bench": ("--frames", "4")}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    for name, settings in CLIPS.items():
        make_clip(folder / name, **settings)
    make_reel(folder / "frames", count=4, first=1, name="%06d")
    write_reels(folder / "telecined.mkv", [Reel(first=0, stop=24)])
    rng = np.random.default_rng(0)
    for name in SETS:
        (folder / name).mkdir(parents=True)
        for number in range(2):
            coarse = rng.integers(0, 256, (SIDE // 4, SIDE // 4, 3), dtype=np.uint8)
            picture = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            picture.save(folder / name / f"{number}.png")
    spec = NetworkSpec(
        encoder="edsr",
        decoder="ciaosr",
        encoder_options={"channels": 4, "blocks": 1},
        decoder_options={"hidden": [4], "non_local_scales": []},
    )
    save(folder / "own.safetensors", spec, spec.build().state_dict(), torch.float32)
    assert (
        run(["weights", "export", str(folder / "own.safetensors"), str(folder / "FILE.pth")]) == 0
    )
    (folder / "runs" / "mlp").mkdir(parents=True)
    (folder / "own.safetensors").rename(folder / "runs" / "mlp" / "weights.safetensors")
    return folder


@pytest.fixture
def place(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with links to all inputs."""
    for path in inputs.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "tapes" / "reel").mkdir(parents=True)
    (tmp_path / "tapes" / "reel" / "a.mkv").symlink_to(inputs / "in.mkv")
    for language in ("csv", "toml"):
        (block,) = blocks("ciaovideo/jobs/README.md", language)
        (tmp_path / f"films.{language}").write_text(block, encoding="utf-8")
    (tmp_path / "runs").unlink()
    trained = tmp_path / "runs" / "one" / "weights.safetensors"
    trained.parent.mkdir(parents=True)
    trained.symlink_to(ROOT / "weights" / "ciaosr-coded.safetensors")
    (tmp_path / "weights").symlink_to(ROOT / "weights")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(growth, "LR_SIZES", ((24, 32), (48, 64)))
    monkeypatch.setattr(growth, "SCALES", (1.5, 3.0))
    monkeypatch.setattr(growth, "LENGTHS", (2, 6))
    monkeypatch.setattr("ciaovideo.evaluate.suites.load.SIDE", 24)
    names = ("bicubic", "metasr", "fsdn", "ciaosr-fast")
    few = replace(suites.SUITES["neighbours"], names=names, scales=(1.55, 2.0, 12.0))
    monkeypatch.setattr(suites, "SUITES", {"neighbours": few})
    monkeypatch.setattr("ciaovideo.bench.floor.QUIET_S", 0.01)
    measure = {"least_s": 0.01, "device": None}
    monkeypatch.setattr("ciaovideo.bench.harness.measure.__kwdefaults__", measure)
    return tmp_path


COMMANDS = list(dict.fromkeys(line for name in DOCUMENTS for line in plain_commands(name)))


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_runs(line: str, place: Path, forked_workers: None) -> None:
    words = [word.replace("MODEL", "ciaosr-fast") for word in shlex.split(line)[1:]]
    if any(word.startswith("--via-ffmpeg") for word in words) and not shutil.which("ffmpeg"):
        pytest.skip("no ffmpeg here")
    if words[:2] == ["batch", "status"]:
        assert run(["batch", "in.mkv", "-o", words[2], "--model", "bicubic"]) == 0
    if words[0] == "verify":
        output, source, *part = words[1], words[3], *words[4:]
        assert run([source, output, "--model", "bicubic", *part]) == 0
    assert run([*words, *(MORE.get(words[0], ()) if "--list" not in words else ())]) == 0


@pytest.mark.parametrize("block", [block for name in DOCUMENTS for block in shell_blocks(name)])
def test_a_block_for_a_shell_runs(block: str, place: Path) -> None:
    if shutil.which("bash") is None or ("ffmpeg" in block and shutil.which("ffmpeg") is None):
        pytest.skip("the block needs bash and ffmpeg")
    (place / "bin").mkdir()
    program = place / "bin" / "ciaovideo"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ciaovideo "$@"\n')
    program.chmod(0o755)
    for name in ("pictures.mkv", "talk.mkv"):  # one is made; a loop is long enough without both
        (place / name).unlink()
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", block],
        env={**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": paths},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not Path("failed.txt").exists()


def test_the_script_in_the_readme_runs(place: Path) -> None:
    # tests/system/test_vapoursynth_hosts.py runs the others, for VapourSynth.
    (script,) = (block for block in blocks("README.md", "python") if "vapoursynth" not in block)
    names = {"picture": np.zeros((12, 16, 3), np.uint8)}
    exec(compile(script, "README.md", "exec"), names)
    assert names["larger"].shape == (30, 40, 3)
    assert Path("out.mp4").is_file()


def test_no_command_was_overlooked() -> None:
    """Every line that begins with our name is run, by itself or within its block."""
    for name in DOCUMENTS:
        run_here = {*plain_commands(name)}
        within = "".join(shell_blocks(name))
        text = "".join(blocks(name, "sh")).replace("\\\n", " ")
        for line in re.findall(r"^ciaovideo .*", text, re.MULTILINE):
            assert line in run_here or line in within, f"{name}: {line}"
