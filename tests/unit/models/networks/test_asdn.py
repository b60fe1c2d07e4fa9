"""ASDN and FSDN: levels and phases, the recursion, and blocks by an independent reference."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ciaovideo.errors import OptionError
from ciaovideo.grid import View
from ciaovideo.models.networks.asdn import ASDN, sizes
from ciaovideo.models.networks.fsdn import FSDN
from ciaovideo.models.networks.interpolation import Bicubic
from ciaovideo.models.parts.bi_dense import BiDense, Reconstruction
from ciaovideo.models.parts.frame_means import FrameMeans
from ciaovideo.models.protocols import NOTHING, Network

PUBLISHED = 22_438_288  # the paper says about 22 million; by hand from its sizes
SAME = 2e-6  # sums of some hundred fp32 products in another order, of values about one


def count(network: Network) -> int:
    return sum(weight.numel() for weight in network.parameters())


def whole(network: Network, lr: Tensor, out_size: tuple[int, int]) -> Tensor:
    view = View((lr.shape[-2], lr.shape[-1]), out_size)
    with torch.no_grad():
        return network.decode(network.encode(lr, view), view.rows, view.columns)


def interpolated(lr: Tensor, out_size: tuple[int, int]) -> Tensor:
    return whole(Bicubic(), lr, out_size)


class Level(nn.Module):
    """A reconstruction that says which one it is."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, features: Tensor) -> Tensor:
        """The same colour everywhere."""
        return features[:, :3] * 0 + self.value


def with_levels(values: list[float]) -> ASDN:
    network = ASDN(4, blocks=1, layers=1, levels=len(values), reduction=2)
    network.branches = nn.ModuleList(Level(value) for value in values)
    return network


def test_the_published_size() -> None:
    with torch.device("meta"):
        assert count(ASDN()) == PUBLISHED


@pytest.mark.parametrize(
    ("factor", "level", "weight"),
    [(1.27, 3, 0.3), (1.3, 3, 0.0), (1.0, 0, 0.0), (2.0, 10, 0.0), (1.95, 10, 0.5), (1.01, 1, 0.9)],
)
def test_levels_around_a_scale(factor: float, level: int, weight: float) -> None:
    """The first is the example of the report: i = 3, w = 0.3."""
    network = with_levels([0.0] * 11)
    size = round(10_000 * factor)
    found, share = network.mix(View((10_000, 10_000), (size, size)))
    assert found == level
    assert share == pytest.approx(weight, abs=1e-9)


def test_a_scale_is_a_level_and_a_part_of_its_phase() -> None:
    values = [0.05 * index**2 for index in range(11)]  # O_l - interpolation, uneven on purpose
    lr = torch.rand(1, 3, 100, 100, generator=torch.Generator().manual_seed(0))
    made = whole(with_levels(values), lr, (127, 127)) - interpolated(lr, (127, 127))
    phase = values[2] - values[3]
    expected = torch.full_like(made, values[3] + 0.3 * phase)
    torch.testing.assert_close(made, expected, rtol=0, atol=SAME)


@pytest.mark.parametrize(
    ("lr_size", "out_size", "passes"),
    [
        ((30, 40), (45, 60), [(45, 60)]),
        ((30, 40), (60, 80), [(60, 80)]),
        ((30, 40), (61, 81), [(61, 81)]),  # a pixel of rounding
        ((30, 40), (90, 120), [(60, 80), (90, 120)]),
        ((30, 40), (240, 320), [(60, 80), (120, 160), (240, 320)]),
        ((30, 40), (45, 160), [(45, 80), (45, 160)]),
        ((30, 40), (30, 40), [(30, 40)]),
    ],
)
def test_passes_of_the_recursion(
    lr_size: tuple[int, int], out_size: tuple[int, int], passes: list[tuple[int, int]]
) -> None:
    assert sizes(lr_size, out_size) == passes
    ratio = max(new / old for old, new in zip(lr_size, out_size, strict=True))
    if ratio == round(ratio) and ratio > 1:
        assert len(passes) == math.ceil(math.log2(ratio))


def test_a_large_scale_is_twice_and_then_the_rest() -> None:
    torch.manual_seed(3)
    network = ASDN.small().eval()
    lr = torch.rand(1, 3, 11, 9)
    between = whole(network, lr, (22, 18))
    expected = whole(network, between, (33, 27))
    torch.testing.assert_close(whole(network, lr, (33, 27)), expected, rtol=0, atol=SAME)
    assert network.passes_at(View((11, 9), (33, 27))) == 2 * network.passes


def reference(module: BiDense, picture: Tensor) -> Tensor:
    """The features written out with plain functions, from the paper's description."""
    w = dict(module.named_parameters())

    def conv(name: str, x: Tensor) -> Tensor:
        weight = w[f"{name}.weight"]
        return F.conv2d(x, weight, w[f"{name}.bias"], padding=weight.shape[-1] // 2)

    before = [conv("conv_first", picture)]
    for n in range(len(module.blocks)):
        first = conv(f"blocks.{n}.enter", torch.cat(before, dim=1))
        inner = [first]
        while f"blocks.{n}.layers.{len(inner) - 1}.weight" in w:
            name = f"blocks.{n}.layers.{len(inner) - 1}"
            inner.append(torch.relu(conv(name, torch.cat(inner, dim=1))))
        made = conv(f"blocks.{n}.leave", torch.cat(inner, dim=1)) + first
        pooled = F.adaptive_avg_pool2d(made, 1)[..., 0, 0]
        name = f"blocks.{n}.attention"
        hidden = torch.relu(F.linear(pooled, w[f"{name}.reduce.weight"], w[f"{name}.reduce.bias"]))
        scale = F.linear(hidden, w[f"{name}.expand.weight"], w[f"{name}.expand.bias"])
        before.append(made * torch.sigmoid(scale)[:, :, None, None])
    return torch.cat(before, dim=1)


@torch.no_grad()
def test_bi_dense_blocks_by_their_definition() -> None:
    torch.manual_seed(1)
    module = BiDense(8, blocks=3, layers=2, reduction=2)
    picture = torch.rand(2, 3, 12, 10)
    made = module(picture, FrameMeans(NOTHING), 120)
    assert made is not None
    assert made.shape[1] == module.out_channels == 8 * 4
    torch.testing.assert_close(made, reference(module, picture), rtol=0, atol=SAME)


def added(module: Reconstruction, features: Tensor) -> Tensor:
    """What a level adds to the enlarged picture: its colours times their spatial attention."""
    w = dict(module.named_parameters())

    def layer(name: str, x: Tensor) -> Tensor:
        by_pixel = torch.einsum("oi,bihw->bohw", w[f"{name}.weight"][..., 0, 0], x)
        return by_pixel + w[f"{name}.bias"][:, None, None]

    color = layer("color", features)
    factor = layer("reduce", layer("expand", color).clamp(min=0))
    return color / (1 + (-factor).exp())


@torch.no_grad()
def test_a_level_by_its_definition() -> None:
    """The features of the enlarged picture, one reconstruction, and the global skip."""
    torch.manual_seed(4)
    network = ASDN.small().eval()  # levels at x1, x1.5 and x2
    lr = torch.rand(1, 3, 12, 10)
    large = interpolated(lr, (18, 15))
    branch = network.branches[1]
    assert isinstance(branch, Reconstruction)
    expected = large + added(branch, reference(network.features, large))
    assert (expected - large).std() > 0.01
    torch.testing.assert_close(whole(network, lr, (18, 15)), expected, rtol=0, atol=SAME)


@torch.no_grad()
def test_one_scale_by_its_definition() -> None:
    """The features of LR, a transposed convolution, one reconstruction, and the global skip."""
    torch.manual_seed(4)
    network = FSDN.small().eval()
    lr = torch.rand(1, 3, 8, 9)
    enlarge = network.enlarge
    features = F.conv_transpose2d(
        reference(network.features, lr), enlarge.weight, enlarge.bias, stride=3, padding=1
    )
    large = interpolated(lr, (24, 27))
    expected = large + added(network.reconstruction, features)
    assert (expected - large).std() > 0.01
    torch.testing.assert_close(whole(network, lr, (24, 27)), expected, rtol=0, atol=SAME)


@pytest.mark.parametrize("scale", [2, 3, 4])
@torch.no_grad()
def test_the_transposed_convolution_lies_evenly(scale: int) -> None:
    """Where kernels are even, a mirrored picture gives the mirrored result."""
    torch.manual_seed(2)
    network = FSDN(scale, 4, blocks=1, layers=1, reduction=2).eval()
    for weight in network.parameters():
        if weight.ndim == 4:
            weight.copy_((weight + weight.flip(-1)) / 2)
    lr = torch.rand(1, 3, 9, 8)
    size = (9 * scale, 8 * scale)
    mirrored = whole(network, lr.flip(-1), size)
    torch.testing.assert_close(mirrored.flip(-1), whole(network, lr, size), rtol=0, atol=SAME)


def test_fine_tuning_begins_with_the_features() -> None:
    asdn, fsdn = ASDN.small(), FSDN.small()
    shared = {name: w for name, w in asdn.state_dict().items() if name.startswith("features.")}
    missing, unexpected = fsdn.load_state_dict(shared, strict=False)
    assert not unexpected
    assert not [name for name in missing if name.startswith("features.")]


@pytest.mark.parametrize("size", [(26, 27), (27, 28), (28, 26)])
def test_an_output_may_be_a_pixel_off(size: tuple[int, int]) -> None:
    network = FSDN.small().eval()
    lr = torch.rand(1, 3, 9, 9)
    made, exact = whole(network, lr, size), whole(network, lr, (27, 27))
    height, width = (min(side, 27) for side in size)
    assert made.shape[-2:] == size
    assert torch.equal(made[..., :height, :width], exact[..., :height, :width])
    assert torch.equal(made[..., -1, :width], exact[..., height - 1, :width])


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(OptionError, match="1 level"):
        ASDN(levels=1)
    with pytest.raises(OptionError, match="a scale of 1"):
        FSDN(1)
