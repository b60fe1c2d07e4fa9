"""Runs a system ffmpeg as the encoder: a trial before the run, then every frame of it.

The trial encodes one gray frame and reads it back. Verification then expects what was read: another
pixel format is accepted where the options name it or filter the frames, and is an error elsewhere;
changed colour tags are reported as losses; another size or aspect ratio is an error. So every
difference is reported before the work.
"""

import errno
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import av
import torch
from av.container import OutputContainer

from ciaovideo.color import ColorSpec, PixelLayout, Range, Siting
from ciaovideo.errors import EncodeError, OptionError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.av_errors import FULL_DISK, av_errors
from ciaovideo.media.clock import FALLBACK_RATE
from ciaovideo.media.ffmpeg.program import ExternalEncoder, command
from ciaovideo.media.ffmpeg.streams import NOTHING, OtherStreams
from ciaovideo.media.frame import Frame
from ciaovideo.media.inspect.scan import FileScan, scan_file
from ciaovideo.media.inspect.thumbnails import Thumbnail, thumbnails_by_number
from ciaovideo.media.layouts import picture_of, planar_name
from ciaovideo.media.side_data import without_shift
from ciaovideo.media.write.encoder import VideoTarget
from ciaovideo.storage.atomic import AtomicWriter

LAST_LINES = 5  # of ffmpeg's messages, in our error
TRIAL_S = 120.0  # for one frame; some encoders hang where a container refuses them (SVT-AV1)
COLOR_SUBJECTS = {  # what findings call the five colour tags
    "matrix": "color matrix",
    "color_range": "color range",
    "primaries": "color primaries",
    "transfer": "color transfer",
    "siting": "chroma siting",
}
DIES_IN_S = 5.0  # until an ffmpeg that closed its input has ended


def try_out(encoder: ExternalEncoder, target: VideoTarget) -> ExternalEncoder:
    """The encoder with the pixel format and colour tags of a gray frame that it encoded.

    Raises EncodeError if ffmpeg fails, OptionError if it changed the size, the aspect ratio or the
    pixel format.
    """
    layout = PixelLayout.of(target.encoding.pix_fmt)
    planes = tuple(
        torch.full(shape, 1 << (layout.bit_depth - 1), dtype=layout.dtype)
        for shape in layout.plane_shapes(target.height, target.width)
    )
    tick = target.time_base
    step = max(round(1 / (target.frame_rate or FALLBACK_RATE) / tick), 1)
    with tempfile.TemporaryDirectory(prefix="ciaovideo-") as folder:
        path = Path(folder) / f"trial{target.encoding.container.suffix}"
        writer = ExternalWriter(path, target, encoder)
        watch = threading.Timer(TRIAL_S, writer.kill)
        watch.start()
        try:
            with writer:
                writer.write(Frame(planes, 0, tick, step))
        finally:
            watch.cancel()
        scan = scan_file(path)
        shown = thumbnails_by_number(scan, [0]).get(0)
    if shown is None:
        raise EncodeError("ffmpeg's output cannot be decoded", "choose another encoder")
    _check_trial(scan, shown, target)
    made = PixelLayout.of(planar_name(shown.pix_fmt))
    return replace(
        encoder,
        pix_fmt=shown.pix_fmt,
        color=shown.color,
        findings=(
            *_relaid(encoder, target.encoding.pix_fmt, shown.pix_fmt),
            *_lost(target.color, shown.color, made),
        ),
    )


def _check_trial(scan: FileScan, shown: Thumbnail, target: VideoTarget) -> None:
    """Refuse an encoder that changes the size, the aspect ratio or the rotation."""
    size = (target.height, target.width)
    if shown.size != size:
        raise OptionError(
            f"with these options ffmpeg turns {size[1]}x{size[0]} into"
            f" {shown.size[1]}x{shown.size[0]}",
            "set the output's size instead, and remove scaling from the options",
        )
    if scan.sar != (target.sar or 1):
        raise OptionError(
            f"with these options ffmpeg writes the sample aspect ratio {scan.sar},"
            f" not {target.sar or 1}",
            "remove it from the options, or choose a container and encoder that store it",
        )
    if scan.turn != without_shift(target.display_matrix):
        raise OptionError(
            "this ffmpeg does not keep the picture's rotation",
            "use ffmpeg 6 or later; a mirrored picture needs a codec instead",
        )


class ExternalWriter(AtomicWriter):
    """Feeds frames to an ffmpeg process that writes the file, with the other streams, if any.

    A context manager: leaving it waits until the file is finished; an exception inside kills ffmpeg
    and removes the file. Raises EncodeError with ffmpeg's last messages if it fails.
    """

    def __init__(
        self,
        path: Path,
        target: VideoTarget,
        encoder: ExternalEncoder,
        others: OtherStreams = NOTHING,
    ) -> None:
        self._path = path
        self._target = target
        self._encoder = encoder
        self._shift = int(others.offset / target.time_base)
        words = command(encoder, target, path, others)
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        self._container: OutputContainer | None = None
        self._process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            bufsize=0,
            start_new_session=True,  # Ctrl-C reaches us alone: we end ffmpeg then
        )
        try:
            self._feed = _Feed(cast(Any, self._process.stdin).fileno())
            with self._errors():
                self._open()
        except BaseException:
            self.abort()
            raise

    def write(self, frame: Frame) -> None:
        """Write one frame: planes in the target's layout and size."""
        target = self._target
        picture = picture_of(frame.planes, target.encoding.pix_fmt, target.height, target.width)
        picture.pts, picture.duration = frame.pts + self._shift, frame.duration
        picture.time_base = frame.time_base
        with self._errors():
            cast(OutputContainer, self._container).mux(self._av_stream.encode(picture))

    def close(self) -> None:
        """Signal the end of the frames, and wait until the file is finished."""
        try:
            with self._errors():
                cast(OutputContainer, self._container).mux(self._av_stream.encode(None))
                cast(OutputContainer, self._container).close()
                cast(Any, self._process.stdin).close()
                if self._process.wait():
                    raise BrokenPipeError
            self._said.close()
        except BaseException:
            self.abort()
            raise

    def kill(self) -> None:
        """Kill ffmpeg; a caller that waits for it gets an error."""
        self._process.kill()

    def abort(self) -> None:
        """Kill ffmpeg, and remove its output."""
        self.kill()
        self._process.wait()
        with suppress(Exception):
            if self._container is not None:
                self._container.close()
        with suppress(OSError):
            cast(Any, self._process.stdin).close()
        self._said.close()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _open(self) -> None:
        target = self._target
        self._container = av.open(self._feed, "w", format="nut", options={"strict": "-1"})
        rate = target.frame_rate or FALLBACK_RATE
        av_stream = self._container.add_stream("rawvideo", rate=rate)
        context = av_stream.codec_context
        context.width, context.height = target.width, target.height
        context.pix_fmt = target.encoding.pix_fmt
        context.time_base = target.time_base
        self._av_stream = av_stream
        self._container.start_encoding()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise the cause of a failed write, with ffmpeg's messages, instead of PyAV's error."""
        try:
            with av_errors("writing frames to ffmpeg for", self._path, EncodeError):
                yield
        except BaseException as error:
            cause = self._feed.error or error
            if not isinstance(cause, OSError):
                raise cause from None
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(DIES_IN_S)
            words = self._last_words()
            full = os.strerror(errno.ENOSPC) in words
            raise EncodeError(
                f"ffmpeg failed ({_ending(self._process.poll())}): {words}",
                FULL_DISK if full else "check the options for ffmpeg",
            ) from cause

    def _last_words(self) -> str:
        self._said.seek(max(0, self._said.seek(0, os.SEEK_END) - 4096))
        lines = self._said.read().decode(errors="replace").splitlines()
        said = [line.strip() for line in lines if line.strip()][-LAST_LINES:]
        return " / ".join(said) or "no message"


class _Feed:
    """The pipe to ffmpeg as a file that PyAV writes to; keeps the error that PyAV would change."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.error: BaseException | None = None

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        try:
            if self.error is None:
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
        except BaseException as error:  # an interrupt, too: PyAV would lose it
            self.error = error
        if self.error is not None:
            raise OSError(str(self.error)) from self.error
        return len(data)


def _relaid(encoder: ExternalEncoder, given: str, found: str) -> tuple[Finding, ...]:
    """The finding if the options change the layout; raises OptionError if they do not name it."""
    planar = planar_name(given)
    if planar_name(found) in (planar, planar.replace("gray", "yuv420p")):
        return ()
    if not encoder.filters and not any(name.startswith("pix_fmt") for name, _ in encoder.options):
        raise OptionError(
            f"with these options ffmpeg turns {given} into {found}",
            f"add -pix_fmt {found} to accept that, or choose another encoder",
        )
    text = f"{given} is written as {found}, as the options for ffmpeg ask"
    return (Finding(kind=Kind.CHANGED, subject="pixel format", text=text),)


def _lost(wanted: ColorSpec, found: ColorSpec, layout: PixelLayout) -> Iterator[Finding]:
    """Findings on colour tags that the trial lost or changed."""
    silent = {Range.LIMITED, Siting.LEFT}  # some encoders store these as unspecified
    for name in COLOR_SUBJECTS:
        should, is_tagged = getattr(wanted, name), getattr(found, name)
        free = name == "siting" and not any(layout.log2_chroma)
        free = free or (name == "matrix" and layout.family != "yuv")
        unset = is_tagged.name == "UNSPECIFIED"
        if free or should.name == "UNSPECIFIED" or should == is_tagged:
            continue
        if not (unset and any(should is tag for tag in silent)):
            text = f"{name} {should.name} becomes {is_tagged.name} by the options for ffmpeg"
            yield Finding(kind=Kind.LOST, subject=COLOR_SUBJECTS[name], text=text)


def _ending(code: int | None) -> str:
    if code is None:
        return "it closed its input"
    return f"signal {-code}" if code < 0 else f"exit code {code}"
