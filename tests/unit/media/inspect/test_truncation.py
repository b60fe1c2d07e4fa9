"""Files that end before they say, and whole ones that only look like it."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from ciaovideo.cli.main import run
from ciaovideo.errors import LossError
from ciaovideo.findings import Kind
from ciaovideo.media.read.probe import probe
from tests.commands import error_of, found_in, result_in
from tests.found import by_kind
from tests.media import faststart, make_clip

SMALL: dict[str, Any] = {"width": 64, "height": 48, "fps": Fraction(12), "options": {}}


def cut(path: Path, share: float) -> Path:
    """The beginning of a file, as another file."""
    data = path.read_bytes()
    part = path.with_name(f"cut{path.suffix}")
    part.write_bytes(data[: int(len(data) * share)])
    return part


@pytest.mark.parametrize(("suffix", "codec"), [(".mkv", "ffv1"), (".mp4", "ffv1")])
@pytest.mark.heavy
def test_a_cut_file_says_so(tmp_path: Path, suffix: str, codec: str) -> None:
    path = tmp_path / f"clip{suffix}"
    make_clip(path, seconds=10, codec=codec, **SMALL)
    path = faststart(path) if suffix == ".mp4" else path
    assert probe(path).findings == ()
    (finding,) = probe(cut(path, 0.5)).findings
    assert by_kind([finding]) == [(Kind.DAMAGED, "file")]
    assert finding.at is not None
    assert 4 < finding.at < 6
    assert "10.0 s" in finding.text


@pytest.mark.parametrize(
    "settings",
    [
        {"first_pts": 24},
        {"first_pts": -24},
        {"pts": (0, 1, 2, 40, 41, 90)},
        {"fps": Fraction(1, 2), "seconds": 20},
        {"sound": True},
        {"subtitle": "seen"},
        {"cover": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
@pytest.mark.heavy
def test_a_whole_file_does_not(tmp_path: Path, suffix: str, settings: dict[str, Any]) -> None:
    path = tmp_path / f"clip{suffix}"
    make_clip(path, **{**SMALL, "seconds": 3, "codec": "ffv1", **settings})
    assert probe(path).findings == ()


def test_sound_or_text_may_go_on_after_the_video(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    make_clip(path, seconds=3, sound=True, subtitle="seen", codec="ffv1", **SMALL)
    longer = tmp_path / "longer.mkv"
    with av.open(path) as source, av.open(longer, "w") as target:
        copies = [target.add_stream_from_template(s, opaque=True) for s in source.streams]
        for packet in source.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "subtitle":
                packet.duration = int(20 / packet.time_base)
            packet.stream = copies[packet.stream_index]
            target.mux(packet)
    with av.open(longer) as container:
        assert container.duration is not None
        assert container.duration > 19 * av.time_base
    assert probe(longer).findings == ()


def test_a_run_tells_it_at_the_start_and_strict_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, output = tmp_path / "clip.mkv", tmp_path / "out.mkv"
    make_clip(whole, seconds=4, codec="ffv1", **SMALL)
    source = cut(whole, 0.5)
    words = [str(source), str(output), "--model", "bicubic"]
    assert "4.0 s" in str(error_of(LossError, *words, "--strict"))
    assert not output.exists()
    assert run([*words, "--strict", "--frames", "2"]) == 0
    assert run([*words, "--overwrite", "--dry-run", "--json"]) == 0
    assert ("damaged", "file") in found_in(result_in(capsys.readouterr().out))
