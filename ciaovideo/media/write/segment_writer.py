"""Writes an output whose frames are coded in segments, so that a stopped run can go on.

Each segment has an encoder of its own, and begins with a key frame. Its packets go into the output
and into a ledger. A run that goes on hands the packets of the ledger to the muxer in the order in
which they came, and then codes the rest: what comes out has the bits of a run that was never
stopped, for both take the same way.
"""

from collections import deque
from pathlib import Path
from typing import cast

import av
from av.codec.context import CodecContext
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from ciaovideo.errors import EncodeError
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.frame import Frame
from ciaovideo.media.streams.copier import StreamCopier
from ciaovideo.media.write.writer import VideoTarget, VideoWriter
from ciaovideo.storage.segments import CodedFrame, CodedPacket, Ledger


def coding_versions() -> str:
    """The versions of what codes, whose bits may differ from those of others."""
    return " ".join(f"{name} {version}" for name, version in sorted(av.library_versions.items()))


class SegmentWriter(VideoWriter):
    """A VideoWriter that keeps what is finished in a ledger, and begins with what is in it."""

    def __init__(
        self, path: Path, target: VideoTarget, copier: StreamCopier | None, ledger: Ledger
    ) -> None:
        super().__init__(path, target, copier)
        self._ledger = ledger
        self._encoder: VideoCodecContext | None = None
        self._waiting: deque[int] = deque()  # times of frames that are no decoding time yet
        self._tick = self._grid or target.time_base  # of the encoder
        self._first_tick = 0
        self._leading = True  # no packet came yet whose decoding time is that of a frame
        try:
            with av_errors("going on with", path, EncodeError):
                for entry in ledger.entries():
                    if isinstance(entry, CodedFrame):
                        self._take_frame(entry)
                    elif isinstance(entry, CodedPacket):
                        self._take_packet(entry)
        except BaseException:
            self.abort()
            raise

    def write(self, frame: Frame) -> None:
        """Code one frame, which begins a new segment where the one before is full."""
        self._check_grid(frame)
        entry = CodedFrame(frame.pts + self._shift, frame.duration)
        with av_errors(f"encoding frame {self.frame_count} into", self.path, EncodeError):
            if not self.frame_count % self._ledger.segment:
                self._flush()
            if self._encoder is None:
                self._encoder = self._new_encoder()
            packets = self._encoder.encode(self._picture(frame, entry.pts))
        self._ledger.add(entry)
        self._take_frame(entry)
        self._keep(packets)

    def _flush(self) -> None:
        """End the segment, if one was begun."""
        encoder, self._encoder = self._encoder, None
        if encoder:
            packets = encoder.encode(None)
            self._mend_times(packets)
            self._keep(packets)
            self._ledger.finish(self.frame_count)

    def _new_encoder(self) -> VideoCodecContext:
        """An encoder like the one that made the file's header."""
        first = self._av_stream.codec_context
        encoder = cast(VideoCodecContext, CodecContext.create(self.target.codec.codec.name, "w"))
        self._set_up(encoder)
        encoder.framerate = first.framerate
        encoder.flags = first.flags
        encoder.open()
        if encoder.extradata != first.extradata:
            raise EncodeError(
                f"{encoder.name} makes another header for each segment", "leave resuming out"
            )
        return encoder

    def _keep(self, packets: "list[Packet[VideoStream]]") -> None:
        """Put packets into the ledger and the output."""
        for packet in packets:
            pts = packet.pts or 0
            entry = CodedPacket(
                data=bytes(packet),
                pts=pts,
                dts=pts if packet.dts is None else packet.dts,
                duration=packet.duration or 0,
                key=packet.is_keyframe,
            )
            self._ledger.add(entry)
            self._take_packet(entry)

    def _take_frame(self, entry: CodedFrame) -> None:
        tick = entry.pts * self.target.time_base / self._tick  # whole: _check_grid saw to it
        if not self.frame_count:
            self._first_tick = int(tick)
        self._waiting.append(int(tick))
        self._count(entry.pts, entry.duration)

    def _take_packet(self, entry: CodedPacket) -> None:
        """Write a packet, at the decoding time that a single encoder would have given it.

        Encoders hand out the times of the frames as decoding times, in order, so many packets late
        as the first ones precede the first frame.
        """
        self._leading = self._leading and entry.dts < self._first_tick
        packet = cast("Packet[VideoStream]", Packet(entry.data))
        packet.pts, packet.duration = entry.pts, entry.duration
        packet.dts = entry.dts if self._leading else self._waiting.popleft()
        packet.time_base = self._tick
        packet.is_keyframe = entry.key
        packet.stream = self._av_stream
        self._mux([packet])
