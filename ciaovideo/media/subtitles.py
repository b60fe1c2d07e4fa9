"""Text subtitles from one coding to another: SRT, ASS, WebVTT and mov_text (3GPP timed text).

All of FFmpeg's text decoders speak ASS, and all its text encoders take it, so that italics, bold,
colours and line breaks come along as far as the target knows them. Fonts, places and effects of
ASS do not. In mp4 and mov only one text is shown at a time: a later one ends an earlier one.
"""

import re
from collections.abc import Iterator
from typing import cast

from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import AssSubtitle, SubtitleSet

TEXT_CODECS = ("subrip", "srt", "ass", "webvtt", "mov_text", "text")
STYLED = "ass"
TEXT_OF = {"mp4": "mov_text", "mov": "mov_text", "matroska": "srt", "webm": "webvtt"}
FIELDS = 9  # of an ASS event as FFmpeg has it; the last is the text, which may hold commas
STYLE = 2


class TextConverter:
    """A text stream on its way into a container that stores text in another way."""

    def __init__(self, output: OutputContainer, source: Stream, codec: str) -> None:
        assert isinstance(source, SubtitleStream)
        self._decoder = source.codec_context
        self._decoder.open(strict=False)  # which makes up the styles where the source has none
        self.target = output.add_stream(codec)
        self._encoder = cast(SubtitleCodecContext, self.target.codec_context)
        header = self._decoder.subtitle_header or b""
        self._encoder.subtitle_header = header
        self._styles = [name.strip() for name in re.findall(rb"(?m)^Style:([^,\r\n]*)", header)]

    def convert(self, packet: "Packet[Stream]") -> "Iterator[Packet[Stream]]":
        """The text of a packet at the same time, for as long; nothing for an empty one."""
        events = self._decoder.decode2(packet) or ()
        lines = [event for event in events if isinstance(event, AssSubtitle)]
        if not lines:
            return
        text = self._event([line.ass for line in lines])
        made = self._encoder.encode_subtitle(SubtitleSet.create(text, 0, packet.duration or 0))
        made.stream = self.target
        made.pts = made.dts = packet.pts
        made.duration, made.time_base = packet.duration, packet.time_base
        yield made

    def flush(self) -> "Iterator[Packet[Stream]]":
        """Nothing: no text is held back."""
        yield from ()

    def _event(self, events: list[bytes]) -> bytes:
        """Events shown at once as one of several lines, in a style that there is.

        Text in a style that it does not know comes out of FFmpeg's mov_text encoder transparent.
        """
        split = [event.rstrip(b"\r\n").split(b",", FIELDS - 1) for event in events]
        fields = split[0][:-1]
        fields[STYLE] = fields[STYLE].strip()
        if self._styles and fields[STYLE] not in self._styles:
            fields[STYLE] = self._styles[0]
        return b",".join([*fields, rb"\N".join(parts[-1] for parts in split)])


def text_codec(container: str, source: Stream) -> str:
    """What the text of a stream has to become in a container; empty if it is no text."""
    context = source.codec_context
    if context is None or context.codec.canonical_name not in TEXT_CODECS:
        return ""
    return TEXT_OF.get(container, "")
