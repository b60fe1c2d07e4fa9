"""Frames to a file: an encoder and a muxer in one, with or without segments between them."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from ciaovideo.errors import EncodeError, StaleLedgerError
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.frame import Frame
from ciaovideo.media.streams.copier import StreamCopier
from ciaovideo.media.write.encoder import FrameEncoder, VideoTarget
from ciaovideo.media.write.muxer import Muxer, shift_of
from ciaovideo.storage.ledger import Ledger
from ciaovideo.storage.segments import Joiner, NewSegment, Tally

__all__ = ["SegmentWriter", "VideoTarget", "VideoWriter"]


class VideoWriter:
    """Codes frames into a file; a copier adds the other streams as time goes on.

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

    @property
    def frame_count(self) -> int:
        """Frames written so far."""
        return self._muxer.frame_count

    def write(self, frame: Frame) -> None:
        """Code one frame: planes in the target's layout and size, later than the one before."""
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
        """Drop everything: close without complaint and remove the file."""
        self._encoder.close()
        self._muxer.abort()


class SegmentWriter:
    """Codes frames into the segments of a ledger that are missing, and joins all into a file.

    What the muxer gets comes from the segments' files in order, as soon as each is finished, so
    that a file is the same whether its segments were made in one run or in many. ``write`` takes
    the frames of ``ledger.missing()``; ``done`` tells what was computed so far, for these too.
    A context manager, like ``VideoWriter``; an exception discards the segment at work as well.
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
        self._segment: NewSegment | None = None
        self._encoder: FrameEncoder | None = None
        first = ledger.missing()[0][0]
        self._encoder = encoder = self._new_encoder(first)
        self._coding = encoder.coding
        try:
            self._muxer = Muxer(path, encoder, copier)
        except BaseException:
            encoder.close()
            raise
        try:
            self._join()
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
        """Code the next missing frame; the last one of a segment finishes it."""
        encoder = self._encoder = self._encoder or self._new_encoder(self._next)
        segment = self._segment = self._segment or self._ledger.begin(self._next, encoder.coding)
        timed = encoder.timed(frame)
        with av_errors(f"encoding frame {segment.stop} into", self.path, EncodeError):
            packets = encoder.encode(frame)
        segment.add(timed, *packets)
        if segment.frames == self._ledger.length:
            self._finish(encoder, segment)

    def close(self) -> None:
        """Finish the segment at work, then the file."""
        try:
            self._check_end()
            if self._encoder and self._segment:
                self._finish(self._encoder, self._segment)
            self._muxer.close()
        except BaseException:
            self.abort()
            raise
        self._release()

    def abort(self) -> None:
        """Drop the segment at work and the file; finished segments stay."""
        self._release()
        self._muxer.abort()

    def _check_end(self) -> None:
        """Raise StaleLedgerError where the frames ended before those that are finished."""
        last, end = max(self._ledger.segments, default=0), self._next
        if last > end:
            end = self._segment.stop if self._segment else end
            raise StaleLedgerError(
                f"the source ended at frame {end}, and {self._ledger.path} holds frame {last}",
                "delete that folder to begin anew",
            )

    def _release(self) -> None:
        segment, encoder = self._segment, self._encoder
        self._segment = self._encoder = None
        if segment:
            segment.discard()
        if encoder:
            encoder.close()

    def _new_encoder(self, first: int) -> FrameEncoder:
        with av_errors("setting up", self.path, EncodeError):
            return FrameEncoder(self._target, shift=self._shift, first=first)

    def _finish(self, encoder: FrameEncoder, segment: NewSegment) -> None:
        """End a segment, and join what can be joined now."""
        with av_errors("encoding into", self.path, EncodeError):
            segment.add(*encoder.flush())
        before, self._before = self._before, self._done()
        computed, pixels = self._before
        tally = Tally(computed - before.computed, pixels - before.pixels)
        self._ledger.keep(segment.finish(tally))
        self._release()
        self._join()

    def _join(self) -> None:
        """Hand the muxer all segments that follow each other from where it stands."""
        while segment := self._ledger.segments.get(self._next):
            if segment.coding != self._coding:
                raise EncodeError(
                    f"{segment.path} has another header than {self.path}", "resume with one encoder"
                )
            self._muxer.add(self._joiner.entries(segment))
            self._next = segment.stop
