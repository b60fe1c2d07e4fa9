"""The discriminator of Real-ESRGAN, and adversarial training with it."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ciaovideo.train.ranks import SINGLE_PROCESS, Ranks, gradients

SLOPE = 0.2  # of the leaky ReLUs


class UNetDiscriminator(nn.Module):
    """How real each pixel looks, as a logit: picture (B, 3, H, W) in [0, 1] -> (B, 1, H, W).

    The U-Net with spectral normalisation of Real-ESRGAN (arXiv 2107.10833, section 3.3): three
    halvings of the side, three bilinear doublings with skips added, three convolutions at the end.
    Sides may have any length; rounding of the halvings is cropped.
    """

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        c = channels
        self.first = nn.Conv2d(3, c, 3, padding=1)
        self.down = nn.ModuleList(
            _conv(c << level, 2 * c << level, 4, stride=2) for level in range(3)
        )
        self.up = nn.ModuleList(_conv(2 * c << level, c << level, 3) for level in (2, 1, 0))
        self.end = nn.ModuleList(_conv(c, c, 3) for _ in range(2))
        self.last = nn.Conv2d(c, 1, 3, padding=1)

    def forward(self, picture: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in [0, 1] -> logits (B, 1, H, W), positive for real pixels."""
        features = F.leaky_relu(self.first(picture), SLOPE)
        skips = []
        for down in self.down:
            skips.append(features)
            features = F.leaky_relu(down(features), SLOPE)
        for up, skip in zip(self.up, reversed(skips), strict=True):
            size = skip.shape[-2:]
            features = F.interpolate(features, size, mode="bilinear", align_corners=False)
            features = F.leaky_relu(up(features), SLOPE) + skip
        for conv in self.end:
            features = F.leaky_relu(conv(features), SLOPE)
        logit: Tensor = self.last(features)
        return logit


class Adversary:
    """The discriminator with its optimizer: a loss for the network, and a step of its own."""

    def __init__(self, channels: int, device: torch.device) -> None:
        self.discriminator = UNetDiscriminator(channels).to(device)
        self.optimizer = torch.optim.Adam(self.discriminator.parameters(), betas=(0.9, 0.99))

    def loss(self, made: Tensor) -> Tensor:
        """The network's adversarial loss for its pictures; no gradient for the discriminator."""
        self.discriminator.requires_grad_(False)
        logit = self.discriminator(made)
        self.discriminator.requires_grad_(True)
        return F.binary_cross_entropy_with_logits(logit, torch.ones_like(logit))

    def learn(
        self, made: Tensor, real: Tensor, learning_rate: float, *, ranks: Ranks = SINGLE_PROCESS
    ) -> None:
        """Train the discriminator for one step, on made and real pictures (B, 3, H, W)."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.zero_grad(set_to_none=True)
        for picture, truth in ((real, 1.0), (made.detach(), 0.0)):
            logit = self.discriminator(picture)
            wanted = torch.full_like(logit, truth)
            F.binary_cross_entropy_with_logits(logit, wanted).backward()
        ranks.average(gradients(self.discriminator))
        self.optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """The state to save: weights and optimizer."""
        return {
            "discriminator": self.discriminator.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a ``state_dict``; raises RuntimeError where sizes differ."""
        self.discriminator.load_state_dict(state["discriminator"])
        self.optimizer.load_state_dict(state["optimizer"])


def _conv(inside: int, out: int, side: int, stride: int = 1) -> nn.Module:
    return spectral_norm(nn.Conv2d(inside, out, side, stride, padding=1, bias=False))
