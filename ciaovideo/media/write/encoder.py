"""Encodes frames to packets, independent of files; and describes the written video."""

import hashlib
import os
from dataclasses import dataclass
from fractions import Fraction
from typing import Self, cast

import av
from av.codec.context import Flags
from av.container import OutputContainer
from av.format import Flags as Format
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from ciaovideo.color import ColorSpec
from ciaovideo.errors import EncodeError
from ciaovideo.media.clock import FALLBACK_RATE
from ciaovideo.media.codecs.choice import Encoding
from ciaovideo.media.containers import Fate
from ciaovideo.media.frame import Frame, VideoInfo
from ciaovideo.media.layouts import picture_of, repacked
from ciaovideo.media.margins import NO_MARGINS, Margins
from ciaovideo.media.scheduling import ordinary_priority
from ciaovideo.storage.segments import CodedFrame, CodedPacket

UNORDERED_FRAMES = 2  # too few to reorder; x265's decoding timestamps are arbitrary for these
PROGRESSIVE = 1  # AVFieldOrder
MAX_SAR_SIDE = 65535  # the largest number that H.264 and H.265 can store


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoTarget:
    """The properties of the written video, apart from its pictures.

    ``stereo`` is Matroska's name of the stereo arrangement. ``reproducible`` requests the same bits
    for the same pictures in every run on one machine. ``provenance`` is the text of the file's tag
    on how it was made.
    """

    height: int
    width: int
    encoding: Encoding
    color: ColorSpec
    time_base: Fraction
    frame_rate: Fraction | None = None
    sar: Fraction | None = None
    crop: Margins = NO_MARGINS
    stereo: str = ""
    display_matrix: tuple[int, ...] = ()
    progressive: bool = True
    field_order: str = ""
    reproducible: bool = False
    provenance: str = ""

    @classmethod
    def of(
        cls,
        info: VideoInfo,
        encoding: Encoding,
        size: tuple[int, int],
        color: ColorSpec | None = None,
        pad: Margins = NO_MARGINS,
    ) -> Self:
        """The target for a source's frames, scaled to ``size`` (height, width) and padded.

        Times, colour tags and rotation stay. The container's crop is scaled with the picture,
        unless it was applied. The aspect ratio on screen stays: if the sides grow by different
        factors, beyond the rounding to whole pixels, the SAR compensates.
        """
        sar = _scaled_sar(info, *size)
        height, width = pad.outer(*size)
        return cls(
            height=height,
            width=width,
            encoding=encoding,
            color=color or info.color,
            time_base=info.time_base,
            frame_rate=info.frame_rate,
            sar=sar,
            stereo=info.marks.stereo_tag,
            crop=NO_MARGINS
            if info.cut
            else info.marks.crop.scaled((info.height, info.width), size),
            display_matrix=_scaled_matrix(info, height, width),
            progressive=not info.interlaced,
            field_order=info.field_order,
        )

    @property
    def tick(self) -> Fraction:
        """Seconds per tick of the coded video; of a frame, if the container counts frames."""
        if self.encoding.container.numbered:
            return 1 / (self.frame_rate or FALLBACK_RATE)
        return self.time_base

    def check_shape(self) -> None:
        """Raise EncodeError for a rotation or a SAR that the container cannot store."""
        container, codec = self.encoding.container, self.encoding.codec
        if self.display_matrix and container.rotation is Fate.REFUSED:
            raise EncodeError(
                f"{container} cannot store a rotation", "end the output's name in .mkv or .mp4"
            )
        stretched = self.sar not in (None, 1) and not codec.stores_sar
        if stretched and container.sar is Fate.REFUSED:
            raise EncodeError(
                f"{codec.name} in {container} cannot store the sample aspect ratio {self.sar}",
                "end the output's name in .mp4 or .mkv and omit the codec",
            )


class FrameEncoder:
    """One encoder: frames in, packets out, both in order. It is independent of files.

    ``shift`` ticks of the target's clock are added to the times of all frames; ``first`` is the
    number of the first frame in the whole video. A context manager.

    The encoder belongs to a stream of FFmpeg's null muxer, because PyAV copies an encoder's
    parameters (``declare``) only between containers. The output has the same bytes as with an
    encoder in the file's own stream (tested for every codec in every container).
    """

    def __init__(self, target: VideoTarget, *, shift: int = 0, first: int = 0) -> None:
        self.target, self.tick = target, target.tick
        self.frame_count = 0
        self._shift, self._first = shift, first
        self._nowhere: OutputContainer = av.open(os.devnull, "w", format="null")
        try:
            self._context = self._open()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the encoder, and discard its delayed packets."""
        self._nowhere.close()

    @property
    def config_digest(self) -> str:
        """A digest of the parameters of all packets; segments with equal ones can be joined."""
        said = f"{self._context.name} {self._context.codec_tag!r} {self.tick} "
        return hashlib.sha256(said.encode() + (self._context.extradata or b"")).hexdigest()

    def declare(self, output: OutputContainer) -> VideoStream:
        """Add a stream for this encoder's packets to a container."""
        av_stream = output.add_stream_from_template(self._av_stream)
        av_stream.codec_context.codec_tag = self._context.codec_tag  # else the first that fits
        return av_stream

    def timed(self, frame: Frame) -> CodedFrame:
        """The time of the next frame, in ticks of the packets.

        If the container counts frames, it is the frame's number.
        """
        if not self.target.encoding.container.numbered:
            return CodedFrame(frame.pts + self._shift, frame.duration)
        return CodedFrame(self._first + self.frame_count, 1)

    def encode(self, frame: Frame) -> list[CodedPacket]:
        """Encode a frame: planes in the target's layout and size, later than the one before."""
        picture = self._picture(frame, self.timed(frame))
        self.frame_count += 1
        return [_coded(packet) for packet in self._context.encode(picture)]

    def flush(self) -> list[CodedPacket]:
        """The last packets; no frame can follow."""
        packets = self._context.encode(None)
        if self.frame_count <= UNORDERED_FRAMES:
            for packet in packets:
                packet.dts = packet.pts
        return [_coded(packet) for packet in packets]

    def _open(self) -> VideoCodecContext:
        """Open the encoder with all parameters."""
        target, choice = self.target, self.target.encoding
        rate = target.frame_rate or FALLBACK_RATE
        self._av_stream = cast(VideoStream, self._nowhere.add_stream(choice.codec.name, rate=rate))
        context: VideoCodecContext = self._av_stream.codec_context
        context.width, context.height = target.width, target.height
        context.pix_fmt = choice.coded_pix_fmt
        context.time_base = self.tick
        if choice.container.iso and context.codec.canonical_name == "hevc":
            context.codec_tag = "hvc1"  # Apple's players refuse hev1
        context.thread_type = "AUTO"  # PyAV's default makes x264 cut pictures into slices
        context.flags |= Flags.frame_duration
        muxer = av.ContainerFormat(choice.container.name, "w")
        if Format.global_header in Format(muxer.flags):
            context.flags |= Flags.global_header
        if target.progressive:
            context.field_order = PROGRESSIVE
        if target.sar:
            context.sample_aspect_ratio = target.sar
        context.colorspace = target.color.matrix
        context.color_range = target.color.color_range
        context.color_primaries = target.color.primaries
        context.color_trc = target.color.transfer
        context.chroma_sample_location = target.color.siting
        context.options = dict(choice.steady_options if target.reproducible else choice.options)
        with ordinary_priority():
            self._nowhere.start_encoding()
        return context

    def _picture(self, frame: Frame, timed: CodedFrame) -> av.VideoFrame:
        choice, target = self.target.encoding, self.target
        picture = picture_of(frame.planes, choice.pix_fmt, target.height, target.width)
        if choice.coded_pix_fmt != choice.pix_fmt:
            picture = repacked(picture, choice.coded_pix_fmt)
        color = target.color  # ProRes stores the picture's tags, not the encoder's
        picture.colorspace, picture.color_range = color.matrix, color.color_range
        picture.color_primaries, picture.color_trc = color.primaries, color.transfer
        picture.chroma_location = color.siting
        picture.pts, picture.duration, picture.time_base = timed.pts, timed.duration, self.tick
        picture.pict_type = 0  # the encoder decides which pictures are key frames
        return picture


def codec_versions() -> str:
    """The versions of FFmpeg's libraries, on which the coded bits may depend."""
    return " ".join(f"{name} {version}" for name, version in sorted(av.library_versions.items()))


def _coded(packet: "Packet[VideoStream]") -> CodedPacket:
    pts = packet.pts or 0
    return CodedPacket(
        data=packet,
        pts=pts,
        dts=pts if packet.dts is None else packet.dts,
        duration=packet.duration or 0,
        key=packet.is_keyframe,
    )


def _scaled_sar(info: VideoInfo, height: int, width: int) -> Fraction | None:
    stretch = Fraction(width * info.height, info.width * height)
    if abs(stretch - 1) <= Fraction(1, width) + Fraction(1, height):
        return info.sar
    sar = (info.sar or Fraction(1)) / stretch
    if max(sar.numerator, sar.denominator) > MAX_SAR_SIDE:
        return sar.limit_denominator(int(MAX_SAR_SIDE / max(sar, Fraction(1))))
    return sar


def _scaled_matrix(info: VideoInfo, height: int, width: int) -> tuple[int, ...]:
    """The display matrix for the new size: its translation is in pixels and grows with them."""
    if not info.display_matrix:
        return ()
    a, b, u, c, d, v, x, y, w = info.display_matrix
    across, down = Fraction(width, info.width), Fraction(height, info.height)
    if abs(c) > abs(a):  # rotated by 90 degrees: the axes are swapped
        across, down = down, across
    return a, b, u, c, d, v, round(x * across), round(y * down), w
