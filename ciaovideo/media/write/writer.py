"""Writes frames to a file: an encoder and a muxer, with or without segments between them."""

from collections.abc import Callable
from pathlib import Path
from typing import Self

from ciaovideo.errors import EncodeError, StaleLedgerError
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.frame import Frame
from ciaovideo.media.streams.copier import StreamCopier
from ciaovideo.media.write.encoder import FrameEncoder, VideoTarget
from ciaovideo.media.write.muxer import Muxer, shift_of
from ciaovideo.storage.atomic import AtomicWriter
from ciaovideo.storage.ledger import Ledger
from ciaovideo.storage.segments import Joiner, Segment, Tally

__all__ = ["SegmentCoder", "SegmentWriter", "VideoTarget", "VideoWriter"]


class VideoWriter(AtomicWriter):
    """Encodes frames into a file; a copier adds the other streams.

    A context manager: leaving it finishes the file, an exception inside it discards the file.
    ``path`` is usually the temporary name of ``atomic_output``.
    """

    def __init__(self, path: Path, target: VideoTarget, copier: StreamCopier | None = None) -> None:
        self.path = path
        with av_errors("setting up", path, EncodeError):
            shift = shift_of(target, copier)
            self._encoder = FrameEncoder(target, shift=shift)
        try:
            self._muxer = Muxer(path, self._encoder, copier)
        except BaseException:
            self._encoder.close()
            raise

    @property
    def frame_count(self) -> int:
        """Frames written so far."""
        return self._muxer.frame_count

    def write(self, frame: Frame) -> None:
        """Encode one frame: planes in the target's layout and size, later than the one before."""
        timed = self._encoder.timed(frame)
        with av_errors(f"encoding frame {self.frame_count} into", self.path, EncodeError):
            packets = self._encoder.encode(frame)
        self._muxer.add([*packets, timed])

    def close(self) -> None:
        """Finish the file: the encoder's last packets, the other streams, the container's index."""
        try:
            with av_errors("finishing", self.path, EncodeError):
                packets = self._encoder.flush() if self.frame_count else []
                self._encoder.close()
            self._muxer.add(packets)
            self._muxer.close()
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Discard everything: close without raising, and remove the file."""
        self._encoder.close()
        self._muxer.abort()


class SegmentCoder:
    """Encodes the frames of one segment into its file in a ledger's folder, with its own encoder.

    A context manager: leaving it discards an unfinished segment.
    """

    def __init__(self, target: VideoTarget, ledger: Ledger, start: int, *, shift: int) -> None:
        self._path = ledger.path
        with av_errors("setting up", self._path, EncodeError):
            self._encoder = FrameEncoder(target, shift=shift, first=start)
        try:
            self._segment = ledger.begin(start, self._encoder.config_digest)
        except BaseException:
            self._encoder.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    @property
    def frames(self) -> int:
        """The number of frames so far."""
        return self._segment.frames

    @property
    def stop(self) -> int:
        """The number of the next frame."""
        return self._segment.stop

    def write(self, frame: Frame) -> None:
        """Encode the next frame."""
        timed = self._encoder.timed(frame)
        with av_errors(f"encoding frame {self.stop} into", self._path, EncodeError):
            packets = self._encoder.encode(frame)
        self._segment.add(timed, *packets)

    def finish(self, tally: Tally) -> Segment:
        """Finish the segment durably: it survives this process, and a power cut."""
        with av_errors("encoding into", self._path, EncodeError):
            self._segment.add(*self._encoder.flush())
        made = self._segment.finish(tally)
        self._encoder.close()
        return made

    def discard(self) -> None:
        """Discard the segment, unless it is finished."""
        self._segment.discard()
        self._encoder.close()


class SegmentWriter(AtomicWriter):
    """Encodes the missing segments of a ledger, and joins all segments into a file.

    The muxer gets the packets from the segments' files in order, as soon as each is finished. So a
    file is the same whether its segments were made in one run or in many. ``write`` expects the
    frames of ``ledger.missing()``; ``done`` returns the work counted so far. A context manager,
    like ``VideoWriter``; an exception also discards the unfinished segment.
    """

    def __init__(
        self,
        path: Path,
        target: VideoTarget,
        ledger: Ledger,
        copier: StreamCopier | None = None,
        *,
        done: Callable[[], Tally],
    ) -> None:
        self.path = path
        self._target, self._ledger, self._done = target, ledger, done
        self._before = done()
        self._shift = shift_of(target, copier)
        self._joiner = Joiner()
        self._next = 0  # the first frame of the segment to be joined next
        self._coder: SegmentCoder | None = None
        with av_errors("setting up", path, EncodeError):
            speaker = FrameEncoder(target, shift=self._shift)
        with speaker:  # encodes nothing: it only provides the parameters of all packets
            self._config_digest = speaker.config_digest
            self._muxer = Muxer(path, speaker, copier)
        try:
            self._join()
        except BaseException:
            self.abort()
            raise

    def write(self, frame: Frame) -> None:
        """Encode the next missing frame; the last one of a segment finishes it."""
        coder = self._coder = self._coder or SegmentCoder(
            self._target, self._ledger, self._next, shift=self._shift
        )
        coder.write(frame)
        if coder.frames == self._ledger.length:
            self._finish(coder)

    def close(self) -> None:
        """Finish the current segment, then the file."""
        try:
            self._check_end()
            if self._coder:
                self._finish(self._coder)
            self._muxer.close()
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Discard the current segment and the file; finished segments stay."""
        if self._coder:
            self._coder.discard()
        self._coder = None
        self._muxer.abort()

    def _check_end(self) -> None:
        """Raise StaleLedgerError if the source has fewer frames than the finished segments."""
        last, end = max(self._ledger.segments, default=0), self._next
        if last > end:
            end = self._coder.stop if self._coder else end
            raise StaleLedgerError(
                f"the source ended at frame {end}, but {self._ledger.path} holds frame {last}",
                "delete that folder to start over",
            )

    def _finish(self, coder: SegmentCoder) -> None:
        """Finish a segment, and join the segments that are ready."""
        before, self._before = self._before, self._done()
        computed, pixels = self._before
        tally = Tally(computed - before.computed, pixels - before.pixels)
        self._ledger.keep(coder.finish(tally))
        self._coder = None
        self._join()

    def _join(self) -> None:
        """Pass the muxer all consecutive finished segments from its position on."""
        while segment := self._ledger.segments.get(self._next):
            if segment.config_digest != self._config_digest:
                raise EncodeError(
                    f"the headers of {segment.path} and {self.path} differ",
                    "resume with one encoder",
                )
            self._muxer.add(self._joiner.entries(segment))
            self._next = segment.stop
