"""Writes numbered pictures that appear together or not at all."""

import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ciaovideo.errors import CHECK_DISK, EncodeError, OutputExistsError, VerificationError
from ciaovideo.media.sequence.numbered import file_name, found_numbers
from ciaovideo.storage.atomic import sync, sync_folder
from ciaovideo.storage.claims import claim, declare_whole, refuse_other_run, try_lock, whole_folders

log = logging.getLogger(__name__)

NUMBERS = "numbers"  # a file in a folder of finished pictures: all that it had at first


@contextmanager
def atomic_pictures(output: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """The same name in a temporary folder beside the output; its pictures move there on success.

    As with ``atomic_output`` for a file, all are on the disk before the first is moved, and an
    exception leaves nothing new, except pictures that failed verification. But files cannot appear
    all at once: a power cut while they are moved leaves the last of them, and the others in a
    hidden folder, from which ``finish_storing`` moves them. ``overwrite`` deletes all older
    pictures of that name, also those with other numbers.
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


def finish_storing(output: Path) -> None:
    """Move pictures to their place that a run left behind which ended while it moved them.

    They were verified before the first was moved. Raises OutputExistsError while a run moves them,
    EncodeError where that fails.
    """
    for folder in whole_folders(output):
        handle = os.open(folder, os.O_RDONLY)
        try:
            if try_lock(handle) is False:
                refuse_other_run(output)
                continue  # it has just ended
            first, last = map(int, (folder / NUMBERS).read_text(encoding="ascii").split())
            _move(folder, output, range(first, last + 1))
            log.warning("%s: moved what a run left that was cut off at its end", output)
        except OutputExistsError:
            raise
        except (OSError, ValueError) as cause:
            raise EncodeError(f"storing {output} from {folder}: {cause}", CHECK_DISK) from cause
        finally:
            os.close(handle)


def _store(folder: Path, output: Path) -> None:
    """Move finished pictures to their final folder."""
    try:
        numbers = sorted(found_numbers(folder / output.name))
        if not numbers:
            raise EncodeError(f"storing {output}: nothing was written", CHECK_DISK)
        for number in numbers:
            sync(folder / file_name(output.name, number))
        (told := folder / NUMBERS).write_text(f"{numbers[0]} {numbers[-1]}", encoding="ascii")
        sync(told)
        sync_folder(folder)
        whole = declare_whole(folder)
        try:
            sync_folder(whole.parent)
            _move(whole, output, numbers)
        except BaseException:
            for number in numbers:
                with suppress(OSError):
                    _final(output, number).unlink(missing_ok=True)
            shutil.rmtree(whole, ignore_errors=True)
            raise
    except OSError as cause:
        raise EncodeError(
            f"storing {output}: {os.strerror(cause.errno or 0)}", CHECK_DISK
        ) from cause


def _move(whole: Path, output: Path, numbers: Sequence[int]) -> None:
    """Move what is in a folder, of all pictures of these numbers, and delete older ones.

    The last one goes first: pictures that lack their beginning are not taken for a whole video.
    """
    for number in found_numbers(output) - {*numbers}:
        _final(output, number).unlink(missing_ok=True)
    for number in sorted(found_numbers(whole / output.name), reverse=True):
        (whole / file_name(output.name, number)).replace(_final(output, number))
    sync_folder(whole.parent)
    (whole / NUMBERS).unlink()
    whole.rmdir()


def _final(output: Path, number: int) -> Path:
    return output.parent.resolve() / file_name(output.name, number)
