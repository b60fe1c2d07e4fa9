"""A CiaoSR decoder with its attention on the LR grid and a very small network per output pixel."""

from collections.abc import Iterator, Sequence
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ciaovideo.grid import Axis, View, constant, gaps
from ciaovideo.models.parts.corners import CORNERS, below, pick
from ciaovideo.models.parts.cross_scale_attention import non_local_branch
from ciaovideo.models.parts.mlp import MLP
from ciaovideo.models.parts.points import LEAST_CELL
from ciaovideo.models.protocols import Decoder, Footprint, Latent, Reach
from ciaovideo.ops.linear import Layer, linear, perceptron
from ciaovideo.ops.modulated_render import GapTaps, RenderWeights, modulated_render

CUDA_BLOCK_FLOATS = 6 << 28


class Gate(nn.Module):
    """The factor of a key or a value: an MLP over a code and its place.

    codes (..., inputs), place (B, 4): offset and cell, both (y, x), in half LR pixels.
    """

    def __init__(self, block: int, extra: int, hidden: int) -> None:
        super().__init__()
        self.block = nn.Linear(block, hidden)
        self.extra = nn.Linear(extra, hidden, bias=False) if extra else None
        self.place = nn.Linear(4, hidden, bias=False)
        self.last = nn.Linear(hidden, block + extra)


class Render(nn.Module):
    """The network that all output pixels share: hidden layers of ``width``, then a colour."""

    keep_fp32 = True  # a few thousand weights; they are cast to what the latent maps are made of

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.offset = nn.Linear(2, width, bias=False)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth - 1))
        self.color = nn.Linear(width, 3)

    def linears(self) -> list[Layer]:
        """Weight (width, width) and bias (width,) of each hidden layer but the first."""
        return [_layer(layer) for layer in self.layers if isinstance(layer, nn.Linear)]


class LMCiaoSR(Decoder):
    """CiaoSR by latent modulation (He and Jin, arXiv 2404.16451, LM-CiaoSR).

    Attention as in CiaoSR (arXiv 2212.04362, equation 5), but at the LR pixels: a pixel attends to
    the four overlapping 2x2 blocks of the 3x3 codes around it, values with the non-local features
    appended. What it gathers becomes a code of ``code`` values, and a scale and a shift for every
    hidden unit of a small network that renders the picture: x <- relu((W x + b) * scale + shift).
    A query is rendered from each of the four codes around it, with its offset from that code, and
    the hidden values are blended bilinearly before the last, linear layer. At a border
    codes are repeated outside; the paper's program, as LIIF's, reads them in their own place.

    ``non_local_scales``, ``window`` and ``window_margin`` are those of the cross-scale attention.
    ``query`` is the definition; ``decode`` is the same on a grid.
    """

    def __init__(
        self,
        latent_dim: int,
        *,
        hidden: int = 256,
        code: int = 32,
        width: int = 16,
        depth: int = 8,
        non_local_scales: Sequence[int] = (2,),
        window: int | None = 48,
        window_margin: int = 8,
    ) -> None:
        super().__init__()
        self.width, self.depth = width, depth
        extra = latent_dim * len(non_local_scales)
        self.non_local = non_local_branch(latent_dim, non_local_scales, window, window_margin)
        outputs = 2 * width * depth + code
        self.pixel_first = nn.Conv2d(latent_dim, hidden, 3, padding=1)
        self.pixel_last = nn.Linear(hidden, 4 * latent_dim)
        self.key = Gate(4 * latent_dim, 0, hidden)
        self.value = Gate(4 * latent_dim, extra, hidden)
        self.modulation = MLP(4 * latent_dim + extra, (outputs,), outputs)
        self.code = nn.Linear(code, width)
        self.render = Render(width, depth)
        # The value blocks being gathered, or what the non-local features take before.
        floats = 20 * latent_dim + 10 * extra + 5 * hidden + outputs
        floats = max(floats, self.non_local.floats if self.non_local else 0)
        self._footprint = Footprint(floats, 6, CUDA_BLOCK_FLOATS)

    @classmethod
    def small(cls, latent_dim: int = 8) -> Self:
        """One for tests."""
        return cls(latent_dim, hidden=8, code=6, width=16, depth=3, window=12, window_margin=3)

    def reach(self, view: View) -> Reach:
        """The codes around a gap, and what a code is made of."""
        own = Reach(1)
        return own + (own | self.non_local.reach if self.non_local else own)

    def footprint(self, view: View) -> Footprint:
        """The same at every scale."""
        return self._footprint

    def prepare(self, features: Tensor, cell: Tensor, view: View) -> Latent:
        """Scale and shift of every hidden unit: each (B, depth * width, h + 2, w + 2).

        Borders are repeated, so that every query lies between four codes. The first layer's bias
        and code, and the biases of the others, are part of the shifts.
        """
        relative = (cell * constant(view.lr_size, cell)).clamp(min=LEAST_CELL)
        non_local = None if self.non_local is None else self.non_local(features, view)
        mixed = self._attend(features, relative.to(features.dtype), non_local)
        code, scale, shift = perceptron(mixed, self.modulation.linears()).split(
            [self.code.in_features, *[self.depth * self.width] * 2], dim=-1
        )
        scale = 1 + scale
        biases = [bias.to(code.dtype) for _, bias in self.render.linears()]
        bias = torch.cat([self.code.bias.to(code.dtype), *biases])
        first = F.pad(F.linear(code, self.code.weight), (0, (self.depth - 1) * self.width))
        shift = torch.addcmul(shift, first + bias, scale)
        latent = {"scale": scale, "shift": shift}
        if features.device.type == "cpu":  # lower precision gains nothing there
            latent = {name: table.float() for name, table in latent.items()}
        # Padded as (h, w, channels): so they stay, and the values of a code lie side by side.
        return {
            name: F.pad(table, (0, 0, 1, 1, 1, 1), mode="replicate").permute(0, 3, 1, 2)
            for name, table in latent.items()
        }

    def _attend(self, features: Tensor, cell: Tensor, non_local: Tensor | None) -> Tensor:
        """What each pixel gathers from the four blocks around it: (B, h, w, 4 C + extra)."""
        height, width = features.shape[-2:]
        pixel = self.pixel_first(features).relu_().permute(0, 2, 3, 1)
        pixel = linear(pixel, _layer(self.pixel_last))
        framed = F.pad(features, (1, 1, 1, 1)).permute(0, 2, 3, 1)
        blocks = torch.cat(
            [framed[:, y : y + height + 1, x : x + width + 1] for y, x in CORNERS], dim=-1
        )  # (B, h + 1, w + 1, 4 C): one for every gap between codes
        logits = [
            (block * gate * pixel).sum(dim=-1)
            for block, gate in _gated(self.key, blocks, cell, None)
        ]
        weights = torch.stack(logits).softmax(dim=0, dtype=torch.float32).to(features.dtype)
        own = None if non_local is None else non_local.permute(0, 2, 3, 1)
        mixed: Tensor | None = None
        for index, (block, gate) in enumerate(_gated(self.value, blocks, cell, own)):
            value = block if own is None else torch.cat([block, own], dim=-1)
            value = value * gate * weights[index].unsqueeze(-1)
            mixed = value if mixed is None else mixed + value
        assert mixed is not None
        return mixed

    def query(self, latent: Latent, coord: Tensor, cell: Tensor) -> Tensor:
        """Colour at scattered points, by the definition: coord (B, Q, 2) -> (B, Q, 3)."""
        height, width = latent["scale"].shape[-2:]
        lower, into = below(coord, (height - 2, width - 2))
        blended: Tensor | None = None
        for y, x in CORNERS:
            corner = constant([y, x], lower)
            code = (lower + 1 + corner).long()
            scale, shift = (
                pick(latent[name], code).unflatten(-1, (self.depth, self.width))
                for name in ("scale", "shift")
            )
            offset = into - corner  # LR pixels
            weight = (1 - offset.abs()).prod(dim=-1, keepdim=True)
            hidden = self.render.offset(2 * offset.to(scale.dtype))
            hidden = torch.addcmul(shift[:, :, 0], hidden, scale[:, :, 0]).relu()
            for index, (weights, _) in enumerate(self.render.linears(), start=1):
                change = F.linear(hidden, weights.to(hidden.dtype))
                hidden = torch.addcmul(shift[:, :, index], change, scale[:, :, index]).relu()
            hidden = hidden * weight.to(hidden.dtype)
            blended = hidden if blended is None else blended + hidden
        color: Tensor = self.render.color(blended)
        return color

    def decode(self, latent: Latent, rows: Axis, columns: Axis) -> Tensor:
        """Colour on a grid, block by block: -> (B, 3, rows, columns)."""
        first, color = self.render.offset.weight, self.render.color
        layers = [weight for weight, _ in self.render.linears()]
        stack = torch.stack(layers) if layers else first.new_empty(0, self.width, self.width)
        weights = RenderWeights(first, stack, color.weight, color.bias)
        down, across = (GapTaps(*gaps(axis)) for axis in (rows, columns))
        return modulated_render(latent["scale"], latent["shift"], down, across, weights)


def _gated(
    gate: Gate, blocks: Tensor, cell: Tensor, own: Tensor | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """The block at each corner of every pixel, and what it is multiplied by."""
    height, width = blocks.shape[1] - 1, blocks.shape[2] - 1
    first = linear(blocks, _layer(gate.block))
    extra = None if own is None or gate.extra is None else gate.extra(own)
    for y, x in CORNERS:
        offset = constant([1 - 2 * y, 1 - 2 * x], cell).expand_as(cell)
        place = gate.place(torch.cat([offset, cell], dim=-1))[:, None, None]
        hidden = first[:, y : y + height, x : x + width] + place
        hidden = (hidden if extra is None else hidden + extra).relu_()
        yield blocks[:, y : y + height, x : x + width], linear(hidden, _layer(gate.last))


def _layer(layer: nn.Linear) -> Layer:
    return layer.weight, layer.bias
