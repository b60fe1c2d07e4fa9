"""Which encoder fits a source, a container and a user's wishes, and the options it gets.

``auto`` goes by container and source, as the rows of ``CONTAINERS`` say: most take up to 10 bits
libx264, up to 12 bits libx265. R'G'B' stays R'G'B', in libx265 up to 12 bits, for a change to
Y'CbCr would be a loss nobody asked for. What neither holds (14 and 16 bits) becomes ffv1. A source
with alpha takes what holds it: ffv1 in .mkv, in .mov prores_ks for Y'CbCr (in 10 bits, and fewer
than the source has are a loss) and png for R'G'B'; where nothing does, alpha is dropped, which is a
loss. Unless it is asked for, depth is never reduced otherwise, and chroma resolution is changed
only where the encoder cannot take the source's, upwards, which is a finding. Colour tags that an
encoder would falsify are refused; what it merely cannot store is listed as a loss.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import cast

import av
import torch
from av.video.codeccontext import VideoCodecContext

from ciaovideo.color import ColorSpec, PixelLayout, Siting
from ciaovideo.errors import (
    CiaoVideoError,
    EncodeError,
    OptionError,
    UnknownNameError,
)
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.codecs.advice import LAST_RESORT, advice, smaller_sizes
from ciaovideo.media.codecs.colors import check_color, held_siting, level_siting, lost, lost_colors
from ciaovideo.media.codecs.layouts import LayoutWishes, fitting_layout, is_poorer
from ciaovideo.media.codecs.table import (
    CODECS,
    SLICES_ALONG,
    VIA_FFMPEG,
    Y4M,
    Codec,
    picture_codec,
)
from ciaovideo.media.containers import CONTAINERS, Container
from ciaovideo.media.hdr import Hdr10, hdr10_params
from ciaovideo.media.scheduling import ordinary_priority
from ciaovideo.options import EncodeOptions

LEVEL_BLOCKS, LEVEL_SPEED = 36864, 2073600  # H.264 level 5.2: macroblocks a frame and a second
PRORES_DEPTH = 10  # that prores_ks takes; its decoder shows 12 of all ProRes 4444
ENCODING = 1  # FFmpeg's flag of options that encoders read


@dataclass(frozen=True, slots=True)
class Encoding:
    """An encoder with the planar layout of the frames it gets, and its options.

    ``coded_pix_fmt`` is what the encoder itself is opened with; ``siting`` is where their chroma
    sits, the source's own unless the output cannot tell that; ``findings`` are what was chosen for
    the user, what changes, and what the source has and the output will not.
    """

    codec: Codec
    container: Container
    pix_fmt: str
    options: dict[str, str]
    siting: Siting = Siting.UNSPECIFIED
    findings: tuple[Finding, ...] = ()

    @property
    def coded_pix_fmt(self) -> str:
        """The layout that the encoder wants the same samples in."""
        return self.codec.packed.get(self.pix_fmt, self.pix_fmt)

    @property
    def own_quality(self) -> str:
        """The value on the encoder's own scale of quality as it gets it; nothing without one."""
        name = self.codec.quality
        return f"{name}={self.options[name]}" if name in self.options else ""

    @property
    def steady_options(self) -> dict[str, str]:
        """``options`` with which the same pictures become the same bits in every run.

        With AVX-512, x264 reads memory that it never wrote where the macroblocks of a row are no
        multiple of 16: its bits go by how malloc's memory was filled (measured). AVX2 does not.
        What the processor has counts, and not what torch was told to use of it
        (ATEN_CPU_CAPABILITY): x264 asks the processor itself.
        """
        risky = torch.cpu._is_avx512_supported()
        if self.codec.name != "libx264" or not risky:
            return self.options
        return _joined(self.options, {self.codec.params: "asm=AVX2"}, self.codec)


def choose_codec(
    options: EncodeOptions,
    container: Container,
    pix_fmt: str,
    height: int,
    width: int,
    *,
    color: ColorSpec = ColorSpec(),
    hdr10: Hdr10 | None = None,
    rate: Fraction | None = None,
) -> Encoding:
    """The encoder for frames of a planar layout at an output size, in a container.

    ``color`` is what the frames really are, guesses included, ``rate`` how many are shown a second.
    Raises UnknownNameError for a codec that is not there, OptionError where codec, container,
    layout, size and options do not go together, ColorError for colours that it would falsify,
    EncodeError where it does not open.
    """
    wishes = _Wishes(pix_fmt, (height, width), color, hdr10, rate)
    try:
        return wishes.encoding(options, container)
    except CiaoVideoError as error:
        if error.hint:
            raise
        raise type(error)(error.problem, wishes.hint(options, container)) from error.__cause__


@dataclass(frozen=True, slots=True)
class _Wishes:
    """What is to be coded, whatever the encoder; names as in ``choose_codec``."""

    pix_fmt: str
    size: tuple[int, int]
    color: ColorSpec
    hdr10: Hdr10 | None
    rate: Fraction | None

    def encoding(self, options: EncodeOptions, container: Container) -> Encoding:
        """The encoding, tried out; raises as ``choose_codec`` does, without a hint in places."""
        choice = _choose(
            options, container, self.pix_fmt, self.size, color=self.color, hdr10=self.hdr10
        )
        if choice.codec not in (Y4M, VIA_FFMPEG):
            _check_opens(choice, *self.size, self.rate)
        high = _high_level(choice, self.size, self.rate)
        return replace(choice, findings=(*choice.findings, *high))

    def works(self, options: EncodeOptions, container: Container) -> bool:
        """Whether an encoder takes it so."""
        try:
            self.encoding(options, container)
        except CiaoVideoError:
            return False
        return True

    def hint(self, options: EncodeOptions, container: Container) -> str:
        """What to ask for instead: only what was tried and works."""
        depth = options.bit_depth or PixelLayout.of(self.pix_fmt).bit_depth
        hint = advice(options, container, depth, self.works)
        for size in smaller_sizes(*self.size) if hint == LAST_RESORT else ():
            if replace(self, size=size).works(options, container):
                return f"ask for {size[1]}x{size[0]} at most"
        return hint


def _choose(
    options: EncodeOptions,
    container: Container,
    pix_fmt: str,
    size: tuple[int, int],
    *,
    color: ColorSpec,
    hdr10: Hdr10 | None,
) -> Encoding:
    """As ``choose_codec``; without a hint where another codec, container or layout may help."""
    height, width = size
    codec = _codec(options, container, pix_fmt)
    findings = []
    if options.codec == "auto" and not container.numbered_pictures:
        findings.append(Finding(kind=Kind.CHOSEN, subject="codec", text=f"codec {codec.name}"))
    wishes, losses = _layout_wishes(codec, options, pix_fmt)
    target = fitting_layout(codec, wishes, pix_fmt, height, width)
    if PixelLayout.of(pix_fmt).alpha and not PixelLayout.of(target).alpha:
        losses.append(lost("alpha", f"the alpha channel: {codec.name} cannot hold it"))
    check_color(codec, color, target)
    if target != pix_fmt:
        asked = ", as asked" if is_poorer(target, pix_fmt) and not losses else ""
        text = f"{width}x{height} {pix_fmt} is written as {target}{asked}"
        findings.append(Finding(kind=Kind.CHANGED, subject="pixel format", text=text))
    chosen = codec.options(
        target, crf=options.crf, preset=options.preset, words=options.codec_option
    )
    y, x = PixelLayout.of(target).log2_chroma
    if height % (SLICES_ALONG << y) or width % (SLICES_ALONG << x):
        chosen.pop("slices", None)  # ffv1 refuses uneven slices: it then counts them itself
    siting = held_siting(codec, container, color.siting, target)
    if level_siting(siting, target) != level_siting(color.siting, target):
        place = f"{target} by {codec.name} in {container}"
        text = f"chroma moves from {color.siting.name} to {siting.name}, where it sits in {place}"
        findings.append(Finding(kind=Kind.CHANGED, subject="chroma siting", text=text))
    losses += lost_colors(codec, container, color, target)
    if hdr10:
        params = hdr10_params(codec.name, hdr10)
        chosen = _joined(chosen, {codec.params: params} if params else {}, codec)
        losses += [] if params else [lost("HDR10", f"{hdr10}: {codec.name} cannot hold it")]
    chosen = _joined(chosen, _own_options(codec, options.codec_option), codec)
    return Encoding(codec, container, target, chosen, siting, (*findings, *losses))


def _high_level(
    choice: Encoding, size: tuple[int, int], rate: Fraction | None
) -> Iterator[Finding]:
    """That H.264 has no level up to 5.2 for a video: the last that players in hardware know."""
    blocks = -(-size[0] // 16) * -(-size[1] // 16)
    high = blocks > LEVEL_BLOCKS or blocks * (rate or 0) > LEVEL_SPEED
    if choice.codec.name in ("libx264", "h264_nvenc") and high:
        text = f"H.264 of {size[1]}x{size[0]} is above level 5.2: many players refuse it"
        yield Finding(kind=Kind.CHOSEN, subject="level", text=text)


def sides_to_round(options: EncodeOptions, container: Container, pix_fmt: str) -> tuple[bool, bool]:
    """Which of (height, width) must be even for frames of a layout to stay in it.

    Those that chroma halves, where the encoder takes whole chroma samples only, or is another
    program's, of which that has to be feared. Raises OptionError as ``choose_codec`` does.
    """
    codec = _codec(options, container, pix_fmt)
    if not codec.even and codec not in (Y4M, VIA_FFMPEG):
        return False, False
    asked = options.chroma != "auto"
    return PixelLayout.of(f"yuv{options.chroma}p" if asked else pix_fmt).even_sides


def _codec(options: EncodeOptions, container: Container, pix_fmt: str) -> Codec:
    if options.via_ffmpeg is not None:
        return _fitting_container(VIA_FFMPEG, container)
    if container.numbered_pictures:
        return picture_codec(container, options.codec)
    if container.bare:
        options.check_no_encoder("YUV4MPEG2, which holds bare pictures", "leave it out")
        return Y4M
    if options.codec == "auto":
        name = _automatic(
            container, *LayoutWishes(options.chroma, options.bit_depth).family_and_depth(pix_fmt)
        )
    elif options.codec in CODECS:
        name = options.codec
    else:
        raise UnknownNameError.among("codec", options.codec, ["auto", *CODECS])
    return _fitting_container(CODECS[name], container)


def _fitting_container(codec: Codec, container: Container) -> Codec:
    """The codec, if the container holds it."""
    if codec.name not in container.codecs:
        suffixes = [row.suffix for row in CONTAINERS.values() if codec.name in row.codecs]
        fits = codec.name == "ffv1" and "libx265" in container.codecs
        needs = " (or choose libx265 and a bit depth of at most 12)" if fits else ""
        raise OptionError(
            f"{codec.name} does not go into {container}",
            f"end the output's name in {' or '.join(sorted(suffixes, key='.mkv'.__ne__))}{needs}",
        )
    return codec


def _automatic(container: Container, family: str, depth: int) -> str:
    kind = re.match("yuva|gbrap|ya", family)
    if kind and kind[0] in container.alpha:
        return container.alpha[kind[0]]
    rgb = family.startswith("gbr")
    *_, (_, _, widest) = container.automatic
    fitting = (n for deepest, holds, n in container.automatic if depth <= deepest and holds >= rgb)
    return next(fitting, widest)


def _layout_wishes(
    codec: Codec, options: EncodeOptions, pix_fmt: str
) -> tuple[LayoutWishes, list[Finding]]:
    """What is asked of the layout; fewer bits, a loss, where alpha in .mov costs the others."""
    wishes = LayoutWishes(options.chroma, options.bit_depth)
    _, depth = wishes.family_and_depth(pix_fmt)
    automatic = options.codec == "auto" and not options.bit_depth
    if not automatic or codec.name != "prores_ks" or depth <= PRORES_DEPTH:
        return wishes, []
    text = f"{depth - PRORES_DEPTH} of {depth} bits a sample: {codec.name} cannot hold them"
    return replace(wishes, bit_depth=PRORES_DEPTH), [lost("bit depth", text)]


def _own_options(codec: Codec, words: tuple[str, ...]) -> dict[str, str]:
    """The user's options for the encoder; raises OptionError for one that it does not know."""
    if not words:
        return {}
    offered = av.Codec(codec.name, "w").create("video").supported_options
    known = {o.name for o in (*offered.generic, *offered.private) if o.flags & ENCODING}
    found: dict[str, str] = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in known:
            raise UnknownNameError.among(f"option of {codec.name}", name, known)
        found = _joined(found, {name: value}, codec)
    return found


def _joined(options: Mapping[str, str], more: Mapping[str, str], codec: Codec) -> dict[str, str]:
    """Options with more of them, which win; an encoder library's parameters are strung together."""
    both = {**options, **more}
    if codec.params in options and codec.params in more:
        both[codec.params] = f"{options[codec.params]}:{more[codec.params]}"
    return both


def _check_opens(choice: Encoding, height: int, width: int, rate: Fraction | None) -> None:
    """Open the encoder once for nothing, so that what it refuses is known before any work."""
    codec = choice.codec
    if height < codec.least_size[0] or width < codec.least_size[1]:
        least = f"{codec.least_size[1]}x{codec.least_size[0]}"
        raise OptionError(f"{codec.name} takes no picture below {least}")
    context = cast(VideoCodecContext, av.CodecContext.create(codec.name, "w"))
    context.width, context.height = width, height
    context.pix_fmt = choice.coded_pix_fmt
    context.framerate = rate or Fraction(25)
    context.time_base = 1 / (rate or Fraction(25))
    context.options = dict(choice.options)
    try:
        with ordinary_priority():
            context.open()
    except av.error.FFmpegError as cause:
        often = f" at {float(rate):.4g} frames a second" if rate else ""
        raise EncodeError(
            f"{codec.name} does not open for {width}x{height} {choice.coded_pix_fmt}{often}:"
            f" {cause.strerror}{codec.refusal}"
        ) from cause
