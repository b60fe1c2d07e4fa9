"""How coarsely a video was quantised, read off files of every kind."""

import itertools
from pathlib import Path

import pytest

from ciaovideo.media.inspect.quantisers import QuantiserEvidence
from ciaovideo.media.read.probe import probe
from tests.media import make_clip

SIDE = 96


def evidence(path: Path, codec: str, **options: str) -> QuantiserEvidence:
    make_clip(path, width=SIDE, height=SIDE, seconds=0.5, codec=codec, options=options)
    return probe(path).quantiser


@pytest.mark.parametrize(
    ("codec", "option", "values"),
    [
        ("libx264", "crf", ("10", "20", "30", "40")),
        ("libx265", "crf", ("10", "20", "30", "40")),
        ("libvpx-vp9", "crf", ("10", "30", "55")),
    ],
)
@pytest.mark.heavy
def test_a_coarser_file_shows_it(
    codec: str, option: str, values: tuple[str, ...], tmp_path: Path
) -> None:
    more = {"b:v": "0", "deadline": "realtime", "cpu-used": "8"} if "vpx" in codec else {}
    found = [
        evidence(tmp_path / f"{value}.mkv", codec, **{option: value}, **more) for value in values
    ]
    known = [each.qp or 0.0 for each in found]
    assert all(one + 2 < other for one, other in itertools.pairwise(known))
    source = "the encoder's own crf" if codec == "libx265" else "from its blocks"
    assert {each.source for each in found} == {source}


@pytest.mark.parametrize("flags", ["interlaced=1", "interlaced=1:tff=1"])
def test_fields_tell_their_quantisers(flags: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    options = {"crf": "30", "x264-params": flags}
    make_clip(path, width=144, height=144, seconds=0.3, codec="libx264", options=options)
    assert probe(path).quantiser.qp == pytest.approx(35, abs=5)


@pytest.mark.heavy
def test_every_look_at_a_file_tells_the_same(tmp_path: Path) -> None:
    """FFmpeg's frame threads tell the quantisers of pictures that are not decoded yet."""
    path = tmp_path / "clip.mkv"
    make_clip(path, width=320, height=240, seconds=0.5, codec="libx264", options={"crf": "30"})
    found = {probe(path).quantiser.qp for _ in range(8)}
    assert len(found) == 1


@pytest.mark.parametrize("codec", ["mpeg2video", "mpeg4"])
def test_the_quantiser_of_older_codecs(codec: str, tmp_path: Path) -> None:
    """The step of quantiser q is 2 q, times 1.6 for what x264 makes of it: 6 more where doubled."""
    found = {}
    for quantiser in ("4", "8"):
        options = {"qmin": quantiser, "qmax": quantiser}
        found[quantiser] = evidence(tmp_path / f"{quantiser}.mkv", codec, **options).qp or 0.0
    assert found["4"] == pytest.approx(26.1, abs=1.0)  # 6 log2(1.6 * 8 / 0.625)
    assert found["8"] - found["4"] == pytest.approx(6.0, abs=0.5)


def test_bits_are_held_against_what_there_is_to_code(tmp_path: Path) -> None:
    rates = ("2M", "200k")
    found = [evidence(tmp_path / f"{rate}.mkv", "libvpx", b=rate) for rate in rates]
    fine, coarse = (each.qp or 0.0 for each in found)
    assert fine < coarse
    assert all("bits per pixel" in each.source for each in found)


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix", "source"),
    [
        ("ffv1", "yuv420p", ".mkv", "lossless"),
        ("rawvideo", "yuv420p", ".nut", "lossless"),
        ("prores_ks", "yuv422p10le", ".mov", "a production codec"),
    ],
)
def test_what_loses_nothing_to_speak_of(
    codec: str, pix_fmt: str, suffix: str, source: str, tmp_path: Path
) -> None:
    path = tmp_path / f"clip{suffix}"
    make_clip(path, width=SIDE, height=SIDE, seconds=0.2, codec=codec, options={}, pix_fmt=pix_fmt)
    found = probe(path).quantiser
    assert (found.qp, found.source) == (None, source)
    assert str(found).endswith(source)
