"""All options of one run from one file to another, in their groups."""

from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from ciaovideo.config import opt
from ciaovideo.errors import OptionError
from ciaovideo.options.network import EngineOptions, ModelOptions
from ciaovideo.options.output import EncodeOptions, StreamOptions
from ciaovideo.options.size import SizeOptions
from ciaovideo.options.source import InputOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class UpscaleOptions:
    """Run. Options of one run from one file to another."""

    size: SizeOptions = SizeOptions()
    input: InputOptions = InputOptions()
    model: ModelOptions = ModelOptions()
    engine: EngineOptions = EngineOptions()
    encode: EncodeOptions = EncodeOptions()
    streams: StreamOptions = StreamOptions()
    frames: int | None = opt(None, "stop after this many frames", "N")
    overwrite: bool = opt(False, "replace an existing output")
    resume: bool = opt(
        False,
        "keep finished segments beside the output until it is complete. The same command resumes a"
        " stopped run, with the same bits on one machine. Implies deterministic, and a key frame"
        " every 120 frames",
    )
    segment: int | None = opt(None, "frames per segment of a resumable run, 120 if not given", "N")

    def __post_init__(self) -> None:
        if self.frames is not None and self.frames < 1:
            raise OptionError(f"frames {self.frames} is below 1", "ask for at least one frame")
        if self.segment is not None and self.segment < 2:
            raise OptionError(f"segment {self.segment} is below 2", "for example 120")


def option_groups() -> dict[str, type[Any]]:
    """The groups of ``UpscaleOptions`` by the name of their field, in order."""
    groups = (field for field in fields(UpscaleOptions) if is_dataclass(field.default))
    return {field.name: type(field.default) for field in groups}
