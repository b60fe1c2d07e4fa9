"""Faults that people of this job report: side data, changes midway, chapters, writing.

A table over inputs beside the checkout, one for each kind; of each kind a file that is made here.
"""

import lzma
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from av.rational import AVRational

from ciaovideo.errors import ColorError, EncodeError, LossError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.formats.boxes import odd_boxes
from ciaovideo.media.formats.editions import higher_tags, odd_chapters
from ciaovideo.media.side_data import DolbyVision
from ciaovideo.pipeline.session import Summary, UpscaleRun, upscale
from ciaovideo.pipeline.verification.verify import contract_between, verify_contract
from tests.media import make_clip

CASES = Path(__file__).parents[3] / "shared" / "cases"
SMALL = {"width": 64, "height": 48, "seconds": 0.25}
LOST, CHANGED = Kind.LOST, Kind.CHANGED
GUESSED = {(Kind.GUESSED, "color matrix")}


def case(name: str, folder: Path) -> Path:
    """An input from beside the checkout, unpacked."""
    for path in (CASES / name, CASES / f"{name}.xz"):
        if path.is_file():
            copy = folder / name
            data = path.read_bytes()
            copy.write_bytes(lzma.decompress(data) if path.suffix == ".xz" else data)
            return copy
    pytest.skip(f"there is no shared/cases/{name} beside the checkout")


def enlarge(source: Path, output: Path, **options: Any) -> Summary:
    return upscale(source, output, **{"model": "bicubic", "scale": 1, **options})


def told(summary: Summary) -> set[tuple[Kind, str]]:
    return {(found.kind, found.subject) for found in summary.findings}


def about(summary: Summary, subject: str) -> Finding:
    return next(found for found in summary.findings if found.subject == subject)


def turn_of(path: Path) -> int:
    with av.open(path) as container:
        return next(container.decode(video=0)).rotation


def filtered(source: Path, output: Path, words: str, **tags: str) -> None:
    """The video of a file through a bitstream filter, into another one."""
    with av.open(source) as given, av.open(output, "w") as made:
        av_stream = made.add_stream_from_template(given.streams.video[0])
        av_stream.metadata.update(tags)
        bsf = BitStreamFilterContext(words, given.streams.video[0], av_stream)
        for packet in given.demux(video=0):
            for out in bsf.filter(packet if packet.size else None):
                out.stream = av_stream
                made.mux(out)


@pytest.mark.parametrize(
    ("name", "suffix", "found"),
    [
        ("pixelcrop.mkv", ".mkv", {(CHANGED, "crop")}),
        ("pixelcrop.mkv", ".mp4", {(CHANGED, "crop"), (LOST, "subtitle 1")}),
        ("sbs.mkv", ".mkv", set()),
        ("sbs.mkv", ".mp4", {(LOST, "stereo")}),
        ("rotation_sei.mkv", ".mkv", set()),
        ("rotation_sei.mkv", ".mp4", set()),
        ("pcm1920.mkv", ".mov", GUESSED),
        ("pcm1920.mkv", ".mp4", GUESSED),
        ("alac.mkv", ".mp4", GUESSED),
        ("chapter_untitled.mkv", ".mp4", GUESSED),
        ("chapter_late.mkv", ".mp4", GUESSED | {(CHANGED, "chapters")}),
        ("chapter_late.mkv", ".mov", GUESSED | {(CHANGED, "chapters")}),
        ("ordered.mkv", ".mkv", {(LOST, "chapters")}),
        ("ranges.ts", ".mkv", {(Kind.GUESSED, "color matrix"), (CHANGED, "color")}),
    ],
)
def test_cases(name: str, suffix: str, found: set[tuple[Kind, str]], tmp_path: Path) -> None:
    summary = enlarge(case(name, tmp_path), tmp_path / f"out{suffix}")
    chosen = {(Kind.CHOSEN, "codec")}
    assert told(summary) - chosen == found


def test_the_second_eye_is_told(tmp_path: Path) -> None:
    source = case("water_180_mvhevc_5frames.mov", tmp_path)
    summary = enlarge(source, tmp_path / "out.mov", frames=1, preset="ultrafast")
    texts = " ".join(map(str, summary.findings))
    assert "base view" in texts
    assert "spherical" in texts
    assert "3D reference displays" in texts


def test_dolby_vision_5_is_refused_with_what_to_do_first(tmp_path: Path) -> None:
    source = case("dv5.mp4", tmp_path)
    with pytest.raises(ColorError, match="profile 5") as caught:
        enlarge(source, tmp_path / "out.mkv")
    assert f"-i {source}" in str(caught.value.hint)
    summary = enlarge(source, tmp_path / "out.mkv", force=True, frames=1, preset="ultrafast")
    assert (LOST, "Dolby Vision") in told(summary)


def test_dolby_vision_5_is_told_from_pictures_alone(tmp_path: Path) -> None:
    bare = tmp_path / "bare.hevc"
    with av.open(case("dv5.mp4", tmp_path)) as given, av.open(bare, "w") as made:
        av_stream = made.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.size:
                packet.stream = av_stream
                made.mux(packet)
    with pytest.raises(ColorError, match="profile 5"):
        enlarge(bare, tmp_path / "out.mkv")


@pytest.mark.parametrize(
    ("profile", "compatible", "viewable"),
    [(4, 2, True), (5, 0, False), (7, 6, True), (8, 1, True), (9, 2, True), (10, 0, False)],
)
def test_profiles_whose_base_layer_is_a_picture(
    profile: int, compatible: int, viewable: bool
) -> None:
    assert DolbyVision(profile, compatible).viewable is viewable


def test_a_rotation_in_the_bitstream_becomes_the_outputs(tmp_path: Path) -> None:
    source, turned, output = (tmp_path / name for name in ("in.mp4", "turned.mp4", "out.mp4"))
    make_clip(source, **SMALL)
    filtered(source, turned, "h264_metadata=display_orientation=insert:rotate=90")
    summary = enlarge(turned, output, strict=True)
    assert turn_of(turned) == turn_of(output) == 90
    assert not {kind for kind, _ in told(summary)} & {LOST, Kind.WRONG}


def test_a_stereo_mark_is_kept_in_matroska_and_named_elsewhere(tmp_path: Path) -> None:
    source, marked = tmp_path / "in.mkv", tmp_path / "marked.mkv"
    make_clip(source, **SMALL)
    filtered(source, marked, "null", stereo_mode="left_right")
    assert (LOST, "stereo") not in told(enlarge(marked, tmp_path / "out.mkv"))
    with av.open(tmp_path / "out.mkv") as container:
        assert "stereo_3d" in container.streams.video[0].codec_context.coded_side_data
    assert (LOST, "stereo") in told(enlarge(marked, tmp_path / "out.mp4"))
    with pytest.raises(LossError, match="stereo"):
        enlarge(marked, tmp_path / "strict.mp4", strict=True)


def flat(path: Path, luma: int, color_range: int) -> bytes:
    """Three frames of H.264 that are one grey, as bytes that can be strung together."""
    with av.open(path, "w", format="h264") as made:
        av_stream: Any = made.add_stream("libx264", rate=25, options={"qp": "0"})
        av_stream.width, av_stream.height, av_stream.pix_fmt = 64, 48, "yuv420p"
        av_stream.codec_context.color_range = color_range
        av_stream.codec_context.colorspace = 1
        for number in range(3):
            pixels = np.full((72, 64), 128, np.uint8)
            pixels[:48] = luma
            frame = av.VideoFrame.from_ndarray(pixels, format="yuv420p")
            frame.pts, frame.color_range, frame.colorspace = number, color_range, 1
            made.mux(av_stream.encode(frame))
        made.mux(av_stream.encode(None))
    return path.read_bytes()


def lumas(path: Path) -> list[int]:
    with av.open(path) as container:
        return [int(frame.to_ndarray()[5, 7]) for frame in container.decode(video=0)]


def test_a_range_that_changes_midway_is_converted(tmp_path: Path) -> None:
    """Samples stay the same here: they mean another grey."""
    source, output = tmp_path / "in.h264", tmp_path / "out.mkv"
    source.write_bytes(flat(tmp_path / "1.h264", 100, 1) + flat(tmp_path / "2.h264", 100, 2))
    assert lumas(source) == [100] * 6
    summary = enlarge(source, output, codec="ffv1", strict=False)
    assert about(summary, "color").kind is CHANGED
    assert lumas(output) == [100] * 3 + [102] * 3  # 16 + 219 * 100 / 255 = 101.9
    contract = contract_between(source, output)
    assert not verify_contract(output, contract).wrong


def test_user_data_that_no_encoder_wrote_is_named(tmp_path: Path) -> None:
    source, marked = tmp_path / "in.mp4", tmp_path / "marked.mp4"
    make_clip(source, **SMALL)
    assert (LOST, "side data") not in told(enlarge(source, tmp_path / "plain.mp4"))
    uuid = "00112233445566778899aabbccddeeff"
    filtered(source, marked, f"h264_metadata=sei_user_data={uuid}+take 3")
    assert "user data" in about(enlarge(marked, tmp_path / "out.mp4"), "side data").text


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_lossless_sound_from_matroska_is_whole(suffix: str, tmp_path: Path) -> None:
    """Its last packet has no duration there, and mp4 hides one that has none."""
    source, output = tmp_path / "in.mkv", tmp_path / f"out{suffix}"
    seconds = 0.5  # of pictures; sound ends in a packet that is not full
    make_clip(source, sound=True, sound_codec="alac", **{**SMALL, "seconds": seconds})
    enlarge(source, output)
    counts = []
    for path in (source, output):
        with av.open(path) as container:
            counts.append(sum(frame.samples for frame in container.decode(audio=0)))
    assert counts[0] == counts[1]
    enlarge(source, tmp_path / f"part{suffix}", start="0.25")


@pytest.mark.parametrize("name", ["wavpack.mkv", "wma.avi"])
def test_sound_without_durations_is_coded_anew(name: str, tmp_path: Path) -> None:
    summary = enlarge(case(name, tmp_path), tmp_path / "out.mp4", audio="auto")
    assert not summary.verification.wrong
    assert (CHANGED, "audio 1") in told(summary)


def test_ordered_chapters_are_named_one_by_one(tmp_path: Path) -> None:
    source = case("ordered.mkv", tmp_path)
    words = ("ordered", "other files", "editions", "hidden", "nested")
    found = odd_chapters(source)
    assert len(found) == len(words)
    assert all(word in text for word, text in zip(words, found, strict=True))
    with pytest.raises(LossError, match="ordered chapters"):
        enlarge(source, tmp_path / "strict.mkv", strict=True)


def chapter(ident: int, *parts: bytes) -> bytes:
    """An element of Matroska with a size of two bytes."""
    body = b"".join(parts)
    size = (len(body) | 1 << 14).to_bytes(2)
    return ident.to_bytes((ident.bit_length() + 7) // 8) + size + body


def test_chapters_that_are_read_from_elements(tmp_path: Path) -> None:
    path = tmp_path / "in.mkv"
    plain = chapter(0x45B9, chapter(0xB6, chapter(0x91, b"\0")))
    nested = chapter(0x45B9, chapter(0x45DD, b"\1"), chapter(0xB6, chapter(0xB6, b"")))
    names = (chapter(0x80, chapter(0x85, b"One")), chapter(0x80, chapter(0x85, b"Eins")))
    two = chapter(0x45B9, chapter(0xB6, *names))
    for editions, count in (((plain,), 0), ((plain, plain), 1), ((nested,), 2), ((two,), 1)):
        chapters = chapter(0x1043A770, *editions)
        path.write_bytes(chapter(0x1A45DFA3, b"") + chapter(0x18538067, chapters))
        assert len(odd_chapters(path)) == count
    path.write_bytes(b"\0" * 40)
    assert odd_chapters(path) == ()


def test_tags_on_more_than_the_video_are_named(tmp_path: Path) -> None:
    """FFmpeg takes the title of a collection as that of the film."""
    make_clip(plain := tmp_path / "in.mkv", width=64, height=48, seconds=0.25)
    levels = ((70, b"ARTIST"), (50, b"TITLE"))
    tags = [
        chapter(
            0x7373,
            chapter(0x63C0, chapter(0x68CA, bytes([level]))),
            chapter(0x67C8, chapter(0x45A3, name), chapter(0x4487, b"some")),
        )
        for level, name in levels
    ]
    data = plain.read_bytes()
    (tagged := tmp_path / "tagged.mkv").write_bytes(with_tags(data, chapter(0x1254C367, *tags)))
    assert higher_tags(tagged) == ("ARTIST",)
    assert higher_tags(plain) == ()
    assert (LOST, "tags") in told(enlarge(tagged, tmp_path / "out.mkv"))


def with_tags(data: bytes, tags: bytes) -> bytes:
    """A Matroska file with tags before everything else, in a segment without a size or index."""
    segment = data.index(bytes.fromhex("18538067"))
    body = data[segment + 12 :]
    assert data[segment + 4] == 1
    return data[:segment] + bytes.fromhex("1853806701ffffffffffffff") + tags + body


def test_metadata_in_boxes_of_their_own_is_named(tmp_path: Path) -> None:
    make_clip(source := tmp_path / "in.mp4", width=64, height=48, seconds=0.25)
    assert odd_boxes(source) == ()
    xmp, own = "be7acfcb97a942e89c71999491e3afac", "50524f4621d24fcebb88695cfac9c740"
    for uuid in (xmp, own):
        body = bytes.fromhex(uuid) + b"<x:xmpmeta/>"
        with source.open("ab") as file:
            file.write((8 + len(body)).to_bytes(4) + b"uuid" + body)
    assert odd_boxes(source) == ("XMP metadata", f"private data (UUID {own})")
    assert (LOST, "metadata") in told(enlarge(source, tmp_path / "out.mkv"))


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_a_late_first_chapter_and_one_without_a_title(suffix: str, tmp_path: Path) -> None:
    source, late = tmp_path / "in.mkv", tmp_path / "late.mkv"
    make_clip(source, **SMALL)
    with av.open(source) as given, av.open(late, "w") as made:
        av_stream = made.add_stream_from_template(given.streams.video[0])
        tick = AVRational(1, 1000)
        made.set_chapters(
            [
                {"id": n, "start": start, "end": start + 90, "time_base": tick, "metadata": tags}
                for n, (start, tags) in enumerate([(50, {"title": "a"}), (140, {})])
            ]
        )
        for packet in given.demux(video=0):
            if packet.size:
                packet.stream = av_stream
                made.mux(packet)
    found = about(enlarge(late, tmp_path / f"out{suffix}"), "chapters")
    assert (found.kind, found.at) == (CHANGED, Fraction(1, 20))
    assert (LOST, "chapters") not in told(enlarge(late, tmp_path / "out.mkv", strict=True))


def test_reversibility_data_is_left_out(tmp_path: Path) -> None:
    name = "RAWcooked reversibility data"
    source, marked, output = (tmp_path / f"{n}.mkv" for n in ("in", "marked", "out"))
    make_clip(source, **SMALL)
    with av.open(source) as given, av.open(marked, "w") as made:
        av_stream = made.add_stream_from_template(given.streams.video[0])
        av_stream.metadata["DURATION-eng"] = "00:00:09.000000000"
        made.add_attachment(name, "application/octet-stream", b"made of other bytes")
        for packet in given.demux(video=0):
            if packet.size:
                packet.stream = av_stream
                made.mux(packet)
    summary = enlarge(marked, output)
    assert name in about(summary, "attachment 1").text
    with av.open(output) as container:
        assert [s.type for s in container.streams] == ["video"]
        assert "DURATION-eng" not in container.streams.video[0].metadata


def test_sound_that_changes_its_rate_is_an_error_with_the_time(tmp_path: Path) -> None:
    source = case("dv_switch.dv", tmp_path)
    with pytest.raises(EncodeError, match=r"at 0\.120 s from 48000 to 32000") as caught:
        enlarge(source, tmp_path / "out.mkv")
    assert "end the output at 0.12 s" in str(caught.value.hint)
    found = re.search(r"tail -c \+(\d+) ", str(caught.value.hint))
    assert found is not None
    rest = tmp_path / "rest.dv"
    rest.write_bytes(source.read_bytes()[int(found[1]) - 1 :])
    assert enlarge(rest, tmp_path / "rest.mkv").frames == 3
    with av.open(tmp_path / "rest.mkv") as container:
        assert container.streams.audio[0].codec_context.sample_rate == 32000
    assert enlarge(source, tmp_path / "first.mkv", end="0.12").frames == 3
    summary = enlarge(source, tmp_path / "out.webm", audio="auto")
    resampled = [f for f in summary.findings if "resampled" in f.text]
    assert [f.at for f in resampled] == [Fraction(3, 25)]


def test_a_rate_that_the_encoder_refuses_is_known_before_the_start(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    make_clip(source, **{**SMALL, "fps": Fraction(960), "seconds": Fraction(1, 60)})
    with pytest.raises(EncodeError, match="960 frames a second"):
        UpscaleRun(source, tmp_path / "out.webm")


def test_hevc_in_mp4_is_tagged_for_all_players(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    make_clip(source, codec="libx265", options={"x265-params": "log-level=none"}, **SMALL)
    enlarge(source, output, codec="libx265", preset="ultrafast")
    with av.open(output) as container:
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"


def test_tags_of_copied_hevc_stay(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    enlarge(case("two_hvc1.mp4", tmp_path), output)
    with av.open(output) as container:
        assert container.streams.video[1].codec_context.codec_tag == "hvc1"


@pytest.mark.parametrize(
    ("loop", "said"), [(0, "the endless loop"), (2, "2 repetitions"), (-1, None)]
)
def test_how_often_a_gif_is_shown_is_named(loop: int, said: str | None, tmp_path: Path) -> None:
    source = tmp_path / "in.gif"
    with av.open(source, "w", container_options={"loop": str(loop)}) as made:
        av_stream: Any = made.add_stream("gif", rate=10)
        av_stream.width, av_stream.height, av_stream.pix_fmt = 64, 48, "rgb8"
        for number in range(3):
            pixels = np.full((48, 64), 9 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="gray").reformat(format="rgb8")
            frame.pts = number
            made.mux(av_stream.encode(frame))
        made.mux(av_stream.encode(None))
    summary = enlarge(source, tmp_path / "out.mkv")
    found = [f.text for f in summary.findings if f.subject == "loop"]
    assert found == ([f"{said}: not carried over"] if said else [])
