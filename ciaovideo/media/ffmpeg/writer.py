"""Runs a system ffmpeg as the encoder: a trial before the run, then every frame of it.

In the trial one gray frame is coded. What comes back is what the output is then held to: another
layout is taken where the words name it or filter the frames, and is an error where not; colour tags
that changed are listed as losses; another size or shape is an error. So verification expects what
was asked for deliberately, and every difference is told before the work.
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

LAST_LINES = 5  # of what ffmpeg says, in our error
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
    """The encoder with what it makes of a gray frame, as the output's container gives it back.

    Raises EncodeError where ffmpeg fails, OptionError where size, shape or layout are others than
    those asked for.
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
        raise EncodeError("what ffmpeg makes cannot be read back", "choose another encoder")
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
    """Refuse an encoder that makes another size, shape or rotation than asked for."""
    size = (target.height, target.width)
    if shown.size != size:
        raise OptionError(
            f"with these words ffmpeg makes {shown.size[1]}x{shown.size[0]} of {size[1]}x{size[0]}",
            "set the size of the output instead, and leave scaling out of the words",
        )
    if scan.sar != (target.sar or 1):
        raise OptionError(
            f"with these words ffmpeg makes the sample aspect ratio {scan.sar},"
            f" not {target.sar or 1}",
            "leave it out of the words, or choose a container and encoder that hold it",
        )
    if scan.turn != without_shift(target.display_matrix):
        raise OptionError(
            "this ffmpeg does not keep the picture's rotation",
            "ffmpeg 6 or later can turn it, none can mirror it: choose a codec instead",
        )


class ExternalWriter(AtomicWriter):
    """Hands frames to an ffmpeg that writes a file, with what goes along, if anything does.

    A context manager: leaving it waits until the file is finished; an exception inside ends ffmpeg
    at once and removes the file. Raises EncodeError with ffmpeg's last words where it fails.
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
            start_new_session=True,  # Ctrl-C is for us: we end it then
        )
        try:
            self._feed = _Feed(cast(Any, self._process.stdin).fileno())
            with self._errors():
                self._open()
        except BaseException:
            self.abort()
            raise

    def write(self, frame: Frame) -> None:
        """Hand over one frame: planes in the target's layout and size."""
        target = self._target
        picture = picture_of(frame.planes, target.encoding.pix_fmt, target.height, target.width)
        picture.pts, picture.duration = frame.pts + self._shift, frame.duration
        picture.time_base = frame.time_base
        with self._errors():
            cast(OutputContainer, self._container).mux(self._av_stream.encode(picture))

    def close(self) -> None:
        """Say that this was all, and wait for the file."""
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
        """End ffmpeg at once: whoever waits for it gets an error."""
        self._process.kill()

    def abort(self) -> None:
        """End ffmpeg at once, and remove what it wrote."""
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
        """What went wrong in feeding, rather than what PyAV makes of it; ffmpeg's words, if it."""
        try:
            with av_errors("handing frames to ffmpeg for", self._path, EncodeError):
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
                FULL_DISK if full else "check the words for ffmpeg",
            ) from cause

    def _last_words(self) -> str:
        self._said.seek(max(0, self._said.seek(0, os.SEEK_END) - 4096))
        lines = self._said.read().decode(errors="replace").splitlines()
        said = [line.strip() for line in lines if line.strip()][-LAST_LINES:]
        return " / ".join(said) or "it said nothing"


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
    """That the words change the layout; raises OptionError where they do not say so."""
    planar = planar_name(given)
    if planar_name(found) in (planar, planar.replace("gray", "yuv420p")):
        return ()
    if not encoder.filters and not any(name.startswith("pix_fmt") for name, _ in encoder.options):
        raise OptionError(
            f"with these words ffmpeg makes {found} of {given}",
            f"add -pix_fmt {found} to them if that is meant, or choose another encoder",
        )
    text = f"{given} is written as {found}, as the words for ffmpeg say"
    return (Finding(kind=Kind.CHANGED, subject="pixel format", text=text),)


def _lost(wanted: ColorSpec, found: ColorSpec, layout: PixelLayout) -> Iterator[Finding]:
    """Each colour tag that the trial's picture has lost or changed."""
    silent = {Range.LIMITED, Siting.LEFT}  # some coders do not tell these from silence
    for name in COLOR_SUBJECTS:
        should, is_tagged = getattr(wanted, name), getattr(found, name)
        free = name == "siting" and not any(layout.log2_chroma)
        free = free or (name == "matrix" and layout.family != "yuv")
        unset = is_tagged.name == "UNSPECIFIED"
        if free or should.name == "UNSPECIFIED" or should == is_tagged:
            continue
        if not (unset and any(should is tag for tag in silent)):
            text = f"{name} {should.name} becomes {is_tagged.name} by the words for ffmpeg"
            yield Finding(kind=Kind.LOST, subject=COLOR_SUBJECTS[name], text=text)


def _ending(code: int | None) -> str:
    if code is None:
        return "it no longer listens"
    return f"signal {-code}" if code < 0 else f"exit code {code}"
