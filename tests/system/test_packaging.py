"""The wheel by itself: built, installed in an environment of its own, run from another folder."""

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(600)]


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command, started without our import path; fails with what it said."""
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=surroundings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="the wheel is built with hatchling")
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` folder of an environment that has only the wheel of its own.

    What the wheel depends on is seen through a path file, since torch alone is gigabytes. Path
    files found on that path are not followed: so the checkout stays invisible.
    """
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", folder, cwd=folder)
    programs = Path(sysconfig.get_path("scripts", vars={"base": str(folder)}))
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    install = ("-m", "pip", "install", "--no-deps", "--no-index", "--quiet")
    run(programs / "python", *install, wheel, cwd=folder)
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return programs


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = 32, 24, "yuv420p"
        for picture in pictures(3):
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
    return path


def pictures(count: int) -> Iterator[av.VideoFrame]:
    """Flat pictures, each of another brightness."""
    for number in range(count):
        picture = av.VideoFrame(32, 24, "yuv420p")
        for plane, value in zip(picture.planes, (60 + 40 * number, 128, 128), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        picture.pts = number
        yield picture


def test_the_wheel_holds_the_package_the_weights_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    package = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "ciaovideo").rglob("*")
        if path.name == "py.typed" or path.suffix in (".py", ".toml", ".html")
    }
    weights = {
        f"ciaovideo/weights/{path.name}"
        for path in (ROOT / "weights").iterdir()
        if path.suffix == ".safetensors" or path.name == "manifest.toml"
    }
    assert package | weights <= set(names)
    assert "ciaovideo/weights/manifest.toml" in names
    assert not [name for name in names if name.endswith(".md")]
    assert {name for name in names if name.startswith("ciaovideo/weights/")} == weights
    roots = {name.partition("/")[0] for name in names}
    about = {root for root in roots if root.endswith(".dist-info")}
    assert len(about) == 1
    assert roots - about == {"ciaovideo", "vsciaovideo"}


def test_the_package_comes_from_the_wheel(environment: Path, tmp_path: Path) -> None:
    script = "import ciaovideo, torch; print(ciaovideo.__file__); print(torch.__file__)"
    ours, theirs = run(environment / "python", "-c", script, cwd=tmp_path).splitlines()
    assert Path(ours).is_relative_to(environment.parent)
    assert not Path(theirs).is_relative_to(environment.parent)


@pytest.mark.vapoursynth
def test_the_filter_comes_with_the_wheel(environment: Path, tmp_path: Path) -> None:
    script = """
import vapoursynth as vs
import vsciaovideo
clip = vs.core.std.BlankClip(format=vs.YUV420P8, width=32, height=24, length=2)
frame = vsciaovideo.upscale(clip.std.SetFrameProps(_Matrix=1), 1.5).get_frame(1)
print(vsciaovideo.__file__, frame.width, frame.height)
"""
    where, width, height = run(environment / "python", "-c", script, cwd=tmp_path).split()
    assert Path(where).is_relative_to(environment.parent)
    assert (width, height) == ("48", "36")


SCRIPT = """
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

import ciaovideo


def report(progress: ciaovideo.Progress) -> None:
    print(progress.frames, progress.total, progress.elapsed_s)


def enlarge(source: Path, output: str) -> int:
    try:
        summary = ciaovideo.upscale(
            source, output, scale=2.5, crf=14, codec="libx265", overwrite=True, on_progress=report
        )
    except ciaovideo.UsageError as error:
        print(error.problem, error.hint, file=sys.stderr)
        return error.exit_code
    except ciaovideo.CiaoVideoError as error:
        return error.exit_code
    frames: int = summary.frames
    height, width = summary.out_size
    seconds: float = summary.seconds / (height * width)
    where: Path = summary.output
    print(frames, seconds, where.name, summary.model, summary.verification.frames)
    return 0


def at(finding: ciaovideo.Finding) -> Fraction | None:
    return None if finding.kind is ciaovideo.Kind.LOST else finding.at


upscaler = ciaovideo.Upscaler(scale=2.5, device="cpu", precision="fp32")
array = upscaler(np.zeros((8, 8, 3), np.uint8))
tensor: torch.Tensor = upscaler(torch.zeros(1, 3, 8, 8))
version: str = ciaovideo.__version__
print(array.shape, tensor.shape, version, ciaovideo.list_models())
"""
# Torch's own types take ten seconds to read. Of it a user's script needs these.
CONFIG = """
[mypy]
strict = True
[mypy-torch.*]
follow_imports = skip
[mypy-torch]
follow_imports = normal
"""
TORCH = """
from typing import Any

class Tensor:
    shape: tuple[int, ...]

def zeros(*sides: int) -> Tensor: ...
def __getattr__(name: str) -> Any: ...
"""
WRONG = """
import torch, ciaovideo

ciaovideo.upscale("in.mp4", "out.mp4", scael=2)
ciaovideo.upscale("in.mp4", "out.mp4", precision="fp8")
text: str = ciaovideo.upscale("in.mp4", "out.mp4", scale=2)
number: int = ciaovideo.Upscaler(scale=2)(torch.zeros(1, 3, 8, 8))
"""


def test_mypy_knows_the_types_of_the_installed_package(environment: Path, tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="mypy checks a user's script")
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "wrong.py").write_text(WRONG)
    python = str(environment / "python")
    (tmp_path / "mypy.ini").write_text(CONFIG)
    (tmp_path / "stubs" / "torch").mkdir(parents=True)
    (tmp_path / "stubs" / "torch" / "__init__.pyi").write_text(TORCH)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--python-executable", python),
            *("--cache-dir", os.devnull, "script.py", "wrong.py"),
        ],
        env=os.environ | {"MYPYPATH": str(tmp_path / "stubs")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"^(.*\.py):(\d+): error", done.stdout, re.MULTILINE)
    assert sorted(set(found)) == [("wrong.py", n) for n in "4567"], done.stdout


def test_the_command_tells_its_version(environment: Path, tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] in run(environment / "ciaovideo", "--version", cwd=tmp_path)
    assert "--scale" in run(environment / "ciaovideo", "--help", cwd=tmp_path)


def test_the_installed_command_enlarges_a_clip(environment: Path, clip: Path) -> None:
    output = clip.with_name("larger.mkv")
    run(environment / "ciaovideo", clip, output, "--scale", "1.5", cwd=clip.parent)
    with av.open(str(output)) as container:
        frames = list(container.decode(video=0))
    assert [(frame.width, frame.height) for frame in frames] == [(48, 36)] * 3
    brightness = [float(frame.to_ndarray(format="gray").mean()) for frame in frames]
    assert brightness == sorted(brightness)
    assert brightness[2] - brightness[0] > 50
