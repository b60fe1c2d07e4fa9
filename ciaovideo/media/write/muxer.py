"""Writes packets to a file: the coded video at its exact times, and all other streams."""

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
    """Writes coded packets into a file, with a copier for the other streams.

    ``encoder`` provides the packets' parameters for the file's header. A context manager: leaving
    it finishes the file, an exception inside it discards the file. ``path`` is usually the
    temporary name of ``atomic_output``.
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
        self._late_sar: Fraction | None = None  # stored in the finished file
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
        """Write packets; at a frame, copy the other streams up to its time."""
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
        """Patch fields that the muxer cannot write into the file, after ``before`` videos."""
        target = self._target
        if target.crop and self._container.iso:
            store_crop(self.path, target.crop, (target.height, target.width), before)
        elif self._has_room:
            # With a crop, players use the container's SAR (square if it has none) instead of the
            # bitstream's.
            sar = self._late_sar or (target.sar if target.crop else None)
            store_shape(self.path, sar, target.crop, webm=not self._container.display_units)

    def abort(self) -> None:
        """Discard everything: close without raising, and remove the file."""
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
        """Write how the file was made into the first of its tags that the source left free."""
        metadata, names = self._av_container.metadata, self._container.provenance_keys
        for name in names:
            if name not in metadata:
                self._av_container.metadata.update({name: text})
                return

    def _reach(self, frame: CodedFrame) -> None:
        """Count a frame, and copy the other streams up to its time."""
        if not self.frame_count:
            self._first_pts = frame.pts
        self._end_pts = frame.pts + frame.duration
        self.frame_count += 1
        if self._copier:
            self._copier.copy_until(frame.pts * self._tick - self._late)

    def _mux(self, coded: CodedPacket) -> None:
        """Write the packet before; the newest is held, as it may be the last."""
        data = coded.data  # an encoder's own packet has flags that PyAV cannot set
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
        """Raise EncodeError at a step that the container cannot store, not only at the end."""
        most = self._container.longest_step
        step = (packet.dts or 0) - (before.dts or 0)
        if most and step > most:
            raise EncodeError(
                f"{self.path}: timestamps jump by {float(step * self._tick):.0f} s after"
                f" {float((before.pts or 0) * self._tick):.3f} s: {self._container} stores steps"
                f" of at most {float(most * self._tick):.0f} s",
                "end the output's name in .mkv",
            )

    def _mux_last(self) -> None:
        """Write the held packet; in mp4 its duration completes that of the whole video.

        mp4 stores steps between decoding times, and a duration only for the last packet. With
        reordered pictures of varying durations, the last packet is not the last picture.
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
    """Ticks to add to the frames' times: the common offset of all streams."""
    return int(copier.offset / target.time_base) if copier else 0
