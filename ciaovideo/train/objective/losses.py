"""Losses: L1, and in a second stage structures, features and a discriminator.

``StructureLoss`` is the perceptual loss that needs no file: structural similarity (Wang, Bovik,
Sheikh and Simoncelli, IEEE TIP 2004) of oriented derivatives at several sizes, as in a steerable
pyramid. L1 removes uncertain detail and leaves a blur of low contrast. This loss rewards detail
that agrees with the truth and has its contrast; other detail gains nothing. A loss on the amount of
detail alone teaches a network without noise input to draw a grid with the LR pixels' period
(measured: ``tests/bench/stages.py``).

``VggLoss`` is the usual perceptual loss (Johnson et al., arXiv 1603.08155) on features before
activation, weighted as in Real-ESRGAN. It needs the weights of VGG19.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ciaovideo.errors import MismatchedWeightsError
from ciaovideo.train.objective.discriminator import Adversary
from ciaovideo.train.options import LossOptions
from ciaovideo.train.ranks import SINGLE_PROCESS, Ranks
from ciaovideo.train.state import load_tensors

LEVELS = 3  # sizes of detail: 1, 2 and 4 px
ENERGY_FLOOR = (2 / 255) ** 2  # detail fainter than this is ignored
SQUARES = 20.0  # of squared differences over L1: equal slopes at 0.025
POOL = 7  # px of each level over which products are averaged

COARSE = 16  # px of squares whose mean colour is compared

VGG19 = (64, 64, 0, 128, 128, 0, *(256,) * 4, 0, *(512,) * 4, 0, *(512,) * 4)  # 0 halves the side
VGG_WEIGHTS = {2: 0.1, 7: 0.1, 16: 1.0, 25: 1.0, 34: 1.0}  # number of the layer: its weight
VGG_MEAN, VGG_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class StructureLoss(nn.Module):
    """1 - structural similarity of oriented derivatives, from 0 (equal) to 2 (reversed).

    sr, hr (B, 3, H, W) in [0, 1] -> scalar. First and second derivatives along four directions,
    of luma and two colour differences, at three sizes. Derivatives have no mean, so that of SSIM's
    factors contrast and structure are left: 2 cov(sr, hr) / (var(sr) + var(hr)).
    """

    filters: Tensor
    opponents: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filters", _derivatives(), persistent=False)
        opponents = torch.tensor([[0.299, 0.587, 0.114], [0.25, -0.25, 0.0], [-0.1, -0.1, 0.2]])
        self.register_buffer("opponents", opponents, persistent=False)

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Two batches (B, 3, H, W) in [0, 1] -> the loss, a scalar."""
        total = sr.new_zeros(())
        for ours, theirs in zip(self.derivatives(sr), self.derivatives(hr), strict=True):
            agreed = _around(2 * ours * theirs)
            energies = _around(ours.square() + theirs.square())
            total = total + 1 - ((agreed + ENERGY_FLOOR) / (energies + ENERGY_FLOOR)).mean()
        return total / LEVELS

    def derivatives(self, rgb: Tensor) -> Iterator[Tensor]:
        """The derivatives of (B, 3, H, W), finest first: (3 B, 8, h, w) at each size."""
        planes = torch.einsum("ij,bjhw->bihw", self.opponents, rgb).flatten(0, 1)[:, None]
        for _ in range(LEVELS):
            if min(planes.shape[-2:]) < POOL + 4:
                return
            yield F.conv2d(planes, self.filters)
            planes = F.avg_pool2d(planes, 2)


class VggLoss(nn.Module):
    """L1 between features of VGG19 (arXiv 1409.1556) before five of its activations.

    ``path``: a file of VGG19's weights with torchvision's names, .safetensors or .pth (of which
    nothing is executed). sr, hr (B, 3, H, W) in [0, 1] -> scalar.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, path: Path) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inside = 3
        for width in VGG19:
            if width:
                layers += [nn.Conv2d(inside, width, 3, padding=1), nn.ReLU()]
                inside = width
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers[:-1])
        self._load(path)
        self.requires_grad_(False)
        for name, values in (("mean", VGG_MEAN), ("deviation", VGG_DEVIATION)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Two batches (B, 3, H, W) in [0, 1] -> the loss, a scalar."""
        features = (torch.cat([sr, hr]) - self.mean) / self.deviation
        total = sr.new_zeros(())
        for number, layer in enumerate(self.features):
            features = layer(features)
            if number in VGG_WEIGHTS:
                ours, theirs = features.chunk(2)
                total = total + VGG_WEIGHTS[number] * F.l1_loss(ours, theirs)
        return total

    def _load(self, path: Path) -> None:
        wanted = self.state_dict()
        found = load_tensors(path)
        if any(name not in found or found[name].shape != wanted[name].shape for name in wanted):
            raise MismatchedWeightsError(
                f"{path} does not hold the convolutions of VGG19",
                "give the weights of torchvision's vgg19 (without batch normalisation)",
            )
        self.load_state_dict({name: found[name].float() for name in wanted})


class Objective:
    """The loss of a run at each step, with the adversary that is trained beside it.

    Before ``from_step``, or without other weights, it is the L1 of colours at points. From there
    on, points are squares of neighbouring pixels.
    """

    def __init__(self, options: LossOptions, device: torch.device) -> None:
        self.options = options
        self.adversary: Adversary | None = None
        if options.adversarial:
            self.adversary = Adversary(options.discriminator_channels, device)
        self.perceptual: nn.Module | None = None
        if options.perceptual:
            loss = VggLoss(options.features) if options.features else StructureLoss()
            self.perceptual = loss.to(device)

    def __call__(self, sr: Tensor, hr: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """The loss of colours sr, hr at step ``step`` (from 0), and its L1 alone.

        Both are points (B, Q, 3), or lattices (B, 3, N, M).
        """
        distance = F.l1_loss(sr, hr)
        total = distance
        if self.options.squares_from and step >= self.options.squares_from:
            total = SQUARES * F.mse_loss(sr, hr)
        if step < self.options.from_step or not self.options.looks_at_neighbours:
            return total, distance
        total = self.options.l1 * total
        made, true = as_pictures(sr), as_pictures(hr)
        if self.perceptual is not None:
            total = total + self.options.perceptual * self.perceptual(made, true)
        if self.options.color:
            total = total + self.options.color * coarse_difference(made, true)
        if self.adversary is not None:
            total = total + self.options.adversarial * self.adversary.loss(made)
        assert isinstance(total, Tensor)
        return total, distance

    def unsteadiness(self, sr: Tensor, twin: Tensor) -> Tensor:
        """The loss of differing frames of one scene: the weighted L1 between them.

        After Eilertsen, Mantiuk and Unger (CVPR 2019, arXiv 1902.10424, eq. 7), with the motion
        between the frames known: an implicit decoder is asked for the same points in both.
        """
        return self.options.steady * F.l1_loss(sr, twin)

    def learn(
        self,
        sr: Tensor,
        natural: Tensor,
        step: int,
        learning_rate: float,
        *,
        ranks: Ranks = SINGLE_PROCESS,
    ) -> None:
        """Train the adversary on predicted colours (B, Q, 3) and real ones before sharpening.

        ``learning_rate`` is the network's at this step.
        """
        if self.adversary is not None and step >= self.options.from_step:
            rate = learning_rate * self.options.discriminator_rate
            self.adversary.learn(as_pictures(sr), as_pictures(natural), rate, ranks=ranks)

    def state_dict(self) -> dict[str, Any]:
        """The state to save; empty without an adversary."""
        return self.adversary.state_dict() if self.adversary is not None else {}

    def restore(self, state: Mapping[str, Any], path: Path) -> None:
        """Restore a ``state_dict`` that was read from ``path``; raises MismatchedWeightsError."""
        if bool(state) != (self.adversary is not None):
            raise MismatchedWeightsError(
                f"{path} belongs to a run with another loss", "resume with the recipe that wrote it"
            )
        if self.adversary is None:
            return
        try:
            self.adversary.load_state_dict(state)
        except (RuntimeError, KeyError, ValueError) as cause:
            raise MismatchedWeightsError(
                f"{path} holds a discriminator of another size",
                "resume with the recipe that wrote it",
            ) from cause


def as_pictures(colors: Tensor) -> Tensor:
    """Squares of points, row by row (B, Q, 3), as (B, 3, sqrt(Q), sqrt(Q)); pictures unchanged."""
    if colors.ndim == 4:
        return colors
    side = math.isqrt(colors.shape[1])
    return colors.transpose(1, 2).reshape(len(colors), 3, side, side)


def coarse_difference(sr: Tensor, hr: Tensor) -> Tensor:
    """L1 of means over overlapping squares of COARSE px, against shifts of colour.

    L1 of pixels hardly sees a small common shift where each pixel is off by more than that.
    """
    side = min(COARSE, *sr.shape[-2:])
    step = max(1, side // 2)
    return F.l1_loss(F.avg_pool2d(sr, side, step), F.avg_pool2d(hr, side, step))


def _around(products: Tensor) -> Tensor:
    """Means over squares of POOL px."""
    return F.avg_pool2d(products, POOL, POOL // 2)


def _derivatives() -> Tensor:
    """First and second derivatives of a Gaussian along four directions: (8, 1, 5, 5), unit norm."""
    offsets = torch.arange(5, dtype=torch.float32) - 2
    y, x = torch.meshgrid(offsets, offsets, indexing="ij")
    window = (-0.5 * (y * y + x * x) / 0.9**2).exp()
    filters = []
    for angle in (0.0, 0.25, 0.5, 0.75):
        along = math.cos(math.pi * angle) * x + math.sin(math.pi * angle) * y
        for kernel in (along * window, (along**2 / 0.9**2 - 1) * window):
            kernel = kernel - kernel.mean()
            filters.append(kernel / kernel.square().sum().sqrt())
    return torch.stack(filters)[:, None]
