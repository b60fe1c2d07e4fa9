"""Checks the finished output of a run against its plan.

A file is compared with the source. A pipe as output cannot be read back: only its frames are
counted. A pipe as source cannot be read again: the output is compared with the number of frames
read, without comparing pictures.
"""

from dataclasses import replace
from pathlib import Path

from ciaovideo.errors import VerificationError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.hdr import WRITERS
from ciaovideo.media.inspect.scan import decoded_times, scan_file
from ciaovideo.media.margins import NO_MARGINS
from ciaovideo.media.selection import Selection
from ciaovideo.media.write.encoder import VideoTarget
from ciaovideo.pipeline.plan import UpscalePlan
from ciaovideo.pipeline.verification.contract import Contract, Verification
from ciaovideo.pipeline.verification.verify import counted_scan, require, verify_contract


def check_result(
    path: Path,
    plan: UpscalePlan,
    target: VideoTarget,
    asked: Selection,
    counts: tuple[int, int | None],
) -> Verification:
    """Verify the finished output; raises VerificationError.

    ``asked`` is the requested part of the source, with times from its first frame. ``counts`` are
    the frames written and, for a pipe as source, decoded.
    """
    written, decoded = counts
    if plan.destination.piped:
        return _count(plan, asked, written)
    external = plan.external
    contract = Contract(
        streams=plan.streams,
        selection=asked,
        size=plan.out_size,
        pix_fmt=external.pix_fmt if external else plan.encoding.coded_pix_fmt,
        color=external.color if external else target.color,
        hdr10=not external and plan.encoding.codec.name in WRITERS,
        given_size=plan.info.stored_size,
        given_sar=plan.info.sar,
        cut=plan.info.cut,
        pad=plan.pad,
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
        found = _unverified(
            "the input was a pipe: the output is verified against the number of frames read,"
            " without comparing pictures"
        )
    verification = verify_contract(path, contract)
    require(verification, plan.output, path)
    return replace(verification, findings=(*verification.findings, *found))


def _unverified(text: str) -> tuple[Finding, ...]:
    return (Finding(kind=Kind.FELL_BACK, subject="verification", text=text),)


def _count(plan: UpscalePlan, asked: Selection, written: int) -> Verification:
    """Check that as many frames were written to a pipe as the source has.

    The frames of a file are counted by its packets or, if that differs, by decoding.
    """
    if not plan.piped_in and written != plan.frames:
        selection = plan.streams.selection
        limit = None if asked.cut else asked.frames_read
        expected = selection.total(
            decoded_times(scan_file(plan.source, limit, opening=plan.streams.opening), limit)
        )
        if written != expected:
            raise VerificationError(
                f"{written} frames were written to the pipe, but {plan.source} has {expected}",
                "check whether it is damaged",
            )
    found = _unverified(
        f"a pipe cannot be read back: {written} frames were counted, nothing was verified"
    )
    return Verification(frames=written, streams=1, packets=0, pictures=0, findings=found)
