"""Checkpoints of other programs: one module a published layout; the first that recognises wins.

A layout's module has ``recognises(checkpoint)`` and ``read(checkpoint, unsaid)``, which gives the
network's specification and its tensors under our names.
"""

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from torch import Tensor

from ciaovideo.errors import MismatchedWeightsError
from ciaovideo.models.foreign.checkpoint import Checkpoint, some
from ciaovideo.models.spec import NetworkSpec
from ciaovideo.registry import Registry

LAYOUTS: Registry[ModuleType] = Registry(
    "layout",
    {
        "CiaoSR": "ciaovideo.models.foreign.ciaosr",
        "LIIF": "ciaovideo.models.foreign.liif",
        "LTE": "ciaovideo.models.foreign.lte",
    },
)


@dataclass(frozen=True, slots=True)
class Unsaid:
    """What no file states: the ``window`` of the non-local attention, and the ``residual``.

    A window of None is the whole frame; without the residual the network's colour is the picture.
    """

    window: int | None = None
    residual: bool = True


def read_foreign(path: Path, unsaid: Unsaid = Unsaid()) -> tuple[NetworkSpec, dict[str, Tensor]]:
    """The network in a file of another program, and its tensors, fp32, under our names.

    Raises MissingWeightsError, CorruptWeightsError, or MismatchedWeightsError for what is not
    known, or differs.
    """
    checkpoint = Checkpoint.load(path)
    for name in LAYOUTS:
        layout = LAYOUTS[name]
        if layout.recognises(checkpoint):
            spec, tensors = layout.read(checkpoint, unsaid)
            return spec, tensors
    raise MismatchedWeightsError(
        f"{path}: unknown network, with tensors {some(checkpoint.state)}",
        f"name a checkpoint of {' or '.join(LAYOUTS)}",
    )
