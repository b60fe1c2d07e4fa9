"""Opens sources, describes their streams as plain data, and decodes their video."""

import shlex
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from heapq import heappop, heappush
from itertools import chain
from pathlib import Path
from typing import Any, cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from ciaovideo.color import ColorSpec, Matrix, Primaries, Range, Siting, Transfer
from ciaovideo.errors import OpenError
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.clock import FALLBACK_RATE, exact
from ciaovideo.media.containers import read_container
from ciaovideo.media.frame import StreamInfo
from ciaovideo.media.sequence.dpx import read_head
from ciaovideo.media.sequence.numbered import Numbered, demuxer_name, is_sequence
from ciaovideo.media.side_data import turn_of

STILL = Disposition.attached_pic | Disposition.timed_thumbnails
SEQUENCE = "image2"  # FFmpeg's name of numbered pictures
PROBED = 5_000_000  # bytes that FFmpeg probes by default
AS_LONG_AS_IT_TAKES = str(10**12)  # microseconds
TO_HDR10 = (  # applies Dolby Vision's metadata; FFmpeg 5.1 needs pictures in Vulkan's memory
    "hwupload,libplacebo=colorspace=bt2020nc:color_primaries=bt2020:color_trc=smpte2084:range=tv"
    ":format=yuv420p10le,hwdownload,format=yuv420p10le"
)
AHEAD = 4  # pictures of .avi that are buffered to sort timestamps
GUESSED_LATE = {"h264", "hevc", "vvc"}  # codecs whose pictures FFmpeg delays in .avi
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How to open a source, so that all readers find the same streams.

    ``options`` are FFmpeg's, ``main`` is the index of the main video, None for the first one.
    ``rate`` is the frame rate of numbered pictures, which have no clock. ``transfer`` overrides the
    pictures' tag.
    """

    options: Mapping[str, str] = field(default_factory=dict)
    main: int | None = None
    rate: Fraction | None = None
    transfer: Transfer | None = None


USUAL = Opening()


def open_source(path: Path, opening: Opening = USUAL) -> InputContainer:
    """Open a file or numbered pictures for reading; raises OpenError, and as ``Numbered.find``.

    A colon in a name is not taken as a protocol.
    """
    if is_sequence(path):
        return _open_sequence(Numbered.find(path), opening)
    with av_errors("opening", path, OpenError):
        return av.open(path.absolute(), options=dict(opening.options))


def _open_sequence(numbered: Numbered, opening: Opening) -> InputContainer:
    """Numbered pictures as a container, with tags from the first one's header."""
    options = {
        "pattern_type": "sequence",
        "framerate": str(opening.rate or FALLBACK_RATE),
        "start_number": str(numbered.first),
        "start_number_range": "1",
    }
    metadata = read_head(numbered.file(numbered.first)).metadata
    with av_errors("opening", numbered.path, OpenError):
        name = demuxer_name(numbered.path)
        container = av.open(name, format=SEQUENCE, options={**opening.options, **options})
    container.metadata.update(metadata)
    return container


def remuxed(path: Path, *words: str, leaving: int | None = None, then: Iterable[str] = ()) -> str:
    """A complete ffmpeg command that copies a file's streams into another one.

    ``words`` are options for the input, ``then`` those for the output.
    """
    source = f"file:{path}" if ":" in str(path) or str(path).startswith("-") else str(path)
    made = path.with_name(f"{path.stem}-fixed.mkv").name
    without = () if leaving is None else ("-map", f"-0:{leaving}")
    kept = ("-map", "0", *without, "-c", "copy", *then)
    return shlex.join(("ffmpeg", *words, "-i", source, *kept, made))


def retimed(path: Path | str) -> str:
    """The hint for missing timestamps."""
    return f"generate timestamps first: {remuxed(Path(path), '-fflags', '+genpts')}"


def rejoined(path: Path) -> str:
    """The hint for timestamps that restart: a command that continues each stream's timestamps.

    ffmpeg does that for MPEG-TS already, and the filter changes nothing then.
    """
    on = "if(N,PREV_OUTDTS+if(lt(DTS,PREV_INDTS),DURATION,DTS-PREV_INDTS),DTS)"
    filters = [(f"-bsf:{kind}", f"setts=dts='{on}':pts='PTS-DTS+{on}'") for kind in "vas"]
    words = remuxed(path, "-fflags", "+genpts", then=[w for pair in filters for w in pair])
    return f"make its timestamps continuous first: {words}"


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


def recoded(path: Path, given: av.VideoFormat) -> str:
    """The hint for an unsupported pixel format: a lossless conversion."""
    deep = "16le" if max(part.bits for part in given.components) > 8 else ""
    name = f"yuv444p{deep}" if len(given.components) > 1 else f"gray{deep}"
    if given.is_rgb or given.name.startswith("xyz"):
        name = "gbrp16le" if deep else "bgr0"
    return (
        f"re-encode it losslessly first: {remuxed(path, then=('-c:v', 'ffv1', '-pix_fmt', name))}"
    )


def as_hdr10(path: Path, index: int) -> str:
    """A command line that converts a Dolby Vision video to HDR10, as another file.

    FFmpeg 5.1 tags its output as Dolby Vision, too, unless it passes through NUT.
    """
    source = f"file:{path}" if ":" in str(path) or str(path).startswith("-") else str(path)
    first = ["ffmpeg", "-init_hw_device", "vulkan", "-i", source, "-map", f"0:{index}"]
    first += ["-c:v", "libx265", "-crf", "10", "-vf", TO_HDR10, "-f", "nut", "-"]
    second = ["ffmpeg", "-i", "-", "-i", source, "-map", "0", "-map", "1", "-map", f"-1:{index}"]
    second += ["-map_metadata", "1", "-c", "copy", f"{path.stem}.hdr10.mkv"]
    return f"{shlex.join(first)} | {shlex.join(second)}"


def parted(path: Path, at: int) -> str:
    """How to split a file at a byte where another recording begins: two whole commands."""
    names = [path.with_name(f"{path.stem}-{number}{path.suffix}").name for number in (1, 2)]
    source = f"./{path}" if str(path).startswith("-") else str(path)
    first = shlex.join(("head", "-c", str(at), source)) + f" > {shlex.quote(names[0])}"
    second = shlex.join(("tail", "-c", f"+{at + 1}", source)) + f" > {shlex.quote(names[1])}"
    return f"split it first: {first} && {second}"


def steps_back(stamps: tuple[int | None, int | None], newest: int | None, last: int | None) -> bool:
    """Whether a packet with these timestamps (dts, pts) starts another recording.

    That is so where files were concatenated: the packet is decoded before the ``newest`` packet,
    and shown no later than the ``last`` picture so far.
    """
    dts, pts = stamps
    if dts is None or newest is None or dts >= newest:
        return False
    return pts is None or last is None or pts <= last


def main_video(container: InputContainer, path: Path, opening: Opening = USUAL) -> VideoStream:
    """The main video of an opened file; raises OpenError if there is none.

    Without a choice in ``opening`` it is the first that is not a cover picture.
    """
    videos = container.streams.video
    moving = [av_stream for av_stream in videos if not av_stream.disposition & STILL]
    moving = [video for video in moving if opening.main in (None, video.index)]
    if not moving:
        found = "only a cover picture" if videos else "no video"
        raise OpenError(f"{path} contains {found}", "name a video file")
    if moving[0].codec_context is None:
        raise OpenError(f"{path}: FFmpeg has no decoder for the video", "convert it first")
    return moving[0]


def pictures_from(
    container: InputContainer,
    av_stream: VideoStream,
    packets: "Iterable[Packet[VideoStream]] | None" = None,
) -> Iterator[av.VideoFrame]:
    """All pictures of a stream, including alpha that FFmpeg's own decoder ignores.

    ``packets`` are the stream's, from its beginning; without them the container is read.
    """
    source = packets_of(container, av_stream) if packets is None else packets
    if not hides_alpha(av_stream):
        yield from decoded(container, source)
        return
    decoder = ALPHA_DECODERS[codec_name(av_stream)]
    context = cast(VideoCodecContext, av.CodecContext.create(decoder, "r"))
    tagged = av_stream.codec_context
    context.color_range, context.colorspace = tagged.color_range, tagged.colorspace
    context.color_primaries, context.color_trc = tagged.color_primaries, tagged.color_trc
    context.thread_type = "AUTO"
    for packet in source:
        yield from context.decode(packet)


def told_transfer(path: Path) -> Transfer | None:
    """The transfer of numbered pictures that FFmpeg does not report; otherwise None."""
    if not is_sequence(path):
        return None
    numbered = Numbered.find(path)
    return Transfer.LOG if read_head(numbered.file(numbered.first)).log else None


def retagged(pictures: Iterable[av.VideoFrame], opening: Opening) -> Iterator[av.VideoFrame]:
    """The pictures with the opening's tags in place of their own."""
    for picture in pictures:
        if opening.transfer is not None:
            picture.color_trc = opening.transfer
        yield picture


def decoded(
    container: InputContainer, packets: "Iterable[Packet[VideoStream]]"
) -> Iterator[av.VideoFrame]:
    """The pictures decoded from packets.

    A packet with a timestamp but no bytes repeats the picture before it, as in Theora; the decoder
    refuses it, so it is skipped. One without a timestamp ends the stream.
    """
    pictures = (
        picture
        for packet in packets
        if packet.size or packet.pts is None
        for picture in packet.decode()
    )
    return in_order(pictures) if read_container(container.format.name).coding_times else pictures


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


def describe(av_stream: Stream) -> StreamInfo:
    """A stream as plain data."""
    return StreamInfo(
        index=av_stream.index,
        kind=av_stream.type,
        codec=codec_name(av_stream),
        language=av_stream.language or "",
        title=av_stream.metadata.get("title", ""),
    )


def codec_name(av_stream: Stream) -> str:
    """The name of the codec, not of the decoder; empty if FFmpeg has no decoder for it."""
    context = av_stream.codec_context
    return context.codec.canonical_name if context is not None else ""


def tagged_color(picture: av.VideoFrame) -> ColorSpec:
    """The colour tags of a picture; its siting is the decoder's."""
    full = picture.format.name.startswith("yuvj")
    return ColorSpec(
        matrix=Matrix(picture.colorspace),
        color_range=Range.FULL if full else Range(picture.color_range),
        primaries=Primaries(picture.color_primaries),
        transfer=Transfer(picture.color_trc),
        siting=Siting(picture.chroma_location),
    )


def timecode(container: InputContainer, video: Stream) -> str:
    """The timecode of the first frame, from a file's tags."""
    entries = (*container.metadata.items(), *video.metadata.items())  # mp4 and mov write the file's
    return next((text for key, text in entries if key.lower() == "timecode"), "")


def reel_name(container: InputContainer) -> str:
    """The name of the source's reel, from a file's tags."""
    entries = container.metadata.items()
    return next((text for key, text in entries if key.lower() == "reel_name"), "")


def counts_timecode(av_stream: Stream) -> bool:
    """Whether a stream is mp4's or mov's timecode track, which the video has as a tag."""
    return av_stream.type == "data" and "timecode" in av_stream.metadata


def holds_titles(container: InputContainer, av_stream: Stream) -> bool:
    """Whether a stream is mp4's or mov's track of chapter titles, maybe with gaps."""
    chapters = len(container.chapters())
    titles = av_stream.type == "data" and av_stream.frames <= chapters
    return bool(chapters) and titles and read_container(container.format.name).iso


def claimed_duration(container: InputContainer, av_stream: VideoStream) -> Fraction | None:
    """The duration of the video that the file states, in seconds."""
    tick = exact(av_stream.time_base)
    if av_stream.duration and tick:
        return av_stream.duration * tick
    if not container.duration:
        return None
    lasts = Fraction(container.duration, av.time_base)
    begins = Fraction(container.start_time or 0, av.time_base)
    from_zero = read_container(container.format.name).lasts_from_zero and 0 < begins < lasts
    return lasts - begins if from_zero else lasts


def display_matrix(av_stream: VideoStream, first: av.VideoFrame) -> tuple[int, ...]:
    """The display matrix: nine numbers in FFmpeg's order.

    They are in 16.16 fixed point, those of the last column in 2.30. It comes from the bitstream (a
    display orientation SEI) or from the container.
    """
    if turn := turn_of(first):
        return turn
    data = av_stream.codec_context.coded_side_data.get("display_matrix")
    return tuple(memoryview(data).cast("i")) if data else ()


def indexed_frames(container: InputContainer, av_stream: VideoStream) -> int:
    """The number of frames in the container's index, in mp4 without those an edit list hides."""
    if not read_container(container.format.name).iso:
        return av_stream.frames
    return sum(not entry.is_discard for entry in av_stream.index_entries)
