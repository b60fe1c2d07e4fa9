"""An output file that appears whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ciaovideo.errors import EncodeError, OutputExistsError, VerificationError
from ciaovideo.storage.claims import claim
from ciaovideo.storage.endpoints import is_pipe

ROOM = "check the disk's space and permissions"


@contextmanager
def atomic_output(output: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary name beside ``output`` to write to; on success it takes the final name.

    The data is on the disk before the name is. After any exception, interrupts included, neither
    the temporary file nor anything new under the final name is left; but a file that failed its
    verification keeps its temporary name, so that it can be looked at, and so does a finished one
    whose final name was taken meanwhile. While this lasts, no other run can have the same output.
    None of this holds for pipes and devices, which are yielded as they are.
    """
    if is_pipe(output):
        yield output
        return
    with ExitStack() as stack:
        try:
            temporary = stack.enter_context(claim(output))
        except OSError as cause:
            raise EncodeError(f"opening {output}: {cause.strerror}", ROOM) from cause
        kept = False
        try:
            yield temporary
            kept = not overwrite and output.exists()
            if kept:
                raise OutputExistsError(
                    f"the output {output} appeared meanwhile",
                    f"it was left alone, and the result is kept as {temporary}",
                )
            _store(temporary, output)
        except VerificationError:
            raise
        except BaseException:
            if not kept:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
            raise


def _store(temporary: Path, output: Path) -> None:
    """Give a finished file its final name."""
    final = output.resolve()
    try:
        if not temporary.stat().st_size:
            raise EncodeError(f"storing {output}: nothing was written", ROOM)
        sync(temporary)
        temporary.replace(final)
        with suppress(OSError):  # not every file system can do this for a folder
            sync(final.parent)
    except OSError as cause:
        raise EncodeError(f"storing {output}: {cause.strerror}", ROOM) from cause


def sync(path: Path) -> None:
    """Wait until a file's data, or a folder's names, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
