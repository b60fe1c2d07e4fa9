"""YUV4MPEG2 from standard input or a named pipe, with a check for truncation.

FFmpeg's demuxer takes a pipe that ends inside a picture for a complete one. So the bytes that came
are counted and compared with the end of the last picture. A waiting read polls whether to stop.
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

STDIN = Path("standard input")  # its name in messages
FEED_HINT = "pipe YUV4MPEG2 into it, for example from ffmpeg -i FILE -f yuv4mpegpipe -strict -1 -"
MAGIC = b"YUV4MPEG2 "
POLL_S = 0.1  # how often a waiting read polls whether to stop


class PipeInput:
    """Standard input, another pipe or a device, as a file object for PyAV.

    ``stop`` ends a read that waits for the other program, as if the data ended there.
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
        """Up to ``count`` bytes, empty at the end; PyAV calls this."""
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
        """End all reading; safe to call from another thread."""
        self._stopped = True

    def open(self) -> InputContainer:
        """Open the pipe with FFmpeg's demuxer. Raises OpenError."""
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
        """Close the descriptor."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def decode(self, av_stream: VideoStream) -> Iterator[av.VideoFrame]:
        """Every picture; raises DecodeError if the data end inside one."""
        end = 0
        with self._own_errors():
            for packet in self._container.demux(av_stream):
                if packet.size:
                    end = (packet.pos or 0) + packet.size
                yield from packet.decode()
            if end and self._bytes != end:
                raise DecodeError(
                    f"{self.name} ends inside a frame, after {self._bytes - end} of its bytes",
                    "check the messages of the program that writes to the pipe",
                )

    def _demuxer(self) -> InputContainer:
        with self._own_errors():
            try:
                self._container = av.open(self, "r", format=YUV4MPEG.name)
                return self._container
            except av.error.FFmpegError as cause:
                raise OpenError(f"{self.name} {self._refusal()}", FEED_HINT) from cause

    def _refusal(self) -> str:
        """Why the pipe cannot be read, by its first bytes."""
        if not self._head:
            return "is empty"
        if not self._head.startswith(MAGIC):
            return "is not YUV4MPEG2"
        return "is YUV4MPEG2 that FFmpeg does not support (mixed fields, alpha, truncated header)"

    def _ready(self) -> bool:
        """Whether a read will not block; True where that is unknown (Windows)."""
        try:
            return bool(select.select([self._descriptor], [], [], POLL_S)[0])
        except OSError:
            return True

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        """Raise the error of ``read`` itself instead of FFmpeg's."""
        try:
            yield
        finally:
            error, self._error = self._error, None
            if isinstance(error, OSError):
                message = f"{self.name} cannot be read: {error.strerror}"
                raise OpenError(message, FEED_HINT) from error
            if error is not None:
                raise error
