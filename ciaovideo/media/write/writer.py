"""Frames to packets: pictures coded at exactly their times, with everything else copied along."""

from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import av
from av.codec.context import Flags
from av.container import OutputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from ciaovideo.color import ColorSpec
from ciaovideo.errors import EncodeError, TimestampError
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.containers import Fate
from ciaovideo.media.frame import Frame, VideoInfo
from ciaovideo.media.layouts import picture_of, repacked
from ciaovideo.media.streams.copier import StreamCopier
from ciaovideo.media.write.choice import CodecChoice
from ciaovideo.media.write.matroska_sar import ROOM, store_sar

FALLBACK_RATE = Fraction(25)  # for rate control only, where nothing is known of the times
UNORDERED_FRAMES = 2  # too few to be reordered; x265 says anything of their decoding times
PROGRESSIVE = 1  # AVFieldOrder
MAX_SAR_SIDE = 65535  # the largest number that H.264 and H.265 can store


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoTarget:
    """What the written video looks like: all that a file says of it besides its pictures.

    ``reproducible`` asks for the same bits from the same pictures, in every run on one machine.
    """

    height: int
    width: int
    codec: CodecChoice
    color: ColorSpec
    time_base: Fraction
    frame_rate: Fraction | None = None
    sar: Fraction | None = None
    display_matrix: tuple[int, ...] = ()
    progressive: bool = True
    field_order: str = ""
    reproducible: bool = False

    @classmethod
    def of(
        cls,
        info: VideoInfo,
        codec: CodecChoice,
        size: tuple[int, int],
        color: ColorSpec | None = None,
    ) -> Self:
        """The target for a source's frames brought to ``size`` (height, width).

        Times, colour tags and rotation stay. So does the shape on screen: where the two sides
        grow by different factors, beyond the rounding to whole pixels, the SAR makes up for it.
        """
        height, width = size
        return cls(
            height=height,
            width=width,
            codec=codec,
            color=color or info.color,
            time_base=info.time_base,
            frame_rate=info.frame_rate,
            sar=_scaled_sar(info, height, width),
            display_matrix=_scaled_matrix(info, height, width),
            progressive=not info.interlaced,
            field_order=info.field_order,
        )


class VideoWriter:
    """Codes frames into a file, and lets a copier add the other streams as time goes on.

    A context manager: leaving it finishes the file, an exception inside it discards the file.
    ``path`` is usually the temporary name of ``atomic_output``.
    """

    def __init__(self, path: Path, target: VideoTarget, copier: StreamCopier | None = None) -> None:
        self.path = path
        self.target = target
        self.frame_count = 0
        self._copier = copier
        self._held: Packet[VideoStream] | None = None
        self._first_dts: int | None = None
        self._first_pts = self._end_pts = 0
        self._shift = int(copier.offset / target.time_base) if copier else 0
        self._stores_sar_later = False
        self._place = target.codec.container
        with av_errors("creating", path, EncodeError):
            self._container: OutputContainer = av.open(
                path,
                "w",
                format=self._place.name,
                container_options=self._container_options(),
            )
        try:
            with av_errors("setting up", path, EncodeError):
                self._open()
        except BaseException:
            self.abort()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def write(self, frame: Frame) -> None:
        """Code one frame: planes in the target's layout and size, later than the one before."""
        pts = frame.pts + self._shift
        self._check_grid(frame)
        with av_errors(f"encoding frame {self.frame_count} into", self.path, EncodeError):
            self._mux(self._av_stream.encode(self._picture(frame, pts)))
        self._count(pts, frame.duration)

    def close(self) -> None:
        """Finish the file: the encoder's last packets, the other streams, the container's index."""
        try:
            with av_errors("finishing", self.path, EncodeError):
                if self.frame_count:
                    self._flush()
                    self._mux_last()
                if self._copier:
                    self._copier.finish()
                self._container.close()
            if self._stores_sar_later and self.target.sar:
                store_sar(self.path, self.target.sar, webm=not self._place.display_units)
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Drop everything: close without complaint and remove the file."""
        with suppress(Exception):
            self._container.close()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _container_options(self) -> dict[str, str]:
        options = self._copier.container_options if self._copier else dict(self._place.options)
        return {**options, **(self._place.steady_options if self.target.reproducible else {})}

    def _count(self, pts: int, duration: int) -> None:
        """Note a frame that the encoder has, and let the other streams catch up."""
        if not self.frame_count:
            self._first_pts = pts
        self._end_pts = pts + duration
        self.frame_count += 1
        if self._copier:
            self._copier.copy_until((pts - self._shift) * self.target.time_base)

    def _open(self) -> None:
        if self._copier:
            self._copier.declare_before(self._container)
        target, choice = self.target, self.target.codec
        rate = target.frame_rate or FALLBACK_RATE
        self._grid = 1 / rate if self._place.numbered else None
        av_stream = cast(VideoStream, self._container.add_stream(choice.codec.name, rate=rate))
        self._av_stream = av_stream
        if target.display_matrix and self._place.rotation is Fate.REFUSED:
            raise EncodeError(f"{self._place} cannot store a rotation", "choose .mkv")
        if target.sar:
            self._check_sar(target.sar)
        self._set_up(av_stream.codec_context)
        if target.display_matrix:
            av_stream.set_display_matrix(target.display_matrix)
        if self._copier:
            self._copier.declare_after(self._container, av_stream)
        if self._stores_sar_later:
            av_stream.metadata["title"] = av_stream.metadata.get("title", "") + ROOM
        self._container.start_encoding()

    def _set_up(self, context: VideoCodecContext) -> None:
        """Tell an encoder, not open yet, all that it needs to know."""
        target, choice = self.target, self.target.codec
        context.width, context.height = target.width, target.height
        context.pix_fmt = choice.coded_pix_fmt
        context.time_base = self._grid or target.time_base
        context.thread_type = "AUTO"  # PyAV's default makes x264 cut pictures into slices
        context.flags |= Flags.frame_duration
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

    def _check_sar(self, sar: Fraction) -> None:
        """Refuse what would lose it, and remember where Matroska gets it afterwards."""
        codec = self.target.codec.codec
        if sar == 1 or codec.stores_sar:
            return
        self._stores_sar_later = self._place.sar is Fate.PATCHED
        if self._place.sar is Fate.REFUSED:
            raise EncodeError(
                f"{codec.name} in {self._place} cannot store the sample aspect ratio {sar}",
                "end the output's name in .mp4 or .mkv and leave the codec out",
            )

    def _check_grid(self, frame: Frame) -> None:
        """Refuse a time that .avi cannot hold: it counts frames, from zero, and knows no times."""
        if self._grid and frame.time + self._shift * frame.time_base != (
            self.frame_count * self._grid
        ):
            raise TimestampError(
                f"frame {self.frame_count} at {float(frame.time):g} s: {self._place} holds"
                " only videos that begin at 0 and have a constant frame rate",
                "end the output's name in .mkv and leave the codec out, or choose ffv1",
            )

    def _picture(self, frame: Frame, pts: int) -> av.VideoFrame:
        choice, target = self.target.codec, self.target
        picture = picture_of(frame.planes, choice.pix_fmt, target.height, target.width)
        if choice.coded_pix_fmt != choice.pix_fmt:
            picture = repacked(picture, choice.coded_pix_fmt)
        color = target.color  # ProRes stores the picture's tags, not the encoder's
        picture.colorspace, picture.color_range = color.matrix, color.color_range
        picture.color_primaries, picture.color_trc = color.primaries, color.transfer
        picture.chroma_location = color.siting
        picture.pts, picture.duration = pts, frame.duration
        picture.time_base = frame.time_base
        picture.pict_type = 0  # the encoder decides which pictures are key frames
        return picture

    def _flush(self) -> None:
        """Write what the encoder still holds."""
        packets = self._av_stream.encode(None)
        self._mend_times(packets)
        self._mux(packets)

    def _mend_times(self, packets: "list[Packet[VideoStream]]") -> None:
        """Set the decoding times of the last packets of an encoder that got the first frames."""
        if self.frame_count <= UNORDERED_FRAMES:
            for packet in packets:
                packet.dts = packet.pts

    def _mux(self, packets: "list[Packet[VideoStream]]") -> None:
        """Write all packets but the newest, which may turn out to be the last."""
        for packet in packets:
            if self._first_dts is None:
                self._first_dts = packet.dts
            if self._held is not None:
                self._container.mux(self._held)
            self._held = packet

    def _mux_last(self) -> None:
        """Write the held packet; in mp4 its duration is what the whole video's is summed from.

        mp4 stores steps between decoding times, and only the last packet's duration as such: with
        reordered pictures of varying durations that one is not the last picture's.
        """
        packet = self._held
        if packet is None:
            return
        first, last = self._first_dts, packet.dts
        if self._place.iso and packet.duration and first is not None and last is not None:
            packet.duration = max((self._end_pts - self._first_pts) - (last - first), 1)
        self._container.mux(packet)
        self._held = None


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
    if abs(c) > abs(a):  # turned by a quarter: what lies across on screen was down in the frame
        across, down = down, across
    return a, b, u, c, d, v, round(x * across), round(y * down), w
