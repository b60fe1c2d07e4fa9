"""Where a fused twin of an operator may take its place."""

import importlib
import importlib.util
import logging
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import cache
from types import ModuleType, TracebackType

import torch
from torch import Tensor

log = logging.getLogger(__name__)

# Errors of a kernel that cannot be compiled or started: no compiler, headers, cache folder or
# shared memory. Triton's own errors have no common class over its versions.
UNUSABLE = (RuntimeError, OSError, ImportError, subprocess.SubprocessError)
COMPILER = "triton"


class FailedTwins:
    """Fused twins that failed once and are not tried again.

    ``tell`` is called with a sentence for each.
    """

    def __init__(self, tell: Callable[[str], None] = log.warning) -> None:
        self.failed: set[str] = set()
        self._tell = tell

    def add(self, operator: str, problem: BaseException) -> None:
        """Record a failure."""
        if operator not in self.failed:
            self.failed.add(operator)
            reason = " ".join(f"{type(problem).__name__}: {problem}".split())[:200]
            self._tell(
                f"the fused kernel for {operator} failed: plain torch computes instead ({reason})"
            )

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Context manager: failures inside, in the calling thread, are recorded here."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


_current: ContextVar[FailedTwins] = ContextVar("failed_twins", default=FailedTwins())  # noqa: B039


def fused_twin(operator: str, *tensors: Tensor) -> ModuleType | None:
    """The module ``<operator>_triton`` if it may work on these tensors: on CUDA, no gradients.

    None where Triton is missing or the twin has failed before (``PlainIfItFails``); whether it
    takes a certain shape is its own ``fits``.
    """
    if any(tensor.device.type != "cuda" for tensor in tensors):
        return None
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return None
    if operator not in _current.get().failed and has_triton():
        with PlainIfItFails(operator):
            return importlib.import_module(f"ciaovideo.ops.{operator}_triton")
    return None


class PlainIfItFails:
    """Context manager: if a fused twin's kernel fails, execution falls through to the plain path.

    Triton compiles a kernel at its first launch. That needs a C compiler, Python's headers, a
    folder to write to, and a GPU with enough shared memory. A twin that failed is not used again,
    and ``FailedTwins`` reports it. Errors from outside Triton are bugs here and propagate, as does
    exhausted memory, where smaller tiles help.
    """

    def __init__(self, operator: str) -> None:
        self._operator = operator

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if problem is None or not _of_the_kernel(problem, trace):
            return False
        if isinstance(problem, torch.OutOfMemoryError) or "out of memory" in str(problem):
            return False
        _current.get().add(self._operator, problem)
        return True


def _of_the_kernel(problem: BaseException, trace: TracebackType | None) -> bool:
    """Whether an error comes from compiling or launching the kernel, not from our own code."""
    if isinstance(problem, ImportError):
        return True
    own = type(problem).__module__.partition(".")[0] == COMPILER
    return own or (isinstance(problem, UNUSABLE) and _passed_through(trace))


def _passed_through(trace: TracebackType | None) -> bool:
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__"))
        if name.partition(".")[0] == COMPILER:
            return True
        trace = trace.tb_next
    return False


def device_of(tensor: Tensor) -> AbstractContextManager[object]:
    """Launch kernels where the tensor lies: Triton launches on the current device."""
    return torch.cuda.device(tensor.device) if tensor.device.type == "cuda" else nullcontext()


@cache
def has_triton() -> bool:
    """Whether Triton is installed."""
    return importlib.util.find_spec("triton") is not None
