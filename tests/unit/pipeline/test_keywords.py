"""Options by the bare names of their fields."""

from collections import Counter
from dataclasses import fields, is_dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest

from ciaovideo.config import field_types
from ciaovideo.engine.upscaler import Upscaler
from ciaovideo.errors import OptionError, UnknownNameError
from ciaovideo.options import EncodeOptions, InputOptions, ModelOptions, SizeOptions, UpscaleOptions
from ciaovideo.pipeline.keywords import UpscaleFields, with_fields
from ciaovideo.pipeline.session import upscale

WIDER = {
    "size",
    "weights",
    "pad",
    "rate",
    "start",
    "end",
}  # what Python code may pass in another form as well


def groups() -> list[type[Any]]:
    return [type(field.default) for field in fields(UpscaleOptions) if is_dataclass(field.default)]


def test_a_name_belongs_to_one_group() -> None:
    own = [field.name for field in fields(UpscaleOptions) if not is_dataclass(field.default)]
    names = Counter([*own, *(field.name for group in groups() for field in fields(group))])
    assert {name for name, count in names.items() if count > 1} == set()


def test_type_checkers_know_every_field_by_its_type() -> None:
    types = field_types(UpscaleOptions)
    for group in groups():
        types |= field_types(group)
    own = {f.name for f in fields(UpscaleOptions) if not is_dataclass(f.default)}
    expected = {f.name for group in groups() for f in fields(group)} | own
    known = get_type_hints(UpscaleFields)
    assert known.keys() == expected
    for name in expected:
        theirs, ours = get_args(known[name]), get_args(types[name])
        if name in WIDER:
            assert set(ours) < set(theirs)
        else:
            assert known[name] == types[name], name


def test_names_find_their_groups() -> None:
    base = UpscaleOptions(size=SizeOptions(width=640, square_pixels=True), frames=9)
    given = with_fields(base, {"scale": 3, "crf": np.float32(14), "weights": "w", "resume": True})
    assert given == UpscaleOptions(
        size=SizeOptions(scale=3.0, square_pixels=True),
        encode=EncodeOptions(crf=14.0),
        model=ModelOptions(weights=Path("w")),
        frames=9,
        resume=True,
    )
    assert with_fields(base, {}) == base
    assert with_fields(base, {"size": (48, 64)}).size.size == "64x48"
    assert with_fields(base, {"frames": None}).frames is None
    assert with_fields(base, {"start": 90, "end": "1:30.5"}).input == InputOptions(
        start=Fraction(90), end=Fraction("90.5")
    )
    assert with_fields(base, {"codec_option": ["a=b"]}).encode.codec_option == ("a=b",)


def test_a_wrong_name_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(UnknownNameError, match="'scale'"):
        upscale("in.mp4", "out.mp4", scael=2)  # type: ignore[call-arg]
    with pytest.raises(UnknownNameError):  # a group is no field
        with_fields(UpscaleOptions(), {"encode": EncodeOptions()})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scale", "2"),
        ("scale", float("nan")),
        ("frames", True),
        ("frames", 2.5),
        ("precision", "fp8"),
        ("size", SizeOptions(scale=2)),
        ("codec_option", "a=b"),
        ("overwrite", 1),
        ("start", 1.5),
        ("model", None),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_field(name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=name.replace("_", "[_ ]")):
        with_fields(UpscaleOptions(), {name: value})


def test_an_upscaler_takes_a_size_in_both_forms() -> None:
    for size in ((30, 40), "40x30"):
        upscaler = Upscaler("bicubic", size=size, device="cpu")
        assert upscaler.out_size(15, 20) == (30, 40)
