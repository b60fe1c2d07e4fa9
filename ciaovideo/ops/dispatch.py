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

# What a kernel that cannot be compiled or started raises: a compiler, headers, a folder, room on
# the chip that is not there. Triton's own errors have no class in common over its versions.
UNUSABLE = (RuntimeError, OSError, ImportError, subprocess.SubprocessError)
COMPILER = "triton"


class Setbacks:
    """Which fused twins failed for somebody: what failed once fails every time.

    ``tell`` hears a sentence for each.
    """

    def __init__(self, tell: Callable[[str], None] = log.warning) -> None:
        self.failed: set[str] = set()
        self._tell = tell

    def add(self, operator: str, problem: BaseException) -> None:
        """Note a failure."""
        if operator not in self.failed:
            self.failed.add(operator)
            reason = " ".join(f"{type(problem).__name__}: {problem}".split())[:200]
            self._tell(
                f"the fused kernel for {operator} does not work here, plain torch does its work"
                f" ({reason})"
            )

    @contextmanager
    def noted(self) -> Iterator[None]:
        """A block whose failures are these, in the calling thread."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


_current: ContextVar[Setbacks] = ContextVar("setbacks", default=Setbacks())  # noqa: B039


def fused_twin(operator: str, *tensors: Tensor) -> ModuleType | None:
    """The module ``<operator>_triton`` if it may work on these tensors: on CUDA, no gradients.

    None where Triton is missing or the twin has failed before (``PlainIfItFails``); whether it
    takes a certain shape is its own ``fits``.
    """
    if any(tensor.device.type != "cuda" for tensor in tensors):
        return None
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return None
    if operator not in _current.get().failed and _triton_works():
        with PlainIfItFails(operator):
            return _twin(operator)
    return None


class PlainIfItFails:
    """A block that lets a fused twin compute; on failure of its kernel, fall through.

    Triton compiles when a kernel is first started, and for that it needs a C compiler, Python's
    headers, a folder to write to, and a GPU with room for what the kernel keeps on chip. That twin
    is not asked for again, and ``Setbacks`` tells. What does not come out of Triton is our own
    mistake and comes through, as does memory that ran out: smaller tiles help there.
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
    """Whether an error is that of a kernel that cannot be had, and not of the code around it."""
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
def _triton_works() -> bool:
    return importlib.util.find_spec("triton") is not None


@cache
def _twin(operator: str) -> ModuleType:
    return importlib.import_module(f"ciaovideo.ops.{operator}_triton")
