"""Sound that a container does not hold, decoded and coded again: losslessly where that is possible.

Matroska gets FLAC; mp4 and mov get ALAC for what was lossless, else AAC; WebM gets Opus, MXF PCM of
24 bits. Channel layout and sample rate stay (Opus and MXF know 48 kHz only). Each sample keeps its
time: what an encoder puts before the first one is declared as priming, which containers store and
players skip.
"""

import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import cast

from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream

from ciaovideo.errors import DecodeError, EncodeError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.clock import exact
from ciaovideo.media.containers import CONTAINERS, Container
from ciaovideo.media.video_stream import describe

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
RATE_SLACK = 0.05  # less than from 48000 to 44100 Hz, more than unlocked DV is off
AAC_BITS, OPUS_BITS = 128_000, 96_000  # a second and channel: beyond what ears tell apart


class SoundTranscoder:
    """A sound stream on its way into a container that does not hold its codec."""

    def __init__(self, output: OutputContainer, source: Stream, codec: str) -> None:
        assert isinstance(source, AudioStream)
        given = source.codec_context
        self._path = Path(source.container.name)
        rate = CONTAINERS[output.format.name].sound_rate or given.sample_rate
        self._decoder = given
        self._name = describe(source).name
        self.findings: list[Finding] = []
        self._first: tuple[str, str, int] | None = None  # what the first frame is
        self._now: tuple[str, str, int] | None = None  # what the newest one is
        self._resampler: AudioResampler | None = None
        self._end = Fraction(0)  # of the newest frame, in seconds
        self._overlaps = False  # whether any began long before the one before ended
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
            yield from self._add(frame)

    def flush(self) -> "Iterator[Packet[Stream]]":
        """What decoder and encoder still hold."""
        for frame in self._decoder.decode(None):
            yield from self._add(frame)
        yield from self._alike(None)
        yield from self._encode(None)

    def _add(self, frame: AudioFrame) -> "Iterator[Packet[Stream]]":
        """Code a frame at its time, counted in samples: AVI's ticks are longer than a packet.

        What WMA's decoder kept back has no time: it follows. Of recordings that were joined, and
        overlap, the sound of the first is heard.
        """
        rate, tick = frame.sample_rate, exact(frame.time_base)
        begin = self._end if frame.pts is None or not tick else frame.pts * tick
        lasts = Fraction(frame.samples, rate)
        if self._end and self._end - begin > lasts / 2:
            self._leave_out(begin)
            return
        self._end = begin + lasts
        frame.time_base, frame.pts = Fraction(1, rate), round(begin * rate)
        yield from self._alike(frame)

    def _leave_out(self, begin: Fraction) -> None:
        """Tell, once, that sound is left out because other sound is heard at its time."""
        if not self._overlaps:
            self._overlaps = True
            text = f"{self._name}: from {float(begin):.3f} s on it overlaps with what came before"
            text += ", and as much of it is left out"
            self.findings.append(Finding(kind=Kind.LOST, subject=self._name, text=text, at=begin))

    def _alike(self, frame: AudioFrame | None) -> "Iterator[Packet[Stream]]":
        """Code a frame, made like the first one where rate, channels or sample format differ."""
        kind = None if frame is None else _kind(frame)
        self._first = self._first or kind
        if kind != self._now and self._resampler is not None:
            for rest in self._resampler.resample(None):
                yield from self._encode(rest)
            self._resampler = None
        if frame is None:
            return
        if kind != self._now and kind != self._first and self._first is not None:
            form, layout, rate = self._first
            self._resampler = AudioResampler(format=form, layout=layout, rate=rate)
            self._tell(frame)
        self._now = kind
        for made in self._resampler.resample(frame) if self._resampler else [frame]:
            yield from self._encode(made)

    def _tell(self, frame: AudioFrame) -> None:
        """Add a finding that sound is another from a frame on."""
        at = (frame.pts or 0) * (exact(frame.time_base) or Fraction(1))
        was, becomes = (f"{kind[2]} Hz {kind[1]}" for kind in (_kind(frame), self._first) if kind)
        text = f"{self._name}: from {float(at):.3f} s on it is {was}: resampled to {becomes}"
        found = Finding(kind=Kind.CHANGED, subject=self._name, text=text, at=at)
        self.findings.append(found)

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


def _kind(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def pcm_rate(packet: "Packet[Stream]") -> int:
    """How many samples a second a PCM packet has, by its bytes and duration; 0 if not known."""
    av_stream, tick = packet.stream, exact(packet.time_base)
    if not isinstance(av_stream, AudioStream) or not packet.duration or not tick:
        return 0
    context = av_stream.codec_context
    bits = re.fullmatch(r"pcm_[suf](8|16|24|32|64)([lb]e)?", context.name)
    if not bits:
        return 0
    samples = packet.size // (context.channels * int(bits[1]) // 8)
    return round(samples / (packet.duration * tick))


def rate_changes(path: Path, at: Fraction, rates: tuple[int, int], byte: int) -> EncodeError:
    """The error for PCM of a raw DV file whose rate changes, with two ways on.

    ``at`` is in seconds from the first frame, ``byte`` where the frame lies that has it.
    """
    rest = shlex.quote(f"{path.stem}.rest{path.suffix}")  # DV is its frames, one after another
    return EncodeError(
        f"the sound of {path} changes at {float(at):.3f} s from {rates[0]} to {rates[1]} samples a"
        " second, which a copy would play at the wrong speed",
        f"end the output at {float(at):g} s, and make another one of the rest:"
        f" tail -c +{byte + 1} {shlex.quote(str(path))} > {rest}; or let sound be transcoded"
        " (audio auto) into a container that does not hold it as it is",
    )


def lossless_length(packet: "Packet[Stream]") -> Fraction:
    """How long the sound of a packet is, in seconds, by decoding it; 0 where that does not do.

    Only of lossless codecs, of which a packet needs no other: Matroska stores no length of them.
    """
    context = packet.stream.codec_context
    if packet.stream.type != "audio" or context is None or context.name not in LOSSLESS:
        return Fraction(0)
    with suppress(FFmpegError):
        frames = cast("Packet[AudioStream]", packet).decode()
        return sum((Fraction(f.samples, f.sample_rate) for f in frames), Fraction(0))
    return Fraction(0)


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
