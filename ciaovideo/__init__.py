"""Video super-resolution to any size with CiaoSR, everything else in the file kept.

>>> import ciaovideo
>>> ciaovideo.upscale("in.mp4", "out.mp4", scale=2.5, crf=14)  # doctest: +SKIP
>>> ciaovideo.Upscaler(scale=2.5)(picture)  # doctest: +SKIP

Names are imported on first use, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ciaovideo.color import (
        ColorSpec,
        Matrix,
        PixelLayout,
        PlaneFormat,
        Primaries,
        Range,
        Siting,
        Transfer,
        from_rgb,
        to_rgb,
    )
    from ciaovideo.engine.picture import Picture
    from ciaovideo.engine.upscaler import Upscaler
    from ciaovideo.errors import (
        CiaoVideoError,
        EngineError,
        MediaError,
        UsageError,
        WeightsError,
    )
    from ciaovideo.findings import Finding, Kind
    from ciaovideo.media.read.probe import SourceFacts, probe
    from ciaovideo.models.weights import list_models, load_model
    from ciaovideo.options import (
        EncodeOptions,
        EngineOptions,
        InputOptions,
        ModelOptions,
        SizeOptions,
        StreamOptions,
        UpscaleOptions,
    )
    from ciaovideo.pipeline.plan import UpscalePlan
    from ciaovideo.pipeline.session import Progress, Session, Summary, UpscaleRun, upscale
    from ciaovideo.pipeline.verification.contract import Verification
    from ciaovideo.pipeline.verification.files import verify
    from ciaovideo.report.page import write_report
    from ciaovideo.report.preservation import Preservation, preservation_report
    from ciaovideo.report.preview import Preview, preview
    from ciaovideo.report.preview_page import write_preview

    __version__: str

__all__ = [
    "CiaoVideoError",
    "ColorSpec",
    "EncodeOptions",
    "EngineError",
    "EngineOptions",
    "Finding",
    "InputOptions",
    "Kind",
    "Matrix",
    "MediaError",
    "ModelOptions",
    "Picture",
    "PixelLayout",
    "PlaneFormat",
    "Preservation",
    "Preview",
    "Primaries",
    "Progress",
    "Range",
    "Session",
    "Siting",
    "SizeOptions",
    "SourceFacts",
    "StreamOptions",
    "Summary",
    "Transfer",
    "UpscaleOptions",
    "UpscalePlan",
    "UpscaleRun",
    "Upscaler",
    "UsageError",
    "Verification",
    "WeightsError",
    "__version__",
    "from_rgb",
    "list_models",
    "load_model",
    "preservation_report",
    "preview",
    "probe",
    "to_rgb",
    "upscale",
    "verify",
    "write_preview",
    "write_report",
]

_PLACES = {
    name: f"ciaovideo.{module}"
    for module, names in {
        "color": "ColorSpec Matrix PixelLayout PlaneFormat Primaries Range Siting Transfer"
        " from_rgb to_rgb",
        "engine.picture": "Picture",
        "engine.upscaler": "Upscaler",
        "findings": "Finding Kind",
        "media.read.probe": "SourceFacts probe",
        "models.weights": "list_models load_model",
        "options": "EncodeOptions EngineOptions InputOptions ModelOptions SizeOptions"
        " StreamOptions UpscaleOptions",
        "pipeline.plan": "UpscalePlan",
        "pipeline.session": "Progress Session Summary UpscaleRun upscale",
        "pipeline.verification.files": "verify",
        "pipeline.verification.contract": "Verification",
        "report.page": "write_report",
        "report.preservation": "Preservation preservation_report",
        "report.preview": "Preview preview",
        "report.preview_page": "write_preview",
    }.items()
    for name in names.split()
}


def __getattr__(name: str) -> object:
    if name == "__version__":  # read when asked for: importlib.metadata takes its time
        return import_module("importlib.metadata").version("ciaovideo")
    if name not in __all__:
        raise AttributeError(f"module 'ciaovideo' has no attribute {name!r}")
    return getattr(import_module(_PLACES.get(name, "ciaovideo.errors")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
