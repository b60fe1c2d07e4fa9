"""What the documents say of VapourSynth and other programs: each script and command is run."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ciaovideo.media.read.reader import VideoReader
from tests.documents import blocks
from tests.media import make_clip
from tests.vapoursynth_picture import crops, drawn
from tests.vspipe import HAS_BESTSOURCE, ROOT, at_once, frames_of, lumas, surroundings, vspipe
from tests.waiting import FAR_TOO_LONG_S

pytestmark = [
    pytest.mark.vapoursynth,
    pytest.mark.skipif(not HAS_BESTSOURCE, reason="the scripts read files with BestSource"),
]

DOCUMENT = "plugins/vapoursynth/README.md"
COMMANDS = [block for block in blocks(DOCUMENT, "sh") if "vspipe" in block]
SCRIPTS = {  # what comes of 64x48, six frames: width, height, format, frames
    "enlarge.vpy": (160, 120, "yuv420p", 6),
    "restore.vpy": (128, 96, "yuv420p10le", 12),
}
# In its configuration, so that a command may be run as it is written: pictures instead of a window.
MPV = "vo=image\nvo-image-format=png\nvo-image-outdir=shown\nao=null\nuntimed=yes\nhwdec=no\n"


def scripts() -> dict[str, str]:
    """The document's scripts by the file names in their first lines."""
    named = {}
    for block in blocks(DOCUMENT, "python"):
        name = re.match(r"# (\w+\.vpy)", block)
        assert name, f"what is this file called? {block}"
        named[name[1]] = block
    return named


def test_every_script_in_the_readme_is_run() -> None:
    assert scripts().keys() == SCRIPTS.keys()


@pytest.mark.thorough
@pytest.mark.parametrize("name", SCRIPTS)
def test_the_scripts_in_the_readme_run(name: str, tmp_path: Path) -> None:
    interlaced = name == "restore.vpy"
    make_clip(tmp_path / "clip.mp4", width=64, height=48, seconds=0.25, interlaced=interlaced)
    done = vspipe(scripts()[name], tmp_path, "-a", "source=clip.mp4", "-c", "y4m", "out.y4m")
    assert done.returncode == 0, done.stderr
    with VideoReader(tmp_path / "out.y4m") as reader:
        info, count = reader.info, len(list(reader.frames()))
    assert (info.width, info.height, info.pix_fmt, count) == SCRIPTS[name]


@pytest.mark.thorough
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.split()[-1])
def test_the_commands_in_the_readme_run(command: str, tmp_path: Path) -> None:
    if shutil.which("bash") is None:
        pytest.skip("no bash on this system, whose pipefail ends a pipe that breaks")
    for program in ("ffmpeg", "mpv"):
        if f"| {program} " in command and shutil.which(program) is None:
            pytest.skip(f"the pipe ends in {program}, which is not installed")
    (tmp_path / "enlarge.vpy").write_text(scripts()["enlarge.vpy"], encoding="utf-8")
    (tmp_path / "mpv.conf").write_text(MPV, encoding="utf-8")
    make_clip(tmp_path / "in.mp4", width=64, height=48, seconds=0.25)
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", command],
        cwd=tmp_path,
        env={**surroundings(tmp_path), "MPV_HOME": str(tmp_path)},
        capture_output=True,
        check=False,
        timeout=FAR_TOO_LONG_S,
    )
    assert done.returncode == 0, done.stderr
    if "| mpv " in command:
        shown = [lumas(path) for path in sorted((tmp_path / "shown").iterdir())]
        pictures = [luma for file in shown for luma in file]
    else:
        (made,) = {path for kind in ("*.y4m", "*.mkv") for path in tmp_path.glob(kind)}
        pictures = lumas(made)
    assert [picture.shape for picture in pictures] == [(120, 160)] * 6


@pytest.mark.thorough
def test_the_script_of_the_first_page_runs(tmp_path: Path) -> None:
    (script,) = (block for block in blocks("README.md", "python") if "vapoursynth" in block)
    make_clip(tmp_path / "in.mp4", width=64, height=48, seconds=0.25)
    done = vspipe(script, tmp_path, "-c", "y4m", "out.y4m")
    assert done.returncode == 0, done.stderr
    with VideoReader(tmp_path / "out.y4m") as reader:
        assert (reader.info.width, reader.info.height) == (160, 120)


@pytest.mark.thorough
def test_the_picture_in_the_readme_can_be_drawn_again(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mp4", width=480, height=270, seconds=0.1)
    bicubic, ours = crops(tmp_path / "clip.mp4", frame=1, left=500, top=300)
    assert bicubic.size == ours.size
    difference = np.asarray(ours, np.float64) - np.asarray(bicubic, np.float64)
    assert 0.1 < np.abs(difference).mean() < 30
    with Image.open(ROOT / ".github" / "vapoursynth.png") as shown:
        assert shown.size == drawn([bicubic, ours]).size


def test_a_file_in_pieces_is_the_file_as_av1an_asks_for_it(tmp_path: Path) -> None:
    """It runs a vspipe for each piece, several at once, with its own order of words."""
    script = scripts()["enlarge.vpy"]
    make_clip(tmp_path / "clip.mp4", width=64, height=48, seconds=0.25)
    done = vspipe(script, tmp_path, "-a", "source=clip.mp4", "-c", "y4m", "whole.y4m")
    assert done.returncode == 0, done.stderr
    pieces = at_once(
        [
            ["-a", "source=clip.mp4", "script.vpy", "-c", "y4m", "-", "-s", first, "-e", last]
            for first, last in (("0", "1"), ("2", "5"))
        ],
        tmp_path,
    )
    joined = []
    for number, piece in enumerate(pieces):
        (tmp_path / f"{number}.y4m").write_bytes(piece)
        joined += frames_of(tmp_path / f"{number}.y4m")
    whole = frames_of(tmp_path / "whole.y4m")
    assert len(joined) == len(whole) == 6
    for frame, expected in zip(joined, whole, strict=True):
        for plane, wanted in zip(frame.planes, expected.planes, strict=True):
            np.testing.assert_array_equal(plane.numpy(), wanted.numpy())
