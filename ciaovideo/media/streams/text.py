"""Converts text subtitles: SRT, ASS, WebVTT and mov_text (3GPP timed text).

All of FFmpeg's text decoders output ASS, and all its text encoders accept it. So italics, bold,
colours and line breaks are kept where the target supports them; fonts, positions and effects of ASS
are lost. mp4 and mov show one text at a time: overlapping lines become a sequence of texts, each
with all lines of its time.
"""

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import cast

from av.container import OutputContainer
from av.packet import Packet
from av.rational import AVRational
from av.stream import Stream
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import AssSubtitle, SubtitleSet

from ciaovideo.media.containers import Container

TEXT_CODECS = ("subrip", "srt", "ass", "webvtt", "mov_text", "text")
STYLED = "ass"
FIELDS = 9  # of FFmpeg's ASS events; the last is the text, which may contain commas
STYLE = 2
UNKNOWN_LENGTH = 4  # seconds: display time of a line without a duration

type Line = tuple[int, int, bytes]  # start and end in ticks, and an ASS event


class TextConverter:
    """Converts a text stream to the codec of another container."""

    def __init__(self, output: OutputContainer, source: Stream, codec: str) -> None:
        assert isinstance(source, SubtitleStream)
        self._decoder = source.codec_context
        self._decoder.open(strict=False)  # adds default styles where the source has none
        self.target = output.add_stream(codec)
        self._encoder = cast(SubtitleCodecContext, self.target.codec_context)
        header = self._decoder.subtitle_header or b""
        self._encoder.subtitle_header = header
        self._styles = [name.strip() for name in re.findall(rb"(?m)^Style:([^,\r\n]*)", header)]
        self._one_at_a_time = codec == "mov_text"
        self._shown: list[Line] = []  # lines that may overlap later ones
        self._until = 0  # time up to which all is written
        self._time_base: AVRational | Fraction = source.time_base or Fraction(1, 1000)

    def convert(self, packet: "Packet[Stream]") -> "Iterator[Packet[Stream]]":
        """The converted packet, or the packets before it that are complete now."""
        start, self._time_base = packet.pts or 0, packet.time_base
        events = self._decoder.decode2(packet) or ()
        lines = [event.ass for event in events if isinstance(event, AssSubtitle)]
        if not lines:
            return
        second = int(1 / Fraction(packet.time_base.num, packet.time_base.den))
        end = start + (packet.duration or UNKNOWN_LENGTH * second)
        if not self._one_at_a_time:
            yield self._packet(start, end, lines)
            return
        yield from self._write_until(start)
        self._shown += [(start, end, line) for line in lines]

    def flush(self) -> "Iterator[Packet[Stream]]":
        """The last lines."""
        if self._shown:
            yield from self._write_until(max(end for _, end, _ in self._shown))

    def _write_until(self, time: int) -> "Iterator[Packet[Stream]]":
        """A text for each span with the same lines, up to ``time``."""
        while self._shown:
            stop = min(time, *(end for _, end, _ in self._shown))
            start = max(self._until, self._shown[0][0])
            if stop > start:
                yield self._packet(start, stop, [line for *_, line in self._shown])
            self._until = stop
            self._shown = [line for line in self._shown if line[1] > stop]
            if stop == time:
                return

    def _packet(self, start: int, end: int, lines: list[bytes]) -> "Packet[Stream]":
        made = self._encoder.encode_subtitle(SubtitleSet.create(self._event(lines), 0, end - start))
        made.stream = self.target
        made.pts = made.dts = start
        made.duration, made.time_base = end - start, self._time_base
        return made

    def _event(self, lines: list[bytes]) -> bytes:
        """Simultaneous events as one with several lines, in an existing style.

        FFmpeg's mov_text encoder makes text of an unknown style transparent.
        """
        split = [line.rstrip(b"\r\n").split(b",", FIELDS - 1) for line in lines]
        fields = split[0][:-1]
        fields[STYLE] = fields[STYLE].strip()
        if self._styles and fields[STYLE] not in self._styles:
            fields[STYLE] = self._styles[0]
        return b",".join([*fields, rb"\N".join(parts[-1] for parts in split)])


def text_codec(container: Container, source: Stream) -> str:
    """The container's codec for the text of a stream; empty if the stream is not text."""
    context = source.codec_context
    if context is None or context.codec.canonical_name not in TEXT_CODECS:
        return ""
    return container.text
