"""The VapourSynth filter, in this process: formats, properties, order, errors, sharing."""

import logging
import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from ciaovideo import Upscaler
from ciaovideo.color import ColorSpec, Matrix, PixelLayout, PlaneFormat, Range, Siting
from ciaovideo.engine.engine import Engine
from ciaovideo.engine.renderer import Renderer
from ciaovideo.media.frame import Frame, PlanePool
from ciaovideo.models.networks.consistent import BOUND
from ciaovideo.models.weights import load_bundled
from ciaovideo.options import EngineOptions
from ciaovideo.pipeline.frames.stages import FrameTask, FrameWorker, StageClock
from ciaovideo.tiling import Rect
from tests.vapoursynth_clips import (
    FRAMES,
    HEIGHT,
    WIDTH,
    assert_near,
    assert_same,
    planes_of,
    signals,
    source,
    upscale,
    vs,
)

pytestmark = pytest.mark.vapoursynth

FORMATS = (
    *("YUV420P8", "YUV422P10", "YUV444P12", "YUV420P16", "YUV410P8", "YUV411P8", "YUV440P8"),
    *("YUV420PS", "YUV422PH", "YUV444PS", "GRAY8", "GRAY10", "GRAY16", "GRAYS", "GRAYH"),
    *("RGB24", "RGB30", "RGB48", "RGBS", "RGBH"),
)
HOST_STEP = 1 / 255  # what a different rounding may make of one sample: one code of 8 bits
ZIMG_ERROR = 1e-5  # fp32 on either side of the network, which sharpens differences


def test_a_consistent_frame_reduced_again_is_the_input() -> None:
    clip = source("RGBS")
    made = upscale(clip, 2.5, consistent=True)
    back = made.resize.Bicubic(WIDTH, HEIGHT, filter_param_a=0, filter_param_b=0.5)
    with clip.get_frame(1) as one, back.get_frame(1) as other:
        off = [abs(np.asarray(one[p]) - np.asarray(other[p])) for p in range(3)]
    inside = slice(2, -2)  # the host mirrors the picture at its borders
    assert max(plane[inside, inside].max() for plane in off) < 2 * BOUND


# --- pictures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_comes_out_as_it_went_in(name: str) -> None:
    clip = source(name, _Matrix=0 if name.startswith("RGB") else 1)
    large = upscale(clip, 2)
    assert (large.format.id, large.width, large.height) == (clip.format.id, 2 * WIDTH, 2 * HEIGHT)
    assert (large.num_frames, large.fps) == (clip.num_frames, clip.fps)
    small, made = clip.get_frame(1), large.get_frame(1)
    for before, after in zip(signals(small), signals(made), strict=True):
        blocks = after.reshape(before.shape[0], 2, before.shape[1], 2).mean(axis=(1, 3))
        # The picture again, no plane in another's place: they differ by 0.2 and more.
        assert np.abs(blocks - before).mean() < 0.03


@pytest.mark.parametrize(
    ("name", "pix_fmt"),
    [("YUV420P8", "yuv420p"), ("YUV422P10", "yuv422p10le"), ("GRAY16", "gray16le")],
)
def test_frames_equal_those_of_the_command_line(name: str, pix_fmt: str) -> None:
    """To the last bit, on a CPU in fp32."""
    clip = source(name, _Matrix=9, _Range=1, _ChromaLocation=2)
    layout = PixelLayout.of(pix_fmt)
    engine = Engine(load_bundled("ciaosr-fast"), EngineOptions(device="cpu", precision="fp32"))
    kind = PlaneFormat(layout, ColorSpec(Matrix.BT2020_NCL, Range.FULL, siting=Siting.TOPLEFT))
    worker = FrameWorker(Renderer(engine, kind, kind), (80, 120), PlanePool(1), StageClock())
    if name == "GRAY16":
        clip = clip.std.SetFrameProps(_Matrix=9, _Range=1)
    planes = tuple(torch.from_numpy(plane) for plane in planes_of(clip.get_frame(2)))
    (made,) = worker((FrameTask(Frame(planes, 0, Fraction(1, 25)), (Rect(0, 0, 80, 120),)),))
    for plane, expected in zip(
        planes_of(upscale(clip, 2.5).get_frame(2)), made.planes, strict=True
    ):
        np.testing.assert_array_equal(plane, expected.numpy())


def test_rgb_float_is_what_the_library_makes_of_it() -> None:
    frame = source("RGBS").get_frame(0)
    lr = torch.from_numpy(np.stack(planes_of(frame)))[None]
    sr = Upscaler(scale=3, precision="fp32", device="cpu")(lr)[0].numpy()
    made = planes_of(upscale(source("RGBS"), 3).get_frame(0))
    np.testing.assert_array_equal(np.stack(made), sr)


@pytest.mark.parametrize("name", ["YUV420P8", "YUV420PS", "YUV422P16"])
def test_converting_first_makes_no_difference(name: str) -> None:
    """The host's bilinear conversion to RGB and back around the filter, or none: the same."""
    clip = source(name, _Matrix=1, _Range=0, _ChromaLocation=0)
    rgb = clip.resize.Bilinear(format=vs.RGBS)
    by_host = upscale(rgb, 2).resize.Bilinear(
        format=clip.format.id, matrix=1, range=0, chromaloc=0, dither_type="none"
    )
    by_us = upscale(clip, 2)
    bound = {8: HOST_STEP, 16: 2 / 65535, 32: ZIMG_ERROR}[clip.format.bits_per_sample]
    assert_near(by_us.get_frame(3), by_host.get_frame(3), bound)
    assert_near(upscale(clip, 2, format=vs.RGBS).get_frame(3), upscale(rgb, 2).get_frame(3), 1e-4)


def test_alpha_is_enlarged_too() -> None:
    for name, alpha in (
        *(("RGBS", "GRAYS"), ("YUV420P8", "GRAY8"), ("RGB48", "GRAY16")),
        *(("GRAY8", "GRAY8"), ("YUV420P8", "GRAY16")),  # each keeps the depth that it has
    ):
        opacity = source(alpha, Mark=5)
        clip = source(name, _Matrix=1 if name.startswith("YUV") else 0)
        clip = clip.std.ClipToProp(opacity, prop="_Alpha")
        made = upscale(clip, 1.5).get_frame(1).props["_Alpha"]
        assert (made.width, made.height, made.format.name) == (72, 48, opacity.format.name)
        assert made.props["Mark"] == 5
        expected = upscale(opacity.std.SetFrameProps(_Range=1, _Matrix=1), 1.5).get_frame(1)
        assert_near(made, expected, ZIMG_ERROR)


def test_alpha_stays_between_nothing_and_all() -> None:
    edges = vs.core.std.Expr(source("GRAYS"), "x 0.5 > 1 0 ?")
    made = upscale(source("RGBS").std.ClipToProp(edges, prop="_Alpha"), 3).get_frame(0)
    alpha = planes_of(made.props["_Alpha"])[0]
    assert alpha.min() == 0
    assert alpha.max() == 1


# --- sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "size"),
    [
        ({}, (96, 64)),
        ({"scale": 1.37}, (66, 44)),
        ({"width": 100}, (100, 66)),
        ({"height": 50}, (76, 50)),
        ({"width": 100, "height": 90}, (100, 90)),
    ],
)
def test_sizes(wanted: dict[str, Any], size: tuple[int, int]) -> None:
    large = upscale(source(), **wanted)
    assert (large.width, large.height) == size
    frame = large.get_frame(0)
    assert (frame.width, frame.height) == size


def test_the_format_can_be_chosen() -> None:
    large = upscale(source(_Matrix=1), 1.37, format=vs.RGB48)
    assert (large.format.name, large.width, large.height) == ("RGB48", 66, 44)
    large = upscale(source("RGB24"), 2, format=vs.core.get_video_format(vs.YUV420P10))
    assert large.get_frame(0).format.name == "YUV420P10"


@pytest.mark.heavy
def test_size_and_format_may_change_within_a_clip() -> None:
    parts = [
        source("YUV420P8", _Matrix=1),
        source("RGBS", size=(40, 24)),
        source("YUV444P16", _Matrix=1),
    ]
    clip = vs.core.std.Splice(parts, mismatch=True)
    large = upscale(clip, 1.5)
    assert large.num_frames == 3 * FRAMES
    for n, frame in enumerate(large.frames()):
        part = parts[n // FRAMES]
        assert frame.format.id == part.format.id
        assert (frame.width, frame.height) == (part.width * 3 // 2, part.height * 3 // 2)
        assert_same(frame, upscale(part, 1.5).get_frame(n % FRAMES))
    fixed = upscale(clip, width=120, height=90, format=vs.GRAY8)
    assert (fixed.width, fixed.height, fixed.format.name) == (120, 90, "Gray8")
    assert fixed.get_frame(FRAMES).width == 120


@pytest.mark.heavy
def test_a_size_may_change_with_the_format_alone() -> None:
    """4:2:0 rounds to even sides what RGB does not."""
    parts = [source("YUV420P8", _Matrix=1), source("RGBS")]
    clip = vs.core.std.Splice(parts, mismatch=True)
    large = upscale(clip, 1.35)
    for n, part in ((0, parts[0]), (FRAMES, parts[1])):
        assert_same(large.get_frame(n), upscale(part, 1.35).get_frame(0))
    assert {(frame.width, frame.height) for frame in large.frames()} == {(64, 44), (65, 43)}
    assert upscale(clip, 2).width == 2 * WIDTH  # known where it is the same for all


# --- properties ----------------------------------------------------------------------------------


@pytest.mark.heavy
def test_each_frame_keeps_its_own_properties() -> None:
    clip = source(
        _Matrix=1, _DurationNum=lambda n: n + 1, _DurationDen=25, Note=lambda n: f"no. {n}", X=1.5
    )
    for n, frame in enumerate(upscale(clip, 1.5).frames()):
        assert frame.props["_DurationNum"] == n + 1
        assert frame.props["Note"] == f"no. {n}"
        assert frame.props["X"] == 1.5
        assert not set(clip.get_frame(n).props) - set(frame.props)


@pytest.mark.parametrize("before", ["YUV420P8", "YUV444P16", "YUV420PS", "RGB24"])
@pytest.mark.parametrize("after", ["YUV420P8", "YUV422P10", "YUV444PS", "RGB48", "RGBS", "GRAY16"])
@pytest.mark.heavy
def test_colour_properties_are_those_of_the_hosts_own_conversion(before: str, after: str) -> None:
    rgb_before, rgb_after = before.startswith("RGB"), after.startswith("RGB")
    props = {"_Primaries": 1, "_Transfer": 1, "_ChromaLocation": 0}
    props |= {"_Matrix": 0, "_Range": 1} if rgb_before else {"_Matrix": 9, "_Range": 0}
    clip = source(before, props=props)
    given = {"matrix": 1} if rgb_before and not rgb_after else {}  # as the primaries suggest
    converted = clip.resize.Bilinear(format=getattr(vs, after), **given).get_frame(0).props
    made = upscale(clip, 2, format=getattr(vs, after)).get_frame(0).props
    for name in ("_Matrix", "_Range", "_Primaries", "_Transfer"):
        assert made[name] == converted[name]
    if before != after:
        assert made.get("_ChromaLocation") == converted.get("_ChromaLocation")


def test_a_gray_plane_says_nothing_new_of_its_colour() -> None:
    """So that planes of a picture can be enlarged one by one and joined again."""
    plane = source("RGB24").std.ShufflePlanes(1, vs.GRAY)
    assert dict(upscale(plane, 2).get_frame(0).props) == dict(plane.get_frame(0).props)


def test_the_range_makes_a_difference_and_its_old_name_is_understood() -> None:
    limited, full = (source("YUV444P8", _Matrix=1, _Range=value) for value in (0, 1))
    old = full.get_frame(0).copy()
    del old.props["_Range"]
    with pytest.warns(DeprecationWarning, match="_ColorRange"):
        old.props["_ColorRange"] = 0  # full: the old numbers were the other way round
    as_old = full.std.ModifyFrame(full, lambda n, f: old)
    made = [planes_of(upscale(clip, 2).get_frame(0)) for clip in (limited, full, as_old)]
    np.testing.assert_array_equal(made[2], made[1])
    assert not np.array_equal(made[0], made[1])


@pytest.mark.parametrize(
    ("sar", "size", "expected"),
    [
        (None, (96, 64), None),
        ((4, 3), (96, 64), (4, 3)),
        ((4, 3), (128, 64), (1, 1)),
        (None, (96, 96), (3, 2)),
        ((0, 1), (96, 96), (3, 2)),
        ((16, 15), (100, 66), (16, 15)),  # by rounding alone
    ],
)
def test_the_pixels_shape_follows_the_stretch(
    sar: tuple[int, int] | None, size: tuple[int, int], expected: tuple[int, int] | None
) -> None:
    props = {} if sar is None else {"_SARNum": sar[0], "_SARDen": sar[1]}
    made = upscale(source(_Matrix=1, props=props), width=size[0], height=size[1]).get_frame(0).props
    assert (made.get("_SARNum"), made.get("_SARDen")) == (expected or (None, None))


@pytest.mark.parametrize(("size", "matrix"), [((48, 32), 6), ((32, 576), 5), ((1280, 16), 1)])
@pytest.mark.heavy
def test_a_missing_matrix_is_assumed_by_the_input_size_and_said_once(
    size: tuple[int, int], matrix: int, caplog: pytest.LogCaptureFixture
) -> None:
    clip = source(size=size, frames=2)
    with caplog.at_level(logging.WARNING):
        large = upscale(clip, 1, model="bicubic")
        made = [frame.props["_Matrix"] for frame in large.frames()]
    assert made == [matrix, matrix]
    said = [record.getMessage() for record in caplog.records if "matrix" in record.getMessage()]
    assert len(said) == 1
    assert said[0].startswith("upscale: no colour matrix given")
    told = upscale(source(size=size, frames=1, _Matrix=matrix), 1, model="bicubic")
    assert_same(large.get_frame(0), told.get_frame(0))


def test_frames_that_a_deinterlacer_made_are_taken() -> None:
    if not hasattr(vs.core, "bwdif"):
        pytest.skip("vapoursynth-bwdif is not installed")
    clip = source(_Matrix=1, _FieldBased=2)
    large = upscale(clip.bwdif.Bwdif(field=3), 2)
    assert large.num_frames == 2 * FRAMES
    assert large.fps == 2 * clip.fps
    props = large.get_frame(3).props
    assert (props["_FieldBased"], props["_DurationNum"], props["_DurationDen"]) == (0, 1, 48)


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"scale": 0.5}, "below 1|outside 1 to 30"),
        ({"scale": 31}, "outside 1 to 30"),
        ({"scale": "2"}, "scale is '2': give a number"),
        ({"scale": float("nan")}, "scale must be finite"),
        ({"scale": 10**400}, "outside 1 to 30"),
        ({"scale": True}, "scale is True: give a number"),
        ({"device": None}, "device is None: give a name"),
        ({"weights": 5}, "weights is 5: give a path"),
        ({"format": "YUV420P8"}, "for example vs.YUV420P10"),
        ({"scale": 2, "width": 96}, "contradict"),
        ({"width": 20}, "below the input's"),
        ({"width": 96.0}, "give a whole number"),
        ({"width": 0}, "width is 0: give a number of pixels"),
        ({"width": -96, "height": 64}, "width is -96: give a number of pixels"),
        ({"width": 96, "height": 10**9}, "height is 1000000000: give a number of pixels"),
        (
            {"width": 97, "height": 64},
            "97x64 is not a size for YUV420P8: give a width divisible by 2",
        ),
        ({"model": "ciaosr-fats"}, "did you mean 'ciaosr-fast'"),
        ({"weights": "nowhere.safetensors"}, "nowhere.safetensors"),
        ({"weights": "x" * 5000}, "name a .safetensors file"),
        ({"device": "gpu"}, "no device is called 'gpu'"),
        ({"device": "cuda:99"}, "cuda:99"),
        ({"precision": "fp8"}, "no precision is called"),
        ({"precision": "fp16"}, "use bf16 or fp32"),
        ({"num_streams": 0}, "at least one"),
        ({"tile": -1}, "negative"),
        ({"format": 12345}, "there is no format 12345"),
        ({"format": 0}, "there is no format"),
        ({"format": -1}, "there is no format -1"),
        ({"format": 1 << 40}, "there is no format"),
        ({"deterministic": "no"}, "deterministic is 'no': give True or False"),
        ({"consistent": 1}, "consistent is 1: give True or False"),
    ],
)
def test_a_wrong_argument_is_an_error_that_helps(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(vs.Error, match=f"^upscale: .*({text})"):
        upscale(source(_Matrix=1), **settings)


@pytest.mark.parametrize(
    ("name", "props", "text"),
    [
        ("YUV420P8", {"_FieldBased": 2}, "interlaced .* deinterlace"),
        ("YUV444P8", {"_Matrix": 8}, "YCGCO .* convert the video"),
        ("YUV420P8", {"_Matrix": 0}, "cannot hold R'G'B' planes"),
        ("YUV420P8", {"_Matrix": "bt709"}, "_Matrix is 'bt709': set it to one whole number"),
        ("YUV420P8", {"_Alpha": 3}, "_Alpha is 3: make it a frame"),
        ("YUV420P8", {"_Matrix": 99}, "matrix .*number 99.*: convert the video"),
        ("YUV420P8", {"_Range": 2}, "_Range is 2: set it to 0 to 1"),
        ("YUV420P8", {"_ChromaLocation": 6}, "_ChromaLocation is 6: set it to 0 to 5"),
        ("GRAY32", {}, "Gray32 is not supported: convert the clip"),
    ],
)
def test_a_clip_that_cannot_be_worked_on_is_refused(
    name: str, props: dict[str, Any], text: str
) -> None:
    with pytest.raises(vs.Error, match=rf"^\s*upscale: .*{text}"):
        upscale(source(name, props=props)).get_frame(0)


def test_what_is_no_clip_is_refused() -> None:
    with pytest.raises(vs.Error, match=r"'clip\.mkv'"):
        upscale("clip.mkv")


def test_a_frame_that_cannot_be_worked_on_is_named_and_others_are_made() -> None:
    clip = source(_Matrix=1, _FieldBased=lambda n: 2 * (n == 2))
    large = upscale(clip, 2)
    with pytest.raises(vs.Error, match=r"^\s*upscale: frame 2: .*interlaced"):
        large.get_frame(2)
    assert large.get_frame(3).width == 2 * WIDTH


@pytest.mark.parametrize(
    ("name", "size", "text"),
    [
        ("RGB24", (WIDTH, HEIGHT), "_Alpha in RGB24: make it gray"),
        ("GRAY32", (WIDTH, HEIGHT), "_Alpha: format Gray32 is not supported: convert the clip"),
        ("GRAY8", (WIDTH, 2 * HEIGHT), "_Alpha is 48x64, its frame 48x32: make both of one size"),
    ],
)
def test_an_alpha_that_is_no_alpha_is_refused(name: str, size: tuple[int, int], text: str) -> None:
    clip = source("RGB24").std.ClipToProp(source(name, size=size), prop="_Alpha")
    with pytest.raises(vs.Error, match=f"upscale: frame 0: {text}"):
        upscale(clip, 2).get_frame(0)


def test_a_changing_size_that_does_not_fit_is_named() -> None:
    clip = vs.core.std.Splice(
        [source(_Matrix=1), source("YUV411P8", size=(44, 32), _Matrix=1)], mismatch=True
    )
    with pytest.raises(vs.Error, match=re.escape("frame 4: 66x48 is not a size for YUV411P8")):
        upscale(clip, 1.5).get_frame(FRAMES)
