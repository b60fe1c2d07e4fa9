"""Features that know the scale: EQSR's adaptive feature extractor."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ciaovideo.models.parts.frame_means import FrameMeans

PERIOD = 10.0  # of the lowest frequency, in half units
SAFE = 1e-8


def waves(values: Tensor, frequencies: int) -> Tensor:
    """values (...) -> (..., 1 + 2 frequencies): each, and its sines and cosines.

    Of 2^i pi v / 10, i from 0. fp32 keeps no digit of frequencies above 2^24: what they give is a
    number that depends on the last bit, though always the same one.
    """
    turns = 2.0 ** torch.arange(frequencies, dtype=torch.float32, device=values.device)
    angles = values[..., None] * (math.pi / PERIOD) * turns
    return torch.cat([values[..., None], angles.sin(), angles.cos()], dim=-1)


class ModulatedConv(nn.Module):
    """A 3x3 convolution whose weights are scaled by the embedded scale, then normalised.

    w'_oi = w_oi (1 + m_i), over its norm for each output channel (as StyleGAN2's, arXiv
    1912.04958, equations 1 and 3).
    """

    def __init__(self, channels: int, embedded: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels, 3, 3))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        self.modulation = nn.Linear(embedded, channels)

    def forward(self, features: Tensor, scale: Tensor) -> Tensor:
        """features (B, C, h, w), scale (embedded,) -> the same size; all samples share a scale."""
        kind = self.weight.dtype
        weight = self.weight * (1 + self.modulation(scale.to(kind)))[None, :, None, None]
        norm = weight.float().square().sum(dim=(1, 2, 3), keepdim=True).add(SAFE).rsqrt()
        return F.conv2d(features, weight * norm.to(kind), padding=1)


class SqueezeExcitation(nn.Module):
    """A factor for each channel by its mean over the frame (Hu et al., arXiv 1709.01507)."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // reduction, bias=False)
        self.excite = nn.Linear(channels // reduction, channels, bias=False)

    def forward(self, mean: Tensor) -> Tensor:
        """Means (B, C) -> factors (B, C) in (0, 1)."""
        factor: Tensor = self.excite(F.silu(self.squeeze(mean))).sigmoid()
        return factor


class AdaptiveFeatures(nn.Module):
    """EQSR's adaptive feature extractor (Wang et al., CVPR 2023, section 3.2).

    h = L1 x; h += M(GELU(LN h)), M modulated by the scale; h += L2 SE(GELU(LN h)). The input itself
    is not added.
    """

    def __init__(self, channels: int, embedded: int, reduction: int) -> None:
        super().__init__()
        self.enter = nn.Linear(channels, channels)
        self.norm1 = nn.LayerNorm(channels)
        self.modulated = ModulatedConv(channels, embedded)
        self.norm2 = nn.LayerNorm(channels)
        self.squeeze = SqueezeExcitation(channels, reduction)
        self.leave = nn.Linear(channels, channels)

    def forward(
        self, pixels: Tensor, scale: Tensor, means: FrameMeans, size: tuple[int, int], count: int
    ) -> Tensor | None:
        """Pixels (B, h, w, C) -> the same; None where their mean is to be summed.

        ``size`` of the map lies in the frame, which has ``count`` pixels; beyond it is padding.
        """
        made: Tensor = self.enter(pixels)
        changed = F.gelu(self.norm1(made)).permute(0, 3, 1, 2)
        made = made + self.modulated(changed, scale).permute(0, 2, 3, 1)
        changed = F.gelu(self.norm2(made))
        mean = means.of(changed.permute(0, 3, 1, 2)[..., : size[0], : size[1]], count)
        if mean is None:
            return None
        factor = self.squeeze(mean)[:, None, None]
        left: Tensor = self.leave(changed * factor)
        return made + left
