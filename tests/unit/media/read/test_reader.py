import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from av.packet import Packet

from ciaovideo.color import ColorSpec, Matrix, Primaries, Range, Siting, Transfer
from ciaovideo.errors import (
    CiaoVideoError,
    DecodeError,
    LossError,
    MissingInputError,
    OpenError,
    TimestampError,
)
from ciaovideo.findings import Kind
from ciaovideo.media.frame import PlanePool
from ciaovideo.media.inspect.scan import decoded_times, scan_file
from ciaovideo.media.read.decoding import PictureSource
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.options import InputOptions
from tests.found import by_kind
from tests.media import Clip, faststart, make_clip, planes_of, read_counter

SMALL = {"width": 64, "height": 48}
LOSSLESS: dict[str, Any] = {"codec": "ffv1", "options": {}}


def counters(reader: VideoReader, limit: int | None = None) -> list[int]:
    return [read_counter(frame.planes[0].numpy()) for frame in reader.frames(limit)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".nut"])
def test_every_frame_once_and_in_order(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    make_clip(path, seconds=2, counter=True, **SMALL)
    with VideoReader(path) as reader:
        assert counters(reader) == list(range(48))
        assert reader.findings == ()
        assert abs(reader.info.frame_count - 48) <= 1


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "yuv444p16le", "gbrp10le", "gray"])
def test_planes_are_what_was_coded(tmp_path: Path, pix_fmt: str) -> None:
    path = tmp_path / "clip.mkv"
    clip = make_clip(path, width=65, height=47, seconds=0.2, pix_fmt=pix_fmt, **LOSSLESS)
    with VideoReader(path) as reader:
        assert reader.info.pix_fmt == pix_fmt
        for number, frame in enumerate(reader.frames()):
            for plane, sample in zip(frame.planes, planes_of(clip, number), strict=True):
                assert np.array_equal(plane.numpy(), sample)


def test_planes_outlive_the_decoder(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    clip = make_clip(path, seconds=0.5, **SMALL, **LOSSLESS)
    with VideoReader(path) as reader:
        frames = list(reader.frames())
    for number, frame in enumerate(frames):
        assert np.array_equal(frame.planes[0].numpy(), planes_of(clip, number)[0])


@pytest.mark.parametrize("first", [0, 90000])
def test_times_of_variable_rate_are_exact(tmp_path: Path, first: int) -> None:
    path = tmp_path / "vfr.mp4"
    pts = tuple(first + step for step in (0, 3003, 3004, 9000, 50000, 50001, 90000))
    make_clip(path, pts=pts, time_base=Fraction(1, 90000), last_duration=1234, **SMALL)
    with VideoReader(path) as reader:
        frames = list(reader.frames())
    assert [frame.time for frame in frames] == [Fraction(stamp, 90000) for stamp in pts]
    assert all(isinstance(frame.time_base, Fraction) for frame in frames)


def test_limit_stops_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    make_clip(path, seconds=1, counter=True, **SMALL)
    with VideoReader(path) as reader:
        assert counters(reader, 5) == [0, 1, 2, 3, 4]
        assert counters(reader, 0) == []
        assert counters(reader, 2) == [5, 6]
        assert counters(reader) == list(range(7, 24))
        assert counters(reader) == []


def test_a_pool_bounds_memory(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    make_clip(path, seconds=1, counter=True, **SMALL)
    pool, seen, addresses = PlanePool(2), [], set()
    with VideoReader(path, pool=pool) as reader:
        for frame in reader.frames():
            seen.append(read_counter(frame.planes[0].numpy()))
            addresses.add(frame.planes[0].data_ptr())
            pool.release(frame.planes)
    assert seen == list(range(24))
    assert len(addresses) == 2


def test_tags_come_from_the_first_frame(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    color = (9, 1, 9, 16, 3)
    make_clip(path, color=color, pix_fmt="yuv420p10le", sar=Fraction(4, 3), seconds=0.2, **SMALL)
    with VideoReader(path) as reader:
        info = reader.info
    assert info.color == ColorSpec(
        Matrix.BT2020_NCL, Range.LIMITED, Primaries.BT2020, Transfer.SMPTE2084, Siting.TOPLEFT
    )
    assert (info.height, info.width, info.sar) == (48, 64, Fraction(4, 3))
    assert (info.codec, info.time_base, info.frame_rate) == (
        "h264",
        Fraction(1, 12288),
        Fraction(24),
    )


def test_full_range_is_a_tag_and_not_a_layout(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    make_clip(path, color=(1, 2, 1, 1, 1), seconds=0.2, **SMALL)
    with VideoReader(path) as reader:
        assert reader.info.coded_pix_fmt == "yuvj420p"
        assert reader.info.pix_fmt == "yuv420p"
        assert reader.info.color.color_range is Range.FULL


def test_unset_tags_stay_unset(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    make_clip(path, color=(2, 0, 2, 2, 0), seconds=0.2, **SMALL)
    with VideoReader(path) as reader:
        assert reader.info.sar is None
        assert replace(reader.info.color, siting=Siting.UNSPECIFIED) == ColorSpec()


def test_streams_are_listed_and_the_cover_is_not_the_video(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    make_clip(path, seconds=0.5, sound=True, subtitle="Hello", cover=True, **SMALL)
    with VideoReader(path) as reader:
        info = reader.info
    found = [(s.kind, s.codec, s.language) for s in info.streams]
    assert found[:3] == [
        ("video", "h264", "und"), ("audio", "aac", "und"), ("subtitle", "mov_text", "eng")
    ]  # fmt: skip
    assert found[3][:2] == ("video", "mjpeg")
    assert info.index == 0


def test_rotation_is_told_and_not_applied(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    make_clip(path, seconds=0.2, rotation=90, **SMALL)
    with VideoReader(path) as reader:
        info = reader.info
    assert (info.height, info.width, info.rotation) == (48, 64, 90)
    assert info.display_matrix == (0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30)


def test_raw_streams_get_times_and_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "clip.h264"
    make_clip(path, seconds=1, fps=Fraction(25), counter=True, **SMALL)
    with VideoReader(path) as reader:
        frames = list(reader.frames())
        assert by_kind(reader.findings) == [(Kind.GUESSED, "frame rate")]
        assert "25 frames a second" in reader.findings[0].text
        assert reader.info.time_base == Fraction(1, 25)
    assert [(frame.time, frame.end) for frame in frames] == [
        (Fraction(n, 25), Fraction(n + 1, 25)) for n in range(25)
    ]


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="does not exist"):
        VideoReader(tmp_path / "absent.mp4")
    with pytest.raises(MissingInputError, match="is a folder"):
        VideoReader(tmp_path)


def test_what_is_no_video(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video at all " * 99)
    with pytest.raises(OpenError, match="encrypted"):
        VideoReader(text)
    sound = tmp_path / "sound.mka"
    with av.open(sound, "w", format="matroska") as container:
        pcm = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame("s16", "stereo", 64)
        frame.sample_rate = 8000
        container.mux(pcm.encode(frame))
    with pytest.raises(OpenError, match="video"):
        VideoReader(sound)


def test_a_change_of_size_is_an_error_that_says_where(tmp_path: Path) -> None:
    first, second, both = (tmp_path / f"{name}.h264" for name in ("first", "second", "both"))
    make_clip(first, seconds=0.5, fps=Fraction(20), **SMALL)
    make_clip(second, seconds=0.5, width=96, height=48)
    both.write_bytes(first.read_bytes() + second.read_bytes())
    with VideoReader(both) as reader, pytest.raises(DecodeError) as caught:
        list(reader.frames())
    assert "frame 10: the picture changes from 64x48 yuv420p to 96x48" in str(caught.value)


@pytest.mark.parametrize(
    ("stamps", "words"),
    [
        ((512, 512), "frame 2: its timestamp 512 is not after 512"),
        ((None,), "frame 1 has no timestamp"),
    ],
)
def test_times_must_be_there_and_increase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stamps: tuple[int | None, ...], words: str
) -> None:
    path = tmp_path / "clip.mp4"
    make_clip(path, seconds=0.5, **SMALL)
    decode = PictureSource.next

    def stamped(source: PictureSource) -> av.VideoFrame | None:
        picture = decode(source)
        if picture and source.number:
            picture.pts = stamps[source.number - 1]
        return picture

    monkeypatch.setattr(PictureSource, "next", stamped)
    with VideoReader(path) as reader, pytest.raises(TimestampError, match=words):
        list(reader.frames())


def cut(path: Path, clip: Clip, share: float) -> int:
    """Cut a file's end off and return how many of the clip's frames it had."""
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return len(clip.times)


def test_a_cut_off_mp4_is_told(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mp4"
    clip = make_clip(whole, seconds=2, counter=True, **SMALL)
    fast = faststart(whole)
    count = cut(fast, clip, 0.6)
    with VideoReader(fast) as reader:
        left = counters(reader)
        assert left == list(range(len(left)))
        assert 0 < len(left) < count
        assert (Kind.DAMAGED, "file") in by_kind(reader.findings)


def test_frames_dropped_by_a_capture_are_no_end_cut_off(tmp_path: Path) -> None:
    """AVI counts them in its index, and their places in its times."""
    path = tmp_path / "clip.avi"
    kept = tuple(n for n in range(24) if not 5 <= n < 8)
    make_clip(path, pts=kept, codec="mpeg4", options={}, **SMALL)
    with VideoReader(path) as reader:
        assert tuple(frame.pts for frame in reader.frames()) == kept
        assert reader.findings == ()


def test_a_packet_of_no_bytes_lets_the_picture_stand(tmp_path: Path) -> None:
    """As Theora stores a picture that repeats the one before; NUT holds such packets of any kind.

    A decoder that is given one refuses it.
    """
    path = tmp_path / "clip.nut"
    make_clip(tmp_path / "all.mkv", codec="mpeg4", options={"g": "99"}, seconds=0.5, **SMALL)
    with av.open(tmp_path / "all.mkv") as source, av.open(path, "w") as container:
        given = source.streams.video[0]
        video = container.add_stream_from_template(given)
        for number, packet in enumerate(p for p in source.demux(given) if p.size):
            repeated = Packet(b"")
            repeated.pts = repeated.dts = (packet.pts or 0) + 20
            repeated.time_base = packet.time_base
            for stored in (packet, repeated) if number == 3 else (packet,):
                stored.stream = video
                container.mux(stored)
    with VideoReader(path) as reader:
        frames = list(reader.frames())
    assert len(frames) == 12
    scan = scan_file(path)
    assert decoded_times(scan) == [frame.time for frame in frames]
    assert len(scan.video.pts) == 12


def test_damage_is_told(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    make_clip(path, seconds=2, options={"crf": "4", "g": "12"}, **SMALL)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 900
    for place in range(start, len(data) // 2, 997):
        data[place] ^= 0x55
    path.write_bytes(data)
    with VideoReader(path) as reader:  # which of the two depends on the decoder's threads
        try:
            assert len(list(reader.frames())) == 48
            told = [str(finding) for finding in reader.findings]
        except DecodeError as error:
            told = [str(error)]
    assert any("damaged" in text for text in told)
    with (
        VideoReader(path, strict=True) as reader,
        pytest.raises(DecodeError, match=r"is damaged|decoding frame"),
    ):
        list(reader.frames())


def damaged_clip(folder: Path) -> Path:
    """One second of MPEG-2, which has no checks: what cannot be read is patched, and marked."""
    path = folder / "clip.ts"
    make_clip(path, codec="mpeg2video", seconds=1, width=160, height=128, options={"g": "12"})
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 16] = bytes(byte ^ 0xFF for byte in data[middle : middle + 16])
    path.write_bytes(data)
    return path


def test_the_times_of_damaged_pictures_are_told(tmp_path: Path) -> None:
    path = damaged_clip(tmp_path)
    with VideoReader(path) as reader:
        assert len(list(reader.frames())) == 24
        (damaged,) = reader.findings
    assert by_kind([damaged]) == [(Kind.DAMAGED, "video")]
    assert damaged.at is not None
    assert f"at {float(damaged.at):.3f} s" in damaged.text
    with (
        VideoReader(path, strict=True) as reader,
        pytest.raises(DecodeError, match=r"strict: .* \d\.\d{3} s "),
    ):
        list(reader.frames())


@pytest.mark.parametrize(
    ("options", "limit"), [(InputOptions(end="0.8"), None), (InputOptions(), 20)]
)
def test_damage_is_told_where_only_a_part_is_read(
    tmp_path: Path, options: InputOptions, limit: int | None
) -> None:
    path = damaged_clip(tmp_path)
    with VideoReader(path) as reader:
        list(reader.frames())
        (whole,) = reader.findings
    with VideoReader(path, options=options) as reader:
        assert 0 < len(list(reader.frames(limit))) <= 20
        (part,) = reader.findings
    assert part == whole


# Real files, made by other people's tools. What cannot be read must be refused for its reason.
REFUSED: dict[str, type[CiaoVideoError]] = {
    "drm/sample_fragmented_clearkey.mp4": OpenError,
    "mkv/full_blocks.mkv": OpenError,
    "mp4/sample_audio_only.mp4": OpenError,
    "mp4/sample_eac3.mp4": OpenError,
    "mp4/sample_malformed_free_box.mp4": OpenError,
    "mp4/video_dovi_3840x2160_30fps_dav1_10.mp4": OpenError,
    "webm/invalid-bitstream.webm": DecodeError,
}


@pytest.mark.parametrize("name", REFUSED)
def test_real_files_are_refused_for_their_reason(shared: Path, name: str) -> None:
    with pytest.raises(REFUSED[name]), VideoReader(shared / "data/media" / name) as reader:
        list(reader.frames())


def expected(path: Path) -> Iterator[tuple[Fraction | None, list[torch.Tensor]]]:
    """Times and planes by a plain loop over PyAV."""
    with av.open(path) as container:
        video = next(s for s in container.streams.video if s.codec_context is not None)
        tick = Fraction(video.time_base.numerator, video.time_base.denominator)
        for picture in container.decode(video):
            planes = []
            for plane in picture.planes:
                size = 2 if "le" in picture.format.name else 1
                rows = np.frombuffer(bytes(plane), f"<u{size}").reshape(-1, plane.line_size // size)
                planes.append(torch.from_numpy(rows[: plane.height, : plane.width].copy()))
            yield None if picture.pts is None else picture.pts * tick, planes


READ = [
    "h264/HPCAFL_BRCM_C.264",
    "broadcast/apple-prores-422-hq.mov",
    "clips/carphone_pristine.mp4",
    "depth/av1_video.mkv",
    "depth/h265_10bits.mp4",
    "h264/FRExt1_Panasonic.avc",
    "h264/freh3.264",
    "mkv/sample.mkv",
    "mkv/sample_av1.mkv",
    "mkv/sample_with_chapters.mkv",
    "mp4/bt601.mov",
    "mp4/iibbibb_editlist_videoonly.mp4",
    "mp4/h265_with_metadata_track.mp4",
    "mp4/sample_fragmented.mp4",
    "mp4/sample_mdat_too_long.mp4",
    "mp4/sample_shorter_audio.mp4",
    "mp4/sample_vvc.mp4",
    "mp4/testvid_1022ms.mp4",
    "ts/sample_h262_mpeg_audio.ps",
    "ts/sd-hls0000000000.ts",
    "webm/bear-vp9-odd-dimensions.webm",
    "webm/roadtrip-vp92-10bit.webm",
]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mp4/hdr10-video-with-sdr-container.mp4", "mastering display"),
        ("mp4/sample_edit_list.mp4", "Dolby Vision"),
    ],
)
@pytest.mark.heavy
def test_what_hangs_on_pictures_is_named(shared: Path, name: str, words: str) -> None:
    with VideoReader(shared / "data/media" / name) as reader:
        assert any(words in finding.text for finding in reader.findings)


@pytest.mark.slow
@pytest.mark.parametrize("name", READ)
def test_real_files_are_read_exactly(shared: Path, name: str) -> None:
    path = shared / "data/media" / name
    with VideoReader(path) as reader:
        reference = expected(path)
        for number, (frame, (time, planes)) in enumerate(
            zip(reader.frames(), reference, strict=True)
        ):
            rate = reader.info.frame_rate or Fraction(1)
            assert frame.time == (number / rate if time is None else time)
            assert all(map(torch.equal, frame.planes, planes))


def test_frames_last_as_long_as_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    times = {"pts": (0, 40, 41, 90, 170), "time_base": Fraction(1, 1000), "last_duration": 70}
    make_clip(path, options={"bf": "0"}, **times, **SMALL)
    with VideoReader(path) as reader:
        seconds = [frame.end - frame.time for frame in reader.frames()]
    assert [1000 * length for length in seconds] == [40, 1, 49, 80, 70]


def raw(path: Path, **settings: Any) -> bytes:
    """Two frames of H.264 as bytes that can be strung together."""
    make_clip(path, seconds=Fraction(1, 12), options={"preset": "ultrafast"}, **settings, **SMALL)
    return path.read_bytes()


CAPTION = b"GA94\x03\x41\xff\xfc\x94\x2c\xff"
FORMAT = b"DTG1\x41\xf8"


def told(coded: bytes, words: bytes) -> bytes:
    """The same with user data in every picture, as ATSC A/53 and ETSI TS 101 154 have it."""
    words = b"\xb5\0\x31" + words
    message = b"\0\0\1\6" + bytes([4, len(words)]) + words + b"\x80"
    return re.sub(rb"\0\0\x01([\x41\x61\x65])", lambda found: message + found[0], coded)


def test_what_is_lost_or_changes_midway_is_told(tmp_path: Path) -> None:
    first = raw(tmp_path / "first.h264")
    later = raw(tmp_path / "later.h264", color=(9, 1, 9, 1, 1))
    lost = "closed captions inside the pictures: not carried over"
    format_lost = "the active format description: not carried over"
    changed = (
        "the primaries change from BT709 to BT2020 at frame 2: those of the first frame are used"
        " throughout"
    )
    for name, coded, said in (
        ("captions.h264", first + told(first, CAPTION), lost),
        ("format.h264", first + told(first, FORMAT), format_lost),
        ("tags.h264", first + later, changed),
    ):
        path = tmp_path / name
        path.write_bytes(coded)
        with VideoReader(path) as reader:
            assert said not in map(str, reader.findings)
            assert len(list(reader.frames())) == 4
            (finding,) = (one for one in reader.findings if one.text == said)
            assert finding.kind == Kind.LOST
        with VideoReader(path, strict=True) as reader, pytest.raises(LossError, match=said):
            list(reader.frames())
