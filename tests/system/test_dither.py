"""Dither as a user asks for it: from 16 bits to 8, and everything else as before."""

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from ciaovideo.cli.main import run
from ciaovideo.errors import OptionError
from ciaovideo.options import EncodeOptions

HEIGHT, WIDTH, FRAMES = 96, 192, 3


def write_gradient(path: Path) -> None:
    """Three codes of 8 bits from left to right, in 16 bits; a corner blinks."""
    row = np.linspace(100.0, 103.0, WIDTH) * 256
    with av.open(path, "w") as container:
        video = container.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "gray16le"
        for number in range(FRAMES):
            picture = np.tile(row.round().astype(np.uint16), (HEIGHT, 1))
            picture[:8, :8] = 20_000 * number
            frame = av.VideoFrame.from_ndarray(picture, format="gray16le")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))


def made(source: Path, output: Path, *options: str) -> NDArray[np.float64]:
    words = ["--model", "bicubic", "--codec", "ffv1", "--bit-depth", "8", "--deterministic", "-q"]
    assert run([str(source), str(output), "--overwrite", *words, *options]) == 0
    with av.open(output) as container:
        pictures = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    return np.stack(pictures).astype(np.float64)


def test_a_gradient_from_16_bits_to_8(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    write_gradient(source)
    plain, dithered = made(source, output), made(source, output, "--dither", "ordered")
    assert dithered.shape == (FRAMES, 2 * HEIGHT, 2 * WIDTH)
    exact = np.linspace(100.0, 103.0, WIDTH)[24:-24].repeat(2)
    inner = (slice(64, None), slice(48, -48))  # away from the corner

    def error(picture: NDArray[np.float64]) -> float:
        off = picture[inner].mean(axis=0) - exact
        return float(np.abs(off.reshape(-1, 16).mean(axis=1)).max())

    assert error(plain[0]) > 0.35
    assert error(dithered[0]) < 0.06
    assert np.ptp(dithered[(0, *inner)] - plain[(0, *inner)]) <= 2
    # Nothing moves but the corner, though only it was computed again.
    for picture in dithered[1:]:
        assert np.array_equal(picture[inner], dithered[(0, *inner)])
    assert np.array_equal(dithered, made(source, output, "--dither", "ordered"))


def test_another_word_is_refused() -> None:
    with pytest.raises(OptionError, match="no dithering is called 'noise'"):
        EncodeOptions(dither="noise")  # type: ignore[arg-type]
