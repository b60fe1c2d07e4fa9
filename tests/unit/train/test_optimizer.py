"""Muon: orthogonal steps of Adam's size for matrices, Adam itself for the rest."""

import pytest
import torch
from torch import nn

from ciaovideo.errors import OptionError
from ciaovideo.train.optimizer import RMS, make_optimizer, orthogonal
from ciaovideo.train.options import OptimOptions

MUON = OptimOptions(optimizer="muon", learning_rate=0.01)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 40, 3), nn.Conv2d(40, 48, 3), nn.Conv2d(48, 3, 3)).to(
        memory_format=torch.channels_last
    )


def step(net: nn.Module, options: OptimOptions, times: int = 1) -> list[torch.Tensor]:
    """What each parameter moves by."""
    optimizer = make_optimizer(net, options)
    before = [weight.detach().clone() for weight in net.parameters()]
    for _ in range(times):
        torch.manual_seed(1)
        optimizer.zero_grad()
        net(torch.rand(2, 3, 9, 9)).square().mean().backward()
        optimizer.step()
    return [weight.detach() - old for weight, old in zip(net.parameters(), before, strict=True)]


@pytest.mark.parametrize("shape", [(2, 32, 288), (1, 96, 40), (3, 50, 50)])
def test_orthogonal_brings_singular_values_near_one(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    left, values, right = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    values = torch.logspace(0, -1.5, values.shape[-1])  # of very different strength
    made = orthogonal(left @ torch.diag_embed(values.expand(shape[0], -1)) @ right)
    strength = (left.mT @ made @ right.mT).diagonal(dim1=1, dim2=2)
    assert strength.min() > 0.5
    assert strength.max() < 1.25
    assert (left.mT @ made @ right.mT - torch.diag_embed(strength)).abs().max() < 1e-4


def test_a_matrix_takes_an_orthogonal_step_of_adams_size() -> None:
    moved = step(network(), MUON)[2].flatten(1)  # 48 x 360
    strengths = torch.linalg.svdvals(moved) / (0.01 * RMS * 360**0.5)
    assert strengths.max() < 1.25
    assert strengths.median() > 0.6
    rms = moved.square().mean().sqrt().item()
    assert 0.6 * RMS * 0.01 < rms < 1.25 * RMS * 0.01


def test_what_is_no_matrix_is_adams() -> None:
    muon = step(network(), MUON, times=1)
    adam = step(network(), OptimOptions(learning_rate=0.01), times=1)
    for index in (0, 1, 3, 4, 5):  # thin convolutions and biases
        assert torch.equal(muon[index], adam[index])
    assert not torch.equal(muon[2], adam[2])


def test_weight_decay_shrinks_matrices_alone() -> None:
    nets = network(), network()
    for net, decay in zip(nets, (0.0, 0.5), strict=True):
        step(net, OptimOptions(optimizer="muon", learning_rate=0.01, weight_decay=decay))
    plain, shrunk = ([*net.parameters()] for net in nets)
    old = [*network().parameters()]
    assert torch.allclose(plain[2] - shrunk[2], 0.005 * old[2], atol=1e-7)
    assert torch.equal(plain[0], shrunk[0])


def test_weight_decay_is_refused_where_it_would_do_nothing() -> None:
    with pytest.raises(OptionError, match="weight_decay"):
        OptimOptions(weight_decay=0.1)
