"""Sound that a container does not hold, decoded and coded again: losslessly where that is possible.

Matroska gets FLAC; mp4 and mov get ALAC for what was lossless, else AAC; WebM gets Opus, MXF PCM of
24 bits. Channel layout and sample rate stay (Opus and MXF know 48 kHz only). Each sample keeps its
time: what an encoder puts before the first one is declared as priming, which containers store and
players skip.
"""

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import cast

from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream

from ciaovideo.errors import DecodeError, EncodeError
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.clock import exact
from ciaovideo.media.containers import CONTAINERS, Container

LOSSLESS = (
    "flac",
    "alac",
    "wavpack",
    "tta",
    "truehd",
    "mlp",
    "ape",
    "tak",
    "shorten",
    "wmalossless",
)
# The sample formats that each encoder wants for sources of up to 16 bits, and for finer ones.
FORMATS = {
    "flac": ("s16", "s32"),
    "alac": ("s16p", "s32p"),
    "aac": ("fltp", "fltp"),
    "libopus": ("flt", "flt"),
    "pcm_s24le": ("s32", "s32"),
}
WHOLE_NUMBERS = ("flac", "alac", "pcm_s24le")  # of at most 24 bits
COARSE = ("u8", "u8p", "s16", "s16p")
AAC_BITS, OPUS_BITS = 128_000, 96_000  # a second and channel: beyond what ears tell apart


class SoundTranscoder:
    """A sound stream on its way into a container that does not hold its coding."""

    def __init__(self, output: OutputContainer, source: Stream, codec: str) -> None:
        assert isinstance(source, AudioStream)
        given = source.codec_context
        self._path = Path(source.container.name)
        rate = CONTAINERS[output.format.name].sound_rate or given.sample_rate
        self._decoder = given
        self._tick = Fraction(1, given.sample_rate)  # of frames
        self._end = Fraction(0)  # of the newest frame, in seconds
        self.target: AudioStream = cast(AudioStream, output.add_stream(codec, rate=rate))
        context = self.target.codec_context
        context.layout = usual_layout(given.layout)
        context.format = FORMATS[codec][given.format.name not in COARSE]
        context.time_base = Fraction(1, rate)
        if codec in ("aac", "libopus"):
            bits = AAC_BITS if codec == "aac" else OPUS_BITS
            context.bit_rate = bits * given.layout.nb_channels

    def convert(self, packet: "Packet[Stream]") -> "Iterator[Packet[Stream]]":
        """What the encoder hands out once it has this packet's samples."""
        with av_errors("decoding the sound of", self._path, DecodeError):
            frames = self._decoder.decode(cast("Packet[AudioStream]", packet))
        for frame in frames:
            if frame.pts is not None:
                self._tick = exact(frame.time_base) or self._tick
                self._end = frame.pts * self._tick + Fraction(frame.samples, frame.sample_rate)
            yield from self._encode(frame)

    def flush(self) -> "Iterator[Packet[Stream]]":
        """What decoder and encoder still hold."""
        for frame in (*self._decoder.decode(None), None):
            if frame is not None and frame.pts is None:  # what WMA's decoder kept back has no time
                frame.time_base, frame.pts = self._tick, round(self._end / self._tick)
            yield from self._encode(frame)

    def _encode(self, frame: AudioFrame | None) -> "list[Packet[Stream]]":
        try:
            return cast("list[Packet[Stream]]", self.target.encode(frame))
        except ValueError as cause:  # PyAV's own: rate, channels or sample format differ
            if isinstance(cause, FFmpegError):
                raise
            raise EncodeError(
                f"the sound of {self._path} changes its format midway: {cause}",
                "end the output's name in .mkv, which may hold it as it is",
            ) from cause


def usual_layout(layout: AudioLayout) -> AudioLayout:
    """The layout; where only the number of channels is known, as of WMA, the usual one for it."""
    if layout.name == f"{layout.nb_channels} channels":
        with suppress(ValueError):  # there is none for nine
            return AudioLayout(f"{layout.nb_channels}c")
    return layout


def sound_codecs(container: Container, source: Stream) -> tuple[str, ...]:
    """What a sound stream may become in a container, the best first; nothing if it is no sound."""
    context = source.codec_context
    if source.type != "audio" or context is None:
        return ()
    name = context.codec.canonical_name
    lossless, lossy = container.sound
    return lossless if name.startswith("pcm_") or name in LOSSLESS else lossy
