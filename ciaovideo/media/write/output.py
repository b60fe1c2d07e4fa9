"""Whether an output may be written at all, known before any work is done."""

import os
from pathlib import Path

from ciaovideo.errors import OptionError, OutputExistsError
from ciaovideo.media.write.choice import container_format
from ciaovideo.media.write.codecs import Y4M_CONTAINER
from ciaovideo.storage.claims import refuse_other_run
from ciaovideo.storage.endpoints import check_pipe_output, is_pipe, reads_once


def check_output(source: Path, output: Path, *, overwrite: bool = False) -> None:
    """Raise what would make writing ``output`` fail or do harm, before any work is done.

    Replacing the input is refused even with ``overwrite``, also through links.
    """
    container = container_format(output)
    if is_pipe(output):
        if container != Y4M_CONTAINER:
            raise OptionError(
                f"{output} is a pipe or device, and {output.suffix} cannot be written in one pass",
                f"write a file, or call it .y4m and have what reads it make {output.suffix}",
            )
        if output.is_fifo() and source.exists() and output.samefile(source):
            raise OptionError(f"the output {output} is the input itself", "choose another name")
        check_pipe_output(output, overwrite=overwrite)
        return
    if output.is_dir():
        raise OutputExistsError(f"the output {output} is a folder", "name a file in it")
    if output.exists():
        if not reads_once(source) and source.exists() and output.samefile(source):
            raise OutputExistsError(
                f"the output {output} is the input itself", "choose another name"
            )
        if not output.is_file():
            raise OptionError(f"the output {output} is not a regular file", "name a regular file")
        if not overwrite:
            raise OutputExistsError(
                f"the output {output} is already there", "choose another name or allow overwriting"
            )
    folder = output.resolve().parent
    if not folder.is_dir():
        raise OptionError(f"the folder {folder} does not exist", "create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OptionError(f"the folder {folder} cannot be written to", "choose another one")
    refuse_other_run(output)
