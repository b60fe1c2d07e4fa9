"""Files drawn at random: containers x codings x clocks x streams, of tiny pictures.

Everything is drawn from a ``random.Random``, so that a number says which file it is.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import av
import numpy as np
from av.rational import AVRational

ASS_HEADER = b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name\nStyle: Default\n"
ASS_HEADER += b"\n[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV,"
ASS_HEADER += b" Effect, Text\n"
VIDEO: dict[str, tuple[str, ...]] = {  # codings by FFmpeg's name of the container
    "matroska": ("libx264", "mpeg4", "ffv1", "mjpeg", "mpeg2video", "prores_ks"),
    "mp4": ("libx264", "mpeg4", "mjpeg"),
    "mov": ("libx264", "mjpeg", "prores_ks", "png"),
    "avi": ("mpeg4", "mjpeg", "ffv1", "libx264"),
    "mpegts": ("libx264", "mpeg2video", "mpeg4"),
    "vob": ("mpeg2video",),
    "flv": ("flv1", "libx264"),
    "nut": ("ffv1", "mpeg4", "libx264"),
}
SOUND: dict[str, tuple[str, ...]] = {
    "matroska": ("aac", "ac3", "mp2", "pcm_s16le", "flac", "libopus", "pcm_s24le", "alac"),
    "mp4": ("aac", "ac3", "alac", "flac", "libopus"),
    "mov": ("aac", "pcm_s16le", "pcm_s16be", "alac", "ac3"),
    "avi": ("pcm_s16le", "ac3", "mp2"),
    "mpegts": ("aac", "ac3", "mp2"),
    "vob": ("ac3", "mp2"),
    "flv": ("aac",),
    "nut": ("pcm_s16le", "mp2", "flac"),
}
SUFFIX = {"matroska": "mkv", "mpegts": "ts"}
PIXELS = {"mjpeg": "yuvj420p", "prores_ks": "yuv422p10le", "png": "rgb24"}
RATES = (Fraction(25), Fraction(24), Fraction(30000, 1001), Fraction(50), Fraction(15))
LANGUAGES = ("eng", "deu", "jpn", "")
TEXT = {"matroska": "srt", "mp4": "mov_text", "mov": "mov_text"}


@dataclass(frozen=True, kw_only=True)
class Sound:
    """A sound: its coding, when it begins and ends in seconds, and its samples a second."""

    codec: str
    begin: float
    end: float
    rate: int
    language: str


@dataclass(frozen=True, kw_only=True)
class RandomFile:
    """What a file is made of; ``late`` is when its first frame appears, in frames."""

    container: str
    codec: str
    width: int
    height: int
    rate: Fraction
    frames: int
    late: int = 0
    gaps: tuple[int, ...] = ()  # frames that are left out
    reordered: int = 0  # B-frames
    sar: Fraction = Fraction(1)
    rotation: int = 0
    sounds: tuple[Sound, ...] = ()
    subtitle: str = ""
    chapters: int = 0
    second: bool = False  # another video beside the first
    attachment: bool = False
    title: str = ""
    tags: dict[str, str] = field(default_factory=dict)


def draw(chance: Random) -> RandomFile:
    """A description of a file."""
    container = chance.choice(list(VIDEO))
    codec = chance.choice(VIDEO[container])
    frames, rate = chance.randint(1, 30), chance.choice(RATES)
    rich = container in ("matroska", "mp4", "mov")
    timed = container not in ("avi", "vob")
    sounds = tuple(
        _sound(chance, container, frames / rate) for _ in range(chance.choice((0, 1, 1, 2)))
    )
    gaps = (
        tuple(sorted(chance.sample(range(1, frames - 1), k=min(frames // 5, 3))))
        if frames > 5
        else ()
    )
    return RandomFile(
        container=container,
        codec=codec,
        width=2 * chance.randint(16, 40),
        height=2 * chance.randint(16, 30),
        rate=rate,
        frames=frames,
        late=chance.choice((0, 0, 3, 40)) if timed and container != "flv" else 0,
        gaps=gaps if timed and chance.random() < 0.3 else (),
        reordered=chance.choice((0, 2)) if codec in ("libx264", "mpeg2video", "mpeg4") else 0,
        sar=chance.choice((Fraction(1), Fraction(1), Fraction(16, 11))) if rich else Fraction(1),
        rotation=chance.choice((0, 0, 90, 180)) if rich else 0,
        sounds=sounds if container != "flv" else sounds[:1],
        subtitle="a line" if container in TEXT and chance.random() < 0.3 else "",
        chapters=chance.choice((0, 0, 2)) if rich else 0,
        second=chance.random() < 0.1 and container in ("matroska", "mp4", "mpegts", "nut"),
        attachment=container == "matroska" and chance.random() < 0.2,
        title=chance.choice(("", "A film: \u00fc \u2713")) if rich else "",
    )


def _sound(chance: Random, container: str, lasts: Fraction | float) -> Sound:
    begin = chance.choice((0, 0, 0, 0.1)) if container not in ("avi", "vob", "flv") else 0
    codec = chance.choice(SOUND[container])
    rates = (48000,) if codec in ("libopus", "ac3") else (48000, 44100)
    return Sound(
        codec=codec,
        begin=begin,
        end=max(begin + 0.1, float(lasts) * chance.choice((0.5, 1, 1, 1.3))),
        rate=chance.choice(rates),
        language=chance.choice(LANGUAGES),
    )


def write(made: RandomFile, folder: Path) -> Path:
    """The file."""
    path = folder / f"in.{SUFFIX.get(made.container, made.container)}"
    with av.open(path, "w", format=made.container) as output:
        if made.title:
            output.metadata["title"] = made.title
        video = _video_stream(output, made, made.codec, (made.width, made.height))
        if made.rotation:
            video.set_display_rotation(made.rotation)
        sounds = [_sound_stream(output, sound) for sound in made.sounds]
        other = _video_stream(output, made, "mpeg4", (32, 32)) if made.second else None
        text = _text_stream(output, made) if made.subtitle else None
        if made.attachment:
            output.add_attachment("notes.txt", "text/plain", b"notes")
        if made.chapters:
            output.set_chapters(list(_chapters(made)))
        packets = [*_pictures(video, made, 7)]
        for av_stream, sound in zip(sounds, made.sounds, strict=True):
            packets += _samples(av_stream, sound, made)
        packets += _pictures(other, made, 3) if other else []
        packets += [_line(text, made)] if text else []
        order = sorted(
            packets,
            key=lambda packet: packet.dts * Fraction(packet.time_base.num, packet.time_base.den),
        )
        for packet in order:
            output.mux(packet)
    return path


def _video_stream(output: Any, made: RandomFile, codec: str, size: tuple[int, int]) -> Any:
    options = {"preset": "ultrafast", "bf": "2"} if codec == "libx264" and made.reordered else {}
    if codec == "libx264" and not options:
        options = {"preset": "ultrafast", "bf": "0"}
    av_stream = output.add_stream(codec, rate=made.rate, options=options)
    av_stream.width, av_stream.height = size
    av_stream.pix_fmt = PIXELS.get(codec, "yuv420p")
    context = av_stream.codec_context
    context.time_base = 1 / made.rate
    context.sample_aspect_ratio = made.sar
    if codec != "libx264" and made.reordered:
        context.max_b_frames = 2
    context.thread_count = 1
    return av_stream


def _pictures(av_stream: Any, made: RandomFile, seed: int) -> list[Any]:
    """The packets of a counter that moves across the picture."""
    packets = []
    kind = "rgb24" if av_stream.pix_fmt == "rgb24" else "yuv420p"
    rows = av_stream.height if kind == "rgb24" else av_stream.height * 3 // 2
    for number in range(made.frames):
        if number in made.gaps:
            continue
        shape = (rows, av_stream.width, 3) if kind == "rgb24" else (rows, av_stream.width)
        pixels = np.full(shape, 90 + seed, np.uint8)
        at = (number * 3) % (av_stream.width - 8)
        pixels[: av_stream.height // 2, at : at + 8] = 200
        frame = av.VideoFrame.from_ndarray(pixels, kind)
        if kind != av_stream.pix_fmt:
            frame = frame.reformat(format=av_stream.pix_fmt, threads=1)
        frame.pts, frame.time_base = number + made.late, 1 / made.rate
        packets += av_stream.encode(frame)
    return [*packets, *av_stream.encode(None)]


def _sound_stream(output: Any, sound: Sound) -> Any:
    av_stream = output.add_stream(sound.codec, rate=sound.rate)
    av_stream.layout = "stereo"
    av_stream.codec_context.time_base = Fraction(1, sound.rate)
    if sound.language:
        av_stream.metadata["language"] = sound.language
    return av_stream


def _samples(av_stream: Any, sound: Sound, made: RandomFile) -> list[Any]:
    """The packets of a tone."""
    packets = []
    late = made.late / made.rate
    first, last = (round((late + Fraction(side)) * sound.rate) for side in (sound.begin, sound.end))
    count = av_stream.codec_context.frame_size or 1024
    form = av_stream.codec_context.format.name
    for at in range(first, last, count):
        tone = np.sin(np.arange(at, at + count) / 20) * 8000
        frame = av.AudioFrame.from_ndarray(
            np.stack([tone, -tone]).astype(np.int16), "s16p", "stereo"
        )
        frame.sample_rate = sound.rate
        frame.pts, frame.time_base = at, Fraction(1, sound.rate)
        if form != "s16p":
            resampler = av.AudioResampler(format=form, layout="stereo", rate=sound.rate)
            (frame,) = resampler.resample(frame)
        packets += av_stream.encode(frame)
    return [*packets, *av_stream.encode(None)]


def _text_stream(output: Any, made: RandomFile) -> Any:
    track = output.add_stream(TEXT[made.container])
    track.codec_context.subtitle_header = ASS_HEADER
    track.metadata["language"] = "eng"
    return track


def _line(track: Any, made: RandomFile) -> Any:
    text = f"0,0,Default,,0,0,0,,{made.subtitle}".encode()
    subtitles = av.subtitles.subtitle.SubtitleSet.create(text, 0, 300)
    packet = track.codec_context.encode_subtitle(subtitles)
    begin = round(made.late / made.rate * 1000)
    packet.stream, packet.pts, packet.dts, packet.duration = track, begin, begin, 300
    packet.time_base = AVRational(1, 1000)
    return packet


def _chapters(made: RandomFile) -> Any:
    length = round((made.late + made.frames) / made.rate * 1000)
    for number in range(made.chapters):
        begin, end = (length * side // made.chapters for side in (number, number + 1))
        yield {
            "id": number,
            "start": begin,
            "end": end,
            "time_base": AVRational(1, 1000),
            "metadata": {"title": f"chapter {number}"},
        }
