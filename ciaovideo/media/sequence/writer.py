"""Writes frames as numbered pictures, one file each."""

from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

from ciaovideo.errors import CHECK_DISK, EncodeError
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.frame import Frame
from ciaovideo.media.sequence.dpx import DpxHead, header_transfer, later, whole_file
from ciaovideo.media.sequence.numbered import file_name, found_numbers
from ciaovideo.media.write.encoder import FrameEncoder, VideoTarget
from ciaovideo.storage.atomic import AtomicWriter
from ciaovideo.storage.segments import CodedPacket


class PictureWriter(AtomicWriter):
    """Writes each frame as a separate file, numbered from ``first`` on.

    A context manager: an exception inside it discards the files. ``path`` is usually the name from
    ``atomic_pictures``. ``timecode`` is that of the first frame, ``reel`` the name of the reel;
    only DPX stores them.
    """

    def __init__(
        self, path: Path, target: VideoTarget, *, first: int = 1, timecode: str = "", reel: str = ""
    ) -> None:
        self.path = path
        self.frame_count = 0
        self._first = first
        rate = target.frame_rate or Fraction(0)
        self._head = DpxHead(
            transfer=header_transfer(target.color.transfer),
            timecode=timecode,
            reel=reel,
            rate=rate or None,
        )
        self._dpx = target.encoding.codec.name == "dpx"
        with av_errors("setting up", path, EncodeError):
            self._encoder = FrameEncoder(target)

    def write(self, frame: Frame) -> None:
        """Encode one frame: planes in the target's layout and size."""
        with av_errors(f"encoding frame {self.frame_count} into", self.path, EncodeError):
            packets = self._encoder.encode(frame)
        self.frame_count += 1
        self._store(packets)

    def close(self) -> None:
        """Write the last pictures."""
        try:
            with av_errors("finishing", self.path, EncodeError):
                packets = self._encoder.flush() if self.frame_count else []
            self._encoder.close()
            self._store(packets)
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Discard all files."""
        self._encoder.close()
        for number in found_numbers(self.path):
            with suppress(OSError):
                self.path.with_name(file_name(self.path.name, number)).unlink(missing_ok=True)

    def _store(self, packets: Iterable[CodedPacket]) -> None:
        """Write a file for each packet, whose timestamp is its number."""
        for packet in packets:
            file = self.path.with_name(file_name(self.path.name, self._first + packet.pts))
            data = bytes(packet.data)
            if self._dpx:
                data = whole_file(data, later(self._head, packet.pts), file.name)
            try:
                file.write_bytes(data)
            except OSError as cause:
                raise EncodeError(f"writing {file}: {cause.strerror}", CHECK_DISK) from cause
