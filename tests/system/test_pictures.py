"""Pictures in place of a video: the command that the error tells works, and keeps every bit."""

import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ciaovideo.cli.main import run
from ciaovideo.errors import MissingInputError
from ciaovideo.media.read.reader import VideoReader


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures of noise, in a folder whose name a shell would take apart."""
    folder = tmp_path / "my pictures"
    folder.mkdir()
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 256, (72, 96, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"seq{number:03d}.png")
    return folder


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="no ffmpeg on this system")
@pytest.mark.parametrize("name", ["", "seq%03d.png", "*.png"])
def test_the_command_that_is_told_keeps_every_bit(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder.parent)
    assert run([str(folder / name), "out.mkv"]) == 2
    told = capsys.readouterr().err.strip().partition("pictures become one by: ")[2]
    subprocess.run([*shlex.split(told), "-loglevel", "error"], check=True)
    assert run(["pictures.mkv", "out.mkv", "--scale", "1", "--model", "bicubic", "-q"]) == 0
    for video in ("pictures.mkv", "out.mkv"):
        with VideoReader(Path(video)) as reader:
            assert reader.info.pix_fmt == "gbrp"
            assert reader.info.frame_rate == 24
            frames = [np.stack([p.numpy() for p in frame.planes]) for frame in reader.frames()]
        assert len(frames) == 3
    with VideoReader(Path("pictures.mkv")) as reader:
        for picture, frame in zip(sorted(folder.iterdir()), reader.frames(), strict=True):
            red_green_blue = np.asarray(Image.open(picture)).transpose(2, 0, 1)
            for channel, plane in zip(red_green_blue[[1, 2, 0]], frame.planes, strict=True):
                assert np.array_equal(plane.numpy(), channel)


def test_other_names_that_are_not_there_get_no_such_advice(folder: Path, tmp_path: Path) -> None:
    (empty := tmp_path / "empty").mkdir()
    for path in (empty, tmp_path / "absent%03d.mkv", folder / "absent.png"):
        with pytest.raises(MissingInputError) as missing:
            VideoReader(path)
        assert missing.value.hint == "name a video file"
