"""The work of a network is counted, not guessed."""

import math

import pytest
import torch

from ciaovideo.bench.floor import Floor, copy_rate, flop_per_pixel, matrix_rate
from ciaovideo.models.networks.interpolation import Bicubic
from ciaovideo.models.spec import NetworkSpec


@pytest.mark.heavy
def test_convolutions_and_linear_layers_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """EDSR of 2 blocks and CiaoSR: the operations per LR pixel, added up by hand."""
    network = NetworkSpec(
        encoder="edsr",
        decoder="ciaosr",
        encoder_options={"channels": 8, "blocks": 2},
        decoder_options={"hidden": [16], "non_local_scales": []},
    ).build()
    encoder = 2 * 9 * (3 * 8 + 5 * 8 * 8)
    counted = flop_per_pixel(network, (2.0, 2.0))
    monkeypatch.setattr("ciaovideo.ops.convolution.joint_works", lambda _: False)
    monkeypatch.setattr("ciaovideo.ops.linear.fused_works", lambda: False)
    assert flop_per_pixel(network, (2.0, 2.0)) == counted  # by other operators
    assert counted > encoder + 4 * 2 * 16 * 3  # at the least the last layer of four queries
    twice = flop_per_pixel(network, (4.0, 2.0))
    assert twice - encoder < 2.2 * (counted - encoder)


@pytest.mark.heavy
def test_interpolation_has_no_products() -> None:
    assert flop_per_pixel(Bicubic(), (2.0, 2.0)) == 0


def test_the_floor_is_the_larger_of_both_times() -> None:
    work = {"flop_rate": 1e9, "byte_rate": 1e9}
    assert Floor(flop=2e9, bytes=1e9, **work).seconds == pytest.approx(2)
    assert Floor(flop=2e9, bytes=5e9, **work).seconds == pytest.approx(5)


def test_rates_are_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ciaovideo.bench.floor.QUIET_S", 0.01)
    cpu = torch.device("cpu")
    assert math.isfinite(matrix_rate(cpu, torch.float32))
    assert matrix_rate(cpu, torch.float32) > 0
    assert copy_rate(cpu) > 0
