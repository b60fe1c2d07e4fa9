"""What every entry of CODECS promises: times, tags, sizes, depth, in each of its containers."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from ciaovideo.color import ColorSpec, Matrix, PixelLayout, Primaries, Range, Siting, Transfer
from ciaovideo.errors import ColorError, EncodeError, UnknownNameError
from ciaovideo.findings import Kind
from ciaovideo.media.codecs.choice import Encoding, choose_codec
from ciaovideo.media.codecs.table import CODECS
from ciaovideo.media.containers import CONTAINERS
from ciaovideo.media.frame import Frame, VideoInfo
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.write.writer import VideoTarget, VideoWriter
from ciaovideo.options import EncodeOptions
from tests.alpha import planes_with_alpha
from tests.coded_quality import coded, read
from tests.found import by_kind, losses_of
from tests.media import Clip, make_clip, read_counter
from tests.places import container_of

MOVED = (Kind.CHANGED, "chroma siting")

HEIGHT, WIDTH = 48, 64
LARGE = 128, 256  # DNxHR takes nothing smaller
IRREGULAR = (0, 500, 1100, 1300, 2500)
REGULAR = (0, 512, 1024, 1536, 2048)
SD = ColorSpec(
    Matrix.BT709, Range.LIMITED, Primaries.SMPTE170M, Transfer.SMPTE170M, Siting.UNSPECIFIED
)
HDR = ColorSpec(Matrix.BT2020_NCL, Range.LIMITED, Primaries.BT2020, Transfer.SMPTE2084)
FASTEST = {"libsvtav1": "12", "libx264": "ultrafast", "libx265": "ultrafast"}
ALIKE_DB = {"libx265": 1.1, "libsvtav1": 1.7}  # off at most where the table was measured
LOSSLESS = ("ffv1", "utvideo", "png")
UNDRAWN = {"yuv410p", "yuv411p"}  # by tests.media; test_writer has them
CLOSE = 1 / 50  # of the peak: lossy coding is far within, a wrong plane or depth far beyond


def size_of(codec: str) -> tuple[int, int]:
    return LARGE if codec == "dnxhd" else (HEIGHT, WIDTH)


def opens(name: str) -> bool:
    try:
        choose_codec(EncodeOptions(codec=name), container_of(".mp4"), "yuv420p", *size_of(name))
    except EncodeError:
        return False
    return True


USABLE = [name for name in CODECS if not name.endswith("_nvenc") or opens(name)]
PLACES = [
    (name, suffix)
    for name in USABLE
    for container in CONTAINERS.values()
    for suffix in container.suffixes[:1]
    if name in container.codecs
]
OF_RGB = {name for name in USABLE if not any("yuv" in n for n in CODECS[name].pix_fmts)}
every_place_of_chroma = pytest.mark.parametrize(
    ("codec", "suffix"), [place for place in PLACES if place[0] not in OF_RGB]
)
every_place = pytest.mark.parametrize(("codec", "suffix"), PLACES)
every_codec = pytest.mark.parametrize("codec", USABLE)


def clip_of(codec: str, suffix: str, pix_fmt: str = "", **settings: object) -> Clip:
    """A clip in a layout that the codec takes, 4:2:0 if it can be, at times that its file holds."""
    layouts = CODECS[codec].pix_fmts
    usual = next(n for n in ("yuv420p", "yuv422p", "yuv422p10le", "gbrp") if n in layouts)
    times = REGULAR if container_of(suffix).numbered else IRREGULAR
    height, width = size_of(codec)
    clip = Clip(
        height=height,
        width=width,
        pts=times,
        last_duration=512,
        time_base=Fraction(1, 12800),
        pix_fmt=pix_fmt or usual,
        counter=True,
    )
    return replace(clip, **settings)  # type: ignore[arg-type]


def suited(codec: str) -> ColorSpec:
    """Tags that the codec's entry says it holds, as unusual as it goes."""
    if codec in OF_RGB:
        return replace(HDR, matrix=Matrix.RGB, color_range=Range.FULL)
    return HDR if not CODECS[codec].matrices else SD


def target_for(
    path: Path, clip: Clip, codec: str, color: ColorSpec, **changes: object
) -> VideoTarget:
    options = EncodeOptions(codec=codec, preset=FASTEST.get(codec))
    size = clip.height, clip.width
    choice = choose_codec(options, container_of(path), clip.pix_fmt, *size, color=color)
    info = VideoInfo(
        path="",
        height=clip.height,
        width=clip.width,
        pix_fmt=clip.pix_fmt,
        color=color,
        codec="",
        time_base=clip.tick,
        frame_rate=Fraction(25),
    )
    return VideoTarget.of(replace(info, **changes), choice, size)  # type: ignore[arg-type]


def frames_of(clip: Clip, pix_fmt: str) -> Iterator[Frame]:
    drawn = replace(clip, pix_fmt=pix_fmt)
    for number, (pts, duration) in enumerate(zip(clip.times, clip.durations, strict=True)):
        planes = tuple(torch.from_numpy(plane) for plane in planes_with_alpha(drawn, number))
        yield Frame(planes, pts, clip.tick, duration)


def written(path: Path, clip: Clip, target: VideoTarget) -> tuple[VideoInfo, list[Frame]]:
    with VideoWriter(path, target) as writer:
        for frame in frames_of(clip, target.encoding.pix_fmt):
            writer.write(frame)
    with VideoReader(path) as reader:
        return reader.info, list(reader.frames())


@every_place
@pytest.mark.heavy
def test_times_survive(tmp_path: Path, codec: str, suffix: str) -> None:
    path, clip = tmp_path / f"clip{suffix}", clip_of(codec, suffix)
    _, frames = written(path, clip, target_for(path, clip, codec, suited(codec)))
    slack = Fraction(1, 2000) if suffix in (".mkv", ".webm") else 0
    assert [read_counter(frame.planes[0].numpy()) for frame in frames] == list(range(5))
    for frame, pts in zip(frames, clip.times, strict=True):
        assert abs(frame.time - pts * clip.tick) <= slack


@every_place
@pytest.mark.heavy
def test_tags_survive_or_are_listed_as_lost(tmp_path: Path, codec: str, suffix: str) -> None:
    path, clip, color = tmp_path / f"clip{suffix}", clip_of(codec, suffix), suited(codec)
    target = target_for(path, clip, codec, color)
    read = written(path, clip, target)[0].color
    assert read.matrix == color.matrix
    assert read.color_range in (color.color_range, Range.UNSPECIFIED)
    losses = losses_of(target.encoding.findings)
    for name in ("primaries", "transfer"):
        kept = getattr(read, name) == getattr(color, name)
        assert kept != (f"color {name}" in losses)


@every_place_of_chroma
@pytest.mark.heavy
def test_colours_that_would_be_falsified_are_refused(
    tmp_path: Path, codec: str, suffix: str
) -> None:
    path, clip = tmp_path / f"clip{suffix}", clip_of(codec, suffix)
    for color in (
        replace(SD, color_range=Range.FULL),
        replace(SD, matrix=Matrix.SMPTE170M),
        HDR,
    ):
        try:
            target = target_for(path, clip, codec, color)
        except ColorError:
            continue
        read = written(path, clip, target)[0].color
        names = container_of(suffix).color_names
        assert names.shown(read).matrix == names.shown(color).matrix
        assert read.color_range in (color.color_range, Range.UNSPECIFIED)
        assert read.color_range or color.color_range != Range.FULL


@every_place_of_chroma
@pytest.mark.parametrize("siting", list(Siting)[1:], ids=lambda siting: siting.name)
@pytest.mark.parametrize("chroma", ["420", "422"])
@pytest.mark.heavy
def test_chroma_sits_where_readers_take_it_to_sit(
    tmp_path: Path, codec: str, suffix: str, siting: Siting, chroma: str
) -> None:
    path, clip = tmp_path / f"clip{suffix}", clip_of(codec, suffix, pts=(0, 512))
    if chroma not in clip.pix_fmt:
        other = next((n for n in CODECS[codec].pix_fmts if n.startswith(f"yuv{chroma}p")), "")
        if not other:
            return
        clip = clip_of(codec, suffix, other, pts=(0, 512))
    target = target_for(path, clip, codec, replace(suited(codec), siting=siting))
    written_as = target.encoding.siting
    target = replace(target, color=replace(target.color, siting=written_as))
    read = written(path, clip, target)[0].color.siting
    assert read == written_as or (read, written_as) == (Siting.UNSPECIFIED, Siting.LEFT)
    moved = (written_as, siting) if chroma == "420" else (written_as.level, siting.level)
    assert (MOVED in by_kind(target.encoding.findings)) == (len(set(moved)) == 2)


def test_chroma_stays_in_its_column_where_its_row_counts_for_nothing() -> None:
    for siting, place in ((Siting.BOTTOM, Siting.CENTER), (Siting.BOTTOMLEFT, Siting.LEFT)):
        choice = choose_codec(
            EncodeOptions(codec="prores_ks"),
            container_of(Path("out.mkv")),
            "yuv422p10le",
            HEIGHT,
            WIDTH,
            color=ColorSpec(Matrix.BT709, Range.LIMITED, siting=siting),
        )
        assert choice.siting == place
        assert MOVED not in by_kind(choice.findings)


@every_place
@pytest.mark.parametrize("more", [(1, 1), (0, 1), (1, 0)])
@pytest.mark.heavy
def test_odd_sides(tmp_path: Path, codec: str, suffix: str, more: tuple[int, int]) -> None:
    path = tmp_path / f"clip{suffix}"
    height, width = size_of(codec)
    size = height + more[0], width + more[1]
    clip = clip_of(codec, suffix, height=size[0], width=size[1], pts=REGULAR[:2])
    target = target_for(path, clip, codec, suited(codec))
    info, frames = written(path, clip, target)
    assert (info.height, info.width) == size
    assert read_counter(frames[1].planes[0].numpy()) == 1
    assert (
        PixelLayout.of(target.encoding.pix_fmt).bit_depth >= PixelLayout.of(clip.pix_fmt).bit_depth
    )


@every_codec
@pytest.mark.heavy
def test_every_layout_comes_back(tmp_path: Path, codec: str) -> None:
    suffix = next(suffix for name, suffix in PLACES if name == codec)
    # In a small picture a detail is few samples, of which lossy coding changes more.
    height, width = size_of(codec) if codec in LOSSLESS else LARGE
    for pix_fmt in sorted(CODECS[codec].pix_fmts - UNDRAWN):
        path = tmp_path / f"{pix_fmt}{suffix}"
        color = suited(codec)
        if pix_fmt.startswith("gbr"):
            color = replace(color, matrix=Matrix.RGB, color_range=Range.FULL)
        clip = clip_of(codec, suffix, pix_fmt, height=height, width=width, pts=REGULAR[:2])
        target = target_for(path, clip, codec, color)
        assert target.encoding.pix_fmt == pix_fmt
        info, frames = written(path, clip, target)
        made, given = PixelLayout.of(info.pix_fmt), PixelLayout.of(pix_fmt)
        assert made.bit_depth >= given.bit_depth
        assert made.log2_chroma == given.log2_chroma or given.family == "gray"
        for plane, sample in zip(frames[1].planes, planes_with_alpha(clip, 1), strict=False):
            error = np.abs(plane.numpy() / (made.peak + 1) - sample / (given.peak + 1))
            assert error.mean() < (1e-12 if codec in LOSSLESS else CLOSE), pix_fmt


@every_codec
@pytest.mark.heavy
def test_every_preset_opens(codec: str) -> None:
    entry = CODECS[codec]
    suffix = next(suffix for name, suffix in PLACES if name == codec)
    for pix_fmt in sorted(entry.pix_fmts):
        for preset in entry.layout_presets.get(pix_fmt, entry.presets):
            options = EncodeOptions(codec=codec, preset=preset)
            choice = choose_codec(options, container_of(suffix), pix_fmt, *size_of(codec))
            assert choice.options[entry.preset_option] == preset


@every_place
def test_a_sar_survives_or_is_refused(tmp_path: Path, codec: str, suffix: str) -> None:
    path, clip = tmp_path / f"clip{suffix}", clip_of(codec, suffix, pts=REGULAR[:2])
    target = target_for(path, clip, codec, suited(codec), sar=Fraction(128, 117))
    try:
        info, _ = written(path, clip, target)
    except EncodeError as refused:
        told = str(refused)
    else:
        slack = Fraction(1, clip.width) if suffix == ".webm" else 0  # where it is in whole pixels
        assert info.sar is not None
        assert abs(info.sar / Fraction(128, 117) - 1) <= slack
        return
    assert "cannot store the sample aspect ratio" in told
    assert suffix == ".avi"
    assert not path.exists()


def test_avi_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    matrix = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    clip = clip_of("utvideo", ".avi")
    with pytest.raises(EncodeError, match="rotation"):
        written(path, clip, target_for(path, clip, "utvideo", SD, display_matrix=matrix))


@pytest.mark.parametrize("codec", [name for name in CODECS if name not in USABLE])
def test_an_encoder_without_its_hardware_says_so(codec: str) -> None:
    with pytest.raises(EncodeError, match=f"{codec} .* NVIDIA GPU"):
        choose(codec, "out.mp4", "yuv420p")


@pytest.mark.slow
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
@pytest.mark.parametrize("crf", [16, 20, 28])
def test_one_crf_is_one_quality(tmp_path: Path, crf: float, pix_fmt: str) -> None:
    path = tmp_path / "clip.mkv"
    make_clip(path, width=320, height=180, seconds=0.75, codec="ffv1", options={}, pix_fmt=pix_fmt)
    info, frames = read(path)
    reference = coded(info, frames, "libx264", crf)
    for name, off in ALIKE_DB.items():
        made = coded(info, frames, name, CODECS[name].own_quality(crf))
        assert abs(made.ssim - reference.ssim) < off, name


def choose(codec: str, name: str, pix_fmt: str, **options: object) -> Encoding:
    wishes = EncodeOptions(codec=codec, **options)  # type: ignore[arg-type]
    return choose_codec(wishes, container_of(Path(name)), pix_fmt, *size_of(codec))


@every_codec
def test_options_of_the_encoder_reach_it_and_others_are_refused(codec: str) -> None:
    suffix = next(suffix for name, suffix in PLACES if name == codec)
    pix_fmt = clip_of(codec, suffix).pix_fmt
    choice = choose(codec, f"out{suffix}", pix_fmt, codec_option=("threads=2",))
    assert choice.options["threads"] == "2"
    with pytest.raises(UnknownNameError, match=f"{codec} .*'thraeds'"):
        choose(codec, f"out{suffix}", pix_fmt, codec_option=("thraeds=2",))
