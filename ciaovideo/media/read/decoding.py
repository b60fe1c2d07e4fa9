"""Decodes the pictures of the main video of a file or a pipe."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from ciaovideo.errors import DecodeError, OpenError
from ciaovideo.findings import Finding
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.containers import read_container
from ciaovideo.media.frame import VideoInfo
from ciaovideo.media.interlacing.fields import declared_order
from ciaovideo.media.read.aspects import Aspects
from ciaovideo.media.read.probe import describe_video, with_rate
from ciaovideo.media.read.seeking import Anchor, packets_from
from ciaovideo.media.read.y4m_input import PipeInput
from ciaovideo.media.source.header import indexed_frames
from ciaovideo.media.source.opening import USUAL, Opening, main_video, open_source
from ciaovideo.media.source.packets import packets_of
from ciaovideo.media.source.pictures import decoded, hides_alpha, pictures_from, retagged
from ciaovideo.storage.endpoints import reads_once


@dataclass(frozen=True, slots=True, eq=False)
class _Decoding:
    """An open file, its main video, and the pictures of that from where the file stands."""

    container: InputContainer
    av_stream: VideoStream
    aspects: Aspects
    pictures: Iterator[av.VideoFrame]


class PictureSource:
    """The decoded pictures of a file's main video, or of a pipe's, in display order.

    ``path`` is its name in messages. ``taken`` counts the pictures returned so far or, after a
    jump, those before it. ``sar`` is the sample aspect ratio of the picture decoded last, None if
    unset. With ``first``, the known first picture, the file is opened when more is needed than a
    peek at that. A ``lent`` container of the file, already read, serves the first jump instead. The
    creator must close it. Raises OpenError.
    """

    def __init__(
        self,
        path: Path,
        opening: Opening = USUAL,
        *,
        first: av.VideoFrame | None = None,
        lent: InputContainer | None = None,
    ) -> None:
        self._pipe = PipeInput(path) if reads_once(path) else None
        self._opening = opening
        self.path = self._pipe.name if self._pipe else path
        self.taken = 0
        self.sar: Fraction | None = None
        self._first = first
        self._lent = lent
        self._ahead: av.VideoFrame | None = None  # decoded, not returned yet
        self._now: _Decoding | None = None
        if first is None:
            self._now = self._open()

    @property
    def _decoding(self) -> _Decoding:
        """The decoded file, which is opened now if it was not."""
        if self._now is None:
            self._now = self._open()
        return self._now

    def _open(self) -> _Decoding:
        """Open the source at its beginning."""
        self._first = None
        with av_errors("opening", self.path, OpenError):
            pipe = self._pipe
            container = pipe.open() if pipe else open_source(self.path, self._opening)
        try:
            av_stream = main_video(container, self.path, self._opening)
        except BaseException:
            container.close()
            raise
        av_stream.codec_context.thread_type = "AUTO"
        aspects = Aspects(container, av_stream)
        if pipe:
            return _Decoding(container, av_stream, aspects, pipe.decode(av_stream))
        packets = aspects.packets(packets_of(container, av_stream))
        pictures = pictures_from(container, av_stream, packets, aspects.seen)
        pictures = retagged(pictures, self._opening)
        return _Decoding(container, av_stream, aspects, pictures)

    @property
    def piped(self) -> bool:
        """Whether it is a pipe, which can be read only once."""
        return self._pipe is not None

    @property
    def number(self) -> int:
        """The number of the picture that was returned last."""
        return self.taken - 1

    @property
    def begins(self) -> int:
        """The file's start time from FFmpeg, in microseconds; 0 if unknown."""
        return self._decoding.container.start_time or 0

    def next(self) -> av.VideoFrame | None:
        """The next picture; None at the end. Raises DecodeError."""
        picture, self._ahead = self._ahead or self._decode(), None
        self.taken += picture is not None
        return picture

    def peek(self) -> av.VideoFrame | None:
        """The next picture without taking it: ``next`` returns it again."""
        if self._now is None and self._first is not None:
            return self._first
        self._ahead = self._ahead or self._decode()
        return self._ahead

    def _decode(self) -> av.VideoFrame | None:
        now = self._decoding
        with av_errors(f"decoding frame {self.taken} of", self.path, DecodeError):
            picture = next(now.pictures, None)
        if picture is not None:
            self.sar = now.aspects.of(picture)
        return picture

    @property
    def borrows(self) -> bool:
        """Whether a jump needs no opening of the file."""
        return self._lent is not None

    def jump(self, anchor: Anchor) -> None:
        """Continue from an anchor; if the seek fails, from the beginning."""
        lent, self._lent = self._lent, None
        if lent and self._jumped(lent, main_video(lent, self.path, self._opening), anchor):
            return
        container, av_stream = self._decoding.container, self._decoding.av_stream
        if not hides_alpha(av_stream) and not self._jumped(container, av_stream, anchor):
            container.close()
            self._ahead, self._now = None, self._open()

    def _jumped(self, container: InputContainer, av_stream: VideoStream, anchor: Anchor) -> bool:
        """Decode from an anchor on; False if it is not found."""
        packets = None if hides_alpha(av_stream) else packets_from(container, av_stream, anchor)
        if packets is None:
            return False
        self._ahead = self._first = None
        first, self.taken = anchor.mark[0], anchor.place
        aspects = Aspects(container, av_stream)
        decoding = decoded(container, aspects.packets(packets), aspects.seen)
        pictures = (
            picture
            for picture in retagged(decoding, self._opening)
            if picture.pts is None or picture.pts >= first  # the others are shown before it
        )
        self._now = _Decoding(container, av_stream, aspects, pictures)
        return True

    def interrupt(self) -> None:
        """Wake a thread that waits for a pipe, to end the reading."""
        if self._pipe:
            self._pipe.stop()

    def close(self) -> None:
        """Close the container and the pipe."""
        self._ahead = self._first = None
        if self._now is not None:
            self._now.container.close()
        if self._pipe:
            self._pipe.close()

    def describe(self, picture: av.VideoFrame) -> VideoInfo:
        """The video's facts from this picture and the container; no rate or frame count yet."""
        now = self._decoding
        info = describe_video(now.container, now.av_stream, picture, self.path)
        return replace(info, sar=self.sar)

    def describe_pipe(self, first: av.VideoFrame) -> tuple[VideoInfo, bool, tuple[Finding, ...]]:
        """A pipe's facts, whether its timestamps are assumed, and findings."""
        return with_rate(self.describe(first), first, None, self._decoding.container)

    @property
    def declared_order(self) -> str:
        """The field order that the container states: ``tff``, ``bff`` or empty."""
        return declared_order(self._decoding.av_stream)

    def missing_end(self, last: int | None) -> str:
        """The text for an index with more frames than the file; ``last`` is the last timestamp."""
        container = self._decoding.container
        indexed, found = indexed_frames(container, self._decoding.av_stream), self.taken
        counts = read_container(container.format.name).coding_times
        if counts and last is not None:
            found = last + 1  # the clock counts frames, the index also dropped ones
        if found >= indexed:
            return ""
        return (
            f"the file's index lists {indexed} frames, but {self.taken} were found: the file may be"
            " truncated"
        )
