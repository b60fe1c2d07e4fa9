"""Provenance of each output for archives: hashes, versions, settings and findings."""

import csv
import hashlib
import io
import json
import platform
import re
import time
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ciaovideo.config import to_mapping
from ciaovideo.errors import EncodeError
from ciaovideo.jobs.job import Job
from ciaovideo.jobs.ledger import BatchLedger, FileRow
from ciaovideo.media.pictures.framemd5 import write_framemd5
from ciaovideo.media.sequence.numbered import source_files
from ciaovideo.media.write.encoder import codec_versions
from ciaovideo.models.weights import file_sha256, weights_sha256
from ciaovideo.pipeline.plan import UpscalePlan
from ciaovideo.report.batch_page import BatchOutcome, FileOutcome, write_batch_report
from ciaovideo.storage.atomic import sync
from ciaovideo.storage.segments import UNFINISHED

MANIFEST = "manifest"  # in the batch's folder, as .json and .csv
FRAMEMD5 = ".framemd5"  # appended to an output's name
COLUMNS = (
    *("file", "state", "input", "input_sha256", "output", "output_sha256", "framemd5", "frames"),
    *(
        "width",
        "height",
        "model",
        "restore",
        "consistent",
        "grain",
        "weights_sha256",
        "precision",
        "device",
        "began",
        "ended",
    ),
    *("seconds", "machines", "versions", "settings", "findings", "problem"),
)


def fixity(job: Job) -> dict[str, Any]:
    """Hashes of a source and its output; writes the list of the output's frames, too.

    The hash of numbered pictures covers all their bytes, one after the other.
    """
    listed = job.output.with_name(job.output.name + FRAMEMD5)
    part = listed.with_name(f".{listed.name}{UNFINISHED}")
    try:
        frames = write_framemd5(job.output, part)
        part.replace(listed)
    except OSError as cause:
        raise EncodeError(
            f"writing {listed}: {cause.strerror}", "check the disk's space and permissions"
        ) from cause
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return {
        "input": str(job.source),
        "input_sha256": _source_sha256(job.source),
        "output": str(job.output),
        "output_sha256": file_sha256(job.output),
        "framemd5": str(listed),
        "framemd5_sha256": file_sha256(listed),
        "frames": frames,
    }


def _source_sha256(path: Path) -> str:
    """The SHA-256 of all bytes of a source, in hexadecimal."""
    files = source_files(path)
    if len(files) == 1:
        return file_sha256(*files)
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def provenance(job: Job, plan: UpscalePlan) -> dict[str, Any]:
    """All facts of a finished output, with its plan."""
    height, width = plan.full_size
    return {
        **fixity(job),
        "width": width,
        "height": height,
        "model": plan.model,
        "restore": plan.restore,
        "consistent": plan.consistent,
        "grain": None if plan.grain is None else asdict(plan.grain),
        "weights_sha256": weights_sha256(plan.model, job.options.model.weights),
        "precision": plan.precision,
        "device": plan.device,
        "settings": to_mapping(job.options),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Versions of the software that computes and encodes, by name."""
    own = {name: version(name) for name in ("ciaovideo", "torch", "av")}
    coding = re.findall(r"(\S+) (\([^)]*\)|\S+)", codec_versions())
    return {**own, "python": platform.python_version(), **dict(coding)}


def write_manifest(ledger: BatchLedger) -> None:
    """Write the ledger's record of all files, as JSON and as CSV; each appears whole."""
    path = ledger.folder / f"{MANIFEST}.json"
    rows = [_entry(ledger, row) for row in ledger.rows(everything=True)]
    _write(path, json.dumps({"written": _time(time.time()), "files": rows}, indent=1) + "\n")
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    _write(path.with_suffix(".csv"), table.getvalue())


def write_report(ledger: BatchLedger) -> None:
    """Write a page on all files, with links to their pages, and the same as JSON."""
    folder = ledger.folder
    files = (_outcome(folder, row) for row in ledger.rows(everything=True))
    written = _time(time.time())
    write_batch_report(BatchOutcome(folder=folder.absolute(), written=written, files=tuple(files)))


def _outcome(folder: Path, row: FileRow) -> FileOutcome:
    """The outcome of a file, from the ledger."""
    known = row.result
    told = known.get("report", {})
    page = Path(told["page"]) if told else None
    own = page is not None and page.is_file() and page.is_relative_to(folder.absolute())
    return FileOutcome(
        name=row.name,
        source=str(row.source),
        state=row.state,
        frames=row.frames if row.state == "done" else row.done,
        size=(known["width"], known["height"]) if "width" in known else None,
        seconds=row.seconds,
        model=known.get("model", ""),
        restore=known.get("restore", 0.0),
        page=page.relative_to(folder.absolute()).as_posix() if page and own else "",
        counts=told.get("counts", {}),
        psnr=tuple(told["psnr"]) if told.get("psnr") else None,
        findings=tuple(known.get("findings", ())),
        problem=row.problem if row.state == "failed" else "",
        hint=row.hint if row.state == "failed" else "",
    )


def _entry(ledger: BatchLedger, row: FileRow) -> dict[str, Any]:
    return {
        "file": row.name,
        "state": row.state,
        "input": str(row.source),
        "output": str(row.output),
        "began": _time(row.began),
        "ended": _time(row.ended),
        "seconds": round(row.seconds, 3),
        "machines": ledger.machines(row.name),
        "problem": row.problem,
        "hint": row.hint,
        **row.result,
    }


def _cell(value: Any) -> Any:
    """A value for a CSV cell; lists and tables as JSON."""
    return json.dumps(value) if isinstance(value, dict | list) else value


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)) if seconds else ""


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")
        sync(part)
        part.replace(path)
    except OSError as cause:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise EncodeError(
            f"writing {path}: {cause.strerror}", "check the disk's space and permissions"
        ) from cause
