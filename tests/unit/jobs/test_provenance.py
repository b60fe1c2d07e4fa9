"""What is written down of a finished batch, and what its outputs say of themselves."""

import csv
import hashlib
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import av
import pytest

from ciaovideo import upscale
from ciaovideo.jobs.ledger import BatchLedger
from ciaovideo.media.pictures.framemd5 import write_framemd5
from ciaovideo.options import ModelOptions, StreamOptions
from tests.batches import PLAIN, carry_out, make_sources
from tests.media import make_clip


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def hashes(lines: str) -> list[str]:
    return [line.split()[-1] for line in lines.splitlines() if not line.startswith("#")]


@pytest.mark.heavy
def test_the_manifest_tells_what_was_made_of_what(tmp_path: Path) -> None:
    source = make_sources(tmp_path / "in", a=3)
    (source / "b.mkv").write_bytes(b"no video" * 99)
    output = tmp_path / "out"
    given = replace(PLAIN, model=ModelOptions(model="ciaosr-fast"))
    assert carry_out(source, output, given=given)[0] == 7
    written = json.loads((output / "manifest.json").read_text())
    good, bad = written["files"]
    assert good["input_sha256"] == sha256(source / "a.mkv")
    assert good["output_sha256"] == sha256(output / "a.mkv")
    assert good["framemd5_sha256"] == sha256(output / "a.mkv.framemd5")
    assert (good["state"], good["frames"]) == ("done", 3)
    assert (good["width"], good["height"]) == (96, 64)
    assert len(good["weights_sha256"]) == 64
    assert good["settings"]["model"]["model"] == "ciaosr-fast"
    assert {"ciaovideo", "torch", "av", "libavcodec"} <= good["versions"].keys()
    assert {finding["subject"] for finding in good["findings"]} == {"codec", "restore"}
    assert good["restore"] == 0
    assert bad["state"] == "failed"
    assert str(source / "b.mkv") in bad["problem"]
    with (output / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["output_sha256"] for row in rows] == [good["output_sha256"], ""]
    assert json.loads(rows[0]["versions"]) == good["versions"]
    # An output that the ledger does not know, as after a command that died right before it wrote.
    shutil.rmtree(output / ".ciaovideo")
    carry_out(source, output, given=given)
    adopted = json.loads((output / "manifest.json").read_text())["files"][0]
    assert adopted["adopted"]
    assert adopted["output_sha256"] == good["output_sha256"]


def test_what_died_before_it_was_written_down_is_known_by_its_fingerprint(tmp_path: Path) -> None:
    source = make_sources(tmp_path / "in", a=3)
    output = tmp_path / "out"
    assert carry_out(source, output)[0] == 0
    with BatchLedger(output) as ledger:
        ledger.update("a.mkv", state="working", settings="", output_stamp="", result={})
    code, told = carry_out(source, output)
    assert code == 0
    assert told.kinds("skip", "segment") == [("skip", "a.mkv")]
    (entry,) = json.loads((output / "manifest.json").read_text())["files"]
    assert entry["model"] == "bicubic"
    assert entry["output_sha256"] == sha256(output / "a.mkv")


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p10le"])
def test_framemd5_is_ffmpegs(tmp_path: Path, pix_fmt: str) -> None:
    make_clip(clip := tmp_path / "a.mkv", width=50, height=38, seconds=0.3, pix_fmt=pix_fmt)
    assert write_framemd5(clip, tmp_path / "a.framemd5") == 7
    ours = hashes((tmp_path / "a.framemd5").read_text())
    with av.open(clip) as container:
        first = next(container.decode(video=0))
    if pix_fmt == "yuv420p":  # by hand: the planes without padding
        planes = first.to_ndarray().tobytes()
        assert ours[0] == hashlib.md5(planes, usedforsecurity=False).hexdigest()
    if shutil.which("ffmpeg") is None:
        pytest.skip("no ffmpeg here to compare with")
    words = ["ffmpeg", "-v", "error", "-i", str(clip), "-map", "0:v:0", "-f", "framemd5", "-"]
    theirs = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert ours == hashes(theirs)


@pytest.mark.parametrize(
    ("suffix", "tags", "name"),
    [
        (".mkv", {}, "CIAOVIDEO"),
        (".mkv", {"CIAOVIDEO": "an earlier one"}, "CIAOVIDEO_2"),
        (".mp4", {}, "comment"),
        (".mp4", {"comment": "mine"}, "description"),
    ],
)
@pytest.mark.heavy
def test_outputs_say_how_they_were_made(
    tmp_path: Path, suffix: str, tags: dict[str, str], name: str
) -> None:
    make_clip(clip := tmp_path / f"in{suffix}", width=48, height=32, seconds=0.1, tags=tags)
    output = tmp_path / f"out{suffix}"
    upscale(clip, output, options=replace(PLAIN, resume=True))
    with av.open(output) as container:
        found = dict(container.metadata)
    assert found[name].startswith(f"ciaovideo 0.2.0: in{suffix}, 48x32 to 96x64, model bicubic")
    assert all(found[key] == text for key, text in tags.items())
    plain = replace(PLAIN, resume=True, overwrite=True, streams=StreamOptions(provenance=False))
    upscale(clip, output, options=plain)
    with av.open(output) as container:
        assert name not in container.metadata
