"""Workers of a Dask cluster: futures, lost workers, resources and the dashboard are Dask's.

Sources and outputs must be on storage that all workers see under the same names. A task goes to the
worker that has its file open; if that worker is lost, Dask gives the task to another one. Dask has
no delay before a failed task is repeated, so ``Batch`` repeats it.
"""

import logging
import platform
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import distributed

from ciaovideo.errors import JobError, LostWorkerError, OptionError
from ciaovideo.jobs import tasks
from ciaovideo.jobs.provenance import versions

log = logging.getLogger(__name__)

CONNECT_S = 30
TOPIC = "ciaovideo-frames"  # of the workers' progress
TELL_EVERY_S = 1.0
LOOK_EVERY_S = 5.0  # for workers that joined or left
GPU = "GPU"  # the resource that a worker declares, and that each of its tasks takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What a worker must match: versions and, if given, its kind of machine.

    ``on_host`` workers share the cores of its machine.
    """

    versions: dict[str, str]
    kind: str = ""
    on_host: int = 1


class ClusterWorkers:
    """The workers of the cluster at an address; ``local:N`` starts one of N processes here.

    With ``same_bits`` only workers of the most common kind of processor or GPU are used. A context
    manager. Raises JobError without a scheduler, or if a worker has other versions than this
    process.
    """

    def __init__(self, address: str, *, same_bits: bool = False) -> None:
        self._own: distributed.LocalCluster | None = None
        self._client = self._connect(address)
        self._same_bits = same_bits
        self._versions = versions()
        self._kind = ""
        self._known: dict[str, str] = {}  # usable workers: address and kind
        self._refused: dict[str, str] = {}
        self._other_kind: set[str] = set()  # workers that same bits exclude
        self._resources: dict[str, dict[str, float]] = {}
        self._tasks: dict[str, distributed.Future[Any]] = {}
        self._frames: dict[str, int] = {}
        self._looked = 0.0
        self._client.subscribe_topic(TOPIC, self._hear)
        try:
            self._client.wait_for_workers(1, timeout=CONNECT_S)
        except TimeoutError as cause:
            self.__exit__()
            raise JobError(
                f"{address} has no worker", "start some, with one thread each"
            ) from cause
        self._look()
        if self._refused:
            self.__exit__()
            where, why = next(iter(self._refused.items()))
            raise JobError(f"worker {where} cannot be used: {why}", "install the same versions")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # the scheduler may be gone
            self._client.close()
        if self._own is not None:
            self._own.close()

    @property
    def count(self) -> int:
        """How many workers there are now."""
        if time.monotonic() - self._looked > LOOK_EVERY_S:
            self._look()
        return max(1, len(self._known))

    @property
    def free(self) -> list[str]:
        """The addresses of workers that have no task."""
        self.count  # noqa: B018
        return [worker for worker in self._known if worker not in self._tasks]

    def submit(self, worker: str, task: Callable[..., Any], *words: Any, **named: Any) -> None:
        """Give a free worker a task; Dask gives it to another one if that one is lost."""
        hosts = Counter(_host(address) for address in self._known)
        needs = Requirements(versions=self._versions, kind=self._kind, on_host=hosts[_host(worker)])
        gpu = self._resources.get(worker, {}).get(GPU, 0) >= 1
        self._frames[worker] = 0
        self._tasks[worker] = self._client.submit(
            _do,
            worker,
            needs,
            task,
            words,
            named,
            workers=[worker],
            allow_other_workers=True,
            resources={GPU: 1} if gpu else None,
            pure=False,
        )

    def finished(self, timeout_s: float) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Workers that ended a task; see ``Workers``."""
        with suppress(TimeoutError):
            distributed.wait(
                [*self._tasks.values()], timeout=timeout_s, return_when="FIRST_COMPLETED"
            )
        for worker, future in [*self._tasks.items()]:
            if future.done():
                del self._tasks[worker]
                yield worker, _outcome(future)

    def frames(self, worker: str) -> int:
        """How many frames of its task a worker has done, as last reported."""
        return self._frames.get(worker, 0)

    def stop(self) -> None:
        """Cancel all tasks; running ones end by themselves and are not waited for."""
        with suppress(OSError):  # the scheduler may be gone
            self._client.cancel([*self._tasks.values()], force=True)
        self._tasks = {}

    def _connect(self, address: str) -> distributed.Client:
        kind, _, count = address.partition(":")
        try:
            if kind == "local":
                if not count.isdigit() or not int(count):
                    raise OptionError(f"{address} is not a cluster", "local:N with N workers")
                self._own = distributed.LocalCluster(
                    n_workers=int(count),
                    threads_per_worker=1,
                    memory_limit=0,  # Dask would kill a worker before its memory is full
                    dashboard_address=None,
                )
                return distributed.Client(self._own, timeout=CONNECT_S)
            return distributed.Client(address, timeout=CONNECT_S)
        except (OSError, ValueError) as cause:
            raise JobError(
                f"no scheduler answers at {address}",
                "start dask scheduler there, or check the address",
            ) from cause

    def _look(self) -> None:
        """List the workers, and check whether new ones can be used."""
        self._looked = time.monotonic()
        try:
            there = self._client.scheduler_info(n_workers=-1)["workers"]
            seen = self._known.keys() | self._refused.keys() | self._other_kind
            new = [worker for worker in there if worker not in seen]
            told = self._client.run(_kind, workers=new, on_error="return") if new else {}
        except (OSError, ValueError) as cause:
            raise JobError("the scheduler is gone", "start it, and repeat the command") from cause
        self._resources = {worker: facts["resources"] for worker, facts in there.items()}
        self._known = {w: kind for w, kind in self._known.items() if w in there}
        for worker, found in told.items():
            if isinstance(found, BaseException):
                continue  # it left meanwhile
            kind, theirs = found
            other = _difference(self._versions, theirs)
            if other:
                self._refused[worker] = other
                log.warning("worker %s is not used: %s", worker, other)
            else:
                self._known[worker] = kind
        if self._same_bits:
            self._keep_one_kind()

    def _keep_one_kind(self) -> None:
        """Exclude workers of other kinds than most had at first."""
        kinds = Counter(self._known.values())
        self._kind = self._kind or max(kinds, key=lambda kind: kinds[kind], default="")
        for worker, kind in [*self._known.items()]:
            if kind != self._kind:
                del self._known[worker]
                self._other_kind.add(worker)
                log.warning("worker %s is not used: it has %s, not %s", worker, kind, self._kind)

    def _hear(self, event: tuple[float, dict[str, Any]]) -> None:
        _, told = event
        self._frames[told["slot"]] = told["frames"]


def _do(
    slot: str,
    needs: Requirements,
    task: Callable[..., Any],
    words: tuple[Any, ...],
    named: dict[str, Any],
) -> Any:
    """Run a task in a worker that meets the requirements, and report its progress."""
    kind, theirs = _kind()
    if _difference(needs.versions, theirs) or needs.kind not in ("", kind):
        raise LostWorkerError(f"a worker on {socket.gethostname()} does not fit this batch")
    worker = distributed.get_worker()
    _share(needs.on_host)
    last = 0.0

    def report(frames: int) -> None:
        nonlocal last
        if time.monotonic() - last > TELL_EVERY_S:
            last = time.monotonic()
            worker.log_event(TOPIC, {"slot": slot, "frames": frames})

    tasks.context.report = report
    return task(*words, **named)


def _share(workers: int) -> None:
    """Use this worker's part of the cores of its machine."""
    import torch

    tasks.context.cores = tasks.context.cores or torch.get_num_threads()
    torch.set_num_threads(max(1, tasks.context.cores // workers))


def _kind() -> tuple[str, dict[str, str]]:
    """A worker's kind of machine, as far as it decides bits, and its versions."""
    import torch

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} {capability} {name}".strip(), versions()


def _difference(ours: dict[str, str], theirs: dict[str, str]) -> str:
    """The first differing version, in words; empty if all are the same."""
    for name, version in ours.items():
        if theirs.get(name) != version:
            return f"it has {name} {theirs.get(name, 'none')}, this command {version}"
    return ""


def _host(address: str) -> str:
    return address.rpartition("/")[2].rpartition(":")[0]


def _outcome(future: distributed.Future[Any]) -> Callable[[], Any]:
    """A function that returns a future's result, or raises its error or LostWorkerError."""

    def result() -> Any:
        try:
            return future.result()
        except distributed.scheduler.KilledWorker as cause:
            raise LostWorkerError("workers died at this task", "check their memory") from cause
        except distributed.CancelledError as cause:
            raise LostWorkerError("the scheduler lost this task", "check the cluster") from cause

    return result
