"""Tests whether a container can hold a stream, by writing a small file in memory."""

import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import cast

import av
import av.error
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from ciaovideo.media.codecs.table import CODECS
from ciaovideo.media.containers import Container
from ciaovideo.media.read.head import TrialPacket
from ciaovideo.media.streams.targets import add_converted, add_copy

TRIAL_SIZE = (256, 120)  # accepted by every encoder
TRIAL_BYTES = 576  # whole samples of up to 8 channels and 64 bits
UNDESCRIBED = b"\0\0\0\x10stsd"  # an empty sample description table (ISO/IEC 14496-12)


def takes(
    container: Container,
    source: Stream,
    covers: Mapping[int, bytes],
    codec: str = "",
    samples: Sequence[TrialPacket] = (),
) -> bool:
    """Whether a container can hold a stream as a copy, or as ``codec``.

    The trial writes a header in memory. For covers, data and PCM it writes a whole file, because
    mp4 and mov write their descriptions at the end. A copy is tried with ``samples``, its first
    packets: some muxers parse them, and some bitstreams have parameters only there. A container
    that needs video first (MXF) cannot finish without a picture, and gets no packets here.

    Containers for video alone are not tried.
    """
    if not container.streams:
        return False
    memory = io.BytesIO()
    trial = av.open(memory, "w", format=container.name)
    try:
        if container.video_first:
            _add_video(trial, container)
        if codec:
            add_converted(trial, source, codec)
            target = None
        else:
            target = add_copy(trial, source, covers)
        trial.start_encoding()
        if target is not None and container.iso and _may_vanish(source):
            return _arrives(trial, target, memory)
        if isinstance(target, AudioStream | VideoStream) and not container.video_first:
            _write(trial, source, target, samples)
    except (ValueError, av.error.FFmpegError):
        return False
    finally:
        with suppress(av.error.FFmpegError):  # MXF cannot end without a packet
            trial.close()
    return True


def _write(
    trial: OutputContainer, source: Stream, target: Stream, samples: Sequence[TrialPacket]
) -> None:
    """Write packets at one a tick, then finish the file; real timestamps do not matter here."""
    for number, sample in enumerate(samples):
        packet = Packet(sample.data)
        packet.pts = packet.dts = number
        packet.duration, packet.time_base = sample.duration, source.time_base
        packet.is_keyframe, packet.stream = sample.key, target
        trial.mux(packet)
    if samples:
        trial.close()


def _add_video(trial: OutputContainer, container: Container) -> None:
    """Add a video stream of any size, for a container that needs it first."""
    codec = CODECS[container.automatic[0][-1]]
    av_stream = cast(VideoStream, trial.add_stream(codec.name, rate=25, options=dict(codec.fixed)))
    av_stream.width, av_stream.height = TRIAL_SIZE
    av_stream.pix_fmt = min(codec.pix_fmts)


def _may_vanish(source: Stream) -> bool:
    """Whether mp4 and mov may accept a stream, then fail or write no description of it."""
    if source.type == "audio":
        return source.codec_context.name.startswith("pcm_")
    return source.type == "data" or bool(source.disposition & Disposition.attached_pic)


def _arrives(trial: OutputContainer, target: Stream, memory: io.BytesIO) -> bool:
    """Whether the only stream of a finished file exists and has a description."""
    packet = Packet(bytes(TRIAL_BYTES))
    packet.stream, packet.pts, packet.dts, packet.duration = target, 0, 0, 1
    packet.time_base = Fraction(1, 1000)
    packet.is_keyframe = True
    trial.mux(packet)
    trial.close()
    written = memory.getvalue()
    if UNDESCRIBED in written:
        return False
    with av.open(io.BytesIO(written)) as av_container:
        return len(av_container.streams) == 1
