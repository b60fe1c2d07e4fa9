import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from ciaovideo.config import (
    choices,
    field_types,
    from_mapping,
    opt,
    parse_text,
    to_mapping,
)
from ciaovideo.errors import OptionError


@dataclass(frozen=True, slots=True, kw_only=True)
class Grain:
    """Grain. A config inside another."""

    strength: float = opt(0.5, "how much", "X")
    seed: int = opt(0, "where to start", "N")

    def __post_init__(self) -> None:
        if self.strength < 0:
            raise OptionError(f"strength {self.strength} is negative", "0 means none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Job. One field of each type that a config may have."""

    name: str = opt("clip", "what to call it", "NAME")
    frames: int | None = opt(None, "how many", "N")
    quality: float = opt(18.0, "how good", "Q")
    fast: bool = opt(False, "hurry")
    mode: Literal["slow", "fast"] = opt("slow", "which way")
    curve: Literal["linear", "gamma"] | None = opt(None, "which curve")
    output: Path | None = opt(None, "where to", "FILE", flag="-o")
    scales: tuple[float, ...] = opt((2.0,), "which scales", "S,...")
    size: tuple[int, int] = opt((4, 3), "height and width", "PX")
    grain: Grain = Grain()


finite = st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(-(2**53), 2**53)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]))
paths = st.from_regex(r"[a-z0-9_]{1,8}(/[a-z0-9_ .]{1,8}[a-z])*", fullmatch=True).map(Path)
grains = st.builds(Grain, strength=st.floats(0, 1e6), seed=counts)
jobs = st.builds(
    Job,
    name=texts,
    frames=st.none() | counts,
    quality=finite,
    fast=st.booleans(),
    mode=st.sampled_from(["slow", "fast"]),
    curve=st.none() | st.sampled_from(["linear", "gamma"]),
    output=st.none() | paths,
    scales=st.lists(finite, max_size=4).map(tuple),
    size=st.tuples(counts, counts),
    grain=grains,
)


@given(job=jobs)
@pytest.mark.heavy
def test_a_config_comes_back_from_its_plain_values(job: Job) -> None:
    assert from_mapping(Job, to_mapping(job), "test") == job


@given(job=jobs)
def test_a_config_comes_back_from_toml(job: Job) -> None:
    text = tomlkit.dumps(to_mapping(job))
    assert from_mapping(Job, tomllib.loads(text), "test") == job


def test_a_whole_number_becomes_a_float_where_one_is_meant() -> None:
    job = from_mapping(Job, {"quality": 20, "scales": [2, 3]}, "test")
    assert isinstance(job.quality, float)
    assert all(isinstance(scale, float) for scale in job.scales)


def test_unset_options_are_left_out() -> None:
    assert to_mapping(Job()).keys() == {field.name for field in fields(Job)} - {
        "frames",
        "curve",
        "output",
    }


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"quality": "high"}, "job.toml: quality: 'high' is not a number"),
        ({"quality": True}, "job.toml: quality: True is not a number"),
        ({"frames": 2.5}, "job.toml: frames: 2.5 is not a whole number"),
        ({"frames": True}, "job.toml: frames: True is not a whole number"),
        ({"fast": 1}, "job.toml: fast: 1 is not true or false"),
        ({"name": 3}, "job.toml: name: 3 is not text"),
        ({"output": 3}, "job.toml: output: 3 is not a path"),
        ({"mode": "quick"}, "job.toml: mode: 'quick' is not one of slow, fast"),
        ({"mode": 1}, "job.toml: mode: 1 is not one of slow, fast"),
        ({"scales": 2.0}, "job.toml: scales: 2.0 is not a list or table"),
        ({"scales": ["a"]}, "job.toml: scales: 'a' is not a number"),
        ({"size": [1, 2, 3]}, "job.toml: size: 3 values where 2 belong"),
        ({"grain": 3}, "job.toml: grain: 3 is not a list or table"),
        ({"grain": {"seed": "x"}}, "job.toml: grain: seed: 'x' is not a whole number"),
        ({"grain": {"strength": -1}}, "job.toml: grain: strength -1.0 is negative"),
        ({"grain": {"sead": 1}}, "job.toml: grain: unknown option 'sead'"),
        ({"nmae": "x"}, "job.toml: unknown option 'nmae'"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(OptionError) as caught:
        from_mapping(Job, values, "job.toml")
    assert caught.value.problem == problem


def test_an_unknown_option_is_answered_with_the_known_ones() -> None:
    with pytest.raises(OptionError) as caught:
        from_mapping(Grain, {"sead": 1}, "grain.toml")
    assert caught.value.hint == "known: seed, strength"


def test_what_a_config_refuses_keeps_its_hint() -> None:
    with pytest.raises(OptionError) as caught:
        from_mapping(Grain, {"strength": -1}, "grain.toml")
    assert str(caught.value) == "grain.toml: strength -1.0 is negative: 0 means none"


def test_a_missing_option_is_an_option_error() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Needy:
        """One option that has no default."""

        name: str

    with pytest.raises(OptionError, match=r"needy\.toml: .*'name'"):
        from_mapping(Needy, {}, "needy.toml")


def word(value: Any) -> str:
    """What a person would type for a value."""
    if isinstance(value, tuple):
        return ",".join(map(word, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


@given(job=jobs.filter(lambda job: bool(job.scales)))
def test_every_value_comes_back_from_a_typed_word(job: Job) -> None:
    hints = field_types(Job)
    for name in hints.keys() - {"grain"}:
        value = getattr(job, name)
        if value is not None:
            assert parse_text(hints[name], word(value), name) == value


@pytest.mark.parametrize(
    ("annotation", "text", "problem"),
    [
        (int, "2.5", "frames: '2.5' is not a whole number"),
        (int | None, "", "frames: '' is not a whole number"),
        (int | float, "two", "frames: 'two' is not a whole number or a number"),
        (bool, "yes", "frames: 'yes' is not true or false"),
        (Literal["slow", "fast"], "quick", "frames: 'quick' is not one of slow, fast"),
        (Literal["slow", "fast"] | None, "quick", "frames: 'quick' is not one of slow, fast"),
        (float | Literal["auto"], "abc", "frames: 'abc' is not a number or auto"),
        (tuple[float, ...], "1,x", "frames: 'x' is not a number"),
        (tuple[int, int], "1", "frames: 1 values where 2 belong"),
    ],
)
def test_a_mistyped_word_is_answered_in_words(annotation: Any, text: str, problem: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse_text(annotation, text, "frames")
    assert caught.value.problem == problem


def test_a_field_carries_its_help_unit_and_flag() -> None:
    metadata = {field.name: field.metadata for field in fields(Job)}
    assert metadata["output"] == {"help": "where to", "unit": "FILE", "flag": "-o"}
    assert metadata["fast"] == {"help": "hurry", "unit": "", "flag": ""}


def test_choices_are_the_words_of_a_literal() -> None:
    hints = field_types(Job)
    assert choices(hints["mode"]) == ("slow", "fast")
    assert choices(hints["curve"]) == ("linear", "gamma")
    assert choices(hints["name"]) == ()
