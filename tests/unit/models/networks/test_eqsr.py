"""EQSR: its published size, and its parts by independent references."""

import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ciaovideo.grid import Axis, View
from ciaovideo.models.networks.eqsr.adaptive_features import AdaptiveFeatures, ModulatedConv, waves
from ciaovideo.models.networks.eqsr.kriging import KrigingBlock, NeuralKriging
from ciaovideo.models.networks.eqsr.network import EQSR, Group
from ciaovideo.models.networks.eqsr.overlapping_attention import OverlappingAttention
from ciaovideo.models.parts.frame_means import FrameMeans
from ciaovideo.models.protocols import NOTHING

PUBLISHED = 13_619_510  # the published program's own network, counted
SAME = 3e-6  # sums of some hundred fp32 products in another order, of values about one


def test_the_published_size() -> None:
    with torch.device("meta"):
        network = EQSR()
    assert sum(weight.numel() for weight in network.parameters()) == PUBLISHED
    assert sum(weight.numel() for weight in network.kriging.parameters()) == 1_212_110
    adaptive = network.get_submodule("groups.0.adaptive")
    assert sum(weight.numel() for weight in adaptive.parameters()) == 388_440


def test_waves() -> None:
    found = waves(torch.tensor([0.5]), 3)[0]
    angles = [2**i * math.pi * 0.5 / 10 for i in range(3)]
    expected = [0.5, *map(math.sin, angles), *map(math.cos, angles)]
    torch.testing.assert_close(found, torch.tensor(expected), rtol=0, atol=1e-7)


@torch.no_grad()
def test_a_modulated_convolution_has_weights_of_unit_norm() -> None:
    torch.manual_seed(0)
    conv = ModulatedConv(6, 5)
    features, scale = torch.rand(2, 6, 5, 4), torch.rand(5)
    factor = 1 + conv.modulation.weight @ scale + conv.modulation.bias
    expected = torch.zeros(2, 6, 5, 4)
    padded = F.pad(features, (1, 1, 1, 1))
    for out in range(6):
        weight = conv.weight[out] * factor[:, None, None]
        weight = weight / math.sqrt(float(weight.square().sum()) + 1e-8)
        for y, x in product(range(5), range(4)):
            around = padded[:, :, y : y + 3, x : x + 3]
            expected[:, out, y, x] = (around * weight).sum(dim=(1, 2, 3))
    torch.testing.assert_close(conv(features, scale), expected, rtol=0, atol=SAME)


@torch.no_grad()
def test_adaptive_features_by_their_definition() -> None:
    torch.manual_seed(0)
    part = AdaptiveFeatures(8, 5, reduction=4)
    pixels, scale = torch.rand(1, 4, 8, 8), torch.rand(5)
    made = part(pixels, scale, FrameMeans(NOTHING), (4, 6), 24)  # two columns are padding
    h = part.enter(pixels)
    norm = F.layer_norm(h, (8,), part.norm1.weight, part.norm1.bias)
    h = h + part.modulated(F.gelu(norm).movedim(-1, 1), scale).movedim(1, -1)
    act = F.gelu(F.layer_norm(h, (8,), part.norm2.weight, part.norm2.bias))
    mean = act[:, :, :6].mean(dim=(1, 2))
    hidden = F.silu(mean @ part.squeeze.squeeze.weight.T)
    gate = torch.sigmoid(hidden @ part.squeeze.excite.weight.T)
    expected = h + part.leave(act * gate[:, None, None])
    assert made is not None
    torch.testing.assert_close(made, expected, rtol=0, atol=SAME)


@torch.no_grad()
def test_overlapping_attention_window_by_window() -> None:
    torch.manual_seed(0)
    part = OverlappingAttention(8, heads=2, window=4, overlap=6)
    pixels = torch.rand(1, 8, 12, 8)
    query, key, value = part.qkv(pixels).chunk(3, dim=-1)
    key, value = (F.pad(each, (0, 0, 1, 1, 1, 1)) for each in (key, value))
    seen = torch.zeros(1, 8, 12, 8)
    table = part.relative_position_bias_table.view(9, 9, 2)
    for top, left, head in product(range(0, 8, 4), range(0, 12, 4), range(2)):
        mine = slice(4 * head, 4 * head + 4)
        keys = key[0, top : top + 6, left : left + 6, mine]
        values = value[0, top : top + 6, left : left + 6, mine]
        for y, x in product(range(4), range(4)):
            bias = table[3 - y : 9 - y, 3 - x : 9 - x, head]
            scores = (keys @ query[0, top + y, left + x, mine]) / 2 + bias  # sqrt(4) of a head
            weights = scores.flatten().softmax(dim=0).view(6, 6, 1)
            seen[0, top + y, left + x, mine] = (weights * values).sum(dim=(0, 1))
    torch.testing.assert_close(part(pixels), part.proj(seen), rtol=0, atol=SAME)


def place(index: int, count: int) -> float:
    return -1 + (2 * index + 1) / count


def kriged(part: NeuralKriging, codes: Tensor, size: tuple[int, int]) -> Tensor:
    """Neural Kriging over a whole picture, query by query, in double precision."""
    height, width = codes.shape[-2:]
    assert part.code.bias is not None
    near_y = [min(int((i + 0.5) * height / size[0]), height - 1) for i in range(size[0])]
    near_x = [min(int((i + 0.5) * width / size[1]), width - 1) for i in range(size[1])]
    first = torch.zeros(part.code.out_channels, *size, dtype=torch.float64)
    for y, x in product(range(size[0]), range(size[1])):
        code = codes[0, :, near_y[y], near_x[x]]
        off_y = (place(y, size[0]) - place(near_y[y], height)) * height
        off_x = (place(x, size[1]) - place(near_x[x], width)) * width
        value = part.code.weight[:, :, 0, 0] @ code + part.code.bias
        value = value + part.row.weight @ waves(torch.tensor(off_y), part.frequencies).double()
        first[:, y, x] = (
            value + part.column.weight @ waves(torch.tensor(off_x), part.frequencies).double()
        )
    first = features = first.relu()
    for block in part.blocks:
        assert isinstance(block, KrigingBlock)
        made = block.enter(normed(block.norm1, features)[None])[0]
        kernels = block.involution.kernel2(block.involution.kernel1(made[None]).relu())[0]
        mixed = torch.zeros_like(made)
        for y, x in product(range(size[0]), range(size[1])):
            for tap, (dy, dx) in enumerate(product((-1, 0, 1), (-1, 0, 1))):
                v, u = y + dy, x + dx
                if not (0 <= v < size[0] and 0 <= u < size[1]):
                    continue
                far_y = (place(y, size[0]) - place(near_y[v], height)) * height
                far_x = (place(x, size[1]) - place(near_x[u], width)) * width
                near = math.exp(-(far_y**2 + far_x**2) / (2 * float(part.range) ** 2))
                for channel in range(len(made)):
                    weight = kernels[channel // 8 * 9 + tap, y, x] * near
                    mixed[channel, y, x] += weight * made[channel, v, u]
        features = features + block.leave(mixed[None])[0]
        made = block.fc2(F.gelu(block.fc1(normed(block.norm2, features)[None])))[0]
        gate = block.attention(made.mean(dim=(1, 2))[None, None])[0, 0]
        features = (features + made * gate[:, None, None]).relu()
    out: Tensor = part.color((features + first).relu()[None])
    return out


def normed(norm: torch.nn.LayerNorm, features: Tensor) -> Tensor:
    return norm(features.movedim(0, -1)).movedim(-1, 0)  # type: ignore[no-any-return]


@pytest.mark.parametrize("size", [(5, 8), (7, 6)])
@torch.no_grad()
def test_kriging_query_by_query(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    part = NeuralKriging(6, 16, frequencies=3)
    part.range.fill_(1.5)  # a range at which the covariance matters
    codes = torch.rand(1, 6, 4, 3)
    rows, columns = Axis.whole(4, size[0]), Axis.whole(3, size[1])
    made = part(codes, rows, columns, FrameMeans(NOTHING))
    assert made is not None
    expected = kriged(part.double(), codes.double(), size)
    torch.testing.assert_close(made.double(), expected, rtol=0, atol=SAME)


@pytest.mark.parametrize("size", [(8, 8), (12, 16)])
@pytest.mark.parametrize("scale", [1.5, 2.0])
@torch.no_grad()
def test_codes_of_whole_windows_by_their_definition(size: tuple[int, int], scale: float) -> None:
    """The scale is told as 2 / s, whatever the size of the frame."""
    torch.manual_seed(0)
    network = EQSR.small().eval()
    lr, view = torch.rand(1, 3, *size), View(size, (round(size[0] * scale), round(size[1] * scale)))
    told = waves(torch.tensor(2 / scale), network.frequencies)
    first = network.conv_first(lr - network.mean)
    pixels = network.embed_norm(first.movedim(1, -1))
    for group in network.groups:
        assert isinstance(group, Group)
        made = group.adaptive(pixels, told, FrameMeans(NOTHING), size, math.prod(size))
        for part in (*group.blocks, group.overlapping):
            made = part(made)
        pixels = pixels + group.conv(made.movedim(-1, 1)).movedim(1, -1)
    after = network.conv_after_body(network.norm(pixels).movedim(-1, 1))
    found = network.encode(lr, view)["codes"]
    torch.testing.assert_close(found, first + after, rtol=0, atol=SAME)


@torch.no_grad()
def test_the_scale_changes_the_features() -> None:
    torch.manual_seed(0)
    network = EQSR.small().eval()
    lr = torch.rand(1, 3, 12, 12)
    first, second = (network.encode(lr, View((12, 12), (out, out)))["codes"] for out in (18, 24))
    assert not torch.allclose(first, second, atol=1e-5)


@torch.no_grad()
def test_the_residual_is_the_bilinear_enlargement() -> None:
    torch.manual_seed(0)
    plain = EQSR.small().eval()
    torch.manual_seed(0)
    with_residual = EQSR(
        8,
        groups=2,
        blocks=2,
        heads=2,
        window=4,
        overlap=6,
        frequencies=3,
        hidden=16,
        residual=True,
    ).eval()
    lr, view = torch.rand(1, 3, 8, 8), View((8, 8), (16, 16))
    made = [
        each.decode(each.encode(lr, view), view.rows, view.columns)
        for each in (plain, with_residual)
    ]
    large = F.interpolate(lr, (16, 16), mode="bilinear", align_corners=False)
    torch.testing.assert_close(made[1], large, rtol=0, atol=SAME)  # as it begins
    with_residual.load_state_dict(plain.state_dict())
    latent = with_residual.encode(lr, view)
    learned = with_residual.decode(latent, view.rows, view.columns)
    torch.testing.assert_close(learned - made[0], large - plain.mean, rtol=0, atol=SAME)
