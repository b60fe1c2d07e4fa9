"""Packets to a file: the coded video at its exact times, with everything else copied along."""

from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from ciaovideo.errors import EncodeError
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.containers import Fate
from ciaovideo.media.patch.iso import store_crop
from ciaovideo.media.patch.matroska import ROOM, store_shape
from ciaovideo.media.streams.copier import StreamCopier
from ciaovideo.media.write.encoder import FrameEncoder, VideoTarget
from ciaovideo.storage.atomic import AtomicWriter
from ciaovideo.storage.segments import CodedFrame, CodedPacket, Entry


class Muxer(AtomicWriter):
    """Writes coded packets into a file, and lets a copier add the other streams as time goes on.

    ``encoder`` is one that makes such packets: it says of them what the file's header needs. A
    context manager: leaving it finishes the file, an exception inside it discards the file.
    ``path`` is usually the temporary name of ``atomic_output``.
    """

    def __init__(
        self, path: Path, encoder: FrameEncoder, copier: StreamCopier | None = None
    ) -> None:
        self.path = path
        self.frame_count = 0
        self._target, self._tick = encoder.target, encoder.tick
        self._container = encoder.target.encoding.container
        self._copier = copier
        self._late = shift_of(self._target, copier) * self._target.time_base
        self._held: Packet[VideoStream] | None = None
        self._first_dts: int | None = None
        self._first_pts = self._end_pts = 0
        self._late_sar: Fraction | None = None  # that is stored in the finished file
        self._has_room = False
        with av_errors("creating", path, EncodeError):
            self._av_container: OutputContainer = av.open(
                path, "w", format=self._container.name, container_options=self._container_options()
            )
        try:
            with av_errors("setting up", path, EncodeError):
                self._open(encoder)
        except BaseException:
            self.abort()
            raise

    def add(self, entries: Iterable[Entry]) -> None:
        """Write packets; at a frame, let the other streams catch up with it."""
        with av_errors("writing", self.path, EncodeError):
            for entry in entries:
                if isinstance(entry, CodedPacket):
                    self._mux(entry)
                else:
                    self._reach(entry)

    def close(self) -> None:
        """Finish the file: the last packet, the other streams, the container's index."""
        try:
            with av_errors("finishing", self.path, EncodeError):
                if self.frame_count:
                    self._mux_last()
                if self._copier:
                    self._copier.finish(self._end_pts * self._tick)
                before = self._copier.videos_before(self._av_stream.index) if self._copier else 0
                self._av_container.close()
            self._patch(before)
        except BaseException:
            self.abort()
            raise

    def _patch(self, before: int) -> None:
        """Put into the finished file, after so many videos, what its muxer could not be told."""
        target = self._target
        if target.crop and self._container.iso:
            store_crop(self.path, target.crop, (target.height, target.width), before)
        elif self._has_room:
            # Beside a crop the container's shape counts, square where it states none, and no
            # longer the codec's.
            sar = self._late_sar or (target.sar if target.crop else None)
            store_shape(self.path, sar, target.crop, webm=not self._container.display_units)

    def abort(self) -> None:
        """Drop everything: close without complaint and remove the file."""
        with suppress(Exception):
            self._av_container.close()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _container_options(self) -> dict[str, str]:
        options = self._copier.container_options if self._copier else dict(self._container.options)
        return {**options, **(self._container.steady_options if self._target.reproducible else {})}

    def _open(self, encoder: FrameEncoder) -> None:
        if self._copier:
            self._copier.declare_before(self._av_container)
        self._av_stream = av_stream = encoder.declare(self._av_container)
        self._target.check_shape()
        sar, codec = self._target.sar, self._target.encoding.codec
        if sar not in (None, 1) and not codec.stores_sar and self._container.sar is Fate.PATCHED:
            self._late_sar = sar
        if self._target.display_matrix:
            av_stream.set_display_matrix(self._target.display_matrix)
        if self._copier:
            self._copier.declare_after(self._av_container, av_stream)
        if self._target.stereo and self._container.stereo:
            av_stream.metadata.setdefault("stereo_mode", self._target.stereo)
        if self._target.provenance:
            self._tell_provenance(self._target.provenance)
        if self._late_sar or (self._target.crop and not self._container.iso):
            self._has_room = True
            av_stream.metadata["title"] = av_stream.metadata.get("title", "") + ROOM
        self._av_container.start_encoding()

    def _tell_provenance(self, text: str) -> None:
        """Say in the file's metadata how it was made, beside what its source says."""
        metadata, names = self._av_container.metadata, self._container.provenance_keys
        for name in names:
            if name not in metadata:
                self._av_container.metadata.update({name: text})
                return

    def _reach(self, frame: CodedFrame) -> None:
        """Note a frame that the encoder has, and let the other streams catch up."""
        if not self.frame_count:
            self._first_pts = frame.pts
        self._end_pts = frame.pts + frame.duration
        self.frame_count += 1
        if self._copier:
            self._copier.copy_until(frame.pts * self._tick - self._late)

    def _mux(self, coded: CodedPacket) -> None:
        """Write the packet before: the newest may turn out to be the last."""
        data = coded.data  # an encoder's own packet has more flags than PyAV lets anyone set
        packet = cast(
            "Packet[VideoStream]", data if isinstance(data, Packet) else Packet(bytes(data))
        )
        packet.pts, packet.dts, packet.duration = coded.pts, coded.dts, coded.duration
        packet.time_base = self._tick
        packet.is_keyframe = coded.key
        packet.stream = self._av_stream
        if self._first_dts is None:
            self._first_dts = packet.dts
        if self._held is not None:
            self._check_step(self._held, packet)
            self._av_container.mux(self._held)
        self._held = packet

    def _check_step(self, before: "Packet[VideoStream]", packet: "Packet[VideoStream]") -> None:
        """Raise EncodeError at a step that the container does not hold, not at the very end."""
        most = self._container.longest_step
        step = (packet.dts or 0) - (before.dts or 0)
        if most and step > most:
            raise EncodeError(
                f"{self.path}: times jump by {float(step * self._tick):.0f} s after"
                f" {float((before.pts or 0) * self._tick):.3f} s: {self._container} holds no more"
                f" than {float(most * self._tick):.0f} s",
                "end the output's name in .mkv",
            )

    def _mux_last(self) -> None:
        """Write the held packet; in mp4 its duration is what the whole video's is summed from.

        mp4 stores steps between decoding times, and only the last packet's duration as such: with
        reordered pictures of varying durations that one is not the last picture's.
        """
        packet = self._held
        if packet is None:
            return
        first, last = self._first_dts, packet.dts
        if self._container.iso and packet.duration and first is not None and last is not None:
            packet.duration = max((self._end_pts - self._first_pts) - (last - first), 1)
        self._av_container.mux(packet)
        self._held = None


def shift_of(target: VideoTarget, copier: StreamCopier | None) -> int:
    """Ticks that are added to the frames' times, because the other streams are moved as much."""
    return int(copier.offset / target.time_base) if copier else 0
