"""Where the frames of a run go, and how it is known that they arrived.

An encoder of ours writes a file together with the source's other streams; so does a system ffmpeg;
YUV4MPEG2 goes into a file or a pipe alone. Files are verified against the source. What went into a
pipe cannot be read back: its frames are counted. What came out of one cannot be read again: the
output is held against the count, and no picture is compared.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from ciaovideo.errors import VerificationError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.ffmpeg.streams import other_streams
from ciaovideo.media.ffmpeg.writer import ExternalWriter
from ciaovideo.media.frame import Frame
from ciaovideo.media.hdr import WRITERS
from ciaovideo.media.inspect.scan import decoded_times, scan_file
from ciaovideo.media.margins import NO_MARGINS
from ciaovideo.media.selection import Selection
from ciaovideo.media.streams.source import StreamSource
from ciaovideo.media.write.codecs import Y4M
from ciaovideo.media.write.writer import SegmentWriter, VideoWriter
from ciaovideo.media.write.y4m import Y4MWriter
from ciaovideo.options import UpscaleOptions
from ciaovideo.pipeline.decide import UpscalePlan, target_of
from ciaovideo.pipeline.verification.contract import Contract, Verification
from ciaovideo.pipeline.verification.verify import (
    counted_scan,
    require,
    verify,
)
from ciaovideo.storage.ledger import Ledger
from ciaovideo.storage.segments import Tally


class FrameWriter(Protocol):
    """What takes the frames of a run, in order."""

    def write(self, frame: Frame) -> None:
        """Take one frame, whose planes are free again afterwards."""
        ...


@contextmanager
def open_writer(
    path: Path,
    plan: UpscalePlan,
    options: UpscaleOptions,
    others: StreamSource | None,
    *,
    ledger: Ledger | None = None,
    done: Callable[[], Tally] = Tally,
) -> Iterator[FrameWriter]:
    """The writer that a plan asks for; leaving it finishes the output.

    ``others`` are the streams that are copied; a pipe has none. With a ledger the writer takes the
    frames that are missing there. ``done`` tells what was computed, the frame included that is
    written; it is asked at the end of each segment.
    """
    target = target_of(plan, options)
    if ledger and others:
        with (
            others.copier(plan.streams) as copier,
            ledger.open(),
            SegmentWriter(path, target, ledger, copier, done=done) as kept,
        ):
            yield kept
    elif plan.encoding.codec is Y4M:
        with Y4MWriter(path, target) as bare:
            yield bare
    elif plan.external:
        with (
            other_streams(plan.streams if others else None, path.parent) as carried,
            ExternalWriter(path, target, plan.external, carried) as external,
        ):
            yield external
    elif others is None:
        with VideoWriter(path, target) as alone:
            yield alone
    else:
        with (
            others.copier(plan.streams) as copier,
            VideoWriter(path, target, copier) as writer,
        ):
            yield writer


def check_result(
    path: Path, plan: UpscalePlan, options: UpscaleOptions, counts: tuple[int, int | None]
) -> Verification:
    """Compare the finished output with what it should be; raises VerificationError.

    ``counts`` are the frames that were written and, of a source that is a pipe, decoded.
    """
    written, decoded = counts
    if plan.piped_out:
        return _count(plan, options, written)
    external = plan.external
    target = target_of(plan, options)
    contract = Contract(
        streams=plan.streams,
        selection=Selection.asked(options.input, options.frames),
        size=plan.out_size,
        pix_fmt=external.pix_fmt if external else plan.encoding.coded_pix_fmt,
        color=external.color if external else target.color,
        hdr10=not external and plan.encoding.codec.name in WRITERS,
        cut=plan.info.cut,
        crop=NO_MARGINS if external else target.crop,
    )
    return _verified(path, plan, contract, decoded)


def _verified(
    path: Path, plan: UpscalePlan, contract: Contract, decoded: int | None
) -> Verification:
    found: tuple[Finding, ...] = ()
    if decoded is not None:
        tick = plan.info.time_base * contract.selection.per_frame
        contract = replace(contract, counted=counted_scan(plan.info, decoded, tick))
        found = _plainer(
            "the input was a pipe: the output is verified against the number of frames that came,"
            " without comparing pictures"
        )
    verification = verify(path, contract)
    require(verification, plan.output, path)
    return replace(verification, findings=(*verification.findings, *found))


def _plainer(text: str) -> tuple[Finding, ...]:
    return (Finding(kind=Kind.FELL_BACK, subject="verification", text=text),)


def _count(plan: UpscalePlan, options: UpscaleOptions, written: int) -> Verification:
    """What can be said of a pipe: that as many frames went in as the source has.

    Those of a file are counted by a look at its packets or, where that does not agree, by decoding.
    """
    if not plan.piped_in and written != plan.frames:
        selection = plan.streams.selection
        limit = None if options.input.start or options.input.end else options.frames
        expected = selection.total(
            decoded_times(scan_file(plan.source, limit, opening=plan.streams.opening), limit)
        )
        if written != expected:
            raise VerificationError(
                f"{written} frames went into the pipe, and {plan.source} has {expected}",
                "look whether it is damaged",
            )
    found = _plainer(
        f"a pipe cannot be read back: {written} frames were counted, nothing was verified"
    )
    return Verification(frames=written, streams=1, packets=0, pictures=0, findings=found)
