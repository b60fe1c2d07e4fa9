"""The record of a batch: a SQLite file that only the process running the batch writes.

Its journal mode works on network storage, too. If its folder vanishes for a while, writes wait
until it is back.
"""

import json
import logging
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from os import fsdecode, fsencode
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from ciaovideo.config import from_mapping, to_mapping
from ciaovideo.errors import CiaoVideoError, EncodeError, OpenError
from ciaovideo.jobs.job import Job, file_stamp
from ciaovideo.jobs.progress import Counts
from ciaovideo.options import UpscaleOptions

log = logging.getLogger(__name__)

FOLDER = ".ciaovideo"  # in the batch's output folder
FILE = "batch.sqlite"  # in that
BUSY_S = 30.0  # for which another process may lock it to read
PATIENCE_S = 600.0  # for which its folder may be missing
LOOK_EVERY_S = 1.0
SURROGATE = re.compile("[\ud800-\udfff]")  # stands for a byte that is no UTF-8

type State = Literal["waiting", "working", "done", "failed"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS batch (key TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS files (
    name TEXT PRIMARY KEY, number INTEGER, source TEXT, output TEXT, options TEXT, settings TEXT,
    state TEXT, run INTEGER, fingerprint TEXT, frames INTEGER DEFAULT 0, done INTEGER DEFAULT 0,
    problem TEXT, hint TEXT, exit_code INTEGER, began REAL, ended REAL, seconds REAL DEFAULT 0,
    source_stamp TEXT, output_stamp TEXT, result TEXT
);
CREATE INDEX IF NOT EXISTS files_by_state ON files (run, state, number);
CREATE TABLE IF NOT EXISTS segments (
    name TEXT, start INTEGER, stop INTEGER, worker TEXT, machine TEXT, seconds REAL, bytes INTEGER,
    made REAL, PRIMARY KEY (name, start)
);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """The ledger's record of a file. Times in seconds since 1970; ``result`` as in JSON."""

    name: str
    source: Path
    output: Path
    state: State
    settings: str
    fingerprint: dict[str, str] | None
    frames: int
    done: int
    problem: str
    hint: str
    exit_code: int
    began: float
    ended: float
    seconds: float
    source_stamp: str
    output_stamp: str
    result: dict[str, Any]


class BatchLedger:
    """The ledger of the batch in a folder. A context manager; raises EncodeError, OpenError.

    With ``look`` it is read-only. ``run`` counts the commands on the batch; jobs are those of the
    newest one.
    """

    def __init__(self, folder: Path, *, look: bool = False) -> None:
        self.folder = folder
        self.path = folder / FOLDER / FILE
        self.run = 0
        self._look = look
        if look and not self.path.is_file():
            raise OpenError(f"{folder} holds no batch", "name the output folder of one")
        if not look:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                self.path.parent.mkdir(exist_ok=True)
            except OSError as cause:
                raise EncodeError(
                    f"creating {self.path.parent}: {cause.strerror}",
                    "check the disk's space and permissions",
                ) from cause
        try:
            self._open("rw" if look else "rwc")
            if look:
                self._base.execute("PRAGMA query_only = 1")
            else:
                self._base.executescript(SCHEMA)
            found = self._base.execute("SELECT value FROM batch WHERE key = 'run'").fetchone()
        except sqlite3.Error as cause:
            raise OpenError(f"opening {self.path}: {cause}", "check its disk") from cause
        self.run = int(found[0]) if found else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._base.close()

    def begin(self, jobs: Iterable[Job], facts: dict[str, str]) -> None:
        """Begin a command on these jobs; records of finished ones stay."""
        self.run += 1
        rows = [
            _bound(
                job.name,
                number,
                str(job.source),
                str(job.output),
                json.dumps(to_mapping(job.options)),
                self.run,
            )
            for number, job in enumerate(jobs)
        ]

        def write(base: sqlite3.Connection) -> None:
            values = {**facts, "run": str(self.run)}
            base.executemany("INSERT OR REPLACE INTO batch VALUES (?, ?)", values.items())
            base.executemany(
                "INSERT INTO files (name, number, source, output, options, run, state)"
                " VALUES (?, ?, ?, ?, ?, ?, 'waiting') ON CONFLICT (name) DO UPDATE SET"
                " number = excluded.number, source = excluded.source, output = excluded.output,"
                " options = excluded.options, run = excluded.run, state = 'waiting'",
                rows,
            )

        self._write(write)

    def waiting(self) -> tuple[Job, FileRow] | None:
        """The first file that is not begun, with an earlier command's record of it."""
        found = self._read(
            "SELECT * FROM files WHERE run = ? AND state = 'waiting' ORDER BY number LIMIT 1",
            self.run,
        )
        return (_job(found[0]), _row(found[0])) if found else None

    def rows(self, *states: State, everything: bool = False) -> Iterator[FileRow]:
        """The files of the newest command, or all, in order; optionally in some states only."""
        where = "1" if everything else f"run = {self.run}"
        marks = ",".join("?" * len(states))
        chosen = f" AND state IN ({marks})" if states else ""
        at = -1
        while True:  # in pages, so that the batch can write between them
            found = self._read(
                f"SELECT * FROM (SELECT *, rowid AS place FROM files) WHERE place > {at} AND"
                f" {where}{chosen} ORDER BY place LIMIT 500",
                *states,
            )
            if not found:
                return
            at = found[-1]["place"]
            yield from map(_row, found)

    def row(self, name: str) -> FileRow:
        """One file."""
        return _row(self._read("SELECT * FROM files WHERE name = ?", name)[0])

    def counts(self) -> Counts:
        """The state of the newest command."""
        found = self._read(
            "SELECT state, COUNT(*) AS files, SUM(frames) AS frames, SUM(done) AS done"
            " FROM files WHERE run = ? GROUP BY state",
            self.run,
        )
        by_state = {row["state"]: row["files"] for row in found}
        return Counts(
            **by_state,
            frames=sum(row["frames"] or 0 for row in found),
            frames_done=sum(row["done"] or 0 for row in found),
        )

    def first_failure(self) -> FileRow | None:
        """The file that failed first in the newest command."""
        found = self._read(
            "SELECT * FROM files WHERE run = ? AND state = 'failed' ORDER BY ended, number LIMIT 1",
            self.run,
        )
        return _row(found[0]) if found else None

    def sources(self) -> dict[str, Path]:
        """The source of each output, also of those that only earlier commands made, by name."""
        found = self._read("SELECT name, source FROM files")
        return {fsdecode(row["name"]): Path(fsdecode(row["source"])) for row in found}

    def facts(self) -> dict[str, str]:
        """Facts that the newest command recorded."""
        return {row["key"]: row["value"] for row in self._read("SELECT * FROM batch")}

    def say(self, **values: str) -> None:
        """Record facts of the running command."""
        self._write(
            lambda base: base.executemany(
                "INSERT OR REPLACE INTO batch VALUES (?, ?)", values.items()
            )
        )

    def update(self, name: str, **values: Any) -> None:
        """Update columns of a file."""
        marks = ", ".join(f"{column} = ?" for column in values)
        plain = [json.dumps(v) if isinstance(v, dict) else v for v in values.values()]
        words = _bound(*plain, name)
        self._write(lambda base: base.execute(f"UPDATE files SET {marks} WHERE name = ?", words))

    def planned(self, name: str, fingerprint: dict[str, str], frames: int, done: int) -> None:
        """Record a planned file: its expected frames, and those already finished."""
        self.update(
            name,
            state="working",
            fingerprint=fingerprint,
            frames=frames,
            done=done,
            problem="",
            hint="",
            exit_code=0,
            began=time.time(),
        )

    def segment(self, name: str, values: Sequence[Any], done: int) -> None:
        """Record a segment: start, stop, worker, machine, seconds, bytes."""

        def write(base: sqlite3.Connection) -> None:
            base.execute(
                "INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                _bound(name, *values, time.time()),
            )
            base.execute(
                "UPDATE files SET done = ?, seconds = seconds + ? WHERE name = ?",
                _bound(done, values[4], name),
            )

        self._write(write)

    def machines(self, name: str) -> list[str]:
        """The machines that made a file's segments."""
        found = self._read("SELECT DISTINCT machine FROM segments WHERE name = ?", name)
        return [row["machine"] for row in found]

    def failed(self, name: str, error: CiaoVideoError) -> None:
        """Record that a file failed."""
        self.update(
            name,
            state="failed",
            problem=error.problem,
            hint=error.hint,
            exit_code=error.exit_code,
            ended=time.time(),
        )

    def _open(self, mode: str) -> None:
        uri = f"{self.path.absolute().as_uri()}?mode={mode}"
        self._base = sqlite3.connect(uri, uri=True, timeout=BUSY_S, check_same_thread=False)
        self._base.row_factory = sqlite3.Row
        self._base.execute("PRAGMA synchronous = FULL")

    def _read(self, query: str, *values: Any) -> list[sqlite3.Row]:
        return self._patiently(lambda base: base.execute(query, _bound(*values)).fetchall())

    def _write(self, write: Callable[[sqlite3.Connection], object]) -> None:
        def transaction(base: sqlite3.Connection) -> None:
            with base:
                write(base)

        self._patiently(transaction)

    def _patiently[T](self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do it; if the folder is missing, wait for it and reopen the file."""
        deadline = time.monotonic() + PATIENCE_S
        told = False
        while True:
            try:
                return work(self._base)
            except sqlite3.Error as cause:
                if self._look or time.monotonic() > deadline:
                    raise OpenError(f"{self.path}: {cause}", "check its disk") from cause
                if not told:
                    minutes = round(PATIENCE_S / 60)
                    log.warning("%s: %s; tried again for %d minutes", self.path, cause, minutes)
                told = True
            time.sleep(LOOK_EVERY_S)
            with suppress(sqlite3.Error):
                self._base.close()
                self._open("rw")


def is_unchanged(job: Job, row: FileRow) -> bool:
    """Whether a job's output was made from this source with these settings, and is unchanged."""
    stamps = file_stamp(job.source), file_stamp(job.output)
    same = stamps == (row.source_stamp, row.output_stamp) and row.settings == job.settings
    return all(stamps) and same


def given_names(folder: Path) -> dict[str, Path]:
    """The names that the batch in a folder has given to outputs, with their sources."""
    if not (folder / FOLDER / FILE).is_file():
        return {}
    with BatchLedger(folder, look=True) as ledger:
        return ledger.sources()


def unfinished(folder: Path, jobs: Sequence[Job]) -> tuple[list[Job], int]:
    """The jobs of the batch in a folder without an output, and the frames of the others."""
    try:
        with BatchLedger(folder, look=True) as ledger:
            rows = {row.name: row for row in ledger.rows(everything=True)}
    except OpenError:
        return list(jobs), 0
    left = [job for job in jobs if job.name not in rows or not is_unchanged(job, rows[job.name])]
    made = {job.name for job in jobs} - {job.name for job in left}
    return left, sum(rows[name].frames for name in made)


def _bound(*values: Any) -> list[Any]:
    """Values for SQLite: names of files that are no UTF-8 as bytes, which ``fsdecode`` reverts."""
    odd = (isinstance(value, str) and SURROGATE.search(value) for value in values)
    return [fsencode(value) if one else value for value, one in zip(values, odd, strict=True)]


def _job(row: sqlite3.Row) -> Job:
    options = from_mapping(UpscaleOptions, json.loads(row["options"]), row["name"])
    name, source, output = (fsdecode(row[column]) for column in ("name", "source", "output"))
    return Job(name=name, source=Path(source), output=Path(output), options=options)


def _row(row: sqlite3.Row) -> FileRow:
    return FileRow(
        name=fsdecode(row["name"]),
        source=Path(fsdecode(row["source"])),
        output=Path(fsdecode(row["output"])),
        state=row["state"],
        settings=row["settings"] or "",
        fingerprint=json.loads(row["fingerprint"]) if row["fingerprint"] else None,
        frames=row["frames"] or 0,
        done=row["done"] or 0,
        problem=fsdecode(row["problem"] or ""),
        hint=fsdecode(row["hint"] or ""),
        exit_code=row["exit_code"] or 0,
        began=row["began"] or 0.0,
        ended=row["ended"] or 0.0,
        seconds=row["seconds"] or 0.0,
        source_stamp=row["source_stamp"] or "",
        output_stamp=row["output_stamp"] or "",
        result=json.loads(row["result"]) if row["result"] else {},
    )
