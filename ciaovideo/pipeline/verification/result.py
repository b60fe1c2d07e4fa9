"""The finished output of a run, held against what was planned.

A file is compared with the source. What went into a pipe cannot be read back: its frames are
counted. A source that was a pipe cannot be read again: the output is compared with the number of
frames that came, and no picture is compared.
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
    """Compare the finished output with what it should be; raises VerificationError.

    ``asked`` is the part of the source that was asked for, counted from its first frame.
    ``counts`` are the frames that were written and, of a source that is a pipe, decoded.
    """
    written, decoded = counts
    if plan.piped_out:
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
            "the input was a pipe: the output is verified against the number of frames that came,"
            " without comparing pictures"
        )
    verification = verify_contract(path, contract)
    require(verification, plan.output, path)
    return replace(verification, findings=(*verification.findings, *found))


def _unverified(text: str) -> tuple[Finding, ...]:
    return (Finding(kind=Kind.FELL_BACK, subject="verification", text=text),)


def _count(plan: UpscalePlan, asked: Selection, written: int) -> Verification:
    """What can be said of a pipe: that as many frames went in as the source has.

    Those of a file are counted by a look at its packets or, where that does not agree, by decoding.
    """
    if not plan.piped_in and written != plan.frames:
        selection = plan.streams.selection
        limit = None if asked.cut else asked.frames_read
        expected = selection.total(
            decoded_times(scan_file(plan.source, limit, opening=plan.streams.opening), limit)
        )
        if written != expected:
            raise VerificationError(
                f"{written} frames went into the pipe, and {plan.source} has {expected}",
                "look whether it is damaged",
            )
    found = _unverified(
        f"a pipe cannot be read back: {written} frames were counted, nothing was verified"
    )
    return Verification(frames=written, streams=1, packets=0, pictures=0, findings=found)
