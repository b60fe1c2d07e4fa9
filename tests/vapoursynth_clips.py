"""Clips of VapourSynth that are drawn frame by frame, enlarged by the filter, and compared."""

import importlib
import importlib.util
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

vs: Any = (
    importlib.import_module("vapoursynth") if importlib.util.find_spec("vapoursynth") else None
)
WIDTH, HEIGHT, FRAMES = 48, 32, 4
EXACT: dict[str, Any] = {"device": "cpu", "precision": "fp32"}
type Planes = list[NDArray[Any]]


def upscale(clip: Any, scale: float | None = None, **settings: Any) -> Any:
    from vsciaovideo import upscale as filtered

    return filtered(clip, scale, **{**EXACT, **settings})


def drawing(n: int, width: int, height: int) -> NDArray[np.float64]:
    """Soft shapes in [0.1, 0.9], other ones in each frame: (3, height, width)."""
    y, x = np.mgrid[0:height, 0:width] / 16
    waves = [np.sin(x * (2 + i) + n) * np.cos(y * (3 - i) - 2 * n) for i in range(3)]
    return np.stack(waves) * 0.4 + 0.5


def source(
    name: str = "YUV420P8",
    *,
    frames: int = FRAMES,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    props: Mapping[str, Any] = MappingProxyType({}),
    **more: Any,
) -> Any:
    """A clip that is drawn frame by frame; callable properties are given the frame's number."""
    props = {**props, **more}
    blank = vs.core.std.BlankClip(
        format=getattr(vs, name), width=size[0], height=size[1], length=frames, keep=True
    )

    def draw(n: int, f: Any) -> Any:
        frame = f.copy()
        for number, picture in zip(range(f.format.num_planes), drawing(n, *size), strict=False):
            plane = np.asarray(frame[number])
            rows, columns = plane.shape
            samples = picture[:: size[1] // rows, :: size[0] // columns]
            if f.format.sample_type == vs.FLOAT:
                plane[...] = samples - (f.format.color_family == vs.YUV and number > 0) / 2
            else:
                plane[...] = np.rint(samples * ((1 << f.format.bits_per_sample) - 1))
        for key, value in props.items():
            frame.props[key] = value(n) if callable(value) else value
        return frame

    return blank.std.ModifyFrame(blank, draw)


def planes_of(frame: Any) -> Planes:
    return [np.array(frame[number]) for number in range(frame.format.num_planes)]


def signals(frame: Any) -> Planes:
    """A frame's planes with the codes' range as [0, 1], floats as they are."""
    floating = frame.format.sample_type == vs.FLOAT
    peak = 1 if floating else (1 << frame.format.bits_per_sample) - 1
    return [plane.astype(np.float64) / peak for plane in planes_of(frame)]


def assert_same(one: Any, other: Any) -> None:
    for plane, expected in zip(planes_of(one), planes_of(other), strict=True):
        np.testing.assert_array_equal(plane, expected)


def assert_near(one: Any, other: Any, bound: float) -> None:
    for plane, expected in zip(signals(one), signals(other), strict=True):
        np.testing.assert_allclose(plane, expected, rtol=0, atol=bound)
