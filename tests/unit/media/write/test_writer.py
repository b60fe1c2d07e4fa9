import errno
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from ciaovideo.color import ColorSpec, Matrix, PixelLayout, Primaries, Range, Siting, Transfer
from ciaovideo.errors import EncodeError
from ciaovideo.media.codecs.choice import choose_codec
from ciaovideo.media.codecs.table import CODECS
from ciaovideo.media.frame import Frame, VideoInfo
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.write.writer import VideoTarget, VideoWriter
from ciaovideo.options import EncodeOptions
from tests.media import Clip, planes_of, read_counter
from tests.places import container_of

MILLISECOND = Fraction(1, 1000)
IRREGULAR = (0, 500, 1100, 1300, 2500, 2600, 4000)
TAGS = ColorSpec(
    Matrix.BT2020_NCL, Range.LIMITED, Primaries.BT2020, Transfer.ARIB_STD_B67, Siting.TOPLEFT
)
PLACES = [  # of the encoders that hold all tags; tests/contract/test_codecs.py has the others
    (name, suffix)
    for name in ("libx264", "libx265", "ffv1")
    for suffix in (".mp4", ".mov", ".mkv")
    if name in container_of(suffix).codecs
]
every_place = pytest.mark.parametrize(("codec", "suffix"), PLACES)


def target_for(
    path: Path, clip: Clip, codec: str = "auto", color: ColorSpec = TAGS, **changes: object
) -> VideoTarget:
    options = EncodeOptions(codec=codec, preset=None if codec == "ffv1" else "ultrafast")
    info = VideoInfo(
        path="",
        height=clip.height,
        width=clip.width,
        pix_fmt=clip.pix_fmt,
        color=color,
        codec="",
        time_base=clip.tick,
    )
    choice = choose_codec(options, container_of(path), clip.pix_fmt, clip.height, clip.width)
    size = (clip.height, clip.width)
    return VideoTarget.of(replace(info, **changes), choice, size)  # type: ignore[arg-type]


def frames_of(clip: Clip) -> Iterable[Frame]:
    for number, (pts, duration) in enumerate(zip(clip.times, clip.durations, strict=True)):
        planes = tuple(torch.from_numpy(plane) for plane in planes_of(clip, number))
        yield Frame(planes, pts, clip.tick, duration)


def written(path: Path, clip: Clip, target: VideoTarget) -> list[Frame]:
    with VideoWriter(path, target) as writer:
        for frame in frames_of(clip):
            writer.write(frame)
    assert writer.frame_count == len(clip.times)
    with VideoReader(path) as reader:
        return list(reader.frames())


def irregular(**settings: object) -> Clip:
    clip = Clip(
        width=64,
        height=48,
        pts=IRREGULAR,
        last_duration=7777,
        time_base=Fraction(1, 12800),
        counter=True,
    )
    return replace(clip, **settings)  # type: ignore[arg-type]


@every_place
@pytest.mark.parametrize("first", [0, 6400])
@pytest.mark.heavy
def test_times_survive(tmp_path: Path, codec: str, suffix: str, first: int) -> None:
    path = tmp_path / f"clip{suffix}"
    clip = irregular(pts=tuple(first + pts for pts in IRREGULAR))
    frames = written(path, clip, target_for(path, clip, codec))
    slack = MILLISECOND / 2 if suffix == ".mkv" else 0
    assert [read_counter(frame.planes[0].numpy()) for frame in frames] == list(range(7))
    for frame, pts in zip(frames, clip.times, strict=True):
        assert abs(frame.time - pts * clip.tick) <= slack


@every_place
def test_the_whole_length_is_kept(tmp_path: Path, codec: str, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    clip = irregular(options={})
    written(path, clip, target_for(path, clip, codec))
    length = (IRREGULAR[-1] + 7777) * clip.tick
    with av.open(path) as container:
        assert container.duration is not None
        assert abs(Fraction(container.duration, 1000000) - length) <= MILLISECOND
        video = container.streams.video[0]
        if video.duration is not None:
            slack = MILLISECOND if suffix == ".mkv" else 0
            assert abs(Fraction(video.duration, video.time_base.den) - length) <= slack


@pytest.mark.parametrize(
    "time_base", [Fraction(1, 10**9), Fraction(1001, 30000), Fraction(1, 600), Fraction(1, 24)]
)
def test_any_time_base_is_kept_exactly(tmp_path: Path, time_base: Fraction) -> None:
    path = tmp_path / "clip.mp4"
    step = max(round(Fraction(1, 30) / time_base), 1)
    clip = irregular(time_base=time_base, pts=tuple(n * step for n in range(6)), last_duration=step)
    frames = written(path, clip, target_for(path, clip))
    assert [frame.time for frame in frames] == [n * step * time_base for n in range(6)]


@every_place
def test_color_tags_survive(tmp_path: Path, codec: str, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    clip = irregular()
    written(path, clip, target_for(path, clip, codec))
    with VideoReader(path) as reader:
        assert replace(reader.info.color, siting=TAGS.siting) == TAGS
        if codec != "ffv1":  # which has no place for it
            assert reader.info.color.siting == TAGS.siting


@every_place
def test_full_range_survives(tmp_path: Path, codec: str, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    clip = irregular()
    written(path, clip, target_for(path, clip, codec, replace(TAGS, color_range=Range.FULL)))
    with VideoReader(path) as reader:
        assert reader.info.color.color_range is Range.FULL
        assert reader.info.pix_fmt == "yuv420p"


@every_place
def test_unspecified_tags_are_not_invented(tmp_path: Path, codec: str, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    clip = irregular()
    written(path, clip, target_for(path, clip, codec, ColorSpec()))
    with VideoReader(path) as reader:
        color = reader.info.color
    assert (color.matrix, color.primaries, color.transfer) == (2, 2, 2)
    assert color.color_range in (Range.UNSPECIFIED, Range.LIMITED)  # x265 writes what is implied


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@every_place
@pytest.mark.heavy
def test_few_frames_are_enough(tmp_path: Path, codec: str, suffix: str, count: int) -> None:
    path = tmp_path / f"clip{suffix}"
    clip = irregular(pts=tuple(range(0, 512 * count, 512)), last_duration=512)
    frames = written(path, clip, target_for(path, clip, codec))
    assert [read_counter(frame.planes[0].numpy()) for frame in frames] == list(range(count))
    with av.open(path) as container:
        assert container.duration is not None
        assert abs(container.duration / 1e6 - count * 0.04) < 0.001


@pytest.mark.parametrize(
    ("codec", "suffix"), [place for place in PLACES if place != ("ffv1", ".mkv")]
)
def test_sar_survives(tmp_path: Path, codec: str, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    clip = irregular()
    written(path, clip, target_for(path, clip, codec, sar=Fraction(128, 117)))
    with VideoReader(path) as reader:
        sar = reader.info.sar
    assert sar == Fraction(128, 117)


@every_place
def test_rotation_survives(tmp_path: Path, codec: str, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    clip, matrix = irregular(), (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    written(path, clip, target_for(path, clip, codec, display_matrix=matrix))
    with VideoReader(path) as reader:
        assert reader.info.display_matrix == matrix


@pytest.mark.parametrize("pix_fmt", sorted(CODECS["ffv1"].pix_fmts))
@pytest.mark.parametrize("size", [(48, 64), (47, 65)], ids=["even", "odd"])
@pytest.mark.heavy
def test_ffv1_returns_every_sample(tmp_path: Path, pix_fmt: str, size: tuple[int, int]) -> None:
    path = tmp_path / "clip.mkv"
    height, width = size
    clip = Clip(height=height, width=width, seconds=0.1, pix_fmt=pix_fmt)
    layout_planes = [_noise(clip, number) for number in range(2)]
    with VideoWriter(path, target_for(path, clip, "ffv1")) as writer:
        for number, planes in enumerate(layout_planes):
            writer.write(Frame(planes, number, clip.tick, 1))
    with VideoReader(path) as reader:
        assert reader.info.pix_fmt == pix_fmt
        for frame, planes in zip(reader.frames(), layout_planes, strict=True):
            assert all(map(torch.equal, frame.planes, planes))


def _noise(clip: Clip, seed: int) -> tuple[torch.Tensor, ...]:
    layout = PixelLayout.of(clip.pix_fmt)
    rng = np.random.default_rng(seed)
    kind = np.uint8 if layout.bit_depth == 8 else np.uint16
    shapes = layout.plane_shapes(clip.height, clip.width)
    return tuple(
        torch.from_numpy(rng.integers(0, 2**layout.bit_depth, shape).astype(kind))
        for shape in shapes
    )


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.heavy
def test_lossy_layouts_come_back_as_they_went_in(tmp_path: Path, codec: str) -> None:
    for pix_fmt in sorted(CODECS[codec].pix_fmts):
        path = tmp_path / f"{pix_fmt}.mp4"
        clip = irregular(pix_fmt=pix_fmt, pts=(0, 512), last_duration=512)
        color = replace(TAGS, matrix=Matrix.RGB) if pix_fmt.startswith("gbrp") else TAGS
        frames = written(path, clip, target_for(path, clip, codec, color))
        with VideoReader(path) as reader:
            # FFmpeg decodes gray H.264 with a middle gray chroma.
            seen = pix_fmt.replace("gray", "yuv420p") if codec == "libx264" else pix_fmt
            assert reader.info.pix_fmt == seen
        peak = float(frames[0].planes[0].numpy().max()) + 1
        for plane, sample in zip(frames[0].planes, planes_of(clip, 0), strict=False):
            error = np.abs(plane.numpy().astype(float) - sample).mean()
            assert error < peak / 50  # a wrong order of planes or depth is far beyond


def test_encoders_are_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for codec, suffix in PLACES:
        path = tmp_path / f"{codec}{suffix}"
        clip = irregular()
        written(path, clip, target_for(path, clip, codec))
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_an_exception_discards_the_file(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    clip = irregular()

    def interrupted() -> None:
        with VideoWriter(path, target_for(path, clip)) as writer:
            writer.write(next(iter(frames_of(clip))))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not path.exists()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_full_disk_is_told(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    path.symlink_to("/dev/full")
    clip = irregular(width=640, height=480, pix_fmt="yuv444p")

    def fill() -> None:
        with VideoWriter(path, target_for(path, clip)) as writer:
            for frame in frames_of(clip):
                writer.write(frame)

    with pytest.raises(EncodeError, match="make room") as caught:
        fill()
    assert isinstance(caught.value.__cause__, av.error.OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    path = tmp_path / "absent" / "clip.mp4"
    with pytest.raises(EncodeError, match="No such file"):
        VideoWriter(path, target_for(path, irregular()))


def test_wrong_planes_never_spread_over_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    clip = irregular()
    planes = tuple(torch.zeros(1, 1, dtype=torch.uint8) for _ in range(3))
    with VideoWriter(path, target_for(path, clip)) as writer:
        with pytest.raises(AssertionError, match="layout"):
            writer.write(Frame(planes, 0, clip.tick))
        for frame in frames_of(clip):
            writer.write(frame)


def info_with(**changes: object) -> VideoInfo:
    base = VideoInfo("", 576, 720, "yuv420p", ColorSpec(), "", Fraction(1, 25))
    return replace(base, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sar", "size", "expected"),
    [
        (None, (1152, 1440), None),
        (Fraction(16, 15), (1152, 1440), Fraction(16, 15)),
        (Fraction(16, 15), (1441, 1801), Fraction(16, 15)),  # rounding is no stretching
        (Fraction(16, 15), (1152, 1536), Fraction(1)),
        (None, (1152, 2880), Fraction(1, 2)),
        (Fraction(59, 54), (1080, 1920), Fraction(59, 54) * Fraction(5, 4) * Fraction(9, 16)),
    ],
)
def test_shape_on_screen_is_kept(
    sar: Fraction | None, size: tuple[int, int], expected: Fraction | None
) -> None:
    choice = choose_codec(EncodeOptions(), container_of(".mkv"), "yuv444p", *size)
    assert VideoTarget.of(info_with(sar=sar), choice, size).sar == expected


def test_huge_sars_are_made_to_fit() -> None:
    info = info_with(sar=Fraction(10007, 10009))
    choice = choose_codec(EncodeOptions(), container_of(".mkv"), "yuv444p", 1009, 1999)
    sar = VideoTarget.of(info, choice, (1009, 1999)).sar
    assert sar is not None
    assert max(sar.numerator, sar.denominator) <= 65535
    exact = Fraction(10007, 10009) * Fraction(720 * 1009, 576 * 1999)
    assert abs(sar / exact - 1) < 1e-6


def test_display_matrices_grow_with_the_picture() -> None:
    choice = choose_codec(EncodeOptions(), container_of(".mkv"), "yuv420p", 1152, 2160)
    quarter = (0, 65536, 0, -65536, 0, 0, 576 << 16, 0, 1 << 30)
    target = VideoTarget.of(info_with(display_matrix=quarter), choice, (1152, 2160))
    assert target.display_matrix == (0, 65536, 0, -65536, 0, 0, 1152 << 16, 0, 1 << 30)
    half = (-65536, 0, 0, 0, -65536, 0, 720 << 16, 576 << 16, 1 << 30)
    target = VideoTarget.of(info_with(display_matrix=half), choice, (1152, 2160))
    assert target.display_matrix == (-65536, 0, 0, 0, -65536, 0, 2160 << 16, 1152 << 16, 1 << 30)
