"""CODECS: what each encoder takes, and which one fits a source and a container.

``auto`` goes by the source: up to 10 bits libx264, 12 bits libx265. R'G'B' stays R'G'B', in
libx265 up to 12 bits, for a change to Y'CbCr would be a loss nobody asked for. What neither holds
(14 and 16 bits) becomes ffv1, which needs .mkv. Depth is never reduced; chroma resolution is
changed only where the encoder cannot take the source's, upwards, and a note says so.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from ciaovideo.color import PixelLayout
from ciaovideo.errors import OptionError, UnknownNameError
from ciaovideo.options import EncodeOptions

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}  # FFmpeg's muxers
X26X_PRESETS = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
)
SLICES_ALONG = 4  # of ffv1, in each direction
# 4:4:4 holds every other chroma resolution; 4:1:1 fits into 4:2:2, and 4:1:0 into 4:2:0.
WIDER = {"410": ("420", "444"), "411": ("422", "444"), "440": ("444",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """One encoder: layouts it takes, containers that hold it, its quality scale and presets.

    ``packed`` names planar layouts that the encoder wants in another order of the same samples.
    ``even`` says that sides must be multiples of the chroma subsampling; ``stores_sar`` that the
    coded video itself holds the SAR, which then survives in every container.
    """

    name: str
    pix_fmts: frozenset[str]
    containers: frozenset[str]
    quality: str = ""
    quality_range: tuple[float, float] = (0, 0)
    default_quality: float = 0
    presets: tuple[str, ...] = ()
    default_preset: str = ""
    even: bool = True
    stores_sar: bool = True
    packed: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    fixed: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def options(self, options: EncodeOptions) -> dict[str, str]:
        """The encoder's own options; raises OptionError for values it does not know."""
        chosen = dict(self.fixed)
        if self.quality:
            quality = self.default_quality if options.crf is None else options.crf
            least, most = self.quality_range
            if not least <= quality <= most:
                raise OptionError(
                    f"crf {quality:g} is outside {least:g} to {most:g}",
                    f"{self.name} is good from 14 to 24; lower is better",
                )
            chosen[self.quality] = f"{quality:g}"
        elif options.crf is not None:
            raise OptionError(f"{self.name} has no crf", "it is lossless: leave crf out")
        if self.presets:
            preset = options.preset or self.default_preset
            if preset not in self.presets:
                raise UnknownNameError.among(f"preset of {self.name}", preset, self.presets)
            chosen["preset"] = preset
        elif options.preset is not None:
            raise OptionError(f"{self.name} has no presets", "leave preset out")
        return chosen


@dataclass(frozen=True, slots=True)
class CodecChoice:
    """An encoder with the planar layout of the frames it gets, and its options.

    ``coded_pix_fmt`` is what the encoder itself is opened with; ``notes`` say in words what was
    chosen for the user.
    """

    codec: Codec
    pix_fmt: str
    options: dict[str, str]
    notes: tuple[str, ...] = ()

    @property
    def coded_pix_fmt(self) -> str:
        """The layout that the encoder wants the same samples in."""
        return self.codec.packed.get(self.pix_fmt, self.pix_fmt)


def _layouts(families: str, depths: tuple[int, ...]) -> frozenset[str]:
    """Names of layouts: each family at each depth."""
    names = {8: ""} | {depth: f"{depth}le" for depth in depths if depth > 8}
    return frozenset(f"{family}{names[depth]}" for family in families.split() for depth in depths)


YUV = "yuv420p yuv422p yuv444p"
CODECS: dict[str, Codec] = {
    codec.name: codec
    for codec in (
        Codec(
            name="libx264",
            pix_fmts=_layouts(f"{YUV} gray", (8, 10)),
            containers=frozenset({"mp4", "mov", "matroska"}),
            quality="crf",
            quality_range=(0, 51),
            default_quality=16,
            presets=X26X_PRESETS,
            default_preset="medium",
        ),
        Codec(
            name="libx265",
            pix_fmts=_layouts(f"{YUV} gray gbrp", (8, 10, 12)),
            containers=frozenset({"mp4", "mov", "matroska"}),
            quality="crf",
            quality_range=(0, 51),
            default_quality=18,
            presets=X26X_PRESETS,
            default_preset="medium",
            fixed=MappingProxyType({"x265-params": "log-level=none"}),
        ),
        Codec(
            name="ffv1",
            pix_fmts=_layouts(f"{YUV} gbrp gray", (8, 9, 10, 12, 14, 16)) - {"gray9le", "gbrp16be"}
            | {"yuv410p", "yuv411p", "yuv440p", "yuv440p10le", "yuv440p12le"},
            containers=frozenset({"matroska", "mp4"}),
            even=False,
            stores_sar=False,
            packed=MappingProxyType({"gbrp": "bgr0"}),
            fixed=MappingProxyType(
                {"level": "3", "slices": str(SLICES_ALONG**2), "slicecrc": "1", "g": "1"}
            ),
        ),
    )
}


def container_format(path: Path) -> str:
    """FFmpeg's name of the container that a file name asks for; raises OptionError if unknown."""
    try:
        return CONTAINERS[path.suffix.lower()]
    except KeyError:
        raise OptionError(
            f"{path.name}: {path.suffix or 'no suffix'} names no container that can be written",
            f"end the name in {', '.join(CONTAINERS)}",
        ) from None


def choose_codec(
    options: EncodeOptions, output: Path, pix_fmt: str, height: int, width: int
) -> CodecChoice:
    """The encoder for frames of a planar layout at an output size, in the output's container.

    Raises UnknownNameError for a codec that is not there, and OptionError where codec, container,
    layout, size and options do not go together.
    """
    container = container_format(output)
    layout = PixelLayout.of(pix_fmt)
    if options.codec == "auto":
        name = _automatic(pix_fmt, layout)
    elif options.codec in CODECS:
        name = options.codec
    else:
        raise UnknownNameError.among("codec", options.codec, ["auto", *CODECS])
    codec = CODECS[name]
    if container not in codec.containers:
        needs = " (or libx265 and a source of at most 12 bits)" if name == "ffv1" else ""
        raise OptionError(
            f"{name} does not go into {output.suffix}", f"end the output's name in .mkv{needs}"
        )
    target = _fitting(codec, pix_fmt, layout, height, width)
    notes = []
    if options.codec == "auto":
        notes.append(f"codec {name}")
    if target != pix_fmt:
        notes.append(f"{width}x{height} {pix_fmt} is written as {target}")
    chosen = codec.options(options)
    y, x = PixelLayout.of(target).log2_chroma
    if height % (SLICES_ALONG << y) or width % (SLICES_ALONG << x):
        chosen.pop("slices", None)  # ffv1 refuses uneven slices: it then counts them itself
    return CodecChoice(codec, target, chosen, tuple(notes))


def _automatic(pix_fmt: str, layout: PixelLayout) -> str:
    if layout.bit_depth > 12:
        return "ffv1"
    if layout.bit_depth > 10 or pix_fmt.startswith("gbrp"):
        return "libx265"
    return "libx264"


def _fitting(codec: Codec, pix_fmt: str, layout: PixelLayout, height: int, width: int) -> str:
    """The layout nearest to the source's that the encoder takes at this size, never a poorer one.

    Depth may rise (9 to 10 bits), chroma may become finer; neither ever falls.
    """
    family, depth = _split(pix_fmt)
    depths = [deeper for deeper in (8, 9, 10, 12, 14, 16) if deeper >= depth]
    for candidate in _families(family):
        for deeper in depths:
            name = f"{candidate}{'' if deeper == 8 else f'{deeper}le'}"
            if name not in codec.pix_fmts:
                continue
            y, x = PixelLayout.of(name).log2_chroma
            if not codec.even or (height % 2**y == 0 and width % 2**x == 0):
                return name
    if not any(_split(name)[0] == family for name in codec.pix_fmts):
        what = "R'G'B'" if family == "gbrp" else family
        raise OptionError(f"{codec.name} cannot hold {what}", "choose libx265 or ffv1")
    raise OptionError(
        f"{codec.name} cannot hold {layout.bit_depth} bits a sample at {width}x{height}",
        "choose libx265 (to 12 bits) or ffv1 (to 16)",
    )


def _split(pix_fmt: str) -> tuple[str, int]:
    """A planar layout's family and its depth: "yuv420p10le" is "yuv420p" and 10."""
    match = re.fullmatch(r"(yuv4\d\dp|gray|gbrp)(?:(\d+)le)?", pix_fmt)
    if match is None:
        raise OptionError(f"pixel format {pix_fmt} cannot be written", "convert the video first")
    return match[1], int(match[2] or 8)


def _families(family: str) -> list[str]:
    """The family itself, then those with finer chroma."""
    if not family.startswith("yuv"):
        return [family]
    chroma = family[3:6]
    finer = WIDER.get(chroma, ("444",))
    return [family, *(f"yuv{name}p" for name in finer if name != chroma)]
