"""The preservation report on a file: properties kept, changed and lost, and invented detail."""

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ciaovideo.errors import MissingInputError, OptionError
from ciaovideo.findings import Finding, Kind, without_repeats
from ciaovideo.media.clock import FALLBACK_RATE
from ciaovideo.media.inspect.metadata import read_metadata
from ciaovideo.media.inspect.scan import nth_video, scan_file
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.selection import Selection
from ciaovideo.media.sequence.numbered import is_sequence
from ciaovideo.options import InputOptions, UpscaleOptions
from ciaovideo.pages.page import check_place
from ciaovideo.pipeline.session import Progress, Summary
from ciaovideo.pipeline.verification.contract import Contract, Verification
from ciaovideo.pipeline.verification.tracks import pair_tracks
from ciaovideo.pipeline.verification.verify import contract_between, verify_contract, videos_before
from ciaovideo.report.facts import Fact, Side, compare_facts
from ciaovideo.report.fidelity import Fidelity, measure
from ciaovideo.storage.endpoints import reads_once, writes_once

SUFFIXES = (".html", ".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preservation:
    """The preservation of a source in an output.

    ``findings`` are the run's, if it is known, and the verification's. ``model`` is empty for a
    file that was made earlier.
    """

    source: Path
    output: Path
    facts: tuple[Fact, ...]
    findings: tuple[Finding, ...]
    verification: Verification
    fidelity: Fidelity
    model: str = ""
    precision: str = ""

    @property
    def guessed(self) -> tuple[Finding, ...]:
        """The findings of guesses."""
        return tuple(one for one in self.findings if one.kind is Kind.GUESSED)

    @property
    def counts(self) -> Counter[str]:
        """The number of facts by outcome."""
        return Counter(fact.outcome.value for fact in self.facts)

    def plain(self) -> dict[str, Any]:
        """The report in JSON's types, without pictures."""
        fidelity = self.fidelity
        flicker = fidelity.mean_flicker
        return {
            "version": version("ciaovideo"),
            "source": str(self.source),
            "output": str(self.output),
            "model": self.model,
            "precision": self.precision,
            "counts": dict(self.counts),
            "facts": [asdict(fact) for fact in self.facts],
            "findings": [finding.plain() for finding in self.findings],
            "verification": {
                "frames": self.verification.frames,
                "streams": self.verification.streams,
                "packets": self.verification.packets,
                "pictures": self.verification.pictures,
                "wrong": len(self.verification.wrong),
            },
            "consistency": {
                "mean_psnr": _number(fidelity.mean_psnr),
                "psnr": [round(value, 3) for value in fidelity.psnr],
                "times": list(fidelity.times),
                "worst": [
                    {"frame": one.frame, "time": one.time, "psnr": one.psnr, "place": one.place}
                    for one in fidelity.worst
                ],
            },
            "flicker": {
                "mean_source": _number(flicker[0]),
                "mean_output": _number(flicker[1]),
                "source": [_number(value) for value in fidelity.source_flicker],
                "output": [_number(value) for value in fidelity.output_flicker],
            },
        }


def preservation_report(
    source: str | Path,
    output: str | Path,
    *,
    options: UpscaleOptions = UpscaleOptions(),
    summary: Summary | None = None,
    verification: Verification | None = None,
    inside: tuple[int, int] | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Preservation:
    """Read a source and its finished output once more, and report on everything.

    ``options`` are the run's; only input and number of frames matter. ``summary`` is the run's
    result, ``verification`` that of ``verify``; without both the output is verified here.
    ``inside`` is the (height, width) of padded pictures if no run is known. Raises
    MissingInputError, OptionError for a pipe, and MediaError for an unreadable file.
    """
    given, made = Path(source), Path(output)
    for path in (given, made):
        if reads_once(path):
            raise OptionError(f"{path} is a pipe, which cannot be read again", "name a file")
        if not path.exists() and not is_sequence(path):
            raise MissingInputError(f"{path} does not exist", "check the name")
    selection = Selection.asked(options.input, options.frames)
    inside = summary.picture_size if summary and options.size.pad else inside
    contract = contract_between(given, made, selection, options.input, inside)
    if verification is None:
        verification = summary.verification if summary else verify_contract(made, contract)
    found = (*(summary.findings if summary else ()), *contract.streams.findings)
    findings = without_repeats((*found, *verification.findings))
    facts, fidelity = _compared(made, contract, options, (findings, verification), on_progress)
    return Preservation(
        source=given,
        output=made,
        facts=facts,
        findings=findings,
        verification=verification,
        fidelity=fidelity,
        model=summary.model if summary else "",
        precision=summary.precision if summary else "",
    )


def _compared(
    output: Path,
    contract: Contract,
    options: UpscaleOptions,
    known: tuple[Sequence[Finding], Verification],
    on_progress: Callable[[Progress], None],
) -> tuple[tuple[Fact, ...], Fidelity]:
    """The facts and the fidelity."""
    findings, verification = known
    plan, total = contract.streams, verification.frames
    given = scan_file(plan.source, opening=plan.opening)
    opening = nth_video(output, videos_before(given, contract))
    made = scan_file(output, opening=opening)
    span = Selection(start=plan.selection.start, end=plan.selection.end)
    pairs, _ = pair_tracks(given, made, contract, span)
    rate = (given.rate or FALLBACK_RATE) if is_sequence(output) else None
    height, width = contract.pad.inner(*made.size)
    box = f"{width}x{height}+{contract.pad.left}+{contract.pad.top}" if contract.pad else None
    as_stored = InputOptions(deinterlace="off", force=True, video=made.main, rate=rate, crop=box)
    begun = _Clock(total, on_progress)
    with (
        VideoReader(plan.source, options=options.input) as reader,
        VideoReader(output, options=as_stored) as result,
    ):
        fidelity = measure(reader, result, total, limit=options.frames, on_frame=begun.tell)
        facts = compare_facts(
            Side(scan=given, info=reader.info, metadata=read_metadata(plan.source, plan.opening)),
            Side(scan=made, info=result.info, metadata=read_metadata(output, opening)),
            plan,
            pairs,
            (*findings, *reader.findings),
        )
    return facts, fidelity


class _Clock:
    """Reports progress in frames."""

    def __init__(self, total: int, on_progress: Callable[[Progress], None]) -> None:
        self._total = total
        self._on_progress = on_progress
        self._started = time.perf_counter()

    def tell(self, frames: int) -> None:
        self._on_progress(Progress(frames, self._total, time.perf_counter() - self._started))


def check_report(report: Path, output: Path | None = None) -> None:
    """Raise OptionError for a report that cannot be written, or an output that cannot be read."""
    if report.suffix.lower() not in SUFFIXES:
        raise OptionError(
            f"{report} is neither HTML nor JSON", f"end it in {' or '.join(SUFFIXES)}"
        )
    if output is not None and writes_once(output):
        raise OptionError("a pipe cannot be read again for a report", "name an output file")
    check_place(report, charts=report.suffix.lower() == ".html")


def _number(value: float) -> float | None:
    """A figure in JSON's types: None for NaN."""
    return None if math.isnan(value) else round(value, 4)
