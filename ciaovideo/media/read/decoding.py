"""Pictures of the main video as a decoder hands them out: of a file, or of a pipe."""

from collections.abc import Iterator
from pathlib import Path

import av

from ciaovideo.errors import DecodeError, OpenError
from ciaovideo.findings import Finding
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.containers import read_container
from ciaovideo.media.frame import VideoInfo
from ciaovideo.media.interlacing.fields import declared_order
from ciaovideo.media.read.probe import describe_video, with_rate
from ciaovideo.media.read.seeking import Anchor, packets_from
from ciaovideo.media.read.y4m_input import PipeInput
from ciaovideo.media.video_stream import (
    USUAL,
    Opening,
    decoded,
    hides_alpha,
    indexed_frames,
    main_video,
    open_source,
    pictures_from,
    retagged,
)
from ciaovideo.storage.endpoints import reads_once


class PictureSource:
    """The decoded pictures of a file's main video, or of a pipe's, in display order.

    ``path`` is what messages call it, ``taken`` how many pictures were handed out or, after a jump,
    lie before. Whoever makes one closes it. Raises OpenError.
    """

    def __init__(self, path: Path, opening: Opening = USUAL) -> None:
        self._pipe = PipeInput(path) if reads_once(path) else None
        self._opening = opening
        self.path = self._pipe.name if self._pipe else path
        self.taken = 0
        self._ahead: av.VideoFrame | None = None  # decoded, and not handed out
        self._open()

    def _open(self) -> None:
        """Begin at the beginning."""
        with av_errors("opening", self.path, OpenError):
            pipe = self._pipe
            self._container = pipe.open() if pipe else open_source(self.path, self._opening)
        try:
            self._av_stream = main_video(self._container, self.path, self._opening)
        except BaseException:
            self._container.close()
            raise
        self._av_stream.codec_context.thread_type = "AUTO"
        self._decoder: Iterator[av.VideoFrame] = (
            pipe.decode(self._av_stream)
            if pipe
            else retagged(pictures_from(self._container, self._av_stream), self._opening)
        )
        self._ahead = None

    @property
    def piped(self) -> bool:
        """Whether it is a pipe, which cannot be read twice."""
        return self._pipe is not None

    @property
    def number(self) -> int:
        """The number of the picture that was handed out last."""
        return self.taken - 1

    @property
    def begins(self) -> int:
        """When the file does by FFmpeg, in microseconds; 0 where it does not tell."""
        return self._container.start_time or 0

    def next(self) -> av.VideoFrame | None:
        """The next picture; None at the end. Raises DecodeError."""
        picture, self._ahead = self._ahead or self._decode(), None
        self.taken += picture is not None
        return picture

    def peek(self) -> av.VideoFrame | None:
        """The same, which ``next`` will hand out all the same."""
        self._ahead = self._ahead or self._decode()
        return self._ahead

    def _decode(self) -> av.VideoFrame | None:
        with av_errors(f"decoding frame {self.taken} of", self.path, DecodeError):
            return next(self._decoder, None)

    def jump(self, anchor: Anchor) -> None:
        """Go on from there; where that does not lead anywhere, from the beginning."""
        if hides_alpha(self._av_stream):
            return
        packets = packets_from(self._container, self._av_stream, anchor)
        if packets is None:
            self._container.close()
            self._open()
            return
        first = anchor.mark[0]
        self._ahead, self.taken = None, anchor.place
        self._decoder = (
            picture
            for picture in retagged(decoded(self._container, packets), self._opening)
            if picture.pts is None or picture.pts >= first  # others are shown before it
        )

    def interrupt(self) -> None:
        """Wake a thread that waits for a pipe, because nothing more is wanted."""
        if self._pipe:
            self._pipe.stop()

    def close(self) -> None:
        """Let go of it."""
        self._ahead = None
        self._container.close()
        if self._pipe:
            self._pipe.close()

    def describe(self, picture: av.VideoFrame) -> VideoInfo:
        """The video as this picture and the container tell it; no rate or count yet."""
        return describe_video(self._container, self._av_stream, picture, self.path)

    def describe_pipe(self, first: av.VideoFrame) -> tuple[VideoInfo, bool, tuple[Finding, ...]]:
        """All that is known of a pipe, whether its times are only assumed, and what was found."""
        return with_rate(self.describe(first), first, None, self._container)

    @property
    def declared_order(self) -> str:
        """The order of fields that the container tells: ``tff``, ``bff`` or nothing."""
        return declared_order(self._av_stream)

    def missing_end(self, last: int | None) -> str:
        """That the file's index names more frames than were found, the ``last`` at that time."""
        indexed, found = indexed_frames(self._container, self._av_stream), self.taken
        counts = read_container(self._container.format.name).coding_times
        if counts and last is not None:
            found = last + 1  # its clock counts frames, and its index those that were dropped
        if found >= indexed:
            return ""
        return (
            f"the file's index names {indexed} frames and {self.taken} were found: its end may be"
            " cut off"
        )
