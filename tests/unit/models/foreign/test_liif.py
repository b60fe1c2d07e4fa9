"""Published LIIF and LTE checkpoints, made here in their layout, computed as their programs do."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ciaovideo.cli.main import run
from ciaovideo.errors import MismatchedWeightsError
from ciaovideo.grid import make_coord
from ciaovideo.models.encoders.swinir import SwinIR
from ciaovideo.models.foreign import read_foreign
from ciaovideo.models.weights import load_file
from tests.parity.formulas import blended, four, size_of, unfolded

SAME = 1e-5  # fp32 sums in another order; outputs are of the order of one
CHANNELS, SIZE, OUT = 6, (9, 11), (20, 25)
WAVES = 4


def layers(prefix: str, *widths: int, convolved: bool = False) -> dict[str, Tensor]:
    """Linear layers as an MLP of these programs names them."""
    state: dict[str, Tensor] = {}
    for index, (before, after) in enumerate(pairwise(widths)):
        made = nn.Linear(before, after)
        weight = made.weight.detach()
        state[f"{prefix}.layers.{2 * index}.weight"] = (
            weight[..., None, None] if convolved else weight
        )
        state[f"{prefix}.layers.{2 * index}.bias"] = made.bias.detach()
    return state


def convolution(name: str, before: int, after: int) -> dict[str, Tensor]:
    made = nn.Conv2d(before, after, 3, padding=1).state_dict()
    return {f"{name}.{kind}": made[kind] for kind in ("weight", "bias")}


def edsr() -> dict[str, Tensor]:
    """The EDSR of these programs, two blocks of it, and its mean shift, which nothing uses."""
    state = convolution("encoder.head.0", 3, CHANNELS)
    for block in range(2):
        for part in (0, 2):
            state |= convolution(f"encoder.body.{block}.body.{part}", CHANNELS, CHANNELS)
    state |= convolution("encoder.body.2", CHANNELS, CHANNELS)
    state["encoder.sub_mean.weight"] = torch.eye(3)[..., None, None]
    state["encoder.sub_mean.bias"] = torch.tensor([-0.4, -0.4, -0.4])
    return state


def features(lr: Tensor, state: Mapping[str, Tensor]) -> Tensor:
    """What the EDSR makes of a normalised picture."""

    def conv(name: str, of: Tensor) -> Tensor:
        return F.conv2d(of, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)

    first = latent = conv("encoder.head.0", lr)
    for block in range(2):
        name = f"encoder.body.{block}.body"
        latent = latent + conv(f"{name}.2", conv(f"{name}.0", latent).relu())
    return first + conv("encoder.body.2", latent)


def imnet(points: Tensor, state: Mapping[str, Tensor]) -> Tensor:
    count = sum(name.startswith("imnet.") for name in state) // 2
    for index in range(count):
        points = points.relu() if index else points
        weight = state[f"imnet.layers.{2 * index}.weight"].flatten(1)
        points = F.linear(points, weight, state[f"imnet.layers.{2 * index}.bias"])
    return points


def store(path: Path, name: str, state: Mapping[str, Tensor], **arguments: Any) -> Path:
    """As these programs write it."""
    model = {"name": name, "args": {"encoder_spec": {"name": "edsr"}, **arguments}, "sd": state}
    optimizer = {"name": "adam", "args": {"lr": 1e-4}, "sd": {"state": {}, "param_groups": []}}
    torch.save({"model": model, "optimizer": optimizer, "epoch": 1000}, path)
    return path


def places() -> tuple[Tensor, Tensor, Tensor]:
    """A picture, all coordinates of its enlargement, and the cell."""
    lr = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    return lr, make_coord(*OUT).view(1, -1, 2), torch.tensor([[2 / side for side in OUT]])


def compare(path: Path, expected: Tensor, capsys: pytest.CaptureFixture[str], title: str) -> None:
    assert run(["weights", "import", str(path)]) == 0
    assert f"{title} with edsr" in capsys.readouterr().out
    lr, coord, cell = places()
    with torch.no_grad():
        found = load_file(path.with_suffix(".safetensors"))(lr, coord, cell)
    assert expected.std() > 0.01
    torch.testing.assert_close(found, expected, rtol=0, atol=SAME)


@pytest.mark.parametrize(
    ("unfold", "cell_decode", "ensemble"),
    [(True, True, True), (False, True, True), (True, False, True), (True, True, False)],
)
def test_liif(
    unfold: bool,
    cell_decode: bool,
    ensemble: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    torch.manual_seed(2)
    inputs = CHANNELS * (9 if unfold else 1) + (4 if cell_decode else 2)
    state = edsr() | layers("imnet", inputs, 8, 7, 3)
    lr, coord, cell = places()
    codes = features((lr - 0.5) / 0.5, state)
    shift = 1 / size_of(codes) if ensemble else torch.zeros(2)
    read = four(codes, unfolded(codes) if unfold else codes, coord, shift)
    if not ensemble:
        read = read[:1]
    relative = (cell * size_of(codes))[:, None].expand(-1, coord.shape[1], -1)
    told = [relative] if cell_decode else []
    colors = [imnet(torch.cat([code, offset, *told], -1), state) for code, offset in read]
    made = blended(colors, [offset for _, offset in read]) if ensemble else colors[0]
    path = store(tmp_path / "liif.pth", "liif", state, local_ensemble=ensemble)
    compare(path, made * 0.5 + 0.5, capsys, "LIIF")


@pytest.mark.parametrize("grid_form", [False, True])
def test_lte(grid_form: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(2)
    state = edsr() | layers("imnet", 2 * WAVES, 8, 3, convolved=grid_form)
    for name in ("coef", "freq"):
        state |= convolution(name, CHANNELS, 2 * WAVES)
    state["phase.weight"] = torch.randn(WAVES, 2)
    lr, coord, cell = places()
    normal = (lr - 0.5) / 0.5
    latent = features(normal, state)
    maps = [
        F.conv2d(latent, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)
        for name in ("coef", "freq")
    ]
    phase = F.linear((cell * size_of(latent))[:, None], state["phase.weight"])
    read = four(latent, torch.cat(maps, dim=1), coord, 1 / size_of(latent))
    colors = []
    for code, offset in read:
        amplitude, waves = code.chunk(2, dim=-1)
        if grid_form:  # first all along y, then all along x
            pairs = waves.unflatten(-1, (2, WAVES)).transpose(-1, -2)
        else:
            pairs = waves.unflatten(-1, (WAVES, 2))
        turn = torch.pi * ((pairs * offset[:, :, None]).sum(-1) + phase)
        colors.append(imnet(amplitude * torch.cat([turn.cos(), turn.sin()], -1), state))
    made = blended(colors, [offset for _, offset in read])
    grid = coord.flip(-1).unsqueeze(1)
    larger = F.grid_sample(normal, grid, "bilinear", "border", align_corners=False)[:, :, 0].mT
    path = store(tmp_path / "lte.pth", "lte", state)
    compare(path, (made + larger) * 0.5 + 0.5, capsys, "LTE")


def test_lte_with_swinir_has_a_projection(tmp_path: Path) -> None:
    """As that program names the parts of SwinIR, tables that follow from the window included."""
    state = layers("imnet", 2 * WAVES, 8, 3)
    for name in ("coef", "freq"):
        state |= convolution(name, 4, 2 * WAVES)
    state["phase.weight"] = torch.randn(WAVES, 2)
    wide, block = 6, "encoder.layers.0.residual_group.blocks.0"
    state |= convolution("encoder.conv_first", 3, wide)
    state |= convolution("encoder.layers.0.conv", wide, wide)
    state |= convolution("encoder.conv_after_body", wide, wide)
    state |= convolution("encoder.conv_before_upsample.0", wide, 4)
    for norm in (f"{block}.norm1", f"{block}.norm2", "encoder.norm", "encoder.patch_embed.norm"):
        state |= {f"{norm}.weight": torch.ones(wide), f"{norm}.bias": torch.zeros(wide)}
    for name, before, after in (
        ("attn.qkv", wide, 3 * wide),
        ("attn.proj", wide, wide),
        ("mlp.fc1", wide, 12),
        ("mlp.fc2", 12, wide),
    ):
        state |= {
            f"{block}.{name}.weight": torch.randn(after, before),
            f"{block}.{name}.bias": torch.randn(after),
        }
    state[f"{block}.attn.relative_position_bias_table"] = torch.randn(49, 2)
    state[f"{block}.attn.relative_position_index"] = torch.zeros(16, 16, dtype=torch.long)
    spec, tensors = read_foreign(store(tmp_path / "lte.pth", "lte", state))
    assert spec.encoder_options["projection"] == 4
    network = spec.build_implicit().eval()
    network.load_state_dict(tensors)
    encoder = network.encoder
    assert isinstance(encoder, SwinIR)
    lr, coord, cell = places()
    whole = torch.rand(1, 3, 8, 12, generator=torch.Generator().manual_seed(1))  # of windows of 4
    with torch.no_grad():
        assert encoder(lr).shape == (1, 4, *SIZE)
        assert network(lr, coord, cell).isfinite().all()
        found = encoder(whole)
        encoder.projection = None
        weight, bias = (
            state[f"encoder.conv_before_upsample.0.{kind}"] for kind in ("weight", "bias")
        )
        projected = F.conv2d(encoder(whole), weight, bias, padding=1)
    assert (projected < 0).any()
    expected = projected.clamp(min=0) + 0.01 * projected.clamp(max=0)
    torch.testing.assert_close(found, expected, rtol=0, atol=SAME)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("imnet.layers.2.weight", torch.zeros(3), "no MLP"),
        ("imnet.layers.2.weight", None, "no MLP"),
        ("imnet.layers.2.bias", None, "LIIF with edsr: missing imnet.layers.2.bias"),
        ("encoder.body.1.body.0.bias", None, "missing body.1.conv1.bias"),
        ("encoder.head.0.weight", None, "no EDSR, RDN or SwinIR"),
    ],
)
def test_what_is_missing_is_named(
    name: str, value: Tensor | None, said: str, tmp_path: Path
) -> None:
    state = edsr() | layers("imnet", 9 * CHANNELS + 4, 8, 3)
    del state[name]
    if value is not None:
        state[name] = value
    with pytest.raises(MismatchedWeightsError, match=said):
        read_foreign(store(tmp_path / "liif.pth", "liif", state))
