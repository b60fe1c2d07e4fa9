"""The mutex of a batch: one command at a time; a dead holder's lock is free."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from ciaovideo.errors import EncodeError, LockedJobError
from ciaovideo.storage.claims import try_lock

MOVED_S = 1.0  # tolerance of a process's start time


@contextmanager
def batch_lock(path: Path) -> Iterator[str]:
    """Context manager: hold the lock file of a batch; raises LockedJobError, with its holder.

    Yields the name of a holder that died, or "". The kernel releases the lock when its process
    ends. On a file system without locks the entry in the file decides: a process of another machine
    counts as alive.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as cause:
        raise EncodeError(
            f"opening {path}: {cause.strerror}", "check the disk's space and permissions"
        ) from cause
    try:
        before = _taken(handle, path)
        _write(handle, json.dumps(_self()))
        try:
            yield _called(before) if before else ""
        finally:
            with suppress(OSError):
                _write(handle, "")
    finally:
        os.close(handle)


def refuse_locked(path: Path) -> None:
    """Raise LockedJobError if another command holds a batch's lock now; takes nothing."""
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:  # there is none, or taking it tells why
        return
    try:
        _taken(handle, path)
    finally:
        os.close(handle)


def owner_of(path: Path) -> str:
    """The current holder of a batch's lock, in words; "" if it is free."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return ""
    try:
        before = _owner(handle)
    finally:
        os.close(handle)
    elsewhere = bool(before) and before.get("host") != socket.gethostname()
    return _called(before) if elsewhere or _lives(before) else ""


def _taken(handle: int, path: Path) -> dict[str, str | int | float]:
    """Lock an open file, and return its last holder; raises LockedJobError while that lives."""
    before = _owner(handle)
    locked = try_lock(handle)
    elsewhere = bool(before) and before.get("host") != socket.gethostname()
    if locked is False or _lives(before) or (locked is None and elsewhere):
        raise LockedJobError(
            f"the batch in {path.parent.parent} is locked by {_called(before)}",
            "wait for it, or stop it first"
            if locked is not None or not elsewhere
            else f"its file system has no locks: if that process ended, delete {path}",
        )
    return before


def _self() -> dict[str, str | int | float]:
    return {
        "host": socket.gethostname(),
        "process": os.getpid(),
        "began": psutil.Process().create_time(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def _owner(handle: int) -> dict[str, str | int | float]:
    try:
        found = json.loads(os.pread(handle, 4096, 0) or b"{}")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _lives(owner: dict[str, str | int | float]) -> bool:
    """Whether the named process runs on this machine, and its number was not reused."""
    if not owner or owner.get("host") != socket.gethostname():
        return False
    if owner.get("process") == os.getpid():
        return False
    try:
        began = psutil.Process(int(owner["process"])).create_time()
        return bool(abs(began - float(owner["began"])) < MOVED_S)
    except (psutil.Error, KeyError, ValueError):
        return False


def _called(owner: dict[str, str | int | float]) -> str:
    if not owner:
        return "another command"
    return f"process {owner.get('process')} on {owner.get('host')}, since {owner.get('since')}"


def _write(handle: int, text: str) -> None:
    os.ftruncate(handle, 0)
    os.pwrite(handle, text.encode(), 0)
    os.fsync(handle)
