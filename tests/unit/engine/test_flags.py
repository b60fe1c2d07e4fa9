"""Switches of the whole process: turned while somebody computes, and put back."""

from collections.abc import Iterator

import pytest
import torch

from ciaovideo.engine.engine import Engine
from ciaovideo.engine.flags import exact_products
from ciaovideo.models.networks.interpolation import Bicubic
from ciaovideo.options import EngineOptions


def flags() -> tuple[bool, bool]:
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


@pytest.fixture
def allowed() -> Iterator[tuple[bool, bool]]:
    """What the host has set: TF32 for both."""
    before = flags()
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    yield True, True
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def test_fp32_means_fp32_until_the_last_has_left(allowed: tuple[bool, bool]) -> None:
    with exact_products():
        with exact_products():
            assert flags() == (False, False)
        assert flags() == (False, False)
    assert flags() == allowed


def test_an_error_puts_them_back(allowed: tuple[bool, bool]) -> None:
    with pytest.raises(ZeroDivisionError), exact_products():
        raise ZeroDivisionError
    assert flags() == allowed


def test_an_engine_leaves_the_process_as_it_was(allowed: tuple[bool, bool]) -> None:
    engine = Engine(Bicubic(), EngineOptions(device="cpu"))
    assert flags() == allowed
    engine(torch.rand(1, 3, 8, 8), (16, 16))
    assert flags() == allowed
