"""Alpha: enlarged with the colours where the output holds it, else dropped and said."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from torch import Tensor

from ciaovideo.cli.main import run
from ciaovideo.color import PixelLayout
from ciaovideo.engine.engine import Engine
from ciaovideo.engine.renderer import Renderer
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.pipeline.frames.changes import ChangeFinder
from ciaovideo.tiling import Rect
from tests.alpha import make_alpha_clip, matte, planes_with_alpha
from tests.media import Clip

PLAIN = ("--model", "bicubic")  # which changes nothing at x1
RGB = (0, 2, 2, 2, 0)
SOFT = 0.01  # of [0, 1]: the mean error; of the disc moved by three pixels it is above
CASES = [
    ("ffv1", "yuva420p", ".mkv"),
    ("ffv1", "yuva422p10le", ".mkv"),
    ("ffv1", "yuva444p16le", ".mp4"),
    ("ffv1", "gbrap", ".mkv"),
    ("ffv1", "gbrap12le", ".mkv"),
    ("ffv1", "ya8", ".mkv"),
    ("png", "gbrap", ".mov"),
    ("png", "gbrap16le", ".mov"),
    ("png", "ya8", ".mov"),
    ("png", "ya16le", ".mov"),
    ("utvideo", "gbrap", ".avi"),
]


def clip_of(codec: str, pix_fmt: str) -> Clip:
    """Three frames of odd width."""
    rgb = pix_fmt.startswith("gbr")
    gray = pix_fmt.startswith("ya")
    color = RGB if rgb else (2, 2, 2, 2, 0) if gray else (1, 1, 1, 1, 1)
    rate = Fraction(25)
    return Clip(
        width=77, height=48, seconds=3 / 25, fps=rate, codec=codec, pix_fmt=pix_fmt, color=color
    )


def read(path: Path) -> tuple[str, list[list[np.ndarray]]]:
    with VideoReader(path) as reader:
        frames = [[plane.numpy().copy() for plane in frame.planes] for frame in reader.frames()]
        return reader.info.pix_fmt, frames


@pytest.mark.parametrize(("codec", "pix_fmt", "suffix"), CASES)
def test_without_enlarging_no_code_changes(
    tmp_path: Path, codec: str, pix_fmt: str, suffix: str
) -> None:
    source, output = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    clip = clip_of(codec, pix_fmt)
    make_alpha_clip(source, clip)
    words = [str(source), str(output), "--codec", codec, "--size", "77x48", "-q", *PLAIN]
    assert run(words) == 0
    found, frames = read(output)
    assert found == pix_fmt
    assert len(frames) == 3
    exact = [0, -1] if pix_fmt.startswith("yuv") else range(len(frames[0]))  # chroma is filtered
    for number, planes in enumerate(frames):
        given = planes_with_alpha(clip, number)
        for place in exact:
            assert np.array_equal(planes[place], given[place])


@pytest.mark.parametrize(
    ("pix_fmt", "suffix", "codec", "made"),
    [
        ("yuva420p", ".mkv", "ffv1", "yuva420p"),
        ("yuva420p", ".mov", "prores_ks", "yuva444p12le"),
        ("gbrap", ".mov", "png", "gbrap"),
        ("gbrap", ".avi", "utvideo", "gbrap"),
    ],
)
def test_alpha_is_kept_by_what_is_chosen(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    pix_fmt: str,
    suffix: str,
    codec: str,
    made: str,
) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / f"out{suffix}"
    clip = clip_of("ffv1", pix_fmt)
    make_alpha_clip(source, clip)
    assert run([str(source), str(output), "--size", "154x96", *PLAIN]) == 0
    assert f"chosen: codec {codec}" in capsys.readouterr().err
    found, frames = read(output)
    assert found == made
    for number, planes in enumerate(frames):
        alpha = planes[-1] / PixelLayout.of(made).peak
        assert np.abs(alpha - matte(48, 77, number, scale=2)).mean() < SOFT
        assert np.abs(alpha - matte(48, 77, number + 3, scale=2)).mean() > SOFT


def test_alpha_that_does_not_fit_is_a_loss(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mp4"
    make_alpha_clip(source, clip_of("ffv1", "yuva420p"))
    lost = "the alpha channel: libx264 cannot hold it"
    words = [str(source), str(output), "--size", "154x96", *PLAIN]
    assert run([*words, "--dry-run"]) == 0
    assert lost in capsys.readouterr().out
    assert run([*words, "--strict"]) == 3
    assert lost in capsys.readouterr().err
    assert not output.exists()
    assert run(words) == 0
    assert f"lost: {lost}" in capsys.readouterr().err
    assert read(output)[0] == "yuv420p"


def test_prores_keeps_alpha_at_the_cost_of_bits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = tmp_path / "in.mov", tmp_path / "out.mov"
    make_alpha_clip(source, clip_of("prores_ks", "yuva444p10le"))
    assert read(source)[0] == "yuva444p12le"
    assert run([str(source), str(output), *PLAIN]) == 0
    told = capsys.readouterr().err
    assert "2 of 12 bits a sample: prores_ks cannot hold them" in told
    assert "as asked" not in told
    found, frames = read(output)
    assert found == "yuva444p12le"
    assert frames[0][-1].min() == 0
    assert frames[0][-1].max() == 4095


@pytest.mark.parametrize(("pix_fmt", "suffix"), [("yuva420p", ".mkv"), ("ya8", ".mov")])
def test_another_alpha_is_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    pix_fmt: str,
    suffix: str,
) -> None:
    def opaque(
        _: Renderer,
        __: object,
        plane: Tensor,
        out_size: tuple[int, int],
        part: Rect | None = None,
    ) -> Tensor:
        size = (part.height, part.width) if part else out_size
        return plane.new_full((1, *size), 255)

    monkeypatch.setattr(Renderer, "enlarge_opacity", opaque)
    source, output = tmp_path / "in.mkv", tmp_path / f"out{suffix}"
    make_alpha_clip(source, clip_of("ffv1", pix_fmt))
    codec = "png" if suffix == ".mov" else "ffv1"
    assert run([str(source), str(output), "--codec", codec, "-q", *PLAIN]) == 3
    assert "frame 0: its alpha" in capsys.readouterr().err


def test_parts_of_alpha_that_are_new_are_as_if_all_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, parts, whole = (tmp_path / f"{name}.mkv" for name in ("in", "parts", "whole"))
    with av.open(source, "w") as container:
        ffv1 = container.add_stream("ffv1", rate=25, width=320, height=240)
        ffv1.codec_context.pix_fmt = "yuva420p"
        for number in range(3):  # the disc moves in a corner, the colours stay
            rgba = np.full((240, 320, 4), 90, np.uint8)
            rgba[:48, :77, 3] = matte(48, 77, number) * 255
            frame = av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format="yuva420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(ffv1.encode(frame))
        container.mux(ffv1.encode(None))
    words = ["--scale", "1.5", "-q", *PLAIN]
    computed: list[Rect | None] = []
    enlarge = Renderer.enlarge_opacity

    def noted(*given: Any) -> Tensor:
        computed.append(given[4])
        return enlarge(*given)

    monkeypatch.setattr(Renderer, "enlarge_opacity", noted)
    assert run([str(source), str(parts), *words]) == 0
    assert None in computed
    assert any(part is not None and part.area < 240 * 320 for part in computed)
    monkeypatch.setattr(ChangeFinder, "parts", lambda finder, *_: (Rect(0, 0, *finder.out_size),))
    assert run([str(source), str(whole), *words]) == 0
    for some, all_of_it in zip(read(parts)[1], read(whole)[1], strict=True):
        for plane, other in zip(some, all_of_it, strict=True):
            assert np.array_equal(plane, other)


def test_flat_opacity_stays_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network is not asked: it need not give back what it was given."""

    def noise(_: Engine, lr: Tensor, size: tuple[int, int], *_part: Rect) -> tuple[Tensor, Tensor]:
        return torch.rand(len(lr), 3, *size), torch.tensor(True)

    monkeypatch.setattr(Engine, "start", noise)
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    with av.open(source, "w") as container:
        ffv1 = container.add_stream("ffv1", rate=25, width=32, height=16)
        ffv1.codec_context.pix_fmt = "bgra"
        pixels = np.full((16, 32, 4), 100, np.uint8)
        pixels[..., 3] = 254
        container.mux(ffv1.encode(av.VideoFrame.from_ndarray(pixels, format="bgra")))
        container.mux(ffv1.encode(None))
    source_words = [str(source), str(output), "-q"]
    code = run(source_words)
    assert code == 3  # the colours are noise, which the verification finds
    kept = next(path for path in tmp_path.iterdir() if ".part" in path.name)
    assert set(np.unique(read(kept)[1][0][-1])) == {254}


def test_the_alpha_of_vp9_is_decoded(tmp_path: Path) -> None:
    source, output = tmp_path / "in.webm", tmp_path / "out.mkv"
    clip = clip_of("libvpx-vp9", "yuva420p")
    with av.open(source, "w") as container:
        vpx = container.add_stream("libvpx-vp9", rate=25, options={"crf": "4", "b": "0"})
        vpx.codec_context.width, vpx.codec_context.height = 76, 48
        vpx.codec_context.pix_fmt = "yuva420p"
        for number in range(3):
            rgba = np.full((48, 76, 4), 128, np.uint8)
            rgba[..., 3] = matte(48, 76, number) * 255
            frame = av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format="yuva420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(vpx.encode(frame))
        container.mux(vpx.encode(None))
    assert run([str(source), str(output), "--scale", "1", "-q", *PLAIN]) == 0
    found, frames = read(output)
    assert found == clip.pix_fmt
    for number, planes in enumerate(frames):
        assert np.abs(planes[-1] / 255 - matte(48, 76, number)).mean() < SOFT
