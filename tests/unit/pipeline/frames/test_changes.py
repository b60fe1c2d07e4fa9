"""Only what changed is computed again, and the picture is the same as if everything had been."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ciaovideo.color import ColorSpec, Matrix, PixelLayout, PlaneFormat, Range, Siting
from ciaovideo.engine.engine import Engine
from ciaovideo.engine.renderer import Renderer
from ciaovideo.media.frame import Frame, PlanePool
from ciaovideo.models.weights import load_bundled
from ciaovideo.options import EngineOptions
from ciaovideo.pipeline.frames.changes import ChangeFinder
from ciaovideo.pipeline.frames.stages import (
    FrameTask,
    FrameWorker,
    RunCounts,
    StageClock,
    mark_changes,
)
from ciaovideo.tiling import Rect

SPEC = ColorSpec(Matrix.BT709, Range.LIMITED, siting=Siting.LEFT)
LAYOUTS = ("yuv420p", "yuv410p", "yuv422p10le", "gray", "gbrp")


def planes_of(layout: PixelLayout, size: tuple[int, int], seed: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randint(0, layout.peak + 1, shape, generator=generator, dtype=torch.int32).to(
            layout.dtype
        )
        for shape in layout.plane_shapes(*size)
    )


def changed(planes: tuple[Tensor, ...], layout: PixelLayout, box: Rect) -> tuple[Tensor, ...]:
    """A copy with other samples in a box of luma."""
    result = []
    for index, plane in enumerate(planes):
        here = box.halved(layout.plane_log2(index)).slices
        copy = plane.to(torch.int32)
        copy[here] = layout.peak - copy[here]
        result.append(copy.to(layout.dtype))
    return tuple(result)


def test_an_equal_frame_has_no_part_and_a_first_frame_is_all_new() -> None:
    layout = PixelLayout.of("yuv420p")
    finder = ChangeFinder(layout, (64, 96), (100, 150), halo=4)
    planes = planes_of(layout, (64, 96), 0)
    assert finder.parts(planes, None) == (Rect(0, 0, 100, 150),)
    assert finder.parts(tuple(plane.clone() for plane in planes), planes) == ()


def test_letterbox_bars_are_left_out() -> None:
    layout = PixelLayout.of("yuv420p")
    finder = ChangeFinder(layout, (720, 1280), (1440, 2560), halo=24)
    planes = planes_of(layout, (720, 1280), 0)
    moved = changed(planes, layout, Rect(96, 0, 624, 1280))
    reach = 24 + 12  # the network's, and that of the chroma filters
    assert finder.parts(moved, planes) == (Rect(2 * (96 - reach), 0, 2 * (624 + reach), 2560),)


def test_two_far_corners_are_two_parts() -> None:
    layout = PixelLayout.of("gray")
    finder = ChangeFinder(layout, (480, 640), (480, 640), halo=8)
    planes = planes_of(layout, (480, 640), 0)
    moved = changed(changed(planes, layout, Rect(0, 0, 9, 9)), layout, Rect(470, 630, 480, 640))
    assert finder.parts(moved, planes) == (Rect(0, 0, 36, 36), Rect(444, 604, 480, 640))


def test_a_frame_that_moves_everywhere_is_computed_whole() -> None:
    layout = PixelLayout.of("yuv420p")
    finder = ChangeFinder(layout, (200, 300), (300, 450), halo=8)
    before, now = planes_of(layout, (200, 300), 0), planes_of(layout, (200, 300), 1)
    assert finder.parts(now, before) == (Rect(0, 0, 300, 450),)
    speckled = tuple(plane.clone() for plane in before)
    for y in range(0, 200, 32):
        for x in range(0, 300, 32):
            speckled[0][y, x] ^= 1
    assert finder.parts(speckled, before) == (Rect(0, 0, 300, 450),)


def test_one_chroma_sample_is_enough() -> None:
    layout = PixelLayout.of("yuv420p")
    finder = ChangeFinder(layout, (300, 300), (300, 300), halo=4)
    before = planes_of(layout, (300, 300), 0)
    now = tuple(plane.clone() for plane in before)
    now[2][149, 149] ^= 1
    (part,) = finder.parts(now, before)
    assert Rect(298, 298, 300, 300) in part
    assert part.area < 60 * 60


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(load_bundled("ciaosr-fast"), EngineOptions(device="cpu", precision="fp32"))


@settings(max_examples=12)
@given(
    name=st.sampled_from(LAYOUTS),
    scales=st.tuples(st.floats(1, 2.2), st.floats(1, 2.2)),
    box=st.tuples(st.integers(0, 44), st.integers(0, 44), st.integers(1, 12), st.integers(1, 12)),
    far=st.tuples(st.booleans(), st.booleans()),
    seed=st.integers(0, 9),
    dither=st.booleans(),
)
@pytest.mark.heavy
def test_pasted_parts_make_the_picture_of_the_whole(
    engine: Engine,
    name: str,
    scales: tuple[float, float],
    box: tuple[int, int, int, int],
    far: tuple[bool, bool],
    seed: int,
    dither: bool,
) -> None:
    """Every sample, for random changes, sizes and layouts; one code apart where rounding ties.

    ``far``: the change is near the bottom, near the right; then parts begin inside the picture.
    """
    layout, size = PixelLayout.of(name), (133, 158)
    out_size = round(size[0] * scales[0]), round(size[1] * scales[1])
    top, left, height, width = box
    top = size[0] - height - top if far[0] else top
    left = size[1] - width - left if far[1] else left
    before = planes_of(layout, size, seed)
    now = changed(before, layout, Rect(top, left, top + height, left + width))
    kind = PlaneFormat(
        layout, ColorSpec(Matrix.RGB, Range.FULL) if layout.family == "rgb" else SPEC
    )
    renderer = Renderer(engine, kind, kind, dither=dither)
    worker = FrameWorker(renderer, out_size, PlanePool(3), StageClock())
    finder = ChangeFinder(layout, size, out_size, engine.reach(size, out_size))
    frames = [Frame(planes, at, Fraction(1, 25)) for at, planes in enumerate((before, now))]
    tasks = tuple(mark_changes(frames, finder, StageClock()))
    assert tasks[1].parts not in ((), tasks[0].parts)
    first, second = worker(tasks)
    (whole,) = worker((FrameTask(frames[1], tasks[0].parts),))
    shown = tuple(plane.clone() for plane in first.planes)
    for patch in second.patches:
        patch.paste(shown)
    for plane, expected in zip(shown, whole.planes, strict=True):
        apart = (plane.to(torch.int32) - expected.to(torch.int32)).abs()
        assert int(apart.max()) <= 1
        assert int(apart.count_nonzero()) <= 1 + apart.numel() // 10_000


def test_work_counts_the_share_that_was_taken_over() -> None:
    layout = PixelLayout.of("gray")
    finder = ChangeFinder(layout, (400, 400), (400, 400), halo=8)
    before = planes_of(layout, (400, 400), 0)
    frames = [
        Frame(planes, at, Fraction(1, 25))
        for at, planes in enumerate((before, before, changed(before, layout, Rect(0, 0, 16, 16))))
    ]
    work = RunCounts(400 * 400)
    for task in mark_changes(frames, finder, StageClock()):
        work.count(task)
    assert (work.frames, work.computed) == (3, 2)
    assert work.reused == pytest.approx(1 - (1 + 36 * 36 / 400**2) / 3)


@pytest.mark.parametrize(("halo", "edge"), [(8, 36), (9, 40)])
def test_a_part_reaches_to_the_pixel_as_far_as_the_network(halo: int, edge: int) -> None:
    layout = PixelLayout.of("gray")
    finder = ChangeFinder(layout, (480, 640), (480, 640), halo)
    before = planes_of(layout, (480, 640), 0)
    now = changed(before, layout, Rect(0, 0, 9, 9))
    assert finder.parts(now, before) == (Rect(0, 0, edge, edge),)  # a block, the halo, chroma's
