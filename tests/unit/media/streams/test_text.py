"""Text subtitles in another coding: the same words at the same times, for as long."""

import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
from av.stream import Disposition
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.subtitle import AssSubtitle, SubtitleSet

from ciaovideo.media.read.probe import probe
from ciaovideo.media.streams.copier import StreamCopier
from ciaovideo.media.streams.plan import StreamPlan, plan_streams
from tests.fillers import gray_stream, mux_gray
from tests.found import losses_of
from tests.media import ASS_HEADER, make_clip
from tests.places import container_of

EVENTS = (  # start and length in ms, text in ASS, in HTML-like tags, and plain
    (0, 400, r"Hello {\i1}there{\i0}", "Hello <i>there</i>", "Hello there"),
    (500, 250, r"One\Ntwo, three", "One\ntwo, three", "One\ntwo, three"),
    (900, 600, "été ☃", "été ☃", "été ☃"),
)
FILLER = {".webm": "libvpx", ".mkv": "mpeg4", ".mp4": "mpeg4", ".mov": "mpeg4"}
type Line = tuple[int, int, str]


def with_text(path: Path, codec: str, events: Sequence[tuple[int, int, str]]) -> None:
    """A short clip with one track of text: start and length in ms, and the text in ASS."""
    silent = path.with_name("silent.mp4")  # which stores all decoding times
    make_clip(silent, width=64, height=48, seconds=2)
    with av.open(silent) as given, av.open(path, "w") as container:
        video = container.add_stream_from_template(given.streams.video[0], opaque=True)
        track = container.add_stream(codec)
        context = track.codec_context
        assert isinstance(context, SubtitleCodecContext)
        context.subtitle_header = ASS_HEADER
        track.metadata["language"] = "fra"
        container.start_encoding()
        for start, length, text in events:
            event = f"{start},0,Default,,0,0,0,,{text}".encode()
            packet = context.encode_subtitle(SubtitleSet.create(event, 0, length))
            packet.stream, packet.pts, packet.dts = track, start, start
            packet.duration, packet.time_base = length, Fraction(1, 1000)
            container.mux(packet)
        for coded in given.demux(video=0):
            if coded.dts is not None:
                coded.stream = video
                container.mux(coded)


def converted(source: Path, output: Path, main: int = 0) -> StreamPlan:
    """Copy all but the video."""
    plan = plan_streams(probe(source), container_of(output))
    with StreamCopier(plan) as copier, av.open(output, "w") as container:
        copier.declare_before(container)
        filler = gray_stream(container, FILLER[output.suffix])
        copier.declare_after(container, filler)
        container.start_encoding()
        mux_gray(container, filler)
        copier.finish(Fraction(0))
    return plan


def lines(path: Path) -> list[Line]:
    """Start and length in milliseconds and the text, of what is not empty."""
    found = []
    with av.open(path) as container:
        track = container.streams.subtitles[0]
        context = track.codec_context
        for packet in container.demux(track):
            shown = context.decode2(packet) if packet.size else None
            if shown:
                assert packet.pts is not None
                tick = Fraction(packet.time_base.num, packet.time_base.den)
                start, length = packet.pts * tick * 1000, (packet.duration or 0) * tick * 1000
                text = b"|".join(
                    event.dialogue for event in shown if isinstance(event, AssSubtitle)
                )
                found.append((round(start), round(length), text.decode()))
    return found


@pytest.mark.parametrize(
    ("codec", "come", "go", "becomes"),
    [
        ("srt", ".mkv", ".mp4", "mov_text"),
        ("ass", ".mkv", ".mp4", "mov_text"),
        ("webvtt", ".mkv", ".mov", "mov_text"),
        ("mov_text", ".mp4", ".mkv", "srt"),
        ("mov_text", ".mov", ".webm", "webvtt"),
        ("srt", ".mkv", ".webm", "webvtt"),
        ("ass", ".mkv", ".webm", "webvtt"),
        ("webvtt", ".mkv", ".webm", ""),
        ("ass", ".mkv", ".mkv", ""),
    ],
)
def test_text_becomes_what_the_container_holds(
    tmp_path: Path, codec: str, come: str, go: str, becomes: str
) -> None:
    source, output = tmp_path / f"in{come}", tmp_path / f"out{go}"
    with_text(source, codec, [event[:3] for event in EVENTS])
    plan = converted(source, output)
    assert [info.becomes for info in plan.kept] == [becomes]
    assert plan.dropped == ()
    simplified = codec == "ass" and becomes != ""
    assert bool(losses_of(plan.findings)) == simplified
    assert any(becomes in finding.text for finding in plan.findings) or not becomes
    wanted = [(start, length) for start, length, *_ in EVENTS]
    found = lines(output)
    assert [(start, length) for start, length, _ in found] == wanted
    for (*_, text), (*_, plain) in zip(found, EVENTS, strict=True):
        assert text.replace(r"{\i1}", "").replace(r"{\i0}", "") == plain
    assert r"{\i1}" in found[0][2]
    with av.open(output) as container:
        assert container.streams.subtitles[0].language == "fra"


def test_nothing_is_shown_between_lines(tmp_path: Path) -> None:
    """mp4 knows lengths only as steps: an empty text fills each gap."""
    source, output = tmp_path / "in.mkv", tmp_path / "out.mp4"
    with_text(source, "srt", [event[:3] for event in EVENTS])
    converted(source, output)
    with av.open(output) as container:
        packets = [packet for packet in container.demux(subtitles=0) if packet.size]
    assert [packet.size > 2 for packet in packets] == [True, False, True, False, True]
    for one, other in pairwise(packets):
        assert one.pts is not None
        assert one.duration is not None
        assert one.pts + one.duration == other.pts


@pytest.mark.parametrize(
    ("events", "shown"),
    [
        (
            [(0, 1000, "A"), (0, 1000, "B"), (500, 1000, "C"), (1600, 200, "D")],
            [(0, 500, "A\nB"), (500, 500, "A\nB\nC"), (1000, 500, "C"), (1600, 200, "D")],
        ),
        (
            [(100, 1400, "A"), (500, 200, "B"), (900, 100, "C")],
            [
                (100, 400, "A"),
                (500, 200, "A\nB"),
                (700, 200, "A"),
                (900, 100, "A\nC"),
                (1000, 500, "A"),
            ],
        ),
        ([(0, 300, "A"), (300, 300, "B")], [(0, 300, "A"), (300, 300, "B")]),
    ],
)
def test_lines_that_overlap_are_all_shown(
    tmp_path: Path, events: list[Line], shown: list[Line]
) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mp4"
    with_text(source, "ass", events)
    converted(source, output)
    assert lines(output) == shown


@pytest.mark.parametrize(
    ("name", "becomes"),
    [("sample_with_srt.mkv", "mov_text"), ("sample_with_ass_subtitles.mkv", "mov_text")],
)
def test_real_text(tmp_path: Path, shared: Path, name: str, becomes: str) -> None:
    source, output = shared / "data" / "media" / "mkv" / name, tmp_path / "out.mp4"
    plan = converted(source, output)
    assert [info.becomes for info in plan.kept if info.kind == "subtitle"] == [becomes]
    found = lines(output)
    assert [(*when, re.sub(r"{.*?}", "", text)) for *when, text in found] == lines(source)
    assert not any("1a&HFF" in text for *_, text in found)  # which is transparent


@pytest.mark.parametrize("name", ["sample_with_vobsub.mkv", "sample_with_vtt_subtitles.mkv"])
def test_what_is_no_known_text_is_left_out(tmp_path: Path, shared: Path, name: str) -> None:
    """Pictures are no text, and FFmpeg does not know the name that the second file gives WebVTT."""
    source = shared / "data" / "media" / "mkv" / name
    plan = plan_streams(probe(source), container_of(".webm"), sound="auto")
    assert [info.kind for info in plan.dropped] == ["subtitle"]
    assert plan.dropped[0].name in losses_of(plan.findings)


def test_forced_text_is_forced_in_another_coding(tmp_path: Path) -> None:
    plain, source, output = (tmp_path / name for name in ("plain.mkv", "in.mkv", "out.mp4"))
    with_text(plain, "srt", [(0, 400, "Hello")])
    with av.open(plain) as given, av.open(source, "w") as container:
        targets = [container.add_stream_from_template(s, opaque=True) for s in given.streams]
        targets[1].disposition = Disposition.forced
        for early, packet in enumerate(given.demux(), -99):  # Matroska stores no decoding times
            if packet.size:
                packet.dts = early if packet.dts is None else packet.dts
                packet.stream = targets[packet.stream_index]
                container.mux(packet)
    for path, forced in ((plain, False), (source, True)):
        converted(path, output)
        with av.open(output) as after:
            assert (Disposition.forced in after.streams.subtitles[0].disposition) == forced
