"""Fused kernels equal the operators they stand for.

Without a GPU Triton interprets them, in fp32 (its interpreter multiplies no bf16); on one the same
comparisons run the real kernels, and print how far they are off.
"""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from ciaovideo.color import (
    ColorSpec,
    Dither,
    Matrix,
    PixelLayout,
    Range,
    Siting,
    convert,
    from_rgb,
    to_rgb,
)
from ciaovideo.grid import View
from ciaovideo.models.decoders.ciaosr import CiaoSR
from ciaovideo.models.decoders.ciaosr_separable import SeparableCiaoSR
from ciaovideo.models.decoders.lm_ciaosr import LMCiaoSR
from ciaovideo.models.parts.cross_scale_attention import CrossScaleAttention
from ciaovideo.ops.dispatch import FailedTwins

pytestmark = pytest.mark.thorough
CUDA = torch.cuda.is_available()
SAME = 2e-6  # fp32 sums in another order, outputs of the order of one
CLOSE = {torch.float32: 1e-4, torch.bfloat16: 0.06}  # on a GPU, over the largest output
CLOSE_RENDER = 0.01  # products of bf16, summed in fp32, over the largest output

pytest.importorskip("triton", reason="no triton here: it comes with torch on Linux")


@pytest.fixture(scope="module")
def interpreter() -> Iterator[None]:
    """Kernels are interpreted."""
    if CUDA:
        pytest.skip("a GPU is here: the tests marked gpu run the real kernels")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        yield


@pytest.fixture(autouse=True)
def _no_kernel_fails() -> Iterator[None]:
    """Plain torch takes the place of a kernel that fails: then nothing would be compared."""
    told: list[str] = []
    with FailedTwins(told.append).noted():
        yield
    assert not told


@pytest.fixture
def fused(interpreter: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let fused twins work on CPU tensors; the list tells which were asked for."""
    asked: list[str] = []

    def twin(operator: str, *_: Tensor) -> ModuleType:
        asked.append(operator)
        return importlib.import_module(f"ciaovideo.ops.{operator}_triton")

    monkeypatch.setattr("ciaovideo.ops.dispatch.fused_twin", twin)
    return asked


@pytest.fixture
def products_of_bf16(interpreter: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the interpreter, which keeps bf16 as bit patterns, multiply numbers instead.

    To bf16 it cuts, where a GPU rounds: errors are twice as large here.
    """
    from triton.runtime import interpreter as triton_interpreter

    builder = type(triton_interpreter.interpreter_builder)
    plain = builder.create_dot

    def create_dot(self: Any, a: Any, b: Any, *others: Any) -> Any:
        fp32 = triton_interpreter.tl.float32
        sides = (self.cast_impl(x, fp32) if x.data.dtype == "uint16" else x for x in (a, b))
        return plain(self, *sides, *others)

    monkeypatch.setattr(builder, "create_dot", create_dot)


def without(work: Callable[[], Any]) -> Any:
    """The same work by the definitions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ciaovideo.ops.dispatch.fused_twin", lambda *_: None)
        return work()


def picture_of(decoder: CiaoSR | LMCiaoSR | SeparableCiaoSR, view: View, channels: int) -> Tensor:
    weight = next(decoder.parameters())
    codes = torch.randn(2, channels, *view.lr_size, generator=torch.Generator().manual_seed(1))
    codes = codes.to(weight)
    cell = torch.tensor([view.cell] * 2).to(codes.device)
    with torch.inference_mode():
        return decoder.decode(decoder.prepare(codes, cell, view), view.rows, view.columns)


def ciaosr(channels: int = 8, hidden: tuple[int, ...] = (32,) * 4, **options: Any) -> CiaoSR:
    torch.manual_seed(0)
    return CiaoSR(channels, hidden=hidden, window=None, **options).eval()


VIEWS = (View((3, 4), (6, 8)), View((4, 3), (10, 7)), View((2, 3), (7, 11)), View((5, 5), (6, 6)))


def first_quickly(*cases: tuple[Any, ...]) -> list[Any]:
    """All cases, each interpreted for a second; `make quick` has the first of them."""
    first, *others = cases
    return [pytest.param(*first), *(pytest.param(*case, marks=pytest.mark.slow) for case in others)]


@pytest.mark.parametrize("view", first_quickly(*((view,) for view in VIEWS)), ids=str)
@pytest.mark.heavy
def test_ciaosr(view: View, fused: list[str]) -> None:
    decoder = ciaosr()
    found = picture_of(decoder, view, 8)
    expected = without(lambda: picture_of(decoder, view, 8))
    assert set(fused) == {"attention.patch", "attention.local", "linear"}
    torch.testing.assert_close(found, expected, rtol=0, atol=SAME)


@pytest.mark.heavy
def test_ciaosr_cut_for_a_small_gpu(fused: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from ciaovideo.ops.layers_triton import NARROW

    decoder, view = ciaosr(hidden=(16, 16)), View((4, 5), (7, 9))
    rows = []
    for module in ("attention.local", "linear"):

        def narrow(_: Tensor) -> Any:
            rows.append(NARROW.rows)
            return NARROW

        monkeypatch.setattr(f"ciaovideo.ops.{module}_triton.launch_for", narrow)
    found = picture_of(decoder, view, 8)
    assert rows == [64, 64]
    expected = without(lambda: picture_of(decoder, view, 8))
    torch.testing.assert_close(found, expected, rtol=0, atol=SAME)


@pytest.mark.parametrize(("room", "rows"), [(99 << 10, 64), (163 << 10, 128)])
def test_how_a_kernel_is_cut_goes_by_the_room_on_chip(
    room: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ciaovideo.ops.layers_triton import launch_for

    facts = SimpleNamespace(shared_memory_per_block_optin=room)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _: facts)
    points: Any = SimpleNamespace(device=torch.device("cuda"), element_size=lambda: 2)
    assert launch_for(points).rows == rows
    assert launch_for(torch.zeros(1)).rows == 32


@pytest.mark.parametrize(
    ("channels", "options"),
    [
        pytest.param(180, {"hidden": (16, 16)}, marks=pytest.mark.slow),
        pytest.param(64, {"hidden": (16,) * 4}, marks=pytest.mark.slow),
        (8, {"hidden": (32, 32), "non_local_scales": (), "unfold": False}),
        (8, {"hidden": (16, 16), "non_local_scales": (2, 3), "softmax_scale": 3.0}),
    ],
    ids=str,
)
@pytest.mark.heavy
def test_ciaosr_in_other_shapes(channels: int, options: dict[str, Any], fused: list[str]) -> None:
    decoder, view = ciaosr(channels, **options), View((3, 2), (4, 3))
    found = picture_of(decoder, view, channels)
    expected = without(lambda: picture_of(decoder, view, channels))
    torch.testing.assert_close(found, expected, rtol=0, atol=SAME)


@pytest.mark.parametrize(
    "options", [{"hidden": (24, 24)}, {"hidden": (16,) * 3}, {"local_attention": False}], ids=str
)
@pytest.mark.heavy
def test_what_does_not_fit_goes_the_plain_way(options: dict[str, Any], fused: list[str]) -> None:
    from ciaovideo.ops.attention import local_triton

    decoder, view = ciaosr(**{"hidden": (16, 16), **options}), VIEWS[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_triton, "local_attention", None)
        found = picture_of(decoder, view, 8)
    expected = without(lambda: picture_of(decoder, view, 8))
    torch.testing.assert_close(found, expected, rtol=0, atol=SAME)


@pytest.mark.parametrize("pairs", [pytest.param(1, marks=pytest.mark.slow), 1 << 22])
@pytest.mark.parametrize("size", [(5, 7), (9, 4), (1, 2)], ids=str)
@pytest.mark.heavy
def test_patch_attention(
    size: tuple[int, int], pairs: int, fused: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ciaovideo.models.parts.cross_scale_attention.GPU_PAIRS", pairs)
    torch.manual_seed(0)
    attention = CrossScaleAttention(8, scales=(2, 3), window=4, margin=2).eval()
    features = torch.randn(2, 8, *size)
    with torch.inference_mode():
        found = attention(features, View(size, size))
        expected = without(lambda: attention(features, View(size, size)))
    assert fused
    torch.testing.assert_close(found, expected, rtol=0, atol=SAME)


@pytest.mark.parametrize("view", first_quickly(*((view,) for view in VIEWS)), ids=str)
@pytest.mark.heavy
def test_separable(view: View, fused: list[str]) -> None:
    torch.manual_seed(0)
    decoder = SeparableCiaoSR(8, hidden=16, key_dim=8).eval()
    found = picture_of(decoder, view, 8)
    assert fused == ["attention.separable"]
    expected = without(lambda: picture_of(decoder, view, 8))
    torch.testing.assert_close(found, expected, rtol=0, atol=SAME)


def far_corner(side: int, device: str) -> tuple[Tensor, Tensor]:
    """The last pixels of maps as large as asked for, and of just their last codes."""
    from ciaovideo.ops.attention.separable import GapTaps
    from ciaovideo.ops.attention.separable_triton import separable_attention

    rank, seen = 6, 3
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device)

    value = torch.zeros(1, 3 * rank**2, side + 1, side + 1, device=device)
    logit = torch.zeros(1, 4 * rank**2, side, side, device=device)
    value[..., -seen - 1 :, -seen - 1 :] = random(3 * rank**2, seen + 1, seen + 1)
    logit[..., -seen:, -seen:] = random(4 * rank**2, seen, seen)
    taps = [(random(2, 4, rank), random(2, 4, rank)) for _ in range(2)]
    pictures = []
    for maps, count in (((value, logit), side), ((_end(value, seen + 1), _end(logit, seen)), seen)):
        gap = torch.tensor([count - 2, count - 2, count - 1, count - 1], device=device)
        axes = [GapTaps(gap, *tables) for tables in taps]
        pictures.append(separable_attention(*maps, *axes))
    return pictures[0], pictures[1]


def _end(maps: Tensor, seen: int) -> Tensor:
    return maps[..., -seen:, -seen:]


@pytest.mark.slow
def test_separable_of_the_last_codes(fused: list[str]) -> None:
    assert torch.equal(*far_corner(7, "cpu"))


@pytest.mark.gpu
def test_separable_of_more_values_than_32_bits_count() -> None:
    if torch.cuda.mem_get_info()[0] < 40 << 30:
        pytest.skip("the maps take 40 GB")
    assert torch.equal(*far_corner(4700, "cuda"))


def modulated(width: int = 16, depth: int = 8, channels: int = 8) -> LMCiaoSR:
    torch.manual_seed(0)
    decoder = LMCiaoSR(
        channels, hidden=16, code=8, width=width, depth=depth, non_local_scales=()
    ).eval()
    with torch.no_grad():  # as after training: scales away from one, colours of the order of one
        for parameter in decoder.parameters():
            parameter.mul_(1.4)
    return decoder


RENDERS = [
    (View((1, 3), (2, 4)), 32, 3),
    *((view, 16, 8) for view in VIEWS),
    (View((5, 4), (14, 71)), 16, 8),  # several tiles, ends of tiles beyond the picture
    (View((3, 1), (9, 3)), 16, 1),
]


@pytest.mark.parametrize(("view", "width", "depth"), first_quickly(*RENDERS), ids=str)
def test_modulated(view: View, width: int, depth: int, fused: list[str]) -> None:
    decoder = modulated(width, depth)
    found = picture_of(decoder, view, 8)
    assert "modulated_render" in fused
    expected = without(lambda: picture_of(decoder, view, 8))
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=SAME)


@pytest.mark.heavy
def test_modulated_on_a_part_of_a_frame(fused: list[str]) -> None:
    decoder, view = modulated(), View((9, 11), (21, 30))
    whole = picture_of(decoder, view, 8)
    codes = torch.randn(2, 8, 9, 11, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        cell, here = torch.tensor([view.cell] * 2), replace(view, origin=(2, 3))
        latent = decoder.prepare(codes[..., 2:, 3:], cell, here)
        part = decoder.decode(latent, view.rows.part(12, 19, 2), view.columns.part(14, 23, 3))
    assert fused.count("modulated_render") == 2
    torch.testing.assert_close(part, whole[..., 12:19, 14:23], rtol=0, atol=SAME)


@pytest.mark.heavy
def test_modulated_in_bf16(fused: list[str], products_of_bf16: None) -> None:
    decoder, view = modulated(), View((5, 4), (14, 9))
    codes = torch.randn(2, 8, 5, 4, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        latent = decoder.prepare(codes, torch.tensor([view.cell] * 2), view)
        rounded = {name: table.bfloat16() for name, table in latent.items()}
        found = decoder.decode(rounded, view.rows, view.columns)
        latent = {name: table.float() for name, table in rounded.items()}
        expected = without(lambda: decoder.decode(latent, view.rows, view.columns))
    assert found.dtype == torch.float32
    assert off(found, expected, "modulated, bf16") < CLOSE_RENDER


def test_modulated_of_a_width_that_does_not_fit(fused: list[str]) -> None:
    decoder, view = modulated(width=24), VIEWS[0]
    found = picture_of(decoder, view, 8)
    expected = without(lambda: picture_of(decoder, view, 8))
    assert torch.equal(found, expected)


FEW = [  # interpreted: each plane takes seconds
    ("yuv420p", Siting.LEFT),
    ("yuv420p10le", Siting.TOPLEFT),
    ("yuv422p16le", Siting.CENTER),
    ("gbrp16le", Siting.LEFT),
]
LAYOUTS = ("yuv420p", "yuv420p10le", "yuv422p16le", "yuv444p12le", "yuv410p", "gbrp16le", "gray")
SPECS = [
    ColorSpec(matrix=Matrix.BT709, color_range=Range.LIMITED, siting=siting)
    for siting in (Siting.LEFT, Siting.CENTER, Siting.TOPLEFT, Siting.BOTTOM)
]


def codes_differ(rgb: Tensor, pix_fmt: str, spec: ColorSpec, dither: Dither | None = None) -> float:
    """Share of the codes that differ, by one; more is a failure."""
    layout = PixelLayout.of(pix_fmt)
    found = from_rgb(rgb, layout, spec, dither=dither)
    expected = convert.from_rgb(rgb.cpu(), layout, spec, dither=dither)
    differ = total = 0
    for plane, should in zip(found, expected, strict=True):
        assert plane.dtype == should.dtype
        off = (plane.cpu().int() - should.int()).abs()
        assert off.max() <= 1
        differ, total = differ + int(off.sum()), total + off.numel()
    return differ / total


@pytest.mark.parametrize(("pix_fmt", "siting"), first_quickly(*FEW))
@pytest.mark.heavy
def test_color_codes(pix_fmt: str, siting: Siting, fused: list[str]) -> None:
    spec = replace(SPECS[0], siting=siting)
    rgb = torch.rand(2, 3, 5, 3, generator=torch.Generator().manual_seed(0)) * 1.4 - 0.2
    # The interpreter rounds product and sum, torch and a GPU only the sum.
    assert codes_differ(rgb, pix_fmt, spec) < 0.02
    assert fused == ["color_codes"]


SIGNALS = [
    *FEW[:2],
    ("yuv422p16le", Siting.CENTER),
    ("yuv410p", Siting.BOTTOM),
    ("yuv444p12le", Siting.LEFT),
]


def signals_differ(size: tuple[int, int], pix_fmt: str, spec: ColorSpec, device: str) -> float:
    layout = PixelLayout.of(pix_fmt)
    generator = torch.Generator().manual_seed(0)
    planes = [
        torch.randint(layout.peak + 1, (2, *shape), generator=generator).to(layout.dtype)
        for shape in layout.plane_shapes(*size)
    ]
    found = to_rgb([plane.to(device) for plane in planes], layout, spec)
    return (found.cpu() - convert.to_rgb(planes, layout, spec)).abs().max().item()


@pytest.mark.parametrize("size", [(5, 3), (2, 300), (1, 1)], ids=str)
@pytest.mark.parametrize(("pix_fmt", "siting"), SIGNALS)
@pytest.mark.heavy
def test_color_signals(
    pix_fmt: str, siting: Siting, size: tuple[int, int], fused: list[str]
) -> None:
    spec = replace(SPECS[0], siting=siting)
    assert signals_differ(size, pix_fmt, spec, "cpu") < 1e-6
    assert fused == ["color_signals"]


def test_color_signals_of_grays(fused: list[str]) -> None:
    """Black is exactly 0, white exactly 1, and the channels of a gray are equal."""
    layout = PixelLayout.of("yuv420p")
    luma = torch.arange(16, 236, dtype=torch.uint8).view(1, 2, 110)
    chroma = torch.full((1, 1, 55), 128, dtype=torch.uint8)
    rgb = to_rgb([luma, chroma, chroma], layout, SPECS[0])
    assert rgb.equal(convert.to_rgb([luma, chroma, chroma], layout, SPECS[0]))
    assert rgb[0, :, 0, 0].tolist() == [0, 0, 0]
    assert rgb[0, :, -1, -1].tolist() == [1, 1, 1]


@pytest.mark.parametrize("start", first_quickly(((62, 132),), ((0, 0),)), ids=str)
@pytest.mark.heavy
def test_color_codes_dithered(start: tuple[int, int], fused: list[str]) -> None:
    """Bit for bit the definition, where products and sums are exact."""
    layout, spec = PixelLayout.of("gbrp10le"), ColorSpec(Matrix.RGB, Range.FULL)
    rgb = torch.randint(-9, 140, (2, 3, 5, 300), generator=torch.Generator().manual_seed(0)) / 128
    found = from_rgb(rgb, layout, spec, dither=Dither(start))
    expected = convert.from_rgb(rgb, layout, spec, dither=Dither(start))
    assert all(map(torch.equal, found, expected))
    assert fused == ["color_codes"]


@pytest.mark.heavy
def test_color_codes_dithered_in_all_planes(fused: list[str]) -> None:
    rgb = torch.rand(1, 3, 9, 5, generator=torch.Generator().manual_seed(0))
    assert codes_differ(rgb, "yuv420p", SPECS[0], Dither((4, 8))) < 0.02


def off(found: Tensor, expected: Tensor, name: str) -> float:
    error = ((found.float() - expected.float()).abs().max() / expected.abs().max()).item()
    print(f"{name}: largest error {error:.1e} of the largest value")
    return error


@pytest.mark.gpu
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("channels", [64, 180])
def test_ciaosr_on_a_gpu(channels: int, kind: torch.dtype) -> None:
    decoder = ciaosr(channels, (256,) * 4).cuda()
    view = View((24, 31), (60, 78))
    expected = without(lambda: picture_of(decoder, view, channels))
    found = picture_of(decoder.to(kind), view, channels)
    assert off(found, expected, f"ciaosr C={channels} {kind}") < CLOSE[kind]
    plain = without(lambda: picture_of(decoder, view, channels))
    off(plain, expected, f"the same, without fused kernels, C={channels} {kind}")


@pytest.mark.gpu
def test_separable_on_a_gpu() -> None:
    torch.manual_seed(0)
    decoder, view = SeparableCiaoSR(32).eval().cuda(), View((37, 50), (93, 140))
    expected = without(lambda: picture_of(decoder, view, 32))
    assert off(picture_of(decoder, view, 32), expected, "separable") < 1e-5


@pytest.mark.gpu
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16], ids=str)
def test_modulated_on_a_gpu(kind: torch.dtype) -> None:
    decoder, view = modulated(channels=32).cuda(), View((37, 50), (93, 140))
    with torch.inference_mode():
        codes = torch.randn(2, 32, *view.lr_size).cuda()
        latent = decoder.prepare(codes, torch.tensor([view.cell] * 2).cuda(), view)
        latent = {name: table.to(kind) for name, table in latent.items()}
        found = decoder.decode(latent, view.rows, view.columns)
        latent = {name: table.float() for name, table in latent.items()}
        expected = without(lambda: decoder.decode(latent, view.rows, view.columns))
    close = {torch.float32: 1e-5, torch.bfloat16: CLOSE_RENDER}[kind]
    assert off(found, expected, f"modulated {kind}") < close


@pytest.mark.gpu
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.siting.name)
@pytest.mark.parametrize("pix_fmt", LAYOUTS)
def test_color_codes_on_a_gpu(pix_fmt: str, spec: ColorSpec) -> None:
    share = codes_differ(torch.rand(2, 3, 131, 97).cuda() * 1.4 - 0.2, pix_fmt, spec)
    print(f"{pix_fmt} {spec.siting.name}: {share:.1e} of the codes differ from the CPU's by one")
    assert share < 0.02


@pytest.mark.gpu
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.siting.name)
@pytest.mark.parametrize("pix_fmt", [name for name in LAYOUTS if name.startswith("yuv")])
def test_color_signals_on_a_gpu(pix_fmt: str, spec: ColorSpec) -> None:
    assert signals_differ((131, 97), pix_fmt, spec, "cuda") < 1e-6
