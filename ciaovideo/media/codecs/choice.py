"""Chooses the encoder for a source, a container and the user's options, and its own options.

``auto`` follows the rows of ``CONTAINERS``: most use libx264 up to 10 bits and libx265 up to 12
bits. R'G'B' stays R'G'B', in libx265 up to 12 bits, because a change to Y'CbCr would be an
unrequested loss. Deeper samples (14 and 16 bits) use ffv1. A source with alpha uses an encoder that
stores it: ffv1 in .mkv; in .mov prores_ks for Y'CbCr (10 bits; a deeper source loses bits) and png
for R'G'B'. Other containers drop alpha, which is a loss. Otherwise ``auto`` never reduces depth. It
raises chroma resolution, with a finding, where the encoder does not support the source's. Colour
tags that an encoder would falsify are refused; others that it cannot store are losses.
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
PRORES_DEPTH = 10  # of prores_ks's input; the decoder outputs 12 for all ProRes 4444
ENCODING = 1  # FFmpeg's flag of options that encoders read


@dataclass(frozen=True, slots=True)
class Encoding:
    """An encoder with the planar layout of its input frames, and its options.

    ``coded_pix_fmt`` is the layout with which the encoder is opened. ``siting`` is the chroma
    siting of the frames, the source's own unless the output cannot store that. ``findings`` report
    choices made for the user, changes and losses.
    """

    codec: Codec
    container: Container
    pix_fmt: str
    options: dict[str, str]
    siting: Siting = Siting.UNSPECIFIED
    findings: tuple[Finding, ...] = ()

    @property
    def coded_pix_fmt(self) -> str:
        """The layout with which the encoder is opened: the same samples, maybe in another order."""
        return self.codec.packed.get(self.pix_fmt, self.pix_fmt)

    @property
    def own_quality(self) -> str:
        """The option and value on the encoder's own quality scale; empty without one."""
        name = self.codec.quality
        return f"{name}={self.options[name]}" if name in self.options else ""

    @property
    def steady_options(self) -> dict[str, str]:
        """``options`` that give the same bits for the same pictures in every run.

        With AVX-512, x264 reads uninitialised memory if the macroblocks of a row are not a multiple
        of 16, so that its output varies (measured); with AVX2 it does not. x264 detects the
        processor itself, so what counts is the processor, not torch's ATEN_CPU_CAPABILITY.
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

    ``color`` is the frames' colour with guesses resolved, ``rate`` the frames per second. Raises
    UnknownNameError for an unknown codec, OptionError if codec, container, layout, size and options
    do not fit each other, ColorError for colours that the codec would falsify, EncodeError if the
    encoder does not open.
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
    """The frames to encode, independent of the encoder; names as in ``choose_codec``."""

    pix_fmt: str
    size: tuple[int, int]
    color: ColorSpec
    hdr10: Hdr10 | None
    rate: Fraction | None

    def encoding(self, options: EncodeOptions, container: Container) -> Encoding:
        """The encoding, tested by opening it; raises as ``choose_codec``, maybe without a hint."""
        choice = _choose(
            options, container, self.pix_fmt, self.size, color=self.color, hdr10=self.hdr10
        )
        if choice.codec not in (Y4M, VIA_FFMPEG):
            _check_opens(choice, *self.size, self.rate)
        high = _high_level(choice, self.size, self.rate)
        return replace(choice, findings=(*choice.findings, *high))

    def works(self, options: EncodeOptions, container: Container) -> bool:
        """Whether these options give an encoding that works."""
        try:
            self.encoding(options, container)
        except CiaoVideoError:
            return False
        return True

    def hint(self, options: EncodeOptions, container: Container) -> str:
        """A hint with alternatives that were tried and work."""
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
    """As ``choose_codec``, without the hint that another codec, container or layout may give."""
    height, width = size
    codec = _codec(options, container, pix_fmt)
    findings = []
    if options.codec == "auto" and not container.numbered_pictures:
        findings.append(Finding(kind=Kind.CHOSEN, subject="codec", text=f"codec {codec.name}"))
    wishes = LayoutWishes(options.chroma, options.bit_depth)
    losses: list[Finding] = []
    if options.codec == "auto" and not options.bit_depth:
        wishes, losses = _with_held_depth(codec, wishes, pix_fmt)
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
        chosen.pop("slices", None)  # ffv1 refuses uneven slices: it chooses their number
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
    """The finding for H.264 above level 5.2, the highest that hardware players support."""
    blocks = -(-size[0] // 16) * -(-size[1] // 16)
    high = blocks > LEVEL_BLOCKS or blocks * (rate or 0) > LEVEL_SPEED
    if choice.codec.name in ("libx264", "h264_nvenc") and high:
        text = f"H.264 of {size[1]}x{size[0]} exceeds level 5.2: many players refuse it"
        yield Finding(kind=Kind.CHOSEN, subject="level", text=text)


def sides_to_round(options: EncodeOptions, container: Container, pix_fmt: str) -> tuple[bool, bool]:
    """Which of (height, width) must be even to keep a layout.

    Those that chroma halves, if the encoder requires whole chroma samples or is an external
    program, which may require them. Raises OptionError as ``choose_codec`` does.
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
        options.check_no_encoder("YUV4MPEG2, which holds raw pictures", "omit it")
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
            f"{container} does not support {codec.name}",
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


def _with_held_depth(
    codec: Codec, wishes: LayoutWishes, pix_fmt: str
) -> tuple[LayoutWishes, list[Finding]]:
    """The same wishes; with fewer bits, a loss, where alpha in .mov requires prores_ks."""
    _, depth = wishes.family_and_depth(pix_fmt)
    if codec.name != "prores_ks" or depth <= PRORES_DEPTH:
        return wishes, []
    text = f"{depth - PRORES_DEPTH} of {depth} bits a sample: {codec.name} cannot hold them"
    return replace(wishes, bit_depth=PRORES_DEPTH), [lost("bit depth", text)]


def _own_options(codec: Codec, words: tuple[str, ...]) -> dict[str, str]:
    """The user's options for the encoder; raises UnknownNameError for an unknown one."""
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
    """Options merged with others, which take precedence; library parameters are joined."""
    both = {**options, **more}
    if codec.params in options and codec.params in more:
        both[codec.params] = f"{options[codec.params]}:{more[codec.params]}"
    return both


def _check_opens(choice: Encoding, height: int, width: int, rate: Fraction | None) -> None:
    """Open the encoder once as a test, to learn before any work what it refuses."""
    codec = choice.codec
    if height < codec.least_size[0] or width < codec.least_size[1]:
        least = f"{codec.least_size[1]}x{codec.least_size[0]}"
        raise OptionError(f"{codec.name} does not encode pictures below {least}")
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
