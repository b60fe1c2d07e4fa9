"""A network's predictions for a batch in training."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ciaovideo.data.lattice import Lattice, LatticeBatch
from ciaovideo.data.sampling import Batch
from ciaovideo.grid import Axis, View
from ciaovideo.models.decoders.ciaosr_separable import SeparableCiaoSR
from ciaovideo.models.decoders.crossing import crossed
from ciaovideo.models.networks.implicit import ImplicitSR
from ciaovideo.models.protocols import Network

type Part = tuple[Tensor, Tensor, Tensor, float]
"""Predicted colours, true ones, true ones before sharpening, and the share of the batch."""


def predict(network: Network, batch: Batch | LatticeBatch, *, bf16: bool) -> list[Part]:
    """Predicted and true colours: points (B, Q, 3), or (b, 3, N, M) of each lattice.

    A network without encoder and decoder predicts neighbouring pixels only: lattices of windows.
    """
    lr = batch.lr.contiguous(memory_format=torch.channels_last)
    with torch.autocast(lr.device.type, torch.bfloat16, bf16, cache_enabled=False):
        if isinstance(batch, Batch):
            made = [network(lr, batch.coord, batch.cell)]
        elif not isinstance(network, ImplicitSR):
            made = list(_windows(network, lr, batch))
        elif isinstance(network.decoder, SeparableCiaoSR):
            made = list(_crossed(network, network.decoder, lr, batch))
        else:
            made = list(_queried(network, lr, batch))
    if isinstance(batch, Batch):
        return [(made[0], batch.rgb, batch.natural, 1.0)]
    return [
        (sr, target.rgb, target.natural, target.samples / len(lr))
        for sr, target in zip(made, batch.targets, strict=True)
    ]


def _crossed(
    network: ImplicitSR, decoder: SeparableCiaoSR, lr: Tensor, batch: LatticeBatch
) -> Iterator[Tensor]:
    """By lattice, for a decoder that can."""
    size = (lr.shape[-2], lr.shape[-1])
    features = network.encoder(lr - network.mean)
    colors = crossed(decoder, features, batch.cell, View(size, size), batch.targets)
    parts = lr.split([target.samples for target in batch.targets])
    for color, target, part in zip(colors, batch.targets, parts, strict=True):
        yield color.float() + (_bilinear(part, target) if network.residual else network.mean)


def _queried(network: ImplicitSR, lr: Tensor, batch: LatticeBatch) -> Iterator[Tensor]:
    """By points, for any decoder."""
    counts = [target.samples for target in batch.targets]
    for target, part, cell in zip(
        batch.targets, lr.split(counts), batch.cell.split(counts), strict=True
    ):
        coord = torch.stack(torch.meshgrid(target.rows, target.columns, indexing="ij"), dim=-1)
        points = network(part, coord.flatten(0, 1).expand(len(part), -1, -1), cell)
        yield points.transpose(1, 2).unflatten(2, coord.shape[:2])


def _windows(network: Network, lr: Tensor, batch: LatticeBatch) -> Iterator[Tensor]:
    """The network's output for patches as whole frames, as an engine would compute it."""
    counts = [target.samples for target in batch.targets]
    for target, part, cell in zip(
        batch.targets, lr.split(counts), batch.cell.split(counts), strict=True
    ):
        height, width = lr.shape[-2:]
        out_size = [round(2 / side) for side in cell[0].tolist()]
        latent = network.encode(part, View((height, width), (out_size[0], out_size[1])))
        rows = _axis(target.rows, height, out_size[0])
        columns = _axis(target.columns, width, out_size[1])
        yield network.decode(latent, rows, columns)


def _axis(coord: Tensor, count: int, out_count: int) -> Axis:
    """An axis of neighbouring queries with the centres ``coord`` (N,)."""
    first = round((float(coord[0]) + 1) * out_count / 2 - 0.5)
    return Axis(count, out_count, first, first + len(coord))


def _bilinear(lr: Tensor, target: Lattice) -> Tensor:
    """LR enlarged to the lattice, with repeated borders: two products in fp32."""
    with torch.autocast(lr.device.type, enabled=False):
        down = linear_weights(target.rows, lr.shape[-2])
        across = linear_weights(target.columns, lr.shape[-1])
        return down @ lr.contiguous() @ across.mT


def linear_weights(coord: Tensor, count: int) -> Tensor:
    """Weights (N, count) of linear interpolation at ``coord`` (N,), between ``count`` samples."""
    position = ((coord + 1) * (count / 2) - 0.5).clamp(0, count - 1)
    distance = position[:, None] - torch.arange(count, device=coord.device)
    return (1 - distance.abs()).clamp(min=0)
