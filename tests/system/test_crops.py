"""What a container says to cut off of its video: carried over in the output's pixels, or cut."""

import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from ciaovideo.cli.main import run
from ciaovideo.errors import EncodeError, LossError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.layouts import samples_of
from ciaovideo.media.margins import NO_MARGINS, Margins
from ciaovideo.media.patch.iso import store_crop
from ciaovideo.media.patch.matroska import ROOM, store_shape
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.side_data import stated_crop
from ciaovideo.options import InputOptions
from ciaovideo.pipeline.session import Summary, upscale
from ciaovideo.pipeline.verification.verify import contract_between, verify_contract
from tests.media import make_clip

CROP = Margins(top=6, bottom=5, left=3, right=2)
GROWN = Margins(top=9, bottom=8, left=4, right=3)  # of 1.5 times the size: 7.5 and 4.5 to even


def cropped(path: Path, crop: Margins = CROP, **clip: Any) -> Path:
    """A clip of 64x48 with a crop, which our own code stores in Matroska and FFmpeg then copies."""
    plain, stored = path.with_name("plain.mkv"), path.with_name("stored.mkv")
    make_clip(plain, **{"width": 64, "height": 48, "seconds": 0.2, **clip})
    copied(plain, stored, title="T" + ROOM)
    store_shape(stored, clip.get("sar"), crop)
    copied(stored, path)
    return path


def copied(source: Path, output: Path, **tags: str) -> None:
    with av.open(source) as given, av.open(output, "w") as made:
        targets = {s.index: made.add_stream_from_template(s) for s in given.streams}
        targets[0].metadata.update(tags)
        for packet in given.demux():
            if packet.size:
                packet.stream = targets[packet.stream_index]
                made.mux(packet)


def enlarge(source: Path, output: Path, **options: Any) -> Summary:
    return upscale(source, output, **{"model": "bicubic", "scale": 1.5, **options})


def planes(path: Path) -> list[np.ndarray[Any, Any]]:
    """Y, U and V of the first picture."""
    with av.open(path) as container:
        return [samples.numpy() for samples in samples_of(next(container.decode(video=0)))]


def about(summary: Summary) -> list[Finding]:
    return [found for found in summary.findings if found.subject == "crop"]


def crop_of(path: Path) -> Margins:
    with av.open(path) as container:
        return stated_crop(container.streams.video[0])


@pytest.mark.parametrize("given", [".mkv", ".mov", ".mp4"])
@pytest.mark.parametrize("made", [".mkv", ".mov", ".mp4"])
def test_a_crop_grows_with_the_picture(tmp_path: Path, given: str, made: str) -> None:
    source = cropped(tmp_path / f"in{given}", sound=True)
    output = tmp_path / f"out{made}"
    summary = enlarge(source, output, resume=made == ".mkv")
    assert crop_of(source) == CROP
    assert crop_of(output) == GROWN
    assert [found.kind for found in about(summary)] == [Kind.CHANGED]
    assert not verify_contract(output, contract_between(source, output)).wrong


@pytest.mark.parametrize(("made", "codec"), [(".mkv", "ffv1"), (".mp4", "libx264")])
def test_a_crop_and_a_pixel_shape_go_together(tmp_path: Path, made: str, codec: str) -> None:
    sar = Fraction(16, 11)
    source = cropped(tmp_path / "in.mkv", sar=sar)
    enlarge(source, output := tmp_path / f"out{made}", codec=codec, audio="copy")
    with av.open(output) as container:
        found = container.streams.video[0].sample_aspect_ratio
        assert found is not None
        assert Fraction(found.num, found.den) == sar
    assert crop_of(output) == GROWN


def test_webm_states_a_crop(tmp_path: Path) -> None:
    source = cropped(tmp_path / "in.mkv", seconds=0.1)
    enlarge(source, output := tmp_path / "out.webm", preset="12")
    assert crop_of(output) == GROWN


@pytest.mark.parametrize("suffix", [".avi", ".mxf", ".y4m"])
def test_a_crop_that_cannot_be_stated_is_lost(tmp_path: Path, suffix: str) -> None:
    source = cropped(tmp_path / "in.mkv", fps=Fraction(25))
    (found,) = about(enlarge(source, tmp_path / f"out{suffix}"))
    assert found.kind is Kind.LOST
    assert "6 px at the top, 5 px at the bottom" in found.text
    with pytest.raises(LossError, match="crop"):
        enlarge(source, tmp_path / f"strict{suffix}", strict=True)


def test_the_stated_crop_is_cut_off(tmp_path: Path) -> None:
    """Sample by sample: six rows at the top, and two columns instead of three at the left."""
    source = cropped(tmp_path / "in.mkv", codec="ffv1")
    output = tmp_path / "out.mkv"
    summary = enlarge(source, output, crop="source", scale=1, codec="ffv1")
    assert [found.kind for found in about(summary)] == [Kind.CHANGED, Kind.CHOSEN]
    assert crop_of(output) == NO_MARGINS
    with VideoReader(source, options=InputOptions(crop="source")) as reader:
        frame = next(reader.frames())
    assert [tuple(plane.shape) for plane in frame.planes] == [(37, 60), (19, 30), (19, 30)]
    for number, (whole, left) in enumerate(zip(planes(source), frame.planes, strict=True)):
        top, side = (6, 2) if number == 0 else (3, 1)
        rows, columns = left.shape
        np.testing.assert_array_equal(left, whole[top:, side:][:rows, :columns])
    words = ["verify", str(output), "--against", str(source)]
    assert run([*words, "--crop", "source"]) == 0
    assert run(words) == 3


@pytest.mark.parametrize("more", [{"start": "0.08"}, {"deinterlace": "field"}, {"resume": True}])
def test_a_cut_goes_with_other_options(tmp_path: Path, more: dict[str, Any]) -> None:
    source = cropped(tmp_path / "in.mov", Margins(top=4, bottom=4), sound=True)
    summary = enlarge(source, tmp_path / "out.mkv", crop="source", scale=2, **more)
    assert summary.out_size == (80, 128)


def test_a_file_without_a_crop_stays_whole(tmp_path: Path) -> None:
    make_clip(source := tmp_path / "in.mkv", width=64, height=48, seconds=0.2)
    summary = enlarge(source, tmp_path / "out.mkv", crop="source", strict=False)
    assert summary.out_size == (72, 96)
    assert [found.kind for found in about(summary)] == [Kind.CHOSEN]


def test_a_missing_crop_is_found_by_the_check(tmp_path: Path) -> None:
    source = cropped(tmp_path / "in.mkv")
    enlarge(source, output := tmp_path / "out.mp4")
    store_crop(output, Margins(top=20), (72, 96), 0)  # the last of two boxes counts
    contract = contract_between(source, output)
    assert [found.subject for found in verify_contract(output, contract).wrong] == ["crop"]


def test_a_crop_into_the_second_video(tmp_path: Path) -> None:
    make_clip(source := tmp_path / "in.mp4", width=64, height=48, seconds=0.2)
    store_crop(source, CROP, (48, 64), 0)
    assert crop_of(source) == CROP
    for path, number in ((source, 1), (tmp_path / "no.mp4", 0)):
        path.touch()
        with pytest.raises(EncodeError, match="storing the crop"):
            store_crop(path, CROP, (48, 64), number)


@pytest.mark.parametrize(
    ("suffix", "words", "told"),
    [
        (".mkv", "%Width%x%Height%", "89x55"),
        (".mov", "%Width_CleanAperture%x%Height_CleanAperture%", "89x55"),
    ],
)
def test_what_others_read(tmp_path: Path, suffix: str, words: str, told: str) -> None:
    """MediaInfo knows both containers' crops, by words of its own."""
    program = shutil.which("mediainfo")
    if program is None:
        pytest.skip("needs mediainfo")
    enlarge(cropped(tmp_path / "in.mkv"), output := tmp_path / f"out{suffix}")
    command = [program, f"--Inform=Video;{words}", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == told
