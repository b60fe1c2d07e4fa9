"""A stack of residual blocks between two convolutions, as several encoders have it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ciaovideo.errors import OptionError
from ciaovideo.models.protocols import Encoder
from ciaovideo.ops.convolution import added


class ResidualBody(Encoder):
    """A 3x3 convolution, ``count`` blocks, and a 3x3 convolution to which the first is added.

    lr (B, 3, h, w), mean subtracted -> latent (B, channels, h, w). ``block`` makes one block of
    ``depth`` 3x3 convolutions; ``slope`` is what its ReLUs let through of negative values. Raises
    OptionError for a slope outside 0 to 1.
    """

    def __init__(
        self, channels: int, block: Callable[[], nn.Module], count: int, *, depth: int, slope: float
    ) -> None:
        super().__init__()
        if not 0 <= slope <= 1:
            raise OptionError(f"slope {slope} is outside 0 to 1")
        self.out_channels = channels
        self.halo = depth * count + 2  # LR pixels: every 3x3 convolution reads one further
        self.alignment = 1
        self.floats = 5 * channels
        self.conv_first = nn.Conv2d(3, channels, 3, padding=1)
        self.body = nn.Sequential(*(block() for _ in range(count)))
        self.conv_after_body = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, lr: Tensor) -> Tensor:
        """Features at the same height and width."""
        first: Tensor = self.conv_first(lr)
        body = self.body(first if torch.is_grad_enabled() else first.clone())
        return added(self.conv_after_body, body, first)
