"""``ciaovideo``: selects the command, and maps its result to an exit code."""

import codecs
import io
import logging
import os
import signal
import sys
import threading
import traceback
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from ciaovideo.allocation import keep_freed_memory
from ciaovideo.cli.loading import ENDING
from ciaovideo.errors import CHECK_DISK, CiaoVideoError, MediaError

COMMANDS = {
    "train": "ciaovideo.cli.train",
    "evaluate": "ciaovideo.cli.evaluate.command",
    "bench": "ciaovideo.cli.bench",
    "preview": "ciaovideo.cli.preview",
    "verify": "ciaovideo.cli.verify",
    "weights": "ciaovideo.cli.weights",
    "batch": "ciaovideo.cli.batch.command",
}
PRINTED = "standard output cannot be written"
INTERRUPTED = 128 + signal.SIGINT  # what shells report for a program ended by a signal


class Terminated(KeyboardInterrupt):
    """Raised on SIGTERM, or on SIGHUP as the terminal closes: cleans up like Ctrl-C."""


class Command(Protocol):
    """A module of this folder that is a command."""

    def build_parser(self, prog: str) -> "object":
        """The command's argparse parser."""
        ...

    def run(self, arguments: Namespace) -> int:
        """Run the command; returns the exit code."""
        ...


def parse_args(argv: Sequence[str]) -> tuple[str, Namespace]:
    """The command's module, and its parsed arguments; exits with 2 on invalid ones.

    The first word is a command if it is the name of one, else the input to upscale: a file with
    such a name is written ./train.
    """
    words = list(argv)
    name = words.pop(0) if words and words[0] in COMMANDS else ""
    module = COMMANDS.get(name, "ciaovideo.cli.upscale")
    parser = import_module(module).build_parser(f"ciaovideo {name}".strip())
    arguments: Namespace = parser.parse_args(words)
    return module, arguments


def run(argv: Sequence[str]) -> int:
    """Run a command line; returns the exit code. Errors are printed in one or two lines."""
    verbose = False
    try:
        module, arguments = parse_args(argv)
        verbose = getattr(arguments, "verbose", False)
        _set_up_logging(verbose, getattr(arguments, "quiet", False))
        return cast(Command, import_module(module)).run(arguments)
    except CiaoVideoError as error:
        if verbose:
            traceback.print_exc()
        _complain(error.problem, error.hint)
        return error.exit_code
    except KeyboardInterrupt as reason:
        _complain("interrupted")
        return 128 + int(reason.args[0]) if isinstance(reason, Terminated) else INTERRUPTED
    except BrokenPipeError:
        return 141
    except OSError as error:  # errors of media files are translated already: this is the output
        if verbose:
            traceback.print_exc()
        _complain(f"{error.filename or PRINTED}: {error.strerror or error}", CHECK_DISK)
        return MediaError.exit_code


def main() -> None:
    """The console script: run, and exit at once even while a worker still computes a frame."""
    _stand_in()
    _print_any_name()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads slow each other down
    os.environ.setdefault("SVT_LOG", "0")  # libsvtav1 prints a page on each start; we report errors
    keep_freed_memory()
    for number in ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, _terminate)
    code = run(sys.argv[1:])
    code = _flushed(code)
    computing = any(thread.name.startswith("ciaovideo-") for thread in threading.enumerate())
    if computing or "LOCAL_RANK" in os.environ:  # torchrun's: gloo's threads may abort an exit
        os._exit(code)
    sys.exit(code)


def _stand_in() -> None:
    """Replace closed standard streams (2>&-) by the null device.

    Otherwise the next opened files would get their descriptors, and messages for standard error
    would be written into these files.
    """
    while (number := os.open(os.devnull, os.O_RDONLY)) <= 2:
        pass
    os.close(number)
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115


def _print_any_name() -> None:
    """Make file names printable that standard output's encoding cannot represent.

    UTF-8 prints their original bytes, other encodings print escapes.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        utf8 = codecs.lookup(sys.stdout.encoding).name == "utf-8"
        sys.stdout.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")


def _terminate(number: int, _: object) -> None:
    signal.signal(number, signal.SIG_DFL)  # a second signal ends it at once
    raise Terminated(number)


def _complain(problem: str, hint: str = "") -> None:
    """Print the error, if the terminal is still there."""
    with suppress(OSError):
        print(f"ciaovideo: {problem}", *([hint] if hint else []), sep="\n  ", file=sys.stderr)


def _flushed(code: int) -> int:
    """The exit code after flushing standard output; the first failure counts."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or it fails again at exit
        if isinstance(error, BrokenPipeError):
            return code or 141
        if not code:
            _complain(f"{PRINTED}: {error.strerror}", CHECK_DISK)
        return code or MediaError.exit_code
    return code


def _set_up_logging(verbose: bool, quiet: bool) -> None:
    level = logging.DEBUG if verbose else logging.ERROR if quiet else logging.WARNING
    logging.basicConfig(level=level, format="%(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("libav").setLevel(logging.CRITICAL)
