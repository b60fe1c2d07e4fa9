"""The published formulas of the neighbours' decoders, written down plainly to compare with ours.

Each takes features (1, C, h, w), a whole grid's coordinates (1, Q, 2), the cell (1, 2), and a state
dict under our names. Codes are found by ``grid_sample``, 3x3 features by ``unfold``, and every
query has its own matrix: nothing of what ours share is used.
"""

import math
from collections.abc import Callable
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]
Read = tuple[Tensor, Tensor]
Formula = Callable[[Tensor, Tensor, Tensor, State], Tensor]

EPSILON = 1e-6


def mlp(points: Tensor, state: State, name: str, activation: Callable[[Tensor], Tensor]) -> Tensor:
    """Linear layers at name.layers.0, .2 and so on."""
    count = 1 + max(int(key.split(".")[-2]) for key in state if key.startswith(f"{name}.layers."))
    for index in range(0, count, 2):
        if index:
            points = activation(points)
        prefix = f"{name}.layers.{index}"
        points = F.linear(points, state[f"{prefix}.weight"], state[f"{prefix}.bias"])
    return points


def sampled(image: Tensor, coord: Tensor) -> Tensor:
    """The nearest sample of (1, C, h, w) at (1, Q, 2): (1, Q, C)."""
    grid = coord.flip(-1).unsqueeze(1)
    found: Tensor = F.grid_sample(image, grid, mode="nearest", align_corners=False)
    return found[:, :, 0].transpose(1, 2)


def centres(features: Tensor) -> Tensor:
    """The coordinates of the codes, as a map: (1, 2, h, w)."""
    y, x = (-1 + 1 / n + (2 / n) * torch.arange(n).float() for n in features.shape[-2:])
    return torch.stack(torch.meshgrid(y, x, indexing="ij")).unsqueeze(0)


def unfolded(features: Tensor) -> Tensor:
    """3x3 features around each pixel: (1, 9 C, h, w)."""
    columns: Tensor = F.unfold(features, 3, padding=1)
    return columns.view(1, -1, *features.shape[-2:])


def size_of(features: Tensor) -> Tensor:
    return torch.tensor(features.shape[-2:]).float()


def four(features: Tensor, codes: Tensor, coord: Tensor, shift: Tensor) -> list[Read]:
    """Code (1, Q, D) and offset (1, Q, 2), in half LR px, of each of the four."""
    found: list[Read] = []
    for corner in product((-1, 1), (-1, 1)):
        moved = coord + torch.tensor(corner) * shift + EPSILON
        moved = moved.clamp(-1 + EPSILON, 1 - EPSILON)
        offset = (coord - sampled(centres(features), moved)) * size_of(features)
        found.append((sampled(codes, moved), offset))
    return found


def blended(colors: list[Tensor], offsets: list[Tensor]) -> Tensor:
    """By the areas opposite: the first with the last, the second with the third."""
    areas = [(offset[..., :1] * offset[..., 1:]).abs() + 1e-9 for offset in offsets]
    total = areas[0] + areas[1] + areas[2] + areas[3]
    shares = [areas[3] / total, areas[2] / total, areas[1] / total, areas[0] / total]
    return torch.stack([c * s for c, s in zip(colors, shares, strict=True)]).sum(0)


def liif(features: Tensor, coord: Tensor, cell: Tensor, state: State) -> Tensor:
    relative = (cell * size_of(features))[:, None].expand(-1, coord.shape[1], -1)
    read = four(features, unfolded(features), coord, 1 / size_of(features))
    colors = [
        mlp(torch.cat([code, offset, relative], -1), state, "mlp", torch.relu)
        for code, offset in read
    ]
    return blended(colors, [offset for _, offset in read])


def lte(features: Tensor, coord: Tensor, cell: Tensor, state: State) -> Tensor:
    maps = [
        F.conv2d(features, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)
        for name in ("amplitude", "frequency")
    ]
    relative = cell * size_of(features)
    told = relative * (2 / relative / 4).clamp(min=1)  # beyond scale 4 it is that of 4
    phase = F.linear(told[:, None], state["phase.weight"])
    read = four(features, torch.cat(maps, dim=1), coord, 1 / size_of(features))
    colors = []
    for code, offset in read:
        amplitude, frequency = code.chunk(2, dim=-1)
        waves = torch.stack(frequency.chunk(2, dim=-1), dim=-1)  # halves: (1, Q, waves, 2)
        turn = (waves * offset[:, :, None]).sum(-1) + phase
        basis = torch.cat([(math.pi * turn).cos(), (math.pi * turn).sin()], dim=-1)
        colors.append(mlp(amplitude * basis, state, "mlp", torch.relu))
    return blended(colors, [offset for _, offset in read])


def metasr(features: Tensor, coord: Tensor, cell: Tensor, state: State) -> Tensor:
    size = size_of(features)
    corner = coord - cell[:, None] / 2
    at = (corner + EPSILON).clamp(-1 + EPSILON, 1 - EPSILON)
    place = (corner - (sampled(centres(features), at) - 1 / size)) * size / 2
    inverse = (cell[:, None, :1] * size[0] / 2).expand(-1, coord.shape[1], -1)
    matrix = mlp(torch.cat([place, inverse], dim=-1), state, "mlp", torch.relu)
    code = sampled(unfolded(features), at)
    color: Tensor = code[:, :, None] @ matrix.view(*matrix.shape[:-1], -1, 3)
    return color[:, :, 0]


def itsrn(features: Tensor, coord: Tensor, cell: Tensor, state: State) -> Tensor:
    size = size_of(features)
    shift = 1 / ((size - 1) / (1 - cell))
    relative = (cell * size)[:, None].expand(-1, coord.shape[1], -1)
    made = []
    for code, offset in four(features, unfolded(features), coord, shift):
        matrix = mlp(torch.cat([offset, relative], dim=-1), state, "matrix", F.gelu)
        color = (code[:, :, None] @ matrix.unflatten(-1, (-1, 3)))[:, :, 0]
        made.append(color + mlp(offset, state, "score", F.gelu))
    return mlp(torch.stack(made, dim=-1), state, "blend", F.gelu)[..., 0]


def hiif(
    features: Tensor, coord: Tensor, cell: Tensor, state: State, *, rounded: bool = True
) -> Tensor:
    """Not ``rounded``: positions as published, whose parts hang on their last bit at borders."""
    frequency = F.conv2d(features, state["frequency.weight"], state["frequency.bias"], padding=1)
    read = four(features, frequency, coord, 1 / size_of(features))
    ones = [torch.ones_like(coord[..., :1]) for _ in read]
    areas = [
        blended([one * (j == i) for j, one in enumerate(ones)], [offset for _, offset in read])
        for i in range(4)
    ]
    weighted = [code * area for (code, _), area in zip(read, areas, strict=True)]
    relative = (cell * size_of(features))[:, None].expand(-1, coord.shape[1], -1)
    behind = read[0][1] / 2  # in LR px
    if rounded:
        position = (behind.abs() * 1024).round().clamp(0, 1024) / 1024
    else:
        position = torch.where(behind > 0, behind, 1 / size_of(features) - behind)
        position = (position - 1e-9).clamp(0, 1)
    parts = [(position * 2 ** (level + 1)).floor() % 2 for level in range(len(stages(state)))]
    hidden = stage(torch.cat([*weighted, relative, parts[0]], dim=-1), state, 0)
    for block in ("attention.0", "attention.1"):
        hidden = attended(hidden, state, block)
    for level in stages(state)[1:]:
        hidden = stage(torch.cat([hidden, parts[level]], dim=-1), state, level)
    return hidden


def stages(state: State) -> list[int]:
    return sorted({int(name.split(".")[1]) for name in state if name.startswith("stages.")})


def normalised(points: Tensor, state: State, name: str) -> Tensor:
    mean = points.mean(-1, keepdim=True)
    variance = (points - mean).square().mean(-1, keepdim=True)
    normal = (points - mean) / (variance + 1e-5).sqrt()
    return normal * state[f"{name}.weight"] + state[f"{name}.bias"]


def layer(points: Tensor, state: State, name: str) -> Tensor:
    return F.linear(points, state[f"{name}.weight"], state[f"{name}.bias"])


def stage(points: Tensor, state: State, level: int) -> Tensor:
    name = f"stages.{level}"
    wide = layer(normalised(points, state, f"{name}.norm"), state, f"{name}.first")
    return layer(F.gelu(wide), state, f"{name}.last")


def attended(points: Tensor, state: State, name: str) -> Tensor:
    """Head by head: the first 3 d outputs are the first head's query, key and value."""
    side = state[f"{name}.key_norm.weight"].numel()
    whole = layer(points, state, f"{name}.points")
    heads = []
    for start in range(0, whole.shape[-1], 3 * side):
        query, key, value = (
            whole[..., start + part * side : start + (part + 1) * side] for part in range(3)
        )
        key = normalised(key, state, f"{name}.key_norm")
        value = normalised(value, state, f"{name}.value_norm")
        heads.append(query @ (key.mT @ value / points.shape[1]))
    change = layer(torch.cat(heads, dim=-1) + points, state, f"{name}.first")
    return points + layer(F.gelu(change), state, f"{name}.last")


FORMULAS: dict[str, Formula] = {
    "hiif": hiif,
    "itsrn": itsrn,
    "liif": liif,
    "lte": lte,
    "metasr": metasr,
}
