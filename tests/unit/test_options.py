from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ciaovideo.config import from_mapping, to_mapping
from ciaovideo.errors import OptionError, UnsupportedScaleError
from ciaovideo.notation import parse_size, parse_time
from ciaovideo.options import (
    MAX_SCALE,
    EncodeOptions,
    EngineOptions,
    InputOptions,
    SizeOptions,
    StreamOptions,
    UpscaleOptions,
)

sides = st.integers(1, 5000)
scales = st.floats(1, MAX_SCALE)


@pytest.mark.parametrize(
    ("options", "even", "target"),
    [
        (SizeOptions(), False, (480, 640)),
        (SizeOptions(scale=1), False, (240, 320)),
        (SizeOptions(scale=30), False, (7200, 9600)),
        (SizeOptions(scale=2.5), False, (600, 800)),
        (SizeOptions(scale=1.003), False, (241, 321)),
        (SizeOptions(scale=1.003), True, (240, 320)),
        (SizeOptions(size="641x481"), False, (481, 641)),
        (SizeOptions(size="641X481"), True, (481, 641)),  # asked for exactly
        (SizeOptions(width=1000), False, (750, 1000)),
        (SizeOptions(width=1001), True, (750, 1001)),
        (SizeOptions(width=1002), False, (752, 1002)),  # 751.5, halves to even
        (SizeOptions(height=1080), True, (1080, 1440)),
        (SizeOptions(height=1081), True, (1081, 1442)),
    ],
)
def test_the_size_of_320x240(options: SizeOptions, even: bool, target: tuple[int, int]) -> None:
    assert options.resolve(240, 320, even=even) == target


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("0", Fraction(0)),
        ("90.25", Fraction(361, 4)),
        ("1:30.1", Fraction(901, 10)),
        ("90:00", Fraction(5400)),
        ("1:02:03.000000000000000001", 3723 + Fraction(1, 10**18)),
        ("100:00:00", Fraction(360000)),
    ],
)
def test_times_are_exact(text: str, time: Fraction) -> None:
    assert parse_time(text) == time
    assert InputOptions(start=text).start == time


@pytest.mark.parametrize(
    "text",
    ["", "-1", "1:60", "1:60:00", "1:-1", "1.5:00", "1e3", "inf", "1,5", "٣", "1:2:3:4", "5."],
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(OptionError, match="is not a time"):
        InputOptions(end=text)


@pytest.mark.parametrize(("start", "end"), [("2", "2"), ("1:00", "59.9"), (None, "0")])
def test_the_end_comes_after_the_start(start: str | None, end: str) -> None:
    with pytest.raises(OptionError, match="is not after the start"):
        InputOptions(start=start, end=end)


@pytest.mark.parametrize(
    ("options", "sar", "even", "target"),
    [
        (SizeOptions(square_pixels=True), Fraction(4, 3), False, (2160, 3840)),
        (SizeOptions(square_pixels=True, scale=1), Fraction(4, 3), True, (1080, 1920)),
        (SizeOptions(square_pixels=True, scale=1), Fraction(3, 4), True, (1440, 1440)),
        (SizeOptions(square_pixels=True, scale=1), None, False, (1080, 1440)),
        (SizeOptions(square_pixels=True, scale=1), Fraction(59, 54), False, (1080, 1573)),
        (SizeOptions(square_pixels=True, scale=1), Fraction(59, 54), True, (1080, 1574)),
        (SizeOptions(square_pixels=True, width=1920), Fraction(4, 3), True, (1080, 1920)),
        (SizeOptions(square_pixels=True, height=1100), Fraction(4, 3), False, (1100, 1956)),
        (SizeOptions(square_pixels=True, size="3840x2160"), Fraction(4, 3), True, (2160, 3840)),
        (SizeOptions(square_pixels=True, size="1956x1100"), Fraction(4, 3), True, (1100, 1956)),
        (SizeOptions(scale=1), Fraction(4, 3), True, (1080, 1440)),  # not asked for
    ],
)
def test_square_pixels_from_1440x1080(
    options: SizeOptions, sar: Fraction | None, even: bool, target: tuple[int, int]
) -> None:
    assert options.resolve(1080, 1440, even=even, sar=sar) == target


@given(
    height=st.integers(64, 3000),
    width=st.integers(64, 3000),
    sar=st.fractions(Fraction(1, 3), 3, max_denominator=100),
    scale=st.floats(1, 9),
    even=st.booleans(),
)
def test_square_pixels_keep_the_shape_and_every_sample(
    height: int, width: int, sar: Fraction, scale: float, even: bool
) -> None:
    options = SizeOptions(square_pixels=True, scale=scale)
    tall, wide = options.resolve(height, width, even=even, sar=sar)
    assert tall >= height
    assert wide >= width
    room = 2 if even else Fraction(1, 2)  # of each side, from its exact length
    assert abs(wide - tall * width * sar / height) <= room * (1 + width * sar / height)


def test_square_pixels_refuse_what_distorts() -> None:
    options = SizeOptions(square_pixels=True, size="3000x2160")
    with pytest.raises(OptionError, match="3840x2160"):
        options.resolve(1080, 1440, sar=Fraction(4, 3))
    with pytest.raises(UnsupportedScaleError, match="30 times"):
        SizeOptions(square_pixels=True, scale=30).resolve(100, 100, sar=Fraction(4, 3))


def test_input_options_are_checked() -> None:
    assert InputOptions().deinterlace == "auto"
    with pytest.raises(OptionError, match=r"deinterlacing .*'bob'"):
        InputOptions(deinterlace="bob")  # type: ignore[arg-type]


@given(height=sides, width=sides, scale=scales, even=st.booleans())
def test_a_scale_gives_the_nearest_size(height: int, width: int, scale: float, even: bool) -> None:
    target = SizeOptions(scale=scale).resolve(height, width, even=even)
    for new, old in zip(target, (height, width), strict=True):
        assert old <= new <= old * MAX_SCALE
        if even:
            assert new % 2 == 0
            assert abs(new - old * scale) <= 2  # 1 apart from where the nearest is too small
        else:
            assert abs(new - old * scale) <= 0.5


@given(height=sides, width=sides, scale=scales, even=st.booleans())
def test_one_side_keeps_the_aspect(height: int, width: int, scale: float, even: bool) -> None:
    wide = round(width * scale)
    high, same = SizeOptions(width=wide).resolve(height, width, even=even)
    assert same == wide
    assert abs(high - Fraction(height * wide, width)) <= (2 if even else Fraction(1, 2))
    assert SizeOptions(height=wide).resolve(width, height, even=even) == (wide, high)


@given(height=sides, width=sides, new_height=sides, new_width=sides, even=st.booleans())
def test_an_exact_size_is_met_or_refused(
    height: int, width: int, new_height: int, new_width: int, even: bool
) -> None:
    options = SizeOptions(size=f"{new_width}x{new_height}")
    fits = all(
        old <= new <= old * MAX_SCALE for new, old in ((new_height, height), (new_width, width))
    )
    if fits:
        assert options.resolve(height, width, even=even) == (new_height, new_width)
    else:
        with pytest.raises(UnsupportedScaleError):
            options.resolve(height, width, even=even)


@given(height=sides, width=sides, side=sides)
def test_a_side_below_the_source_is_refused(height: int, width: int, side: int) -> None:
    assume(side < width)
    with pytest.raises(UnsupportedScaleError, match=f"input's {width}"):
        SizeOptions(size=f"{side}x{height}").resolve(height, width)
    with pytest.raises(UnsupportedScaleError, match="below the input's"):
        SizeOptions(width=side).resolve(height, width)


@pytest.mark.parametrize("scale", [0.5, 0.999, 30.001, 0.0, -2.0])
def test_a_scale_outside_the_range_is_refused(scale: float) -> None:
    remedy = "use a resizer" if scale < 1 else "ask for at most 30"
    with pytest.raises(
        UnsupportedScaleError, match=rf"scale {scale} is outside 1 to 30: .*{remedy}"
    ):
        SizeOptions(scale=scale).resolve(240, 320)


def test_only_one_of_the_sizes_is_taken() -> None:
    with pytest.raises(OptionError, match="scale and height"):
        SizeOptions(scale=2.0, height=480)
    with pytest.raises(OptionError, match="size and width and height"):
        SizeOptions(size="640x480", width=640, height=480)


@pytest.mark.parametrize("scale", [float("nan"), float("inf")])
def test_a_scale_is_a_number(scale: float) -> None:
    with pytest.raises(OptionError, match="scale"):
        SizeOptions(scale=scale)


@given(height=sides, width=sides)
def test_a_size_is_width_then_height(height: int, width: int) -> None:
    assert parse_size(f"{width}x{height}") == (height, width)


@pytest.mark.parametrize(
    "text",
    ["", "x", "640", "640x", "x480", "0x480", "-640x480", "640x480x3", "640 x 480", "6e2x480"],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="WIDTHxHEIGHT"):
        SizeOptions(size=text)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (EngineOptions, {"device": "gpu"}),
        (EngineOptions, {"device": "cuda:"}),
        (EngineOptions, {"device": "cpu:0"}),
        (EngineOptions, {"tile": -1}),
        (EngineOptions, {"batch": -1}),
        (EngineOptions, {"precision": "int8"}),
        (EncodeOptions, {"crf": float("nan")}),
        (UpscaleOptions, {"frames": 0}),
    ],
)
def test_values_that_cannot_be_meant(kind: type, values: dict[str, Any]) -> None:
    with pytest.raises(OptionError) as caught:
        kind(**values)
    for name, value in values.items():  # both are named
        assert name in caught.value.problem
        assert str(value) in caught.value.problem


@pytest.mark.parametrize("device", ["auto", "cpu", "mps", "cuda", "cuda:0", "cuda:12"])
def test_devices_that_can_be_meant(device: str) -> None:
    assert EngineOptions(device=device).device == device


def test_all_options_come_back_from_plain_values() -> None:
    options = UpscaleOptions(
        size=SizeOptions(height=1080), engine=EngineOptions(precision="bf16"), frames=3
    )
    assert from_mapping(UpscaleOptions, to_mapping(options), "test") == options


def test_stream_options_are_checked() -> None:
    assert StreamOptions().audio == "copy"
    with pytest.raises(OptionError, match=r"audio .*'drop'"):
        StreamOptions(audio="drop")  # type: ignore[arg-type]
