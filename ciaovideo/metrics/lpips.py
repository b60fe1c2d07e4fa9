"""Learned perceptual distance, with weights from files."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from ciaovideo.errors import (
    CorruptWeightsError,
    MismatchedWeightsError,
    MissingWeightsError,
    OptionError,
)
from ciaovideo.metrics.luma import without_border

# AlexNet's convolutions: index among torchvision's ``features``, channels, kernel, stride, padding.
LAYERS = (
    (0, 64, 11, 4, 2),
    (3, 192, 5, 1, 2),
    (6, 384, 3, 1, 1),
    (8, 256, 3, 1, 1),
    (10, 256, 3, 1, 1),
)
POOLED = {3, 6}  # a maximum over 3x3 px, every second one, comes before these
SHIFT = (-0.030, -0.088, -0.188)  # of a picture in [-1, 1]: ImageNet's mean and deviation
SCALE = (0.458, 0.448, 0.450)
SMALLEST = 63  # px: less leaves nothing behind the second maximum
SOFTENING = 1e-10


class LPIPS:
    """LPIPS 0.1 with AlexNet (Zhang et al., arXiv 1801.03924): 0 if equal, lower is better.

    A metric made of two state dicts: torchvision's AlexNet, and the linear heads that the authors
    publish. R'G'B' is compared. Each layer's features are normalised to unit length at every
    position; their squared differences are weighted by channel, averaged over positions and summed
    over layers.
    """

    def __init__(self, backbone: Mapping[str, Tensor], heads: Mapping[str, Tensor]) -> None:
        self._layers = []
        before = 3
        for number, (index, after, kernel, *_) in enumerate(LAYERS):
            weight = _take(backbone, f"features.{index}.weight", (after, before, kernel, kernel))
            bias = _take(backbone, f"features.{index}.bias", (after,))
            head = _take(heads, f"lin{number}.model.1.weight", (1, after, 1, 1))
            self._layers.append((weight, bias, head))
            before = after

    @classmethod
    def load(cls, backbone: Path, heads: Path) -> Self:
        """Read both files, executing nothing in them; raises WeightsError."""
        try:
            return cls(_read(backbone), _read(heads))
        except KeyError as cause:
            raise MismatchedWeightsError(
                f"{backbone} and {heads}: {cause.args[0]} is missing or has another shape",
                "name torchvision's AlexNet first, then LPIPS' heads for it (alex.pth)",
            ) from cause

    @torch.no_grad()
    def __call__(self, sr: Tensor, hr: Tensor, *, border: int) -> Tensor:
        """One distance for each picture: (B,) float64."""
        ours, true = without_border(sr, hr, border)
        if min(ours.shape[-2:]) < SMALLEST:
            raise OptionError(
                f"LPIPS needs {SMALLEST} px on each side, {tuple(ours.shape[-2:])} are left",
                "use larger pictures",
            )
        shift, scale = (torch.tensor(each).view(1, 3, 1, 1) for each in (SHIFT, SCALE))
        both = torch.cat([ours, true]).float().clamp(0, 1) * 2 - 1
        features = (both - shift) / scale
        distance = torch.zeros(len(ours), dtype=torch.float64)
        for (index, _, _, stride, padding), (weight, bias, head) in zip(
            LAYERS, self._layers, strict=True
        ):
            if index in POOLED:
                features = F.max_pool2d(features, 3, stride=2)
            features = F.conv2d(features, weight, bias, stride=stride, padding=padding).relu()
            length = features.square().sum(dim=1, keepdim=True).sqrt()
            one, other = (features / (length + SOFTENING)).chunk(2)
            distance += F.conv2d((one - other).square(), head).double().mean(dim=(1, 2, 3))
        return distance


def _take(weights: Mapping[str, Tensor], name: str, shape: tuple[int, ...]) -> Tensor:
    """A tensor by name; KeyError if it is missing or has another shape."""
    found = weights.get(name)
    if not isinstance(found, Tensor) or tuple(found.shape) != shape:
        raise KeyError(name)
    return found.float()


def _read(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise MissingWeightsError(f"{path} does not exist", "name a state dict saved by torch")
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as cause:  # its text advises to trust the file
        raise CorruptWeightsError(
            f"{path}: not a state dict, or one that would execute code", "get the file again"
        ) from cause
    except (OSError, RuntimeError, EOFError, ValueError) as cause:
        raise CorruptWeightsError(
            f"{path}: not a readable state dict ({cause})", "get the file again"
        ) from cause
    return weights if isinstance(weights, Mapping) else {}
