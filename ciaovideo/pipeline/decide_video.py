"""Decides size, rate, codec and colour of an output's video, and reports the changes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ciaovideo.color import ColorSpec, PixelLayout, Range, Siting
from ciaovideo.errors import ColorError, OptionError, TimestampError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.clock import FALLBACK_RATE, average_rate, constant_rate
from ciaovideo.media.codecs.choice import Encoding, choose_codec, sides_to_round
from ciaovideo.media.codecs.table import VIA_FFMPEG, Y4M
from ciaovideo.media.containers import YUV4MPEG, Clock, Container, Fate
from ciaovideo.media.ffmpeg.remedies import as_hdr10
from ciaovideo.media.frame import VideoInfo
from ciaovideo.media.inspect.scan import scan_file
from ciaovideo.media.margins import Margins
from ciaovideo.media.source.opening import USUAL
from ciaovideo.media.streams.steady import uneven_ends
from ciaovideo.media.write.framing import crop_findings, margins_around, padding_findings
from ciaovideo.options import EncodeOptions, SizeOptions, StreamOptions
from ciaovideo.pipeline.plan import assumed_matrices
from ciaovideo.pipeline.source import RunSource


@dataclass(frozen=True, slots=True)
class OutputWishes:
    """The request for an output: container and options; ``force`` allows refused cases."""

    container: Container
    size: SizeOptions
    encode: EncodeOptions
    streams: StreamOptions
    force: bool

    @property
    def holds_crop(self) -> bool:
        """Whether the output can say that some of its pixels are not shown."""
        return self.container.crop is not Fate.LOST and self.encode.via_ffmpeg is None


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoDecision:
    """The decisions on the main video; names as in ``UpscalePlan``."""

    info: VideoInfo
    frames: int
    out_size: tuple[int, int]
    color: ColorSpec
    out_color: ColorSpec
    encoding: Encoding
    pad: Margins
    findings: tuple[Finding, ...]


def decide_video(source: RunSource, wishes: OutputWishes) -> VideoDecision:
    """Size, rate, codec and colour of the output's video; raises if they do not fit each other."""
    reader, container = source.reader, wishes.container
    if reader.facts:
        reader.facts.jumps.refuse(reader.path, container, reader.info.time_base)
        if reader.facts.reshaped:
            reader.facts.reshaped.refuse(reader.path)
    info, expected, retimed = _rated(source, wishes)
    if not wishes.force:
        _refuse_unviewable(info)
    layout = PixelLayout.of(info.pix_fmt)
    spec, guesses = info.color.resolved(*info.stored_size, layout, info.codec)
    out_size, encoding = _size_and_encoding(info, wishes, spec)
    full, target = wishes.size.padded(out_size), PixelLayout.of(encoding.pix_fmt)
    pad = margins_around(out_size, full, target, fields=info.interlaced)
    chosen = replace(spec, siting=encoding.siting)
    if encoding.codec.rgb:  # full range by its standard
        chosen = replace(chosen, color_range=Range.FULL, siting=Siting.UNSPECIFIED)
    out_spec, sited = chosen.resolved(*info.stored_size, target)
    return VideoDecision(
        info=info,
        frames=expected or min(info.frame_count, source.asked.count or info.frame_count),
        out_size=out_size,
        color=spec,
        out_color=out_spec,
        encoding=encoding,
        pad=pad,
        findings=(
            *_rounding(wishes.size, info, out_size, encoding),
            *guesses,
            *(replace(one, kind=Kind.CHOSEN) for one in sited),  # by us, for chroma made here
            *_retagging(info, encoding, full),
            *encoding.findings,
            *retimed,
            *padding_findings(pad, out_size, info),
            *_unturned(info, container),
            *crop_findings(info, out_size, holds_crop=wishes.holds_crop),
        ),
    )


def _rated(source: RunSource, wishes: OutputWishes) -> tuple[VideoInfo, int, tuple[Finding, ...]]:
    """For an output without timestamps: the video at one rate, its frame count, and losses.

    The times come from a separate scan of the source's packets. Raises TimestampError if they vary,
    unless forced. Nothing changes for other outputs, and for pipes as sources.
    """
    reader, container = source.reader, wishes.container
    info = reader.info
    if container.clock is not Clock.NUMBERS or reader.piped:
        return info, 0, ()
    selection = source.selection
    scan = scan_file(
        reader.path,
        None if selection.cut else selection.frames_read,
        selection.end,
        opening=reader.facts.opening if reader.facts else USUAL,
    )
    frames = [pts * scan.video.tick for pts in sorted(scan.video.pts)]
    times, fields = replace(selection, every_field=False).times(frames), selection.per_frame
    claimed = (info.frame_rate or FALLBACK_RATE) / fields
    if not scan.timed or len(times) < 2:
        return replace(info, frame_rate=claimed * fields), 0, ()
    losses = []
    rate = constant_rate(times, scan.video.tick, claimed)
    if rate is None:
        if not wishes.force:
            raise TimestampError(
                f"the frame times of {reader.path} vary, and {container} holds one constant rate",
                "write a file such as .mkv, or force it",
            )
        rate = average_rate(times)
        off = max(abs(time - times[0] - n / rate) for n, time in enumerate(times))
        losses.append(
            f"{container} cannot hold varying frame times: frames are written at {rate} a second,"
            f" up to {float(off):.3f} s off their times"
        )
    if times[0] and selection.start is None and container.bare:
        losses.append(
            f"{container} begins at 0: the first frame's time of {float(times[0]):g} s is dropped"
        )
    found = [Finding(kind=Kind.LOST, subject="frame times", text=text) for text in losses]
    if container.in_step:
        found += uneven_ends(scan, selection.end or times[-1] + 1 / rate, selection)
    total = replace(selection, film=False).total(times)  # these are film's times already
    return replace(info, frame_rate=rate * fields), total, tuple(found)


def _size_and_encoding(
    info: VideoInfo, wishes: OutputWishes, spec: ColorSpec
) -> tuple[tuple[int, int], Encoding]:
    """The output (height, width), sides rounded for its layout's chroma, and the encoder."""
    even = sides_to_round(wishes.encode, wishes.container, info.pix_fmt)
    out_size = wishes.size.resolve(info.height, info.width, even=even, sar=info.sar)
    encoding = _encoding(info, wishes, out_size, spec)
    needed = PixelLayout.of(encoding.pix_fmt).even_sides
    if even == needed or (even == (False, False) and wishes.size.pad is None):
        return out_size, encoding
    # Chroma became finer for a requested odd side: the other side can be odd as well.
    height, width = (one and other for one, other in zip(even, needed, strict=True))
    even = needed if wishes.size.pad else (height, width)
    out_size = wishes.size.resolve(info.height, info.width, even=even, sar=info.sar)
    return out_size, _encoding(info, wishes, out_size, spec)


def _encoding(
    info: VideoInfo, wishes: OutputWishes, out_size: tuple[int, int], spec: ColorSpec
) -> Encoding:
    if wishes.container is YUV4MPEG:
        if wishes.streams.tag_guessed:
            raise OptionError(
                f"{wishes.container} has no colour tags", "omit the request for guessed tags"
            )
        spec = replace(spec, matrix=info.color.matrix)  # a guess is no loss
    return choose_codec(
        wishes.encode,
        wishes.container,
        info.pix_fmt,
        *wishes.size.padded(out_size),
        color=spec,
        hdr10=info.hdr10,
        rate=info.frame_rate,
    )


def _unturned(info: VideoInfo, container: Container) -> Iterator[Finding]:
    """Findings on a rotation and a stereo mark that the output loses."""
    marks = info.marks
    if info.display_matrix and container.rotation is Fate.LOST:
        text = f"{container} cannot hold the rotation by {info.rotation:g} degrees"
        yield Finding(kind=Kind.LOST, subject="rotation", text=text)
    if marks.stereo and not (container.stereo and marks.stereo_tag):
        text = f"the stereo mark ({marks.stereo}) is not carried over"
        yield Finding(kind=Kind.LOST, subject="stereo", text=text)


def _refuse_unviewable(info: VideoInfo) -> None:
    """Raise ColorError for a video whose base layer is not viewable without Dolby Vision."""
    found = info.marks.dolby_vision
    if found is None or found.viewable:
        return
    raise ColorError(
        f"{info.path} is {found}: its samples are not Y'CbCr, and look green and purple without"
        " Dolby Vision",
        f"convert it to HDR10 first: {as_hdr10(Path(info.path), info.index)} (or force it)",
    )


def _rounding(
    size: SizeOptions, info: VideoInfo, out_size: tuple[int, int], encoding: Encoding
) -> tuple[Finding, ...]:
    exact = size.resolve(info.height, info.width, sar=info.sar)
    if exact == out_size:
        return ()
    foreign = encoding.codec in (Y4M, VIA_FFMPEG)  # encoded by an unknown program
    taker = "encoders need" if foreign else f"{encoding.codec.name} needs"
    text = (
        f"{exact[1]}x{exact[0]} is rounded to {out_size[1]}x{out_size[0]}:"
        f" {taker} even sides for {encoding.pix_fmt};"
        " an explicit size is kept"
    )
    return (Finding(kind=Kind.CHOSEN, subject="size", text=text),)


def _retagging(
    info: VideoInfo, encoding: Encoding, out_size: tuple[int, int]
) -> tuple[Finding, ...]:
    """A finding if players would guess another colour matrix at the output's size.

    Without a tag, the colours of such a file would change. YUV4MPEG2 cannot be tagged, and R'G'B'
    has no matrix.
    """
    here, there = assumed_matrices(info, out_size)
    if here == there or encoding.codec.rgb:
        return ()
    if encoding.codec is Y4M:
        text = f"the output is {here.name} without a tag: players would assume {there.name}"
    else:
        text = f"the output is tagged {here.name}: players would assume {there.name} without a tag"
    return (Finding(kind=Kind.CHANGED, subject="color matrix", text=text),)
