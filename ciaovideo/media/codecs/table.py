"""CODECS: each encoder's layouts, colour tags, quality scale and presets.

The rows of ``CONTAINERS`` list the encoders whose output each container holds.

Facts that surprise, measured unless it says otherwise:

- ``crf`` is one scale, libx264's: a number means the same picture quality in every lossy encoder.
  The values below, on the encoders' own scales, have the same luma SSIM in the median of 11
  enlarged clips (film, grain, animation, 8 and 10 bits) at the default presets; values between them
  are interpolated linearly. By PSNR they differ by 0.5 at most, libsvtav1's by 1.0
  (``tests/bench/quality.py``).

      libx264     10    14    18    22    26    30    34
      libx265     10.5  15.1  19.3  23.5  27.5  31.4  35.1
      libsvtav1   7     14.2  25.2  33.6  43.6  53.5  58.9   (whole numbers only)

  A single clip is off by 0.3 dB of SSIM on average (1.1 at most) with libx265, by 0.6 (1.7) with
  libsvtav1, which below 7 makes pictures of 10 bits worse again.
- h264_nvenc and hevc_nvenc get the number unchanged: their ``cq`` is documented as a scale from 0
  to 51 like libx264's. av1_nvenc gets it stretched to its own scale, which ends at 63. That is not
  measured. ProRes and DNxHR have no crf: their preset is a profile, which fixes the bits per frame.
  ffv1 and utvideo are lossless.
- ProRes and DNxHR ignore the requested range and are always limited; DNxHR tags all as BT.709.
- utvideo stores BT.601 or BT.709 and no other tag.
- H.264, H.265 and AV1 store a siting for 4:2:0 only; FFmpeg reads other layouts as left. Matroska
  stores it for bitstreams without a siting field, YUV4MPEG2 for 8-bit 4:2:0.
- ffv1, prores_ks (4444), utvideo and png store alpha. libx265 lists it and does not open;
  libvpx-vp9 encodes it, but only its own decoder shows it.
- nvenc expects 10 bits in the upper bits of 16: the same samples in another order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import MappingProxyType

from ciaovideo.color import Matrix, PixelLayout, Primaries, Range, Siting
from ciaovideo.errors import OptionError, UnknownNameError
from ciaovideo.media.containers import Container

CODEC_SITINGS = {  # that a bitstream itself stores for 4:2:0
    "h264": frozenset(Siting),
    "hevc": frozenset(Siting),
    "av1": frozenset({Siting.LEFT, Siting.TOPLEFT}),
}
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
DEFAULT_CRF = 16
X265_SCALE = ((10, 10.5), (14, 15.1), (18, 19.3), (22, 23.5), (26, 27.5), (30, 31.4), (34, 35.1))
SVTAV1_SCALE = ((10, 7), (14, 14.2), (18, 25.2), (22, 33.6), (26, 43.6), (30, 53.5), (34, 58.9))
SLICES_ALONG = 4  # of ffv1, in each direction
YUV = "yuv420p yuv422p yuv444p"
BT601_OR_709 = frozenset({Matrix.BT709, Matrix.BT470BG, Matrix.SMPTE170M, Matrix.RGB})
NVIDIA = "; it needs an NVIDIA GPU with a video encoder, and its driver"


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """One encoder: its layouts, quality scale, presets and colour tags.

    ``quality`` is the option for the value on the encoder's own scale; ``scale`` are the points
    (crf, own value) between which crf is interpolated, both rising or equal. ``packed`` maps planar
    layouts to the encoder's layout of the same samples. ``layout_presets`` lists presets by layout,
    the default first. ``params`` is the option for the encoder library's own parameters. ``even``
    requires sides that are multiples of the chroma subsampling. ``stores_sar`` means that the
    bitstream stores the SAR, which then survives in every container. ``sitings`` are those that it
    stores for 4:2:0. ``stores_color`` means that it stores the other tags, except
    ``unknown_primaries``. ``rgb`` converts Y'CbCr to R'G'B' for it. ``matrices`` are those of
    encoders that always store one; empty ``matrices`` and ``ranges`` mean all. ``refusal`` is a
    hint why it may not open.
    """

    name: str
    pix_fmts: frozenset[str]
    quality: str = ""
    scale: tuple[tuple[float, float], ...] = ()
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
    rgb: bool = False
    matrices: frozenset[Matrix] = frozenset()
    ranges: frozenset[Range] = frozenset()
    packed: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    fixed: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    refusal: str = "; it may not support this size, or one of its options"

    def options(
        self, pix_fmt: str, *, crf: float | None, preset: str | None, words: Sequence[str]
    ) -> dict[str, str]:
        """The encoder's own options; raises OptionError for invalid values.

        ``words`` are those that a user sets as NAME=VALUE: quality may be set only once.
        """
        return dict(self.fixed) | self._quality(crf, words) | self._preset(preset, pix_fmt)

    def _quality(self, crf: float | None, words: Sequence[str]) -> dict[str, str]:
        if not self.quality:
            if crf is None:
                return {}
            presets = dict.fromkeys(p for some in self.layout_presets.values() for p in some)
            raise OptionError(
                f"{self.name} has no crf",
                f"choose a preset: {', '.join(presets)}" if presets else "it is lossless: omit crf",
            )
        if any(word.startswith(f"{self.quality}=") for word in words):
            if crf is None:
                return {}
            raise OptionError(
                f"crf {crf:g} and {self.name}'s own {self.quality} contradict each other",
                "give only one",
            )
        own = self.own_quality(DEFAULT_CRF if crf is None else crf)
        return {self.quality: f"{own:g}"}

    def own_quality(self, crf: float) -> float:
        """The value on the encoder's own scale; raises OptionError outside its range."""
        for (low, start), (high, stop) in pairwise(self.scale):
            if low <= crf <= high:
                own = start + (stop - start) * (crf - low) / (high - low)
                return round(own) if self.whole_quality else round(own, 1)
        raise OptionError(
            f"crf {crf:g} is outside {self.scale[0][0]:g} to {self.scale[-1][0]:g}, the range of"
            f" {self.name}",
            f"14 to 24 is good, lower is better; or set the encoder's option {self.quality}, on its"
            " own scale",
        )

    def _preset(self, preset: str | None, pix_fmt: str) -> dict[str, str]:
        presets = self.layout_presets.get(pix_fmt, self.presets)
        if not presets:
            if preset is not None:
                raise OptionError(f"{self.name} has no presets", "omit the preset")
            return {}
        preset = preset or self.default_preset or presets[0]
        if preset not in presets:
            of = f"{self.name} for {pix_fmt}" if self.layout_presets else self.name
            raise UnknownNameError.among(f"preset of {of}", preset, presets)
        return {self.preset_option: preset}


def _layouts(families: str, depths: tuple[int, ...]) -> frozenset[str]:
    """Names of layouts: each family at each depth."""
    names = {8: ""} | {depth: f"{depth}le" for depth in depths if depth > 8}
    return frozenset(f"{family}{names[depth]}" for family in families.split() for depth in depths)


def _x26x(
    name: str, pix_fmts: frozenset[str], scale: tuple[tuple[float, float], ...], fixed: str = ""
) -> Codec:
    params = f"{name.removeprefix('lib')}-params"
    return Codec(
        name=name,
        pix_fmts=pix_fmts,
        quality="crf",
        scale=scale,
        presets=X26X_PRESETS,
        default_preset="medium",
        params=params,
        sitings=CODEC_SITINGS["h264"],
        unknown_primaries=frozenset({Primaries.EBU3213}),
        fixed=MappingProxyType({params: fixed} if fixed else {}),
    )


def _nvenc(name: str, pix_fmts: frozenset[str], *, av1: bool = False) -> Codec:
    return Codec(
        name=name,
        pix_fmts=pix_fmts,
        quality="cq",
        scale=((1, 63 / 51), (51, 63)) if av1 else ((1, 1), (51, 51)),
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
        _x26x("libx264", _layouts(f"{YUV} gray", (8, 10)), ((0, 0), (51, 51))),
        _x26x("libx265", _layouts(f"{YUV} gray gbrp", (8, 10, 12)), X265_SCALE, "log-level=none"),
        Codec(
            name="libsvtav1",
            pix_fmts=_layouts("yuv420p", (8, 10)),
            quality="crf",
            scale=SVTAV1_SCALE,
            whole_quality=True,
            presets=tuple(map(str, range(14))),
            default_preset="8",
            params="svtav1-params",
            even=False,
            stores_sar=False,
            sitings=CODEC_SITINGS["av1"],
        ),
        Codec(
            name="ffv1",
            pix_fmts=_layouts(f"{YUV} gbrp gray", (8, 9, 10, 12, 14, 16)) - {"gray9le", "gbrp16be"}
            | {"yuv410p", "yuv411p", "yuv440p", "yuv440p10le", "yuv440p12le", "ya8"}
            | _layouts("yuva420p yuva422p yuva444p", (8, 9, 10, 16))
            | {"yuva422p12le", "yuva444p12le"}
            | _layouts("gbrap", (8, 10, 12, 14, 16)),
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
            stores_sar=False,
            stores_primaries=False,
            matrices=BT601_OR_709,
            ranges=frozenset({Range.LIMITED}),
        ),
        Codec(
            name="png",
            pix_fmts=_layouts("gbrp gbrap", (8, 16)) | {"ya8", "ya16le"},
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

# Picture encoders, chosen by the suffix; Y'CbCr is converted to R'G'B' for them.
PICTURE_CODECS: dict[str, Codec] = {
    codec.name: codec
    for codec in (
        replace(
            CODECS["png"],
            pix_fmts=CODECS["png"].pix_fmts | {"gray", "gray16le"},
            stores_sar=True,
            stores_color=False,
            rgb=True,
            packed=MappingProxyType({**CODECS["png"].packed, "gray16le": "gray16be"}),
        ),
        Codec(
            name="tiff",
            pix_fmts=_layouts("gbrp gbrap gray", (8, 16)) | {"ya8", "ya16le"},
            even=False,
            stores_color=False,
            rgb=True,
            packed=MappingProxyType(
                {
                    "gbrp": "rgb24",
                    "gbrp16le": "rgb48le",
                    "gbrap": "rgba",
                    "gbrap16le": "rgba64le",
                }
            ),
        ),
        Codec(
            name="dpx",
            pix_fmts=_layouts("gbrp", (8, 10, 12, 16)) | _layouts("gbrap gray", (8, 16)),
            even=False,
            stores_color=False,
            rgb=True,
            packed=MappingProxyType(
                {
                    "gbrp": "rgb24",
                    "gbrp10le": "gbrp10be",
                    "gbrp12le": "gbrp12be",
                    "gbrp16le": "rgb48be",
                    "gbrap": "rgba",
                    "gbrap16le": "rgba64be",
                    "gray16le": "gray16be",
                }
            ),
        ),
    )
}

# No encoders of PyAV, and not selectable by name: raw planes.
Y4M = Codec(
    name="YUV4MPEG2",
    pix_fmts=_layouts(YUV, (8, 9, 10, 12, 14, 16))
    | {"gray", "gray9le", "gray10le", "gray12le", "gray16le", "yuv411p"},
    even=False,
    sitings=frozenset({Siting.CENTER, Siting.TOPLEFT}),
    stores_primaries=False,
)
VIA_FFMPEG = Codec(
    name="ffmpeg",
    pix_fmts=_layouts(f"{YUV} gbrp gray", (8, 9, 10, 12, 14, 16))
    | {"yuv410p", "yuv411p", "yuv440p"},  # NUT changes deeper 4:4:0
    even=False,
    sitings=frozenset(Siting),
)


def picture_codec(container: Container, asked: str) -> Codec:
    """The encoder of numbered pictures; raises OptionError for any other."""
    (name,) = container.codecs
    if asked not in ("auto", name):
        raise OptionError(f"{asked} does not write {container}", "omit the codec")
    return PICTURE_CODECS[name]


def stored_sitings(
    sitings: frozenset[Siting], container: Container, layout: PixelLayout
) -> frozenset[Siting]:
    """The chroma sitings that a file can store for a layout; others are read as left.

    ``sitings`` are those that its bitstream stores for 4:2:0.
    """
    of_420 = layout.log2_chroma == (1, 1)
    told = frozenset({Siting.UNSPECIFIED, Siting.LEFT})
    if container.siting_layout and layout.name != container.siting_layout:
        return told
    if of_420:
        told |= sitings
    # If the bitstream has a siting field, it wins over the container's, even if unspecified.
    return told | container.sitings if of_420 or not sitings else told
