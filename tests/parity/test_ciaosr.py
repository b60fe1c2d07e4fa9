"""CiaoSR against numbers from the published implementation (reduced sizes, random weights)."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from ciaovideo.grid import Axis, View, make_coord, nearest_index
from ciaovideo.models.decoders.ciaosr import CiaoSR, corner_codes
from ciaovideo.models.encoders.edsr import EDSR
from ciaovideo.models.encoders.rdn import RDN
from ciaovideo.models.encoders.swinir import SwinIR
from ciaovideo.models.foreign.ciaosr import from_published
from ciaovideo.models.networks.implicit import ImplicitSR
from ciaovideo.models.spec import NetworkSpec

SAME = 2e-6  # the published arithmetic is fp32; against float64 it is off by 5e-7 itself
SIZES = ((24, 20), (17, 23))
SCALES = (2.0, 2.5, 4.0, 7.3)
STORED_EVERY = {7.3: 3}  # at this scale every third query was stored

cases = pytest.mark.parametrize("scale", SCALES)
sizes = pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))


ENCODERS: dict[str, dict[str, Any]] = {
    "edsr": {"channels": 16, "blocks": 2},
    "rdn": {"channels": 16, "blocks": 2, "layers": 3, "growth": 16},
    "swinir": {"channels": 24, "depths": [2, 2], "heads": 2, "window": 4},
}


@pytest.fixture(scope="module", params=ENCODERS)
def encoder(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def golden(shared: Path, encoder: str) -> dict[str, Tensor]:
    return load_file(shared / "golden" / f"{encoder}.safetensors")


@pytest.fixture(scope="module")
def network(golden: dict[str, Tensor], encoder: str) -> ImplicitSR:
    network = NetworkSpec(
        encoder=encoder,
        decoder="ciaosr",
        encoder_options=ENCODERS[encoder],
        decoder_options={"hidden": [32] * 4, "window": None},
    ).build_implicit()
    published = {
        name.removeprefix("sd."): tensor
        for name, tensor in golden.items()
        if name.startswith("sd.")
    }
    network.load_state_dict(from_published(published))
    return network.eval()


@pytest.fixture(scope="module")
def decoder(network: ImplicitSR) -> CiaoSR:
    return cast(CiaoSR, network.decoder)


def stored(golden: dict[str, Tensor], name: str) -> Tensor:
    """A result that was stored with one of the encoders only."""
    if name not in golden:
        pytest.skip(f"{name} was stored with EDSR only")
    return golden[name]


def out_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    return round(size[0] * scale), round(size[1] * scale)


def name_of(size: tuple[int, int], scale: float | None = None) -> str:
    name = f"{size[0]}x{size[1]}"
    return name if scale is None else f"{name}.x{scale:g}"


def bound(stored_map: Tensor) -> float:
    """How close to a map on the way: SwinIR's reach 3.4, and are off by 4e-6 from float64."""
    return SAME * max(1.0, float(stored_map.abs().max()))


@torch.no_grad()
def upscale(network: ImplicitSR, lr: Tensor, target: tuple[int, int]) -> Tensor:
    view = View((lr.shape[-2], lr.shape[-1]), target)
    return network.decode(network.encode(lr, view), view.rows, view.columns)


@sizes
@torch.no_grad()
def test_features(
    golden: dict[str, Tensor], network: ImplicitSR, decoder: CiaoSR, size: tuple[int, int]
) -> None:
    latent = network.encode(golden[f"in.{name_of(size)}"], View(size, size))
    for ours, theirs in (("features", "feat"), ("non_local", "csattn")):
        expected = golden[f"{theirs}.{name_of(size)}"]
        torch.testing.assert_close(latent[ours], expected, rtol=0, atol=bound(expected), msg=ours)
    assert decoder.non_local is not None
    assert golden["sd.cs_attn.escape_NaN"].item() == pytest.approx(1e-4)


@sizes
def test_non_local_in_small_bands(
    golden: dict[str, Tensor],
    network: ImplicitSR,
    decoder: CiaoSR,
    size: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ciaovideo.models.parts.cross_scale_attention.CrossScaleAttention.pairs", 1)
    assert decoder.non_local is not None
    with torch.no_grad():
        seen = decoder.non_local(golden[f"feat.{name_of(size)}"], View(size, size))
    expected = golden[f"csattn.{name_of(size)}"]
    torch.testing.assert_close(seen, expected, rtol=0, atol=bound(expected))


@sizes
@cases
def test_codes_read(golden: dict[str, Tensor], size: tuple[int, int], scale: float) -> None:
    for axis, letter in enumerate("yx"):
        count, out = size[axis], out_size(size, scale)[axis]
        axis_of = Axis.whole(count, out)
        corners = corner_codes(axis_of.coord, count, torch.tensor(axis_of.cell), (-1, 1))
        nearest = nearest_index(axis_of.coord, count)
        ours = torch.stack([nearest, *(index for index, _ in corners)])
        theirs = stored(golden, f"idx.{name_of(size, scale)}.{letter}").long()
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@sizes
@cases
@torch.no_grad()
def test_query(
    golden: dict[str, Tensor], network: ImplicitSR, size: tuple[int, int], scale: float
) -> None:
    target = out_size(size, scale)
    coord = make_coord(*target).view(1, -1, 2)[:, :: STORED_EVERY.get(scale, 1)]
    cell = torch.tensor([[2 / target[0], 2 / target[1]]])
    ours = network(golden[f"in.{name_of(size)}"], coord, cell) - network.mean.flatten()
    expected = golden[f"out.{name_of(size, scale)}"]
    torch.testing.assert_close(ours, expected, rtol=0, atol=SAME)


@sizes
@cases
@pytest.mark.parametrize("block", [0, 100])
def test_decode(
    golden: dict[str, Tensor],
    network: ImplicitSR,
    decoder: CiaoSR,
    size: tuple[int, int],
    scale: float,
    block: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decoder, "query_block", block)
    picture = upscale(network, golden[f"in.{name_of(size)}"], out_size(size, scale))
    ours = (picture - network.mean).flatten(2).mT[:, :: STORED_EVERY.get(scale, 1)]
    expected = golden[f"out.{name_of(size, scale)}"]
    torch.testing.assert_close(ours, expected, rtol=0, atol=SAME)


def test_whole_program(golden: dict[str, Tensor], network: ImplicitSR) -> None:
    expected = stored(golden, "restorer.full.17x23.x2")
    picture = upscale(network, golden["in.17x23"], (34, 46)).clamp(0, 1)
    torch.testing.assert_close(picture, expected, rtol=0, atol=SAME)


def test_published_tiling(golden: dict[str, Tensor], network: ImplicitSR) -> None:
    """Tiles as independent pictures, averaged where they overlap: not how this project tiles."""
    expected = stored(golden, "restorer.tile12o4.17x23.x2")
    lr, tile, overlap, scale = golden["in.17x23"], 12, 4, 2
    height, width = lr.shape[-2:]
    total = torch.zeros(1, 3, height * scale, width * scale)
    hits = torch.zeros_like(total)
    for top in (*range(0, height - tile, tile - overlap), height - tile):
        for left in (*range(0, width - tile, tile - overlap), width - tile):
            piece = lr[..., top : top + tile, left : left + tile]
            rows = slice(top * scale, (top + tile) * scale)
            columns = slice(left * scale, (left + tile) * scale)
            total[..., rows, columns] += upscale(network, piece, (tile * scale, tile * scale))
            hits[..., rows, columns] += 1
    torch.testing.assert_close((total / hits).clamp(0, 1), expected, rtol=0, atol=SAME)


@pytest.mark.parametrize(
    ("encoder", "own", "implicit"),
    [
        (EDSR, 1_220_416, 1_428_614),
        (RDN, 21_973_952, 1_428_614),
        (SwinIR, 11_499_300, 3_167_918),
    ],
)
def test_parameter_counts(encoder: type[EDSR | RDN | SwinIR], own: int, implicit: int) -> None:
    def parameters(module: torch.nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    with torch.device("meta"):
        extractor = encoder()
        decoder = CiaoSR(extractor.out_channels)
    assert parameters(extractor) == own
    assert parameters(decoder) == implicit
