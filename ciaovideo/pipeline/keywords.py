"""Options by the bare names of their fields, whichever group they belong to.

``upscale(src, dst, scale=2.5, crf=14)`` is ``UpscaleOptions(size=SizeOptions(scale=2.5),
encode=EncodeOptions(crf=14))``. A test ensures that each field name belongs to one group only.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, TypedDict

from ciaovideo.config import field_types, require_type
from ciaovideo.errors import UnknownNameError
from ciaovideo.options import (
    Chroma,
    Deinterlace,
    Dithering,
    Precision,
    SizeOptions,
    SoundPolicy,
    Telecine,
    TransferName,
    UpscaleOptions,
    option_groups,
)

SIDES = ("scale", "size", "width", "height")  # a new one replaces any that was set before


class UpscaleFields(TypedDict, total=False):
    """Every field of ``UpscaleOptions`` and of its groups, for editors and type checkers.

    Some accept more than their field: ``size`` and ``pad`` a (height, width), ``weights`` a path as
    text, ``rate``, ``start`` and ``end`` whole numbers.
    """

    scale: float | None
    size: str | tuple[int, int] | None
    width: int | None
    height: int | None
    square_pixels: bool
    pad: str | tuple[int, int] | None
    model: str
    weights: Path | str | None
    restore: float | Literal["auto"]
    device: str
    precision: Precision
    tile: int
    batch: int
    deterministic: bool
    consistent: bool
    deinterlace: Deinterlace
    telecine: Telecine
    force: bool
    video: int | None
    program: int | None
    crop: str | None
    rate: Fraction | int | str | None
    transfer: TransferName | None
    start: Fraction | int | str | None
    end: Fraction | int | str | None
    codec: str
    crf: float | None
    preset: str | None
    bit_depth: int | None
    chroma: Chroma
    dither: Dithering
    grain: float | Literal["off", "keep"]
    codec_option: tuple[str, ...]
    via_ffmpeg: str | None
    audio: SoundPolicy
    strict: bool
    tag_guessed: bool
    provenance: bool
    frames: int | None
    overwrite: bool
    resume: bool
    segment: int | None


def with_fields(options: UpscaleOptions, values: Mapping[str, Any]) -> UpscaleOptions:
    """Options with some fields replaced, by bare name.

    A side or a scale replaces any of them that was set before. Raises UnknownNameError for an
    unknown name, and OptionError for a value that its field does not accept.
    """
    homes = field_homes()
    for name in values:
        if name not in homes:
            raise UnknownNameError.among("option", name, homes)
    by_group: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        by_group.setdefault(homes[name], {})[name] = value
    own = by_group.pop("", {})
    changed: dict[str, Any] = {}
    for group, given in by_group.items():
        config = getattr(options, group)
        types = field_types(type(config))
        typed = {name: _typed(types[name], value, name) for name, value in given.items()}
        if isinstance(config, SizeOptions) and any(name in typed for name in SIDES):
            typed = dict.fromkeys(SIDES) | typed
        changed[group] = replace(config, **typed)
    types = field_types(UpscaleOptions)
    changed |= {name: _typed(types[name], value, name) for name, value in own.items()}
    return replace(options, **changed)


def field_homes() -> dict[str, str]:
    """Each option's name with its group; "" for options of the run itself."""
    groups = option_groups()
    homes = {inner.name: group for group in groups for inner in fields(groups[group])}
    own = (field.name for field in fields(UpscaleOptions) if field.name not in groups)
    return homes | dict.fromkeys(own, "")


def _typed(annotation: Any, value: Any, name: str) -> Any:
    if name in ("size", "pad") and isinstance(value, tuple) and len(value) == 2:
        value = f"{value[1]}x{value[0]}"
    if name == "weights" and isinstance(value, str):
        value = Path(value)
    return require_type(annotation, value, name)
