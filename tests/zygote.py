"""``python -m tests.zygote DESCRIPTOR``: a Python that has imported what commands need, and forks.

tests/processes.py starts it and asks it for processes. It has one thread and computes nothing, so
that what it forks is as a Python of its own would be after the same imports.
"""

import atexit
import codecs
import fcntl
import gc
import io
import json
import multiprocessing.util
import os
import runpy
import signal
import socket
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.processes import CODING, STREAMS, Zygote, spawning_by

LARGEST = 200_000  # bytes of a request; most of them are environment variables
MOST = 16  # descriptors that a process is given
HIGH = 1000  # above all descriptors that anyone asks for by number
MODULES = (  # those that a command imports only when it needs them; others come with these
    "ciaovideo.cli.progress",
    "ciaovideo.cli.upscale",
    "ciaovideo.jobs.tasks",
    "ciaovideo.models.networks",
    "ciaovideo.pipeline.session",
    "ciaovideo.train.loop",
    "torch._dynamo",  # comes with the first optimizer, and triton with it
)

end: list[int] = []  # the exit code of a child, once it is known


def main() -> None:
    """Import, say with how many threads that ends, and fork: only children leave that."""
    asker = socket.socket(fileno=int(sys.argv[1]))
    atexit.register(leave)  # before any import registers something: so it comes last
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at a terminal is for the session
    for name in MODULES:
        import_module(name)
    gc.freeze()  # else a child's collections write to, and so copy, all that is imported
    asker.send(str(len([*Path("/proc/self/task").iterdir()])).encode())
    words = asked(asker)
    try:
        become(words)
    except BaseException as raised:
        end.append(code_of(raised))
        raise  # Python prints what it prints
    end.append(0)


def code_of(raised: BaseException) -> int:
    """The exit code of a Python that ends with this; a signal's number, below zero, for Ctrl-C."""
    if isinstance(raised, SystemExit):
        return raised.code if isinstance(raised.code, int) else int(raised.code is not None)
    return -signal.SIGINT if isinstance(raised, KeyboardInterrupt) else 1


def leave() -> None:
    """The end of a child, but for the half second of dismantling all that is imported.

    By now Python has printed what it had to, waited for threads, and called all other functions.
    """
    if end:
        sys.stdout.flush()
        sys.stderr.flush()
        if end[0] < 0:
            signal.signal(-end[0], signal.SIG_DFL)
            os.kill(os.getpid(), -end[0])
        os._exit(end[0])


def asked(asker: socket.socket) -> list[str]:
    """In a child, the words that it was asked for with; the zygote ends with the one who asks.

    The parent of a child ends at once. So it is the asker's, who adopts orphans meanwhile.
    """
    while True:
        data, given, _, _ = socket.recv_fds(asker, LARGEST, MOST)
        if not data:
            os._exit(0)
        request = json.loads(data)
        parent = os.fork()
        if not parent:
            child = os.fork()
            if child:
                asker.send(str(child).encode())
                os._exit(0)
            asker.close()
            coding = request["environment"].get(CODING, "")
            _take(dict(zip(request["numbers"], given, strict=True)), coding)
            _settle(request)
            return [*request["words"]]
        for descriptor in given:
            os.close(descriptor)
        os.waitpid(parent, 0)
        asker.send(b"adopted")


def _take(given: dict[int, int], coding: str) -> None:
    """The descriptors that were given under their numbers, and no others.

    ``coding`` is PYTHONIOENCODING's: a coding, what is done about errors after a colon, or nothing.
    """
    name, _, errors = coding.partition(":")
    high = {n: fcntl.fcntl(descriptor, fcntl.F_DUPFD, HIGH) for n, descriptor in given.items()}
    os.closerange(0, HIGH)
    for number, descriptor in high.items():
        os.dup2(descriptor, number)
        os.close(descriptor)
    for number, stream in enumerate(STREAMS):
        before = getattr(sys, stream)
        at_once = number > 0 and before.write_through
        binary = open(number, "wb" if number else "rb", 0 if at_once else -1, closefd=False)  # noqa: SIM115
        text = io.TextIOWrapper(
            binary,
            codecs.lookup(name).name if name else before.encoding,
            (errors or (name and "strict") or before.errors) if number < 2 else before.errors,
            line_buffering=before.line_buffering,
            write_through=before.write_through,
        )
        setattr(sys, stream, text)


def _settle(request: dict[str, Any]) -> None:
    """Folder, variables, session, signals; and a zygote of its own for what starts workers."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    if request["session"]:
        os.setsid()
    if request["workers"]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if not os.fork():
            ours.close()
            request["words"] = asked(theirs)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            return
        theirs.close()
        multiprocessing.util.spawnv_passfds = spawning_by(Zygote(ours, os.environ))
    signal.signal(signal.SIGINT, signal.default_int_handler)


def become(words: list[str]) -> None:
    """What Python does with ``-m MODULE ...`` and ``-c CODE ...``."""
    option, what, *more = words
    sys.argv = [option, *more]
    if option == "-m":
        sys.path[0] = str(Path.cwd())
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = ""
        sys.modules["__main__"] = main = ModuleType("__main__")
        exec(compile(what, "<string>", "exec"), main.__dict__)


if __name__ == "__main__":
    main()
