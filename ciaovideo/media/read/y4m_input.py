"""YUV4MPEG2 from standard input or a named pipe: FFmpeg's demuxer reads it, its bytes are counted.

The demuxer takes a pipe that breaks off inside a picture for one that ends, so that what came is
compared with what the last picture needed. A read looks now and then whether it should stop.
"""

import os
import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av
import av.error
from av.container import InputContainer
from av.video.stream import VideoStream

from ciaovideo.errors import DecodeError, OpenError
from ciaovideo.media.containers import YUV4MPEG
from ciaovideo.storage.endpoints import PIPE, open_to_read

STDIN = Path("standard input")  # as it is called in messages
FEED_HINT = "pipe YUV4MPEG2 into it, for example from ffmpeg -i FILE -f yuv4mpegpipe -strict -1 -"
MAGIC = b"YUV4MPEG2 "
POLL_S = 0.1  # how often a read that waits looks whether it should stop


class PipeInput:
    """Standard input, or another pipe or device, as a file that PyAV reads YUV4MPEG2 from.

    ``stop`` ends a read that waits for the other program; that looks like the end of the data.
    """

    def __init__(self, path: Path = PIPE) -> None:
        self.name = STDIN if path == PIPE else path
        self._path = path
        self._descriptor = -1
        self._bytes = 0
        self._head = b""
        self._stopped = False
        self._error: BaseException | None = None

    def read(self, count: int) -> bytes:
        """Up to ``count`` bytes, at least one before the end; for PyAV only."""
        try:
            while not self._stopped and not self._ready():
                pass
            data = b"" if self._stopped else os.read(self._descriptor, count)
        except BaseException as error:  # PyAV would lose an interrupt
            self._error = error
            return b""
        self._bytes += len(data)
        self._head = self._head or data[: len(MAGIC)]
        return data

    def stop(self) -> None:
        """Let nothing more be read; safe to call from another thread."""
        self._stopped = True

    def open(self) -> InputContainer:
        """The stream as FFmpeg's demuxer understands its header. Raises OpenError."""
        try:
            self._descriptor = open_to_read(self._path)
        except OSError as cause:
            raise OpenError(f"{self.name} cannot be read: {cause.strerror}", FEED_HINT) from cause
        try:
            with suppress(OSError):
                if os.isatty(self._descriptor):
                    raise OpenError(f"{self.name} is a terminal", FEED_HINT)
            return self._demuxer()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def decode(self, av_stream: VideoStream) -> Iterator[av.VideoFrame]:
        """Every picture; raises DecodeError where the stream breaks off inside one."""
        end = 0
        with self._own_errors():
            for packet in self._container.demux(av_stream):
                if packet.size:
                    end = (packet.pos or 0) + packet.size
                yield from packet.decode()
            if end and self._bytes != end:
                raise DecodeError(
                    f"{self.name} breaks off inside a frame ({self._bytes - end} bytes of it came)",
                    "see what the program that writes into the pipe has to say",
                )

    def _demuxer(self) -> InputContainer:
        with self._own_errors():
            try:
                self._container = av.open(self, "r", format=YUV4MPEG.name)
                return self._container
            except av.error.FFmpegError as cause:
                raise OpenError(f"{self.name} {self._refusal()}", FEED_HINT) from cause

    def _refusal(self) -> str:
        """Why this cannot be read, by what it begins with."""
        if not self._head:
            return "holds nothing"
        if not self._head.startswith(MAGIC):
            return "is not YUV4MPEG2"
        return "is YUV4MPEG2 of a kind that FFmpeg does not read (mixed fields, alpha, cut off)"

    def _ready(self) -> bool:
        """Whether a read will not wait; where that cannot be known (Windows), it may."""
        try:
            return bool(select.select([self._descriptor], [], [], POLL_S)[0])
        except OSError:
            return True

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        """Raise what went wrong in ``read`` rather than what FFmpeg makes of it."""
        try:
            yield
        finally:
            error, self._error = self._error, None
            if isinstance(error, OSError):
                message = f"{self.name} cannot be read: {error.strerror}"
                raise OpenError(message, FEED_HINT) from error
            if error is not None:
                raise error
