"""LR patches degraded beforehand, for machines that train without video codecs.

A pair is the degraded LR patch and the place of its crop in the training pictures: a few thousand
of them are as many megabytes as the pictures of a small set.
"""

from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from ciaovideo.data.images import PictureStore
from ciaovideo.errors import CorruptWeightsError, MissingInputError, OptionError

STORE = "store"  # what the pictures are known by: number of samples, and of pictures


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """``which``, ``side``, ``turn`` (N,) and ``place`` (N, 2) of crops; ``lr`` (N, 3, p, p) uint8.

    The first four mean what ``Sampler`` draws.
    """

    which: Tensor
    side: Tensor
    place: Tensor
    turn: Tensor
    lr: Tensor

    def __len__(self) -> int:
        return len(self.which)

    @property
    def columns(self) -> tuple[Tensor, ...]:
        """The five tensors in their order."""
        return self.which, self.side, self.place, self.turn, self.lr


def write_pairs(path: Path, pairs: Pairs, store: PictureStore) -> None:
    """Write pairs that were made from these pictures."""
    tensors = {field.name: getattr(pairs, field.name) for field in fields(pairs)}
    torch.save({**tensors, STORE: _fingerprint(store)}, path)


def read_pairs(path: Path, store: PictureStore, patch: int) -> Pairs:
    """Read pairs for these pictures; nothing in the file is executed.

    Raises MissingInputError, CorruptWeightsError, or OptionError where they were made from other
    pictures or for other patches.
    """
    if not path.is_file():
        raise MissingInputError(f"{path} is not there", "make pairs where PyAV is installed")
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        made_from = tensors.pop(STORE)
        pairs = Pairs(**tensors)
    except Exception as cause:  # bytes that are no pickle make its reader raise anything
        raise CorruptWeightsError(f"{path}: not a file of pairs", "make it again") from cause
    if not torch.equal(made_from, _fingerprint(store)) or pairs.lr.shape[-1] != patch:
        raise OptionError(
            f"{path} was made from other pictures, or for patches of {pairs.lr.shape[-1]} px",
            "make pairs with the recipe and the sources that train on them",
        )
    return pairs


def _fingerprint(store: PictureStore) -> Tensor:
    """Number of samples and of pictures, and the sum of a few thousand samples."""
    samples = store.samples
    some = samples[:: max(1, len(samples) // 4096)].sum(dtype=torch.int64)
    return torch.tensor([len(samples), len(store), int(some)])
