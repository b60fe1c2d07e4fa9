"""PSNR of the averaged weights on held-out pictures."""

import copy
import math
import statistics
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ciaovideo.data.images import list_pictures, read_picture, resize
from ciaovideo.data.pairs import pair
from ciaovideo.engine.engine import Engine, check_scale
from ciaovideo.errors import OptionError
from ciaovideo.metrics import METRICS
from ciaovideo.metrics.luma import without_border
from ciaovideo.models.protocols import Network
from ciaovideo.options import EngineOptions
from ciaovideo.train.options import ValidationOptions

CROP_SIDE = 192  # HR px of a displayed crop
CROPS = 4


class Validation:
    """Measures weights on a folder, the pictures of which stay in memory.

    PSNR on Y by the protocol of benchmarks: without a border of ceil(scale) px, LR by Pillow's
    bicubic. It computes in fp32 with a network of its own and draws nothing at random: a run ends
    with the same weights with or without it. Raises MissingInputError for a folder without
    pictures, OptionError for a scale at which they cannot be measured, UnsupportedScaleError for
    one that the network does not support.
    """

    def __init__(
        self, options: ValidationOptions, folder: Path, network: Network, device: torch.device
    ) -> None:
        self.scales = options.scales
        self.network = copy.deepcopy(network)
        with _exact_products():
            self._engine = Engine(self.network, EngineOptions(device=str(device), precision="fp32"))
        paths = list_pictures(folder)[: options.pictures or None]
        pictures = [read_picture(path) for path in paths]
        self._pairs = {
            scale: [_measurable(*each, scale) for each in zip(paths, pictures, strict=True)]
            for scale in options.scales
        }
        for pairs in self._pairs.values():
            for hr, lr in pairs:
                size = (lr.shape[-2], lr.shape[-1])
                check_scale(network.scales, size, (hr.shape[-2], hr.shape[-1]))

    def measure(self, weights: Mapping[str, Tensor]) -> dict[float, float]:
        """Mean PSNR in dB at each scale."""
        self.network.load_state_dict(weights)
        with _exact_products():
            return {
                scale: statistics.fmean(self._psnr(hr, lr, math.ceil(scale)) for hr, lr in pairs)
                for scale, pairs in self._pairs.items()
            }

    def crops(self, weights: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """The centre of the first pictures at the largest scale, (3, H, W) in [0, 1], by name."""
        self.network.load_state_dict(weights)
        shown = []
        for hr, lr in self._pairs[max(self.scales)][:CROPS]:
            size = (hr.shape[-2], hr.shape[-1])
            views = {
                "LR": F.interpolate(lr, size, mode="nearest-exact") / 255,
                "bicubic": resize(lr, size, "bicubic") / 255,
                "ours": self._enlarge(lr, size).clamp(0, 1),
                "truth": hr / 255,
            }
            shown.append({name: _middle(view) for name, view in views.items()})
        return shown

    def _psnr(self, hr: Tensor, lr: Tensor, border: int) -> float:
        sr = self._enlarge(lr, (hr.shape[-2], hr.shape[-1]))
        return METRICS["psnr"](sr, hr.float() / 255, border=border).item()

    def _enlarge(self, lr: Tensor, size: tuple[int, int]) -> Tensor:
        return self._engine(lr.float() / 255, size).cpu()


def _measurable(path: Path, picture: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """HR and LR of a picture; raises OptionError if no pixel is left to measure."""
    try:
        hr, lr = pair(picture, scale)
        without_border(hr, hr, math.ceil(scale))
    except OptionError as cause:
        raise OptionError(f"{path}: {cause.problem}", cause.hint) from cause
    return hr, lr


@contextmanager
def _exact_products() -> Iterator[None]:
    """Context manager: fp32 is exact on a GPU too; training's setting is restored."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def _middle(picture: Tensor) -> Tensor:
    """The centre of (1, 3, H, W), at most ``CROP_SIDE`` px a side."""
    top, left = (max(0, side - CROP_SIDE) // 2 for side in picture.shape[-2:])
    return picture[0, :, top : top + CROP_SIDE, left : left + CROP_SIDE]
