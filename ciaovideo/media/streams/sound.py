"""Transcodes sound that a container cannot hold, losslessly where possible.

Matroska gets FLAC; mp4 and mov get ALAC for lossless sources, otherwise AAC; WebM gets Opus, MXF
24-bit PCM. Channel layout and sample rate stay (Opus and MXF: 48 kHz only). Each sample keeps its
time: samples that an encoder adds before the first one are declared as priming, which containers
store and players skip.
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
from ciaovideo.media.source.header import describe

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
# Each encoder's sample formats, for sources of up to 16 bits and for deeper ones.
FORMATS = {
    "flac": ("s16", "s32"),
    "alac": ("s16p", "s32p"),
    "aac": ("fltp", "fltp"),
    "libopus": ("flt", "flt"),
    "pcm_s24le": ("s32", "s32"),
}
WHOLE_NUMBERS = ("flac", "alac", "pcm_s24le")  # of at most 24 bits
COARSE = ("u8", "u8p", "s16", "s16p")
RATE_SLACK = 0.05  # less than 48000 and 44100 Hz differ, more than unlocked DV deviates
AAC_BITS, OPUS_BITS = 128_000, 96_000  # bits a second for each channel: transparent


class SoundTranscoder:
    """Transcodes a sound stream for a container that cannot hold its codec."""

    def __init__(self, output: OutputContainer, source: Stream, codec: str) -> None:
        assert isinstance(source, AudioStream)
        given = source.codec_context
        self._path = Path(source.container.name)
        rate = CONTAINERS[output.format.name].sound_rate or given.sample_rate
        self._decoder = given
        self._name = describe(source).name
        self.findings: list[Finding] = []
        # Format, layout and rate of the first frame, and of the newest one.
        self._first: tuple[str, str, int] | None = None
        self._now: tuple[str, str, int] | None = None
        self._resampler: AudioResampler | None = None
        self._end = Fraction(0)  # of the newest frame, in seconds
        self._overlaps = False  # whether an overlap was reported
        self.target: AudioStream = cast(AudioStream, output.add_stream(codec, rate=rate))
        context = self.target.codec_context
        context.layout = usual_layout(given.layout)
        context.format = FORMATS[codec][given.format.name not in COARSE]
        context.time_base = Fraction(1, rate)
        if codec in ("aac", "libopus"):
            bits = AAC_BITS if codec == "aac" else OPUS_BITS
            context.bit_rate = bits * given.layout.nb_channels

    def convert(self, packet: "Packet[Stream]") -> "Iterator[Packet[Stream]]":
        """The encoder's packets that are ready after this packet."""
        with av_errors("decoding the sound of", self._path, DecodeError):
            frames = self._decoder.decode(cast("Packet[AudioStream]", packet))
        for frame in frames:
            yield from self._add(frame)

    def flush(self) -> "Iterator[Packet[Stream]]":
        """The last packets, from the delay of decoder and encoder."""
        for frame in self._decoder.decode(None):
            yield from self._add(frame)
        yield from self._alike(None)
        yield from self._encode(None)

    def _add(self, frame: AudioFrame) -> "Iterator[Packet[Stream]]":
        """Encode a frame at its time, counted in samples: AVI's ticks are longer than a packet.

        The delayed last frame of WMA's decoder has no timestamp: it follows the one before. Where
        joined recordings overlap, the sound of the first is kept.
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
        """Report, once, that overlapping sound is dropped."""
        if not self._overlaps:
            self._overlaps = True
            text = f"{self._name}: from {float(begin):.3f} s on it overlaps the sound before it"
            text += ", and the overlap is dropped"
            self.findings.append(Finding(kind=Kind.LOST, subject=self._name, text=text, at=begin))

    def _alike(self, frame: AudioFrame | None) -> "Iterator[Packet[Stream]]":
        """Encode a frame, resampled to the first one's rate, channels and format if they differ."""
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
        """Report a change of the sound's format at a frame."""
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
                "end the output's name in .mkv, which may hold it without transcoding",
            ) from cause


def _kind(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def pcm_rate(packet: "Packet[Stream]") -> int:
    """The sample rate of a PCM packet, from its bytes and duration; 0 if unknown."""
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
    """The error for PCM of a raw DV file whose rate changes, with two ways to go on.

    ``at`` is in seconds from the first frame, ``byte`` the position of the frame at the change.
    """
    rest = shlex.quote(f"{path.stem}.rest{path.suffix}")  # DV is its frames, one after another
    return EncodeError(
        f"the sound of {path} changes at {float(at):.3f} s from {rates[0]} to {rates[1]} samples a"
        " second, which a copy would play at the wrong speed",
        f"end the output at {float(at):g} s, and process the rest as a second file:"
        f" tail -c +{byte + 1} {shlex.quote(str(path))} > {rest}; or choose a container that"
        " cannot hold PCM, and transcode it (audio auto)",
    )


def lossless_length(packet: "Packet[Stream]") -> Fraction:
    """The duration of a packet's sound in seconds, by decoding it; 0 if that fails.

    Only for lossless codecs, whose packets are independent: Matroska stores no duration for them.
    """
    context = packet.stream.codec_context
    if packet.stream.type != "audio" or context is None or context.name not in LOSSLESS:
        return Fraction(0)
    with suppress(FFmpegError):
        frames = cast("Packet[AudioStream]", packet).decode()
        return sum((Fraction(f.samples, f.sample_rate) for f in frames), Fraction(0))
    return Fraction(0)


def usual_layout(layout: AudioLayout) -> AudioLayout:
    """The layout; the default one if only the number of channels is known, as for WMA."""
    if layout.name == f"{layout.nb_channels} channels":
        with suppress(ValueError):  # there is none for nine
            return AudioLayout(f"{layout.nb_channels}c")
    return layout


def sound_codecs(container: Container, source: Stream) -> tuple[str, ...]:
    """The codecs that a sound stream may be transcoded to, best first; empty for other streams."""
    context = source.codec_context
    if source.type != "audio" or context is None:
        return ()
    name = context.codec.canonical_name
    lossless, lossy = container.sound
    return lossless if name.startswith("pcm_") or name in LOSSLESS else lossy
