"""Writes numbered pictures that appear together or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ciaovideo.errors import CHECK_DISK, EncodeError, OutputExistsError, VerificationError
from ciaovideo.media.sequence.numbered import file_name, found_numbers
from ciaovideo.storage.atomic import sync, sync_folder
from ciaovideo.storage.claims import claim


@contextmanager
def atomic_pictures(output: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """The same name in a temporary folder beside the output; its pictures move there on success.

    As with ``atomic_output`` for a file, all are on the disk before the first is moved, and an
    exception leaves nothing new, except pictures that failed verification. But files cannot appear
    all at once: a power cut while they are moved leaves the first of them. ``overwrite`` deletes
    all older pictures of that name, also those with other numbers.
    """
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(claim(output, folder=True))
        except OSError as cause:
            raise EncodeError(f"opening {output}: {cause.strerror}", CHECK_DISK) from cause
        kept = False
        try:
            yield folder / output.name
            kept = not overwrite and bool(found_numbers(output))
            if kept:
                raise OutputExistsError(
                    f"pictures named {output} appeared during the run",
                    f"they were not changed: the result is in {folder}",
                )
            _store(folder, output)
        except VerificationError:
            raise
        except BaseException:
            if not kept:
                shutil.rmtree(folder, ignore_errors=True)
            raise


def _store(folder: Path, output: Path) -> None:
    """Move finished pictures to their final folder."""
    final = output.parent.resolve()
    try:
        numbers = sorted(found_numbers(folder / output.name))
        if not numbers:
            raise EncodeError(f"storing {output}: nothing was written", CHECK_DISK)
        names = [file_name(output.name, number) for number in numbers]
        for name in names:
            sync(folder / name)
        stale = found_numbers(output) - {*numbers}
        moved: list[Path] = []
        try:
            for name in names:
                moved.append(final / name)
                (folder / name).replace(final / name)
        except BaseException:
            for path in moved:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            raise
        for number in stale:
            (final / file_name(output.name, number)).unlink(missing_ok=True)
        folder.rmdir()
        sync_folder(final)
    except OSError as cause:
        raise EncodeError(
            f"storing {output}: {os.strerror(cause.errno or 0)}", CHECK_DISK
        ) from cause
