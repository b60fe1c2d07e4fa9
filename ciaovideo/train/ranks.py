"""Several processes that train one network: each takes its share of every batch.

``torchrun`` starts them. All draw the same random numbers, compute different samples of the same
batch, and average their gradients before each step. So all hold the same weights, equal to those of
a single process up to rounding. Gradients are exchanged once after the backward pass, a few MB by
NCCL on GPUs and by Gloo on CPUs; decisions of the hosts go by Gloo, independent of the GPUs'
queues.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ciaovideo.errors import BackendError, OptionError

PATIENCE = timedelta(hours=1)  # with a silent process: the first one may be measuring PSNR


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process, number ``rank`` among ``count``: the first one writes files and reports."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes and reports."""
        return self.rank == 0

    def share(self, batch: int) -> slice:
        """This process's samples of a batch; raises OptionError if it cannot be divided evenly."""
        if batch % self.count:
            raise OptionError(
                f"a batch of {batch} cannot be shared among {self.count} processes",
                f"set data.batch to a multiple of {self.count}",
            )
        size = batch // self.count
        return slice(self.rank * size, (self.rank + 1) * size)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over all processes; their shapes agree."""
        if self.count == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        with _lost():
            dist.all_reduce(flat)
        parts = flat.div_(self.count).split([tensor.numel() for tensor in tensors])
        means = [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]
        torch._foreach_copy_(list(tensors), means)

    def any(self, said: bool) -> bool:
        """Whether the argument is true in any process; each waits for all."""
        if self.count == 1:
            return said
        votes = torch.tensor([int(said)])
        with _lost():
            dist.all_reduce(votes, op=dist.ReduceOp.MAX)
        return bool(votes.item())

    def agree(self, fact: str) -> None:
        """Raise OptionError if another process has another fact: its files differ."""
        if self.count == 1:
            return
        facts = [""] * self.count
        with _lost():
            dist.all_gather_object(facts, fact)
        if len(set(facts)) > 1:
            raise OptionError(
                f"the processes see different runs: {'; '.join(sorted(set(facts)))}",
                "give all of them the same command, in folders that all can see",
            )


SINGLE_PROCESS = Ranks()


def gradients(network: nn.Module) -> list[Tensor]:
    """The gradients of a network's trained weights; 0 for weights that a step did not use.

    Processes see different samples, which may use different branches of a network.
    """
    found = []
    for weight in network.parameters():
        if weight.requires_grad:
            weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
            found.append(weight.grad)
    return found


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """Context manager: connect the processes that torchrun started, each with its own device.

    Raises BackendError if they cannot connect. After an error no process is waited for.
    """
    backend = "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(device)
        backend = "cpu:gloo,cuda:nccl"
    try:
        dist.init_process_group(backend, timeout=PATIENCE)
    except (RuntimeError, ValueError) as cause:
        raise BackendError(
            f"the processes cannot connect ({cause})", "start them with torchrun"
        ) from cause
    yield Ranks(dist.get_rank(), dist.get_world_size())
    with _lost():  # torchrun ends all when one fails to leave: by then the first has written
        dist.barrier()
    dist.destroy_process_group()


@contextmanager
def _lost() -> Iterator[None]:
    """Translate torch's error for a process that has ended."""
    try:
        yield
    except RuntimeError as cause:
        raise BackendError(
            f"another process of this run has ended ({str(cause).partition(chr(10))[0]})",
            "look for its message; the last checkpoint is kept",
        ) from cause
