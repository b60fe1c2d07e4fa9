"""Repacking moves samples and never changes one: every layout is packed here by hand first."""

import re
from collections.abc import Sequence
from typing import Any

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ciaovideo.color import PixelLayout
from ciaovideo.errors import ColorError
from ciaovideo.media.layouts import REPACKED, copy_planes, planar_layout, planar_name

HEIGHT, WIDTH = 6, 16
type Planes = list[NDArray[Any]]


def fresh(shapes: Sequence[tuple[int, int]], dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    return tuple(torch.full(shape, 7, dtype=dtype) for shape in shapes)


def random_planes(pix_fmt: str) -> Planes:
    layout = PixelLayout.of(pix_fmt)
    rng = np.random.default_rng(1)
    kind = np.uint8 if layout.bit_depth == 8 else np.uint16
    shapes = layout.plane_shapes(HEIGHT, WIDTH)
    return [rng.integers(0, 2**layout.bit_depth, shape).astype(kind) for shape in shapes]


def picture(pix_fmt: str, rows_of_planes: Planes) -> av.VideoFrame:
    frame = av.VideoFrame(WIDTH, HEIGHT, pix_fmt)
    for plane, rows in zip(frame.planes, rows_of_planes, strict=True):
        flat = np.ascontiguousarray(rows).view(np.uint8).reshape(rows.shape[0], -1)
        raw = np.zeros((rows.shape[0], plane.line_size or flat.shape[1]), np.uint8)
        raw[:, : flat.shape[1]] = flat
        plane.update(raw.tobytes().ljust(plane.buffer_size, b"\0"))
    return frame


def semi_planar(p: Planes, shift: int, *, swapped: bool = False) -> Planes:
    pair = (p[2], p[1]) if swapped else (p[1], p[2])
    return [p[0] << shift, np.stack(pair, -1).reshape(p[1].shape[0], -1) << shift]


def in_fours(p: Planes, order: str, shift: int = 0) -> Planes:
    parts = {"y": p[0][:, ::2], "Y": p[0][:, 1::2], "u": p[1], "v": p[2]}
    return [np.stack([parts[key] for key in order], -1).reshape(HEIGHT, -1) << shift]


def interleaved(p: Planes, order: str) -> Planes:
    parts = {"g": p[0], "b": p[1], "r": p[2], "0": np.full_like(p[0], 255), "a": p[-1]}
    parts |= {"y": p[0], "u": p[1], "v": p[2]}
    return [np.stack([parts[key] for key in order], -1).reshape(HEIGHT, -1)]


def words(high: NDArray[Any], middle: NDArray[Any], low: NDArray[Any]) -> Planes:
    return [(high.astype(np.uint32) << 20) | (middle.astype(np.uint32) << 10) | low]


def packed(pix_fmt: str, p: Planes) -> Planes:
    """The planes of the same samples in a packed or semi-planar layout."""
    shift = {"10": 6, "12": 4}.get(pix_fmt[2:4], 0) if pix_fmt[0] == "p" else 0
    if pix_fmt.startswith(("nv", "p0", "p2", "p4")):
        return semi_planar(p, shift, swapped=pix_fmt in ("nv21", "nv42"))
    match pix_fmt:
        case "uyvy422":
            return in_fours(p, "uyvY")
        case "yuyv422":
            return in_fours(p, "yuYv")
        case "yvyu422":
            return in_fours(p, "yvYu")
        case "y210le":
            return in_fours(p, "yuYv", 6)
        case "y212le":
            return in_fours(p, "yuYv", 4)
        case "xv30le":
            return words(p[2], p[0], p[1])
        case "x2rgb10le":
            return words(p[2], p[0], p[1])
        case "x2bgr10le":
            return words(p[1], p[0], p[2])
        case "yuv444p10msble":
            return [plane << 6 for plane in p]
        case "yuv444p12msble":
            return [plane << 4 for plane in p]
        case "pal8":
            palette = np.stack([p[1], p[0], p[2], np.full_like(p[0], 255)], -1).reshape(-1, 4)
            palette = np.vstack([palette, np.zeros((256 - len(palette), 4), np.uint8)])
            indices = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)
            return [indices, palette.reshape(1, -1)]
    return interleaved(p, re.sub(r"48le|64le|24", "", pix_fmt))


@pytest.mark.parametrize("color_range", [0, 1, 2])
@pytest.mark.parametrize("pix_fmt", REPACKED)
def test_repacking_keeps_every_sample(pix_fmt: str, color_range: int) -> None:
    target = planar_name(pix_fmt)
    samples = random_planes(target)
    frame = picture(pix_fmt, packed(pix_fmt, samples))
    frame.color_range = color_range
    planes = copy_planes(frame, PixelLayout.of(target), fresh)
    for plane, sample in zip(planes, samples, strict=True):
        assert np.array_equal(plane.numpy(), sample)


@pytest.mark.parametrize("pix_fmt", ["p010le", "nv20le", "y210le", "p216le"])
def test_repacking_has_no_race(pix_fmt: str) -> None:
    target = planar_name(pix_fmt)
    samples = random_planes(target)
    for _ in range(200):
        frame = picture(pix_fmt, packed(pix_fmt, samples))
        planes = copy_planes(frame, PixelLayout.of(target), fresh)
        assert all(map(np.array_equal, planes, samples))


@pytest.mark.parametrize("name", ["yuv420p10", "yuv422p12", "yuv444p16", "gbrp14", "gray16"])
def test_big_endian_samples_are_turned_around(name: str) -> None:
    samples = random_planes(f"{name}le")
    frame = picture(f"{name}be", [sample.byteswap() for sample in samples])
    assert planar_name(f"{name}be") == f"{name}le"
    planes = copy_planes(frame, PixelLayout.of(f"{name}le"), fresh)
    for plane, sample in zip(planes, samples, strict=True):
        assert np.array_equal(plane.numpy(), sample)


@pytest.mark.parametrize(
    "pix_fmt",
    ["yuv420p", "yuv410p", "yuv411p", "yuv422p10le", "yuv440p", "yuv444p16le", "gray", "gbrp12le"],
)
def test_planar_layouts_are_copied_without_padding(pix_fmt: str) -> None:
    samples = random_planes(pix_fmt)
    frame = picture(pix_fmt, samples)
    planes = copy_planes(frame, PixelLayout.of(pix_fmt), fresh)
    del frame
    for plane, sample in zip(planes, samples, strict=True):
        assert np.array_equal(plane.numpy(), sample)


def test_full_range_names_lose_their_letter() -> None:
    assert planar_name("yuvj420p") == "yuv420p"
    assert planar_name("yuvj411p") == "yuv411p"


@pytest.mark.parametrize("pix_fmt", ["ya8", "ya16le", "ya16be"])
def test_gray_and_alpha_are_taken_apart(pix_fmt: str) -> None:
    planar = planar_name(pix_fmt)
    samples = random_planes(planar)
    pairs = np.stack(samples, -1).reshape(HEIGHT, -1)
    frame = picture(pix_fmt, [pairs.byteswap() if pix_fmt == "ya16be" else pairs])
    planes = copy_planes(frame, PixelLayout.of(planar), fresh)
    for plane, sample in zip(planes, samples, strict=True):
        assert np.array_equal(plane.numpy(), sample)


@pytest.mark.parametrize("pix_fmt", ["gbrpf32le", "rgb565le", "monow", "xyz12le", "bayer_rggb8"])
def test_what_has_no_planar_twin_is_refused(pix_fmt: str) -> None:
    with pytest.raises(ColorError, match=pix_fmt):
        planar_name(pix_fmt)


def test_a_palette_has_alpha_if_a_colour_in_use_is_transparent() -> None:
    palette = np.zeros((256, 4), np.uint8)
    palette[0] = 1, 2, 3, 255
    opaque = picture("pal8", [np.zeros((HEIGHT, WIDTH), np.uint8), palette.reshape(1, -1)])
    assert planar_layout(opaque) == "gbrp"
    palette[0, 3] = 77
    clear = picture("pal8", [np.zeros((HEIGHT, WIDTH), np.uint8), palette.reshape(1, -1)])
    assert planar_layout(clear) == "gbrap"
    planes = copy_planes(clear, PixelLayout.of("gbrap"), fresh)
    assert [int(plane.max()) for plane in planes] == [2, 1, 3, 77]
    with pytest.raises(ColorError, match="transparent"):
        copy_planes(clear, PixelLayout.of("gbrp"), fresh)
