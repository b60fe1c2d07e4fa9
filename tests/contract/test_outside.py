"""A network of another package: one class, one entry point, and all that the rest asks for."""

from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Self

import pytest
import torch
from torch import Tensor, nn

from ciaovideo import Upscaler, registry
from ciaovideo.grid import Axis, View, bilinear_grid
from ciaovideo.models.networks import NETWORKS
from ciaovideo.models.protocols import (
    NOTHING,
    Footprint,
    Latent,
    Network,
    Reach,
    Scales,
    Statistics,
)
from ciaovideo.models.spec import NetworkSpec
from ciaovideo.models.weights import load_file, read_tensors, save


class Gain(Network):
    """Bilinear, times what it learned; the halo goes by the scale, to show that it may."""

    scales = Scales(most=8)

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((channels, 1, 1), 2.0))

    @classmethod
    def small(cls) -> Self:
        """As it is."""
        return cls()

    def reach(self, view: View) -> Reach:
        """More at small scales."""
        return Reach(1 + view.lr_size[0] * 8 // view.out_size[0])

    def footprint(self, view: View) -> Footprint:
        """About right."""
        return Footprint(6, 9)

    def encode(self, lr: Tensor, view: View, statistics: Statistics = NOTHING) -> Latent:
        """The picture, times the gain."""
        return {"lr": lr.float() * self.gain.float()}

    def decode(self, latent: Latent, rows: Axis, columns: Axis) -> Tensor:
        """Bilinear."""
        return bilinear_grid(latent["lr"], rows, columns)


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the package of this file were installed."""
    point = EntryPoint("gain", f"{__name__}:Gain", "ciaovideo.networks")
    load: Callable[[EntryPoint], type[Network]] = lambda _: Gain  # noqa: E731
    monkeypatch.setattr(EntryPoint, "load", load)
    monkeypatch.setattr(
        registry, "entry_points", lambda *, group: EntryPoints([point]).select(group=group)
    )


def test_it_is_listed_beside_ours() -> None:
    assert "gain" in NETWORKS
    assert {"implicit", "bicubic"} < set(NETWORKS)


@pytest.mark.parametrize("tile", [0, 9])
def test_its_weights_are_a_file_like_any_other(tile: int, tmp_path: Path) -> None:
    path, spec = tmp_path / "gain.safetensors", NetworkSpec(network="gain", options={"channels": 1})
    save(path, spec, spec.build().state_dict(), torch.float16)
    assert read_tensors(path)[0] == spec
    assert isinstance(load_file(path), Gain)
    lr = torch.rand(1, 3, 20, 24)
    made = Upscaler(weights=path, scale=2.5, device="cpu", precision="fp32", tile=tile)(lr)
    view = View((20, 24), (50, 60))
    expected = bilinear_grid(2 * lr, view.rows, view.columns)
    assert torch.equal(made, expected)
