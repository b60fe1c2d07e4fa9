"""The pictures of an opened source, decoded, with their timestamps in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from itertools import chain
from typing import cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from ciaovideo.media.containers import read_container
from ciaovideo.media.source.header import codec_name
from ciaovideo.media.source.opening import Opening
from ciaovideo.media.source.packets import packets_of

AHEAD = 4  # pictures of .avi that are buffered to sort timestamps
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


def pictures_from(
    container: InputContainer,
    av_stream: VideoStream,
    packets: "Iterable[Packet[VideoStream]] | None" = None,
    seen: Callable[[av.VideoFrame], None] = lambda _: None,
) -> Iterator[av.VideoFrame]:
    """All pictures of a stream, including alpha that FFmpeg's own decoder ignores.

    ``packets`` are the stream's, from its beginning; without them the container is read. ``seen``
    is as for ``decoded``.
    """
    source = packets_of(container, av_stream) if packets is None else packets
    if not hides_alpha(av_stream):
        yield from decoded(container, source, seen)
        return
    decoder = ALPHA_DECODERS[codec_name(av_stream)]
    context = cast(VideoCodecContext, av.CodecContext.create(decoder, "r"))
    tagged = av_stream.codec_context
    context.color_range, context.colorspace = tagged.color_range, tagged.colorspace
    context.color_primaries, context.color_trc = tagged.color_primaries, tagged.color_trc
    context.thread_type = "AUTO"
    for packet in source:
        yield from context.decode(packet)


def retagged(pictures: Iterable[av.VideoFrame], opening: Opening) -> Iterator[av.VideoFrame]:
    """The pictures with the opening's tags in place of their own."""
    for picture in pictures:
        if opening.transfer is not None:
            picture.color_trc = opening.transfer
        yield picture


def decoded(
    container: InputContainer,
    packets: "Iterable[Packet[VideoStream]]",
    seen: Callable[[av.VideoFrame], None] = lambda _: None,
) -> Iterator[av.VideoFrame]:
    """The pictures decoded from packets; ``seen`` gets each one as it leaves the decoder.

    A packet with a timestamp but no bytes repeats the picture before it, as in Theora; the decoder
    refuses it, so it is skipped. One without a timestamp ends the stream.
    """

    def pictures() -> Iterator[av.VideoFrame]:
        for packet in packets:
            for picture in packet.decode() if packet.size or packet.pts is None else ():
                seen(picture)
                yield picture

    late = read_container(container.format.name).coding_times
    return in_order(pictures()) if late else pictures()


def in_order(pictures: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """The same pictures with their timestamps in rising order.

    AVI stores decoding timestamps only. For Xvid's B-frames, FFmpeg derives the right display
    timestamps, but assigns them to the wrong ones of neighbouring pictures.
    """
    waiting: deque[av.VideoFrame] = deque()
    times: list[int] = []
    for picture in chain(pictures, [None]):
        ahead = AHEAD
        if picture is None or picture.pts is None:  # the end, or an unknown order
            ahead = 0
        else:
            waiting.append(picture)
            heappush(times, picture.pts)
        while len(waiting) > ahead:
            waiting[0].pts = heappop(times)
            yield waiting.popleft()
        if picture is not None and picture.pts is None:
            yield picture


def hides_alpha(av_stream: VideoStream) -> bool:
    """Whether there is alpha that FFmpeg's own decoder ignores."""
    return codec_name(av_stream) in ALPHA_DECODERS and av_stream.metadata.get("alpha_mode") == "1"
