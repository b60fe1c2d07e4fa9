"""The packets of an opened source, with the timestamps they should have."""

from collections.abc import Iterator
from typing import Any

from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from ciaovideo.media.clock import exact
from ciaovideo.media.containers import read_container
from ciaovideo.media.source.header import codec_name

GUESSED_LATE = {"h264", "hevc", "vvc"}  # codecs whose pictures FFmpeg delays in .avi


def packets_of(container: InputContainer, *av_streams: Stream) -> "Iterator[Packet[Any]]":
    """The packets of an opened file, or of some of its streams, in the order of the file.

    AVI stores decoding timestamps only. For some codecs FFmpeg sets display timestamps one frame
    later (measured with libavformat 63), instead of as many as the decoder needs to reorder them.
    """
    counts, late = read_container(container.format.name).coding_times, dict[int, int]()
    for video in container.streams.video:
        if counts and codec_name(video) in GUESSED_LATE:
            rate, tick = exact(video.average_rate), exact(video.time_base)
            step = max(round(1 / (rate * tick)), 1) if rate and tick else 1
            late[video.index] = video.codec_context.reorder_depth * step
    for packet in container.demux(*av_streams):
        if packet.stream_index in late and packet.dts is not None:
            packet.pts = packet.dts + late[packet.stream_index]
        yield packet


def steps_back(stamps: tuple[int | None, int | None], newest: int | None, last: int | None) -> bool:
    """Whether a packet with these timestamps (dts, pts) starts another recording.

    That is so where files were concatenated: the packet is decoded before the ``newest`` packet,
    and shown no later than the ``last`` picture so far.
    """
    dts, pts = stamps
    if dts is None or newest is None or dts >= newest:
        return False
    return pts is None or last is None or pts <= last
