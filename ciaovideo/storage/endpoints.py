"""Pipes and devices in place of files: written or read once, front to back, without seeking.

These are ``PIPE``, named pipes, character devices, and the names of a process's own descriptors
(/dev/stdout, /dev/fd/3), which are duplicated and not opened again.
"""

import errno
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Literal

from ciaovideo.errors import OptionError

PIPE = Path("-")  # in place of a file: standard input or output, as YUV4MPEG2
DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/(?:fd/([0-9]{1,6})|std(in|out|err))")
type EndpointKind = Literal["file", "pipe", "device", "loop"]

NUMBERS = {"in": 0, "out": 1, "err": 2}


def descriptor(path: Path, standard: int) -> int | None:
    """The descriptor that a name stands for, if any; ``PIPE`` is the ``standard`` one."""
    if path == PIPE:
        return standard
    match = DESCRIPTOR.fullmatch(str(path))
    if match is None:
        return None
    return int(match[1]) if match[1] else NUMBERS[match[2]]


def is_loop(path: Path) -> bool:
    """Whether a name, or a folder in it, is a symbolic link that leads back to itself."""
    try:
        path.stat()
    except OSError as cause:
        return cause.errno == errno.ELOOP
    return False


def kind_of(path: Path) -> EndpointKind:
    """What kind of thing a write to this name reaches; a loop of symbolic links reaches nothing."""
    if is_loop(path):
        return "loop"
    if descriptor(path, 1) is not None or path.is_fifo():
        return "pipe"
    return "device" if path.is_char_device() else "file"


def writes_once(path: Path) -> bool:
    """Whether a name is a pipe or a device: what is written there cannot be read back."""
    return kind_of(path) in ("pipe", "device")


def reads_once(path: Path) -> bool:
    """Whether a name can be read only once; a file passed as a descriptor can be reopened."""
    return path == PIPE or (writes_once(path) and not path.is_file())


def open_to_write(path: Path) -> int:
    """A descriptor to write to a pipe or device; waits for the reader of a named pipe."""
    number = descriptor(path, 1)
    return os.open(path, os.O_WRONLY) if number is None else os.dup(number)


def open_to_read(path: Path) -> int:
    """A descriptor to read a pipe or device; waits for the writer of a named pipe."""
    number = descriptor(path, 0)
    return os.open(path, os.O_RDONLY) if number is None else os.dup(number)


def check_pipe_output(path: Path, *, overwrite: bool) -> None:
    """Raise OptionError for a pipe or device that cannot be written to."""
    name = "standard output" if path == PIPE else str(path)
    if overwrite:
        raise OptionError(f"{name} cannot be overwritten: not a file", "drop overwrite")
    number = descriptor(path, 1)
    if number is None and not os.access(path, os.W_OK):
        raise OptionError(f"{name} cannot be written to", "check its permissions")
    if number is not None and not _is_open(number):
        raise OptionError(f"{name} is not open", f"redirect it, for example with {number}>FILE")
    with suppress(OSError):
        if _is_terminal(path, number):
            raise OptionError(
                f"{name} is a terminal", "pipe it into a program that reads YUV4MPEG2"
            )


def _is_open(number: int) -> bool:
    """Whether a descriptor is open for writing."""
    try:
        os.write(number, b"")
    except OSError:
        return False
    return True


def _is_terminal(path: Path, number: int | None) -> bool:
    if number is not None:
        return os.isatty(number)
    if not path.is_char_device():
        return False  # a named pipe must not be opened yet
    opened = os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        return os.isatty(opened)
    finally:
        os.close(opened)
