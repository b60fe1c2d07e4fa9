"""What an opened source states about itself and its streams."""

from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from ciaovideo.color import ColorSpec, Matrix, Primaries, Range, Siting, Transfer
from ciaovideo.media.clock import exact
from ciaovideo.media.containers import read_container
from ciaovideo.media.frame import StreamInfo
from ciaovideo.media.sequence.dpx import read_head
from ciaovideo.media.sequence.numbered import Numbered
from ciaovideo.media.side_data import turn_of


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


def header_transfer(path: Path) -> Transfer | None:
    """The transfer of numbered pictures that FFmpeg does not report; otherwise None."""
    numbered = Numbered.of(path)
    log = numbered and read_head(numbered.file(numbered.first)).log
    return Transfer.LOG if log else None


def display_matrix(av_stream: VideoStream, first: av.VideoFrame) -> tuple[int, ...]:
    """The display matrix: nine numbers in FFmpeg's order.

    They are in 16.16 fixed point, those of the last column in 2.30. It comes from the bitstream (a
    display orientation SEI) or from the container.
    """
    if turn := turn_of(first):
        return turn
    data = av_stream.codec_context.coded_side_data.get("display_matrix")
    return tuple(memoryview(data).cast("i")) if data else ()


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


def indexed_frames(container: InputContainer, av_stream: VideoStream) -> int:
    """The number of frames in the container's index, in mp4 without those an edit list hides."""
    if not read_container(container.format.name).iso:
        return av_stream.frames
    return sum(not entry.is_discard for entry in av_stream.index_entries)
