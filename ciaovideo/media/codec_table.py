"""CODECS: what each encoder takes, what it stores of the colour tags, its quality and presets.

Facts that surprise, all measured:

- ``crf`` is each encoder's own scale: on the demonstration's clip libx264's 16, libx265's 18,
  libsvtav1's 20 and nvenc's 18 look alike. ProRes and DNxHR have no such scale, their preset is a
  profile, which fixes the bits per frame; ffv1 and utvideo are lossless.
- ProRes and DNxHR are limited range whatever they are told; DNxHR says BT.709 of every picture.
- utvideo stores BT.601 or BT.709 and no other tag, and lives in .avi only, which knows neither
  variable rates nor aspect ratios.
- Alpha goes into ffv1, prores_ks (4444), utvideo and png. libx265 lists it and does not open,
  libvpx-vp9 codes it and its own decoder alone shows it.
- nvenc takes 10 bits in the upper ones of 16: the same samples in another order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ciaovideo.color import Matrix, Primaries, Range, Siting
from ciaovideo.errors import OptionError, UnknownNameError
from ciaovideo.options import EncodeOptions

CONTAINERS = {  # FFmpeg's muxers
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".avi": "avi",
    ".y4m": "yuv4mpegpipe",
}
Y4M_CONTAINER = CONTAINERS[".y4m"]
RATE_ONLY = ("avi", Y4M_CONTAINER)  # count frames from zero at one rate, and hold the video alone
MATROSKA = ("matroska", "webm")  # both count milliseconds and store no time before zero
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
YUV = "yuv420p yuv422p yuv444p"
BT601_OR_709 = frozenset({Matrix.BT709, Matrix.BT470BG, Matrix.SMPTE170M, Matrix.RGB})
NVIDIA = "it needs an NVIDIA GPU with a video encoder, and its driver: choose libx264 or libx265"


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """One encoder: layouts it takes, containers that hold it, its quality scale and presets.

    ``packed`` names planar layouts that the encoder wants in another order of the same samples.
    ``layout_presets`` lists the presets of encoders whose presets go with a layout, the default
    first. ``params`` names the option that takes the encoder library's own parameters. ``even``
    says that sides must be multiples of the chroma subsampling; ``stores_sar`` that the coded
    video itself holds the SAR, which then survives in every container; ``sitings`` are the chroma
    sitings that it holds; ``stores_color`` that it holds the other tags, save for
    ``unknown_primaries``. ``matrices`` are those of encoders that always store one; empty
    ``matrices`` and ``ranges`` mean all. ``refusal`` is what to do
    where it does not open.
    """

    name: str
    pix_fmts: frozenset[str]
    containers: frozenset[str]
    quality: str = ""
    quality_range: tuple[float, float] = (0, 0)
    good_quality: tuple[float, float] = (14, 24)
    default_quality: float = 0
    whole_quality: bool = False
    preset_option: str = "preset"
    presets: tuple[str, ...] = ()
    default_preset: str = ""
    layout_presets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    params: str = ""
    even: bool = True
    least_size: tuple[int, int] = (1, 1)
    stores_sar: bool = True
    sitings: frozenset[Siting] = frozenset()
    stores_primaries: bool = True
    unknown_primaries: frozenset[Primaries] = frozenset()
    stores_color: bool = True
    matrices: frozenset[Matrix] = frozenset()
    ranges: frozenset[Range] = frozenset()
    packed: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    fixed: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    refusal: str = "check the size and the encoder's options"

    def options(self, options: EncodeOptions, pix_fmt: str) -> dict[str, str]:
        """The encoder's own options; raises OptionError for values it does not know."""
        return dict(self.fixed) | self._quality(options) | self._preset(options, pix_fmt)

    def _quality(self, options: EncodeOptions) -> dict[str, str]:
        if not self.quality:
            if options.crf is None:
                return {}
            presets = [preset for presets in self.layout_presets.values() for preset in presets]
            raise OptionError(
                f"{self.name} has no crf",
                f"choose a preset: {', '.join(presets)}"
                if presets
                else "it is lossless: leave crf out",
            )
        quality = self.default_quality if options.crf is None else options.crf
        least, most = self.quality_range
        if not least <= quality <= most:
            raise OptionError(
                f"crf {quality:g} is outside {least:g} to {most:g}",
                f"{self.name} is good from {self.good_quality[0]:g} to {self.good_quality[1]:g};"
                " lower is better",
            )
        if self.whole_quality and quality != int(quality):
            raise OptionError(f"crf {quality:g} is not whole", f"{self.name} takes whole numbers")
        return {self.quality: f"{quality:g}"}

    def _preset(self, options: EncodeOptions, pix_fmt: str) -> dict[str, str]:
        presets = self.layout_presets.get(pix_fmt, self.presets)
        if not presets:
            if options.preset is not None:
                raise OptionError(f"{self.name} has no presets", "leave preset out")
            return {}
        preset = options.preset or self.default_preset or presets[0]
        if preset not in presets:
            of = f"{self.name} for {pix_fmt}" if self.layout_presets else self.name
            raise UnknownNameError.among(f"preset of {of}", preset, presets)
        return {self.preset_option: preset}


def _layouts(families: str, depths: tuple[int, ...]) -> frozenset[str]:
    """Names of layouts: each family at each depth."""
    names = {8: ""} | {depth: f"{depth}le" for depth in depths if depth > 8}
    return frozenset(f"{family}{names[depth]}" for family in families.split() for depth in depths)


def _x26x(name: str, pix_fmts: frozenset[str], quality: float, fixed: str = "") -> Codec:
    params = f"{name.removeprefix('lib')}-params"
    return Codec(
        name=name,
        pix_fmts=pix_fmts,
        containers=frozenset({"mp4", "mov", "matroska"}),
        quality="crf",
        quality_range=(0, 51),
        default_quality=quality,
        presets=X26X_PRESETS,
        default_preset="medium",
        params=params,
        sitings=frozenset(Siting),
        unknown_primaries=frozenset({Primaries.EBU3213}),
        fixed=MappingProxyType({params: fixed} if fixed else {}),
    )


def _nvenc(name: str, pix_fmts: frozenset[str], *, av1: bool = False) -> Codec:
    return Codec(
        name=name,
        pix_fmts=pix_fmts,
        containers=frozenset({"mp4", "matroska", "webm" if av1 else "mov"}),
        quality="cq",
        quality_range=(1, 63 if av1 else 51),
        good_quality=(16, 32) if av1 else (14, 24),
        default_quality=22 if av1 else 18,
        presets=tuple(f"p{number}" for number in range(1, 8)),
        default_preset="p5",
        stores_sar=not av1,
        packed=MappingProxyType(
            {"yuv420p10le": "p010le", "yuv444p10le": "yuv444p10msble"},
        ),
        fixed=MappingProxyType({"rc": "vbr", "b": "0"}),
        refusal=NVIDIA,
    )


CODECS: dict[str, Codec] = {
    codec.name: codec
    for codec in (
        _x26x("libx264", _layouts(f"{YUV} gray", (8, 10)), 16),
        _x26x("libx265", _layouts(f"{YUV} gray gbrp", (8, 10, 12)), 18, "log-level=none"),
        Codec(
            name="libsvtav1",
            pix_fmts=_layouts("yuv420p", (8, 10)),
            containers=frozenset({"mp4", "matroska", "webm"}),
            quality="crf",
            quality_range=(1, 63),
            good_quality=(16, 32),
            default_quality=20,
            whole_quality=True,
            presets=tuple(map(str, range(14))),
            default_preset="8",
            params="svtav1-params",
            even=False,
            stores_sar=False,
            sitings=frozenset({Siting.LEFT, Siting.TOPLEFT}),
        ),
        Codec(
            name="ffv1",
            pix_fmts=_layouts(f"{YUV} gbrp gray", (8, 9, 10, 12, 14, 16)) - {"gray9le", "gbrp16be"}
            | {"yuv410p", "yuv411p", "yuv440p", "yuv440p10le", "yuv440p12le", "ya8"}
            | _layouts("yuva420p yuva422p yuva444p", (8, 9, 10, 16))
            | {"yuva422p12le", "yuva444p12le"}
            | _layouts("gbrap", (8, 10, 12, 14, 16)),
            containers=frozenset({"matroska", "mp4"}),
            even=False,
            stores_sar=False,
            stores_color=False,
            packed=MappingProxyType({"gbrp": "bgr0", "gbrap": "bgra"}),
            fixed=MappingProxyType(
                {"level": "3", "slices": str(SLICES_ALONG**2), "slicecrc": "1", "g": "1"}
            ),
        ),
        Codec(
            name="prores_ks",
            pix_fmts=frozenset({"yuv422p10le", "yuv444p10le", "yuva444p10le"}),
            containers=frozenset({"mov", "matroska"}),
            preset_option="profile",
            layout_presets={
                "yuv422p10le": ("hq", "standard", "lt", "proxy"),
                "yuv444p10le": ("4444", "4444xq"),
                "yuva444p10le": ("4444", "4444xq"),
            },
            even=False,
            stores_sar=False,
            ranges=frozenset({Range.LIMITED}),
            fixed=MappingProxyType({"vendor": "apl0"}),
        ),
        Codec(
            name="dnxhd",
            pix_fmts=frozenset({"yuv422p", "yuv422p10le", "yuv444p10le"}),
            containers=frozenset({"mov"}),
            preset_option="profile",
            layout_presets={
                "yuv422p": ("dnxhr_hq", "dnxhr_sq", "dnxhr_lb"),
                "yuv422p10le": ("dnxhr_hqx",),
                "yuv444p10le": ("dnxhr_444",),
            },
            even=False,
            least_size=(120, 256),
            matrices=frozenset({Matrix.BT709}),
            ranges=frozenset({Range.LIMITED}),
        ),
        Codec(
            name="utvideo",
            pix_fmts=_layouts(f"{YUV} gbrp gbrap", (8,)),
            containers=frozenset({"avi"}),
            stores_sar=False,
            stores_primaries=False,
            matrices=BT601_OR_709,
            ranges=frozenset({Range.LIMITED}),
        ),
        Codec(
            name="png",
            pix_fmts=_layouts("gbrp gbrap", (8, 16)) | {"ya8", "ya16le"},
            containers=frozenset({"mov"}),
            even=False,
            stores_sar=False,
            packed=MappingProxyType(
                {
                    "gbrp": "rgb24",
                    "gbrp16le": "rgb48be",
                    "gbrap": "rgba",
                    "gbrap16le": "rgba64be",
                    "ya16le": "ya16be",
                }
            ),
        ),
        _nvenc("h264_nvenc", _layouts("yuv420p yuv444p", (8,))),
        _nvenc("hevc_nvenc", _layouts("yuv420p yuv444p", (8, 10))),
        _nvenc("av1_nvenc", _layouts("yuv420p", (8, 10)), av1=True),
    )
}

# What is no encoder of PyAV's and cannot be chosen by name: planes as they are.
Y4M = Codec(
    name="YUV4MPEG2",
    pix_fmts=_layouts(YUV, (8, 9, 10, 12, 14, 16))
    | {"gray", "gray9le", "gray10le", "gray12le", "gray16le", "yuv411p"},
    containers=frozenset({Y4M_CONTAINER}),
    even=False,
    sitings=frozenset({Siting.CENTER, Siting.TOPLEFT}),  # of 8-bit 4:2:0, see codecs
    stores_primaries=False,
)
VIA_FFMPEG = Codec(
    name="ffmpeg",
    pix_fmts=_layouts(f"{YUV} gbrp gray", (8, 9, 10, 12, 14, 16))
    | {"yuv410p", "yuv411p", "yuv440p"},  # of deeper 4:4:0, NUT makes something else
    containers=frozenset({"mp4", "mov", "matroska", "webm"}),
    even=False,
    sitings=frozenset(Siting),
)
