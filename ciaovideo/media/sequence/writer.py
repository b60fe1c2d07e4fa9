"""Writes frames as numbered pictures, one file each, which appear together or not at all."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

from ciaovideo.errors import CHECK_DISK, EncodeError, OutputExistsError
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.frame import Frame
from ciaovideo.media.sequence.dpx import DpxHead, header_transfer, later, whole_file
from ciaovideo.media.sequence.numbered import PictureName
from ciaovideo.media.write.encoder import FrameEncoder, VideoTarget
from ciaovideo.storage.atomic import AtomicWriter, atomic_folder, move_together
from ciaovideo.storage.segments import CodedPacket


@contextmanager
def atomic_pictures(pictures: PictureName, *, overwrite: bool = False) -> Iterator[Path]:
    """The same name in a hidden folder beside the pictures, which get their places on success.

    As with ``atomic_output`` for a file, an exception leaves nothing new, except pictures that
    failed verification; what a power cut leaves is finished by ``finish_storing``. ``overwrite``
    deletes all older pictures of that name, also those with other numbers.
    """
    with atomic_folder(pictures.path) as folder:
        made = pictures.inside(folder)
        yield made.path
        older, numbers = pictures.found(), made.found()
        if older and not overwrite:
            raise OutputExistsError(
                f"pictures named {pictures.path} appeared during the run",
                f"they were not changed: the result is in {folder}",
            )
        # The last one goes first: pictures without their beginning are not taken for a whole video.
        names = [made.file(number).name for number in sorted(numbers, reverse=True)]
        obsolete = [made.file(number).name for number in older - numbers]
        move_together(pictures.path, folder, names, obsolete=obsolete)


class PictureWriter(AtomicWriter):
    """Writes each frame as a separate file, numbered from ``first`` on.

    A context manager: an exception inside it discards the files. ``pictures`` are usually those in
    the folder of ``atomic_pictures``. ``timecode`` is that of the first frame, ``reel`` the name of
    the reel; only DPX stores them.
    """

    def __init__(
        self,
        pictures: PictureName,
        target: VideoTarget,
        *,
        first: int = 1,
        timecode: str = "",
        reel: str = "",
    ) -> None:
        self.path = pictures.path
        self.frame_count = 0
        self._pictures = pictures
        self._first = first
        rate = target.frame_rate or Fraction(0)
        self._head = DpxHead(
            transfer=header_transfer(target.color.transfer),
            timecode=timecode,
            reel=reel,
            rate=rate or None,
        )
        self._dpx = target.encoding.codec.name == "dpx"
        with av_errors("setting up", self.path, EncodeError):
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
        for number in self._pictures.found():
            with suppress(OSError):
                self._pictures.file(number).unlink(missing_ok=True)

    def _store(self, packets: Iterable[CodedPacket]) -> None:
        """Write a file for each packet, whose timestamp is its number."""
        for packet in packets:
            file = self._pictures.file(self._first + packet.pts)
            data = bytes(packet.data)
            if self._dpx:
                data = whole_file(data, later(self._head, packet.pts), file.name)
            try:
                file.write_bytes(data)
            except OSError as cause:
                raise EncodeError(f"writing {file}: {cause.strerror}", CHECK_DISK) from cause
