"""Noise has the energies that it was fitted to, and belongs to a time."""

from fractions import Fraction

import pytest
import torch

from ciaovideo.grain.noise import fitted, reduced
from ciaovideo.grain.octaves import block_energies

LR = (128, 160)
WITHIN = {0: 0.1, 1: 0.2, 2: 0.35}  # of an octave's energy: 80 blocks, fitted on other ones


@pytest.mark.parametrize("out_size", [LR, (256, 320), (320, 400), (384, 480), (256, 400)], ids=str)
@pytest.mark.parametrize("target", [(4.0, 4.0, 4.0), (1.5, 8.0, 20.0)], ids=str)
def test_reduced_again_it_is_what_was_asked_for(
    out_size: tuple[int, int], target: tuple[float, ...]
) -> None:
    noise = fitted(torch.tensor(target), LR, out_size).at(Fraction(1, 24))
    assert noise.shape == out_size
    made = block_energies(reduced(noise, LR)).mean(dim=0)
    for octave, share in WITHIN.items():
        assert float(made[octave]) == pytest.approx(target[octave], rel=share)


@pytest.mark.parametrize("out_size", [(256, 320), (270, 338), (384, 480)], ids=str)
def test_it_is_equally_strong_everywhere(out_size: tuple[int, int]) -> None:
    """No row or column of a grid stands out; at 2.1 times, interpolation at will would beat."""
    made = fitted(torch.tensor([4.0, 4.0, 4.0]), LR, out_size)
    power = torch.stack([made.at(Fraction(i, 25)) ** 2 for i in range(12)]).mean(dim=0)
    for phase in (power[:, i::4].mean() for i in range(4)):
        assert float(phase / power.mean()) == pytest.approx(1, abs=0.03)
    bands = torch.stack([part.mean() for part in power.chunk(8)])
    assert float(bands.max() / bands.min()) < 1.15


def test_a_time_has_its_noise() -> None:
    noise = fitted(torch.tensor([4.0, 4.0, 4.0]), LR, LR)
    one, other = noise.at(Fraction(1, 24)), noise.at(Fraction(2, 24))
    assert torch.equal(one, noise.at(Fraction(2, 48)))
    correlation = torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1]
    assert abs(float(correlation)) < 0.03
