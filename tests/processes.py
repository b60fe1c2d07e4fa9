"""The command, and other Python that needs torch, as processes: forked, or begun as a shell does.

Most of what a short process takes is importing torch, some three seconds of a core. So one process,
the zygote, imports it once and forks the others, with the same words, folder, variables, streams,
signals and exit codes. What is about a start itself has to begin as a shell does: ``fresh``.
"""

import ctypes
import inspect
import json
import multiprocessing.util
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CODING = "PYTHONIOENCODING"
SUBREAPER = 36  # of prctl: who adopts the orphans among its descendants
STREAMS = ("stdin", "stdout", "stderr")
SETTINGS = {*STREAMS, "cwd", "env", "text", "start_new_session", "pass_fds"}
# Beginnings of variables that count when Python starts or torch is imported.
EARLY = (
    *("ATEN_", "CUDA_", "KMP_", "LANG", "LC_", "MKL_", "OMP_", "ONEDNN_", "OPENBLAS_", "PYTHON"),
    *("TORCH_", "TRITON_"),
)
# Both ends of the three pipes, as subprocess names them, and those that the child gets.
PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
THEIRS = ("p2cread", "c2pwrite", "errwrite")

type Process = subprocess.Popen[Any]


class Zygote:
    """The process that forks, at the other end of a socket; it ends when that is closed."""

    def __init__(self, asker: socket.socket, environment: Mapping[str, str]) -> None:
        self._asker = asker
        self._early = early(environment)

    def serves(self, environment: Mapping[str, str]) -> bool:
        """Whether a process with these variables can be forked."""
        return early(environment) == self._early

    def fork(self, words: Sequence[str], given: dict[int, int], **settings: Any) -> int:
        """The number of a new process, a child of this one; its descriptors by their numbers."""
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        request = {"words": [*words], "numbers": [*given], "session": False, "workers": False}
        request |= {"cwd": str(Path.cwd()), "environment": dict(os.environ)} | settings
        assert not prctl(SUBREAPER, 1, 0, 0, 0)
        try:
            socket.send_fds(self._asker, [json.dumps(request).encode()], [*given.values()])
            child = int(self._asker.recv(99))
            assert self._asker.recv(99) == b"adopted"
        finally:
            prctl(SUBREAPER, 0, 0, 0, 0)
        return child

    def close(self) -> None:
        """Have it end."""
        self._asker.close()


class _Own:
    """The zygote of this session, which starts with the first process that it is asked for."""

    def __init__(self) -> None:
        self._environment = dict(os.environ)
        self._process: subprocess.Popen[bytes] | None = None
        self._zygote: Zygote | None = None

    def __call__(self) -> Zygote | None:
        """It, where processes can be forked: on Linux, if importing torch started no threads."""
        if self._process is None and sys.platform == "linux":
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                words = [sys.executable, "-m", "tests.zygote", str(theirs.fileno())]
                self._process = subprocess.Popen(
                    words,
                    cwd=ROOT,
                    env=self._environment,
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,  # else it would be buffered as a terminal is
                )
            if ours.recv(99) == b"1":
                self._zygote = Zygote(ours, self._environment)
            else:
                ours.close()
        return self._zygote

    def close(self) -> None:
        """End it, if it ever began."""
        if self._zygote is not None:
            self._zygote.close()
        if self._process is not None:
            self._process.wait()
        self._process = self._zygote = None


own = _Own()  # begins with the variables that the session began with


class Forked(subprocess.Popen[Any]):
    """What subprocess.Popen is, of a process that the zygote forks."""

    zygote: Zygote

    def _execute_child(self, *given: Any) -> None:
        """In place of fork and exec: in Python's own class the only part that knows of them."""
        begin = subprocess.Popen._execute_child  # type: ignore[attr-defined]
        known = inspect.signature(begin).bind(self, *given).arguments
        ends = [known[name] for name in THEIRS]
        streams = [number if end == -1 else end for number, end in enumerate(ends)]
        self.pid = self.zygote.fork(
            known["args"][1:],
            dict(enumerate(streams)) | {number: number for number in known["pass_fds"]},
            cwd=str(known["cwd"] or Path.cwd()),
            environment=dict(os.environ if known["env"] is None else known["env"]),
            session=known["start_new_session"],
            workers="batch" in known["args"],
        )
        self._child_created = True
        self._close_pipe_fds(*(known[name] for name in PIPES))  # type: ignore[attr-defined]


def early(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that count when a process starts."""
    known = {name: text for name, text in environment.items() if name.startswith(EARLY)}
    for name in ("PYTHONPATH", CODING):  # what is found there has been found; a fork sees to it
        known.pop(name, None)
    return known


def fresh(*words: object, **settings: Any) -> Process:
    """Python with these words, as a shell starts it."""
    return subprocess.Popen([sys.executable, *map(str, words)], **settings)


def python(*words: object, **settings: Any) -> Process:
    """Python with these words, ``-m`` or ``-c`` first, forked where it can be.

    Settings are those of subprocess.Popen. One that a fork has not, and variables that are read
    at a start, make it a process of its own.
    """
    environment = settings.get("env")
    zygote = own() if settings.keys() <= SETTINGS else None
    if zygote is None or not zygote.serves(os.environ if environment is None else environment):
        return fresh(*words, **settings)
    Forked.zygote = zygote
    return Forked([sys.executable, *map(str, words)], **settings)


def command(*words: object, start: Callable[..., Process] = python, **settings: Any) -> Process:
    """The command with these words, with pipes where nothing else is asked for."""
    pipes = dict.fromkeys(STREAMS, subprocess.PIPE)
    return start("-m", "ciaovideo", *words, **pipes | settings)


def spawning_by(zygote: Zygote) -> Any:
    """What takes the place of multiprocessing.util.spawnv_passfds: workers are forked instead."""
    spawn = multiprocessing.util.spawnv_passfds

    def fork(path: Any, words: Sequence[str], descriptors: Sequence[int]) -> int:
        if "--multiprocessing-fork" not in words or not zygote.serves(os.environ):
            return spawn(path, words, descriptors)
        given = {number: number for number in (0, 1, 2, *descriptors)}
        return zygote.fork(words[words.index("-c") :], given)

    return fork
