"""The non-local module against its published form, and what its windows promise."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ciaovideo.grid import View
from ciaovideo.models.parts.cross_scale_attention import CrossScaleAttention

ALGEBRA = 1e-12  # float64: only the order of sums differs
CHANNELS = 4


def attention(
    *scales: int, window: int | None = None, margin: int = 0, seed: int = 0
) -> CrossScaleAttention:
    torch.manual_seed(seed)
    module = CrossScaleAttention(CHANNELS, scales=scales, window=window, margin=margin)
    return module.double().requires_grad_(False)


def features(height: int, width: int, batch: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(height * 100 + width)
    return torch.randn(batch, CHANNELS, height, width, dtype=torch.float64, generator=generator)


def whole(size: tuple[int, int]) -> View:
    return View(size, size)


def published(module: CrossScaleAttention, latent: Tensor, scale: int) -> Tensor:
    """Patches as the kernels of a convolution, then of a transposed one; one picture."""
    height, width = latent.shape[-2:]
    padded = F.pad(latent, (0, -width % scale, 0, -height % scale), mode="reflect")
    size = [side // scale for side in padded.shape[-2:]]
    small = F.interpolate(padded, size=size, mode="bilinear", align_corners=False)
    keys = F.unfold(module.key(small), 3, padding=1)[0].T
    keys = keys / keys.norm(dim=1, keepdim=True).clamp(min=1e-4)
    kernels = keys.view(-1, CHANNELS // 2, 3, 3)
    scores = F.conv2d(module.query(padded), kernels, padding=1)
    chance = (10 * scores).softmax(dim=1)
    patches = F.unfold(module.value(padded), 3 * scale, padding=scale, stride=scale)[0].T
    patches = patches.reshape(-1, CHANNELS, 3 * scale, 3 * scale)
    large = F.conv_transpose2d(chance, patches, stride=scale, padding=scale)
    out: Tensor = module.down[str(scale)](large) / 6
    return out[..., :height, :width]


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(8, 12), (9, 11), (5, 7), (13, 6)])
@pytest.mark.parametrize("pairs", [1, 300, 1 << 22])
def test_equals_the_published_form(
    scale: int, size: tuple[int, int], pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CrossScaleAttention, "pairs", pairs)
    module, latent = attention(scale), features(*size)
    expected = published(module, latent, scale)
    assert expected.std() > 0.01
    seen = module(latent, whole(size))
    torch.testing.assert_close(seen, expected, rtol=0, atol=ALGEBRA)


def test_scales_are_concatenated() -> None:
    module, latent = attention(2, 3), features(9, 8)
    seen = module(latent, whole((9, 8)))
    assert seen.shape == (1, 2 * CHANNELS, 9, 8)
    for index, scale in enumerate((2, 3)):
        part = seen[:, index * CHANNELS : (index + 1) * CHANNELS]
        torch.testing.assert_close(part, published(module, latent, scale), rtol=0, atol=ALGEBRA)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (2, 3), (3, 2)])
def test_sides_too_short_to_mirror(size: tuple[int, int]) -> None:
    for window in (None, 3):
        seen = attention(2, 3, 4, window=window)(features(*size), whole(size))
        assert seen.shape == (1, 3 * CHANNELS, *size)
        assert seen.isfinite().all()


def test_each_window_is_a_picture_of_its_own() -> None:
    module, latent = attention(2, window=6, margin=2), features(20, 17)
    seen = module(latent, whole((20, 17)))
    alone = module.attend(latent[..., 4:14, 10:17], 2)  # the window [6, 12) x [12, 17)
    expected = alone[..., 2:8, 2:]
    torch.testing.assert_close(seen[..., 6:12, 12:17], expected, rtol=0, atol=ALGEBRA)
    alone = module.attend(latent[..., :8, :8], 2)
    torch.testing.assert_close(seen[..., :6, :6], alone[..., :6, :6], rtol=0, atol=ALGEBRA)


def test_one_window_is_the_whole() -> None:
    latent = features(12, 10)
    windowed = attention(2, window=12, margin=3)(latent, whole((12, 10)))
    assert torch.equal(windowed, attention(2)(latent, whole((12, 10))))


@pytest.mark.parametrize("origin", [(0, 0), (4, 4), (5, 9), (10, 1)])
def test_windows_belong_to_the_frame_not_to_the_tile(origin: tuple[int, int]) -> None:
    window, margin, size, side = 6, 2, (29, 31), 19
    module, latent = attention(2, window=window, margin=margin), features(*size)
    expected = module(latent, whole(size))
    top, left = origin
    tile = latent[..., top : top + side, left : left + side]
    seen = module(tile, View(size, size, origin))
    halo = window - 1 + margin
    y = slice(halo if top else 0, None if top + side >= size[0] else side - halo)
    x = slice(halo if left else 0, None if left + side >= size[1] else side - halo)
    frame = expected[..., top : top + side, left : left + side]
    assert seen[..., y, x].numel() > 0
    torch.testing.assert_close(seen[..., y, x], frame[..., y, x], rtol=0, atol=ALGEBRA)


def test_pictures_of_a_batch_do_not_mix() -> None:
    module, latent = attention(2, window=5, margin=1), features(11, 8, batch=3)
    together = module(latent, whole((11, 8)))
    for index in range(3):
        alone = module(latent[index : index + 1], whole((11, 8)))
        torch.testing.assert_close(together[index : index + 1], alone, rtol=0, atol=ALGEBRA)


def test_gradient_is_that_of_the_published_form() -> None:
    module = attention(2).requires_grad_(True)
    latent = features(7, 6).requires_grad_(True)
    inputs = [latent, *module.parameters()]
    ours = torch.autograd.grad(module(latent, whole((7, 6))).square().sum(), inputs)
    theirs = torch.autograd.grad(published(module, latent, 2).square().sum(), inputs)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=ALGEBRA)
