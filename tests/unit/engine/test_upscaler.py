"""``Upscaler``: kinds of pictures, work in the background, one copy of the weights for all."""

import gc
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ciaovideo import ColorSpec, Matrix, Picture, PixelLayout, PlaneFormat, Range, Siting, Upscaler
from ciaovideo.color import from_rgb, to_rgb
from ciaovideo.engine.engine import Engine
from ciaovideo.engine.workers import WorkerPool
from ciaovideo.errors import MissingWeightsError, OptionError, UnsupportedScaleError
from ciaovideo.models.weights import load_model
from tests.waiting import FAR_TOO_LONG_S

COLOR = ColorSpec(Matrix.BT709, Range.LIMITED, siting=Siting.LEFT)
FLOAT_ERROR = 1e-6  # of fp32 arithmetic on values about 1
HALF_ERROR = 1e-3  # fp16 has eleven bits


def upscaler(**settings: object) -> Upscaler:
    return Upscaler(precision="fp32", device="cpu", **settings)  # type: ignore[arg-type]


def test_a_submitted_picture_equals_one_made_at_once() -> None:
    enlarge = upscaler(scale=1.5, workers=2)
    pictures = [torch.rand(1, 3, 20, 24) for _ in range(5)]
    futures = [enlarge.submit(picture) for picture in pictures]
    for picture, future in zip(pictures, futures, strict=True):
        assert torch.equal(future.result(), enlarge(picture))


def test_arrays_can_be_submitted() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    enlarge = upscaler(scale=2)
    made = enlarge.submit(picture).result()
    assert made.dtype == np.uint8
    np.testing.assert_array_equal(made, enlarge(picture))


def test_an_error_comes_with_the_future() -> None:
    future = upscaler(width=4).submit(torch.rand(1, 3, 8, 8))
    with pytest.raises(UnsupportedScaleError):
        future.result()


def test_submitting_waits_when_too_much_is_unfinished() -> None:
    pool = WorkerPool(Engine(load_model("ciaosr-fast")), workers=2)
    hold, begun = threading.Event(), threading.Semaphore(0)

    def work() -> None:
        begun.release()
        hold.wait()

    futures = [pool.submit(work) for _ in range(3)]  # two at work, one waiting
    assert begun.acquire(timeout=FAR_TOO_LONG_S)
    assert begun.acquire(timeout=FAR_TOO_LONG_S)
    passed = threading.Event()

    def fourth() -> None:
        futures.append(pool.submit(work))
        passed.set()

    asking = threading.Thread(target=fourth)
    asking.start()
    assert not passed.wait(0.2)
    hold.set()
    assert passed.wait(FAR_TOO_LONG_S)
    asking.join()
    for future in futures:
        future.result(timeout=FAR_TOO_LONG_S)


def test_equal_settings_share_the_weights_and_others_do_not() -> None:
    one, other = upscaler(scale=2), upscaler(scale=3, model="ciaosr-fast")
    assert one.engine is other.engine
    assert upscaler(scale=2, workers=2).engine is not one.engine
    assert Upscaler(scale=2, precision="bf16", device="cpu").engine is not one.engine


def test_a_file_of_weights_that_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    bundled = Path(__file__).resolve().parents[3] / "weights/ciaosr-fast.safetensors"
    path.write_bytes(bundled.read_bytes())
    first = upscaler(weights=path)
    assert upscaler(weights=path).engine is first.engine
    path.unlink()
    with pytest.raises(MissingWeightsError):
        upscaler(weights=path)
    path.write_bytes(bundled.read_bytes())
    assert upscaler(weights=path).engine is not first.engine


@pytest.mark.heavy
def test_the_last_holder_frees_weights_and_threads() -> None:
    enlarge = upscaler(scale=2, workers=3)
    enlarge.submit(torch.rand(1, 3, 8, 8)).result()
    assert working()
    engine = weakref.ref(enlarge.engine)
    del enlarge
    # A thread lets go of its last work a moment after the result is there: then the pool ends.
    for thread in working():
        thread.join(timeout=FAR_TOO_LONG_S)
    assert not working()
    assert engine() is None


def working() -> list[threading.Thread]:
    gc.collect()
    return [
        thread for thread in threading.enumerate() if thread.name.startswith("ciaovideo-worker")
    ]


def test_on_a_gpu_each_thread_has_one_stream_and_ends_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Played with streams that only take notes; a pool that reuses a thread reuses its stream."""
    current, notes, together = threading.local(), [], threading.Barrier(2)

    class CudaStream:
        def __init__(self, device: torch.device) -> None:
            assert device == torch.device("cuda", 1)
            self.thread = threading.get_ident()

        def synchronize(self) -> None:
            assert current.cuda_stream is self
            notes.append((self, "synchronised"))

    @contextmanager
    def entered(cuda_stream: CudaStream) -> Iterator[None]:
        current.cuda_stream = cuda_stream
        yield
        current.cuda_stream = None

    monkeypatch.setattr(torch.cuda, "Stream", CudaStream)
    monkeypatch.setattr(torch.cuda, "stream", entered)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: current.cuda_stream)
    engine = Engine(load_model("ciaosr-fast"))
    engine.device = torch.device("cuda", 1)
    pool = WorkerPool(engine, workers=2)

    def work() -> CudaStream:
        together.wait(FAR_TOO_LONG_S)  # so that neither thread does it all
        notes.append((current.cuda_stream, "computed"))
        assert current.cuda_stream.thread == threading.get_ident()
        made: CudaStream = current.cuda_stream
        return made

    used = []
    for _ in range(3):
        for future in [pool.submit(work) for _ in range(2)]:
            used.append(future.result(FAR_TOO_LONG_S))
            assert notes.count((used[-1], "synchronised")) == used.count(used[-1])
    assert len(set(used)) == 2
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 // 0).result(FAR_TOO_LONG_S)


def test_it_takes_at_least_one_thread() -> None:
    with pytest.raises(OptionError, match="at least one"):
        upscaler(workers=0)


def test_planes_of_codes_take_the_way_of_the_colour_code() -> None:
    layout = PixelLayout.of("yuv420p")
    planes = tuple(
        torch.randint(16, 236, shape, dtype=torch.uint8) for shape in layout.plane_shapes(18, 22)
    )
    enlarge = upscaler(scale=1.7)
    made = enlarge(Picture(planes, PlaneFormat(layout, COLOR)))
    size = (30, 38)  # 30.6 and 37.4, to the nearest even numbers
    sr = enlarge.engine(to_rgb([plane[None] for plane in planes], layout, COLOR), size)
    for plane, expected in zip(made.planes, from_rgb(sr, layout, COLOR), strict=True):
        assert torch.equal(plane, expected[0])


def test_format_and_size_can_be_chosen_for_each_picture() -> None:
    gray = PlaneFormat(PixelLayout.of("gray"), COLOR)
    deep = PlaneFormat(PixelLayout.of("yuv422p10le"), COLOR)
    picture = Picture((torch.full((10, 12), 126, dtype=torch.uint8),), gray, deep, (21, 24))
    made = upscaler().submit(picture).result()
    assert made.format == deep
    assert [tuple(plane.shape) for plane in made.planes] == [(21, 24), (21, 12), (21, 12)]
    assert made.planes[0].float().mean().item() == pytest.approx(4 * 126, abs=4)
    assert made.planes[1].float().mean().item() == pytest.approx(512, abs=4)


@pytest.mark.parametrize("chroma", ["410", "411", "420", "422", "440", "444"])
def test_floating_planes_agree_with_codes(chroma: str) -> None:
    layout = PixelLayout.of(f"yuv{chroma}p" if chroma in ("410", "411") else f"yuv{chroma}p10le")
    full = ColorSpec(Matrix.BT2020_NCL, Range.FULL, siting=Siting.TOPLEFT)
    codes = [
        torch.randint(0, layout.peak + 1, shape).float()[None]
        for shape in layout.plane_shapes(13, 15)
    ]
    middle = (layout.peak + 1) / 2
    signals = [(plane - (middle if i else 0)) / layout.peak for i, plane in enumerate(codes)]
    rgb = to_rgb(codes, layout, full)
    torch.testing.assert_close(
        to_rgb(signals, layout, full, dtype=torch.float32), rgb, rtol=0, atol=FLOAT_ERROR
    )
    made, expected = from_rgb(rgb, layout, full, dtype=torch.float32), from_rgb(rgb, layout, full)
    for i, (plane, rounded) in enumerate(zip(made, expected, strict=True)):
        exact = (plane * layout.peak + (middle if i else 0)).clamp(0, layout.peak)
        # Half a code, and what fp32 leaves of it in a sum of numbers of that size.
        assert (exact - rounded.float()).abs().max() <= 0.501


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("matrix", [Matrix.RGB, Matrix.BT709])
def test_floating_planes_survive_the_round_trip_beyond_their_range(
    dtype: torch.dtype, matrix: Matrix
) -> None:
    layout, color = PixelLayout.of("yuv444p"), ColorSpec(matrix, Range.LIMITED)
    planes = [(torch.rand(1, 9, 11) * 2 - 0.5).to(dtype) for _ in range(3)]
    bound = HALF_ERROR if dtype == torch.float16 else FLOAT_ERROR
    rgb = to_rgb(planes, layout, color, dtype=dtype)
    for plane, again in zip(planes, from_rgb(rgb, layout, color, dtype=dtype), strict=True):
        torch.testing.assert_close(again, plane, rtol=0, atol=2 * bound)


def test_floating_rgb_stays_as_it_is() -> None:
    layout, color = PixelLayout.of("gbrp"), ColorSpec(Matrix.RGB, Range.FULL)
    green, blue, red = planes = [torch.randn(1, 5, 6) for _ in range(3)]
    rgb = to_rgb(planes, layout, color, dtype=torch.float32)
    assert torch.equal(rgb, torch.stack((red, green, blue), dim=1))
    for plane, again in zip(planes, from_rgb(rgb, layout, color, dtype=torch.float32), strict=True):
        assert torch.equal(plane, again)


def test_memory_is_planned_for_all_threads_of_a_pool() -> None:
    engine = Engine(load_model("ciaosr-fast"))
    WorkerPool(engine, workers=3)
    assert engine.workers == 3


def test_one_side_decides_the_other_of_pictures_that_are_no_squares() -> None:
    lr = torch.rand(1, 3, 10, 20)
    assert upscaler(width=50)(lr).shape == (1, 3, 25, 50)
    assert upscaler(size=(20, 50))(lr).shape == (1, 3, 20, 50)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integers_are_rounded_to_the_nearest(dtype: type) -> None:
    peak = np.iinfo(dtype).max
    drawn = np.random.default_rng(0).integers(0, peak + 1, (12, 10, 3))
    picture: np.ndarray[Any, Any] = drawn.astype(dtype)
    enlarge = upscaler(scale=2, model="bicubic")
    exact = enlarge(picture.astype(np.float32) / np.float32(peak)).astype(np.float64) * peak
    off = enlarge(picture).astype(np.float64) - exact.clip(0, peak)
    assert np.abs(off).max() < 0.51  # of a code; of 16 bits fp32 holds the hundredth


def test_opacity_never_leaves_its_range() -> None:
    plane = torch.zeros(12, 12)
    plane[:, 6:] = 1
    opacity = PlaneFormat.of_opacity(PixelLayout.of("gray"), torch.float32)
    (made,) = upscaler(scale=3, model="lanczos")(Picture((plane,), opacity)).planes
    assert (float(made.min()), float(made.max())) == (0, 1)


@pytest.mark.parametrize("kind", ["u1", ">u2", ">f4", "<f8"])
def test_arrays_that_are_only_read_or_of_the_other_byte_order(kind: str) -> None:
    """Pillow's arrays cannot be written to; big-endian samples come out of files."""
    enlarge = upscaler(model="bicubic")
    plain = np.arange(4 * 5 * 3).reshape(4, 5, 3).astype(np.dtype(kind).newbyteorder("="))
    given = plain.astype(kind)
    given.flags.writeable = False
    made = enlarge(given)
    assert made.dtype == np.dtype(kind)
    assert np.array_equal(made, enlarge(plain))


@pytest.mark.parametrize(
    "given", [np.zeros((0, 5, 3)), np.zeros((4, 5, 3), np.longdouble), np.zeros((4, 5, 3), bool)]
)
def test_arrays_that_are_no_pictures(given: np.ndarray[Any, Any]) -> None:
    with pytest.raises(OptionError):
        upscaler(model="bicubic")(given)
