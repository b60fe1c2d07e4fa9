"""Who else writes an output: temporary files that are locked for as long as their run lives.

The kernel releases a lock when its process ends, however it ends. A process number proves less: it
is reused, and means nothing in another container. On a file system without locks (``flock``)
nothing is known, and nothing is refused.

The package filelock does not fit. It has no shared lock, so two runs that check the same leftover
at once would each see the other as its writer. It cannot lock a folder. It locks a file of its own,
which stays behind; here the temporary file carries the lock itself, up to its final name.
"""

import os
import re
import shutil
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ciaovideo.errors import OutputExistsError
from ciaovideo.findings import Finding, Kind

if sys.platform != "win32":
    from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
else:  # Windows has no such locks; a file system may have none either
    LOCK_EX = LOCK_NB = LOCK_SH = 0

    def flock(handle: int, operation: int) -> None:
        """Always fails."""
        raise OSError(f"no lock {operation} for file {handle}")


STEM_LENGTH = 60  # of the temporary name: file systems limit names to 255 bytes
DIGEST_LENGTH = 9  # distinguishes long names with a common beginning


@contextmanager
def claim(output: Path, *, folder: bool = False) -> Iterator[Path]:
    """The temporary file, or folder, of this process for an output: empty, and locked meanwhile.

    Raises OutputExistsError while another run has one, and OSError where it cannot be made.
    """
    final = output.resolve()  # a symbolic link keeps its target
    temporary = final.with_name(f"{_before(final)}{os.getpid()}{_after(final)}")
    ours = False
    try:
        with _locked(final.parent):  # of two that start at once, one comes second
            refuse_other_run(output)
            ours = True
            lock = _made(temporary, folder=folder)
    except BaseException:  # Ctrl-C among them, as soon as there is a file
        if ours:
            _remove(temporary)
        raise
    if sys.platform == "win32":  # a file that is open cannot get its final name there
        os.close(lock)
        yield temporary
        return
    try:
        yield temporary
    finally:
        os.close(lock)


def temporaries(output: Path) -> list[tuple[Path, int]]:
    """The temporary files or folders of an output, and the processes that made them."""
    final = output.resolve()
    name = re.compile(rf"{re.escape(_before(final))}([0-9]+){re.escape(_after(final))}")
    try:
        there = sorted(final.parent.iterdir())
    except OSError:  # a folder may be written to and not be read
        return []
    found = ((path, name.fullmatch(path.name)) for path in there)
    return [(path, int(match[1])) for path, match in found if match and path.exists()]


def _made(path: Path, *, folder: bool) -> int:
    """An empty file or folder, open and locked."""
    if folder:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        lock = os.open(path, os.O_RDONLY)
    else:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
    with suppress(OSError):
        flock(lock, LOCK_EX)
    return lock


def _remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        path.unlink()


def try_lock(handle: int) -> bool | None:
    """Lock an open file until it is closed: False where another run has it, None without locks."""
    try:
        flock(handle, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def refuse_other_run(output: Path) -> None:
    """Raise OutputExistsError if a live run writes this output, even one of this process."""
    for path, process in temporaries(output):
        if is_held(path):
            raise OutputExistsError(
                f"the output {output} is being written by process {process}",
                "wait for it, or choose another name",
            )


def remove_leftovers(output: Path) -> None:
    """Delete the temporary files of this output that no run has locked."""
    for path, _ in temporaries(output):
        if is_held(path) is False:
            with suppress(OSError):
                path.unlink()


def leftovers(output: Path) -> tuple[Finding, ...]:
    """A finding for each temporary file of this output that no run has locked."""
    found = []
    for path, _ in temporaries(output):
        if is_held(path) is False:
            with suppress(OSError):
                files = [*path.iterdir()] if path.is_dir() else [path]
                size = f"{sum(file.stat().st_size for file in files) / 1e6:.1f} MB"
                text = f"a killed or failed run left {path}, {size}: delete it"
                found.append(_left_alone("temporary file", text))
    return tuple(found)


def kept(output: Path) -> tuple[Finding, ...]:
    """A finding for the segments of a stopped run, for a run that does not resume it."""
    path = ledger_path(output)
    try:
        files = [path, *path.iterdir()] if path.is_dir() else [path]
        size = f"{sum(file.stat().st_size for file in files) / 1e6:.1f} MB"
    except OSError:
        return ()
    text = f"a stopped run left finished segments in {path}, {size}: resume it, or delete them"
    return (_left_alone("finished frames", text),)


def _left_alone(subject: str, text: str) -> Finding:
    return Finding(kind=Kind.CHOSEN, subject=subject, text=text)


def ledger_path(output: Path) -> Path:
    """The folder of an output's ledger: finished segments of a resumable run."""
    final = output.resolve()
    return final.with_name(f"{_before(final)}{final.suffix[1:]}.resume")


def _before(final: Path) -> str:
    """How the temporary names of an output begin: hidden, and not too long."""
    stem = final.stem
    if len(stem) > STEM_LENGTH:
        digest = zlib.crc32(os.fsencode(stem))
        stem = f"{stem[: STEM_LENGTH - DIGEST_LENGTH]}~{digest:08x}"
    return f".{stem}."


def _after(final: Path) -> str:
    return f".part{final.suffix}"


def is_held(path: Path) -> bool | None:
    """Whether a live run has locked a file; None if that cannot be known."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        flock(handle, LOCK_SH | LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(handle)
    return False


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the lock of a folder, if there is such a thing there."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        with suppress(OSError):
            flock(handle, LOCK_EX)
        yield
    finally:
        os.close(handle)
