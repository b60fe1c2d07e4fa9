from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.container import InputContainer

from ciaovideo.errors import EncodeError
from ciaovideo.findings import Kind
from ciaovideo.media.read.probe import probe
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.selection import Selection
from ciaovideo.media.source.packets import packets_of
from ciaovideo.media.streams import copier
from ciaovideo.media.streams.copier import StreamCopier
from ciaovideo.media.streams.plan import plan_streams
from tests.copying import process
from tests.found import by_kind
from tests.media import make_clip
from tests.places import container_of

SMALL = {"width": 64, "height": 48}
FULL: dict[str, Any] = {**SMALL, "counter": True, "sound": True, "subtitle": "Hello", "chapters": 3}
MOV_TEXT_GAP = b"\0\0"  # how mp4 says that no subtitle is shown yet
MILLISECOND = Fraction(1, 1000)


def packets(path: Path, kind: str = "audio") -> list[tuple[Fraction, bytes]]:
    with av.open(path) as container:
        return [
            (packet.pts * Fraction(packet.time_base.num, packet.time_base.den), bytes(packet))
            for packet in container.demux()
            if packet.stream.type == kind and packet.size and packet.pts is not None
        ]


def times(path: Path, limit: int | None = None) -> list[Fraction]:
    with VideoReader(path) as reader:
        return [frame.time for frame in reader.frames(limit)]


def same_packets(
    found: list[tuple[Fraction, bytes]], wanted: list[tuple[Fraction, bytes]], slack: Fraction
) -> None:
    assert [data for _, data in found] == [data for _, data in wanted]
    for (time, _), (other, _) in zip(found, wanted, strict=True):
        assert abs(time - other) <= slack


@pytest.mark.parametrize(
    ("come", "go"), [(".mp4", ".mp4"), (".mp4", ".mov"), (".mp4", ".mkv"), (".mkv", ".mkv")]
)
@pytest.mark.heavy
def test_everything_comes_along(tmp_path: Path, come: str, go: str) -> None:
    source, output = tmp_path / f"in{come}", tmp_path / f"out{go}"
    make_clip(source, seconds=2, tags={"title": "Street", "comment": "made up"}, **FULL)
    plan = process(source, output)
    slack = MILLISECOND if ".mkv" in (come, go) else Fraction(0)
    assert plan.offset == 0
    same_packets(packets(output), packets(source), slack)
    assert all(abs(a - b) <= slack for a, b in zip(times(output), times(source), strict=True))
    with av.open(source) as before, av.open(output) as after:
        assert [chapter["metadata"] for chapter in after.chapters()] == [
            {"title": f"Part {n}"} for n in (1, 2, 3)
        ]
        assert [s.disposition for s in after.streams][:2] == [
            s.disposition for s in before.streams
        ][:2]
        assert after.metadata["title"] == "Street"
        kinds = ["video", "audio", "subtitle"] if (come == ".mp4") == (go != ".mkv") else None
        if kinds or come == go:
            assert [s.type for s in after.streams][:3] == ["video", "audio", "subtitle"]
            assert after.streams[2].language == "eng"
    assert plan.dropped == ()
    if (come, go) == (".mp4", ".mkv"):
        assert packets(output, "subtitle") == [(Fraction(0), b"Hello")]
    else:
        assert packets(output, "subtitle") == packets(source, "subtitle")


def test_the_order_of_streams_stays(tmp_path: Path) -> None:
    source, swapped, output = tmp_path / "in.mp4", tmp_path / "swapped.mp4", tmp_path / "out.mp4"
    make_clip(source, **FULL)
    with av.open(source) as before, av.open(swapped, "w") as after:
        wanted = {
            index: after.add_stream_from_template(before.streams[index], opaque=True)
            for index in (1, 0)
        }
        for packet in before.demux(*(before.streams[index] for index in wanted)):
            if packet.dts is not None:
                packet.stream = wanted[packet.stream_index]
                after.mux(packet)
    process(swapped, output)
    with av.open(output) as container:
        assert [s.type for s in container.streams] == ["audio", "video"]
    assert packets(output) == packets(swapped)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_another_video_with_reordered_pictures_is_copied(tmp_path: Path, suffix: str) -> None:
    """Matroska has no decoding times; FFmpeg tells those of the first packets of none."""
    plain, source, output = tmp_path / "plain.mp4", tmp_path / "in.mkv", tmp_path / f"out{suffix}"
    make_clip(plain, options={"bf": "3", "b_strategy": "0"}, **SMALL)
    with av.open(plain) as before, av.open(source, "w") as after:
        targets = [after.add_stream_from_template(before.streams.video[0]) for _ in range(2)]
        for target in targets:
            before.seek(0)
            for packet in (packet for packet in before.demux(video=0) if packet.size):
                packet.stream = target
                after.mux(packet)
    with av.open(source) as container:
        assert next(container.demux(video=1)).dts is None
    process(source, output)
    with av.open(source) as one, av.open(output) as other:
        given, made = ([f.time for f in file.decode(video=1)] for file in (one, other))
    assert len(given) == 48
    assert given == made


@pytest.mark.heavy
def test_sound_in_step_with_pictures(tmp_path: Path) -> None:
    """Packets of both streams alternate in the file, so that players need no large buffers."""
    source, output = tmp_path / "in.mp4", tmp_path / "out.mkv"
    make_clip(source, seconds=8, **FULL)
    process(source, output)
    newest: dict[int, float] = defaultdict(float)
    with av.open(output) as container:
        for packet in container.demux(video=0, audio=0):
            if packet.pts is not None and packet.size:
                newest[packet.stream_index] = float(packet.pts * packet.time_base)
                if len(newest) == 2:
                    assert max(newest.values()) - min(newest.values()) < 1.5


@pytest.mark.parametrize("go", [".mp4", ".mkv"])
@pytest.mark.heavy
def test_a_limited_run_ends_everything_with_its_last_frame(tmp_path: Path, go: str) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / f"out{go}"
    make_clip(source, seconds=4, **FULL)
    plan = process(source, output, frames=36)
    assert plan.selection.end == Fraction(3, 2)
    found, wanted = packets(output), packets(source)
    assert len(times(output)) == 36
    assert found[-1][0] < plan.selection.end
    assert plan.selection.end - found[-1][0] < Fraction(1, 20)
    same_packets(found, wanted[: len(found)], MILLISECOND)
    with av.open(output) as container:
        assert container.duration is not None
        assert abs(container.duration / 1e6 - 1.5) < 0.05
        ends = [chapter["end"] * float(chapter["time_base"]) for chapter in container.chapters()]
        assert ends == pytest.approx([1.333, 1.5], abs=0.001)


def test_a_cover_picture_comes_along(tmp_path: Path) -> None:
    source, again, matroska = tmp_path / "in.mp4", tmp_path / "out.mp4", tmp_path / "out.mkv"
    make_clip(source, cover=True, **SMALL)
    process(source, again)
    process(source, matroska)
    pictures = []
    for path in (source, again, matroska):
        with av.open(path) as container:
            stream = next(
                s
                for s in container.streams.video
                if s.disposition & av.stream.Disposition.attached_pic
            )
            pictures.append(next(bytes(p) for p in container.demux(stream) if p.size))
    assert pictures[0] == pictures[1] == pictures[2]


def test_a_cover_keeps_its_name_in_matroska(tmp_path: Path) -> None:
    """Players choose among several by it: cover.jpg, small_cover.jpg, cover_land.jpg."""
    source, covered = tmp_path / "in.mp4", tmp_path / "in.mkv"
    make_clip(source, cover=True, **SMALL)
    names = ["small_cover.jpg", "cover_land.jpg"]
    with av.open(source) as before, av.open(covered, "w") as after:
        film, cover = before.streams.video
        picture = next(bytes(packet) for packet in before.demux(cover) if packet.size)
        before.seek(0)
        video = after.add_stream_from_template(film, opaque=True)
        for name in names:
            after.add_attachment(name, "image/jpeg", picture)
        for packet in before.demux(film):
            if packet.pts is not None:
                packet.stream = video
                after.mux(packet)
    process(covered, tmp_path / "out.mkv")
    with av.open(tmp_path / "out.mkv") as found:
        assert [s.metadata["filename"] for s in found.streams.video[1:]] == names


def test_fonts_come_along_in_matroska_and_are_listed_elsewhere(tmp_path: Path) -> None:
    source, font = tmp_path / "in.mkv", bytes(range(256)) * 4
    clip = tmp_path / "clip.mkv"
    make_clip(clip, **SMALL)
    with av.open(clip) as before, av.open(source, "w") as after:
        video = after.add_stream_from_template(before.streams.video[0], opaque=True)
        after.add_attachment("street.ttf", "font/ttf", font).metadata["title"] = "for signs"
        for packet in before.demux(video=0):
            if packet.pts is not None:
                packet.stream = video
                after.mux(packet)
    process(source, tmp_path / "out.mkv")
    with av.open(tmp_path / "out.mkv") as container:
        attachment = container.streams.attachments[0]
        assert (attachment.name, attachment.mimetype) == ("street.ttf", "font/ttf")
        assert (attachment.data, attachment.metadata["title"]) == (font, "for signs")
    plan = plan_streams(probe(source), container_of(".mp4"))
    assert [info.kind for info in plan.dropped] == ["attachment"]
    assert by_kind(plan.findings) == [(Kind.LOST, plan.dropped[0].name)]


def test_sound_that_would_be_lost_is_an_error_before_work(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mp4"
    make_clip(source, sound=True, sound_codec="wavpack", **SMALL)
    with pytest.raises(EncodeError, match=r"wavpack.*\.mkv"):
        plan_streams(probe(source), container_of(output))
    assert list(tmp_path.iterdir()) == [source]
    process(source, tmp_path / "out.mkv")
    same_packets(packets(tmp_path / "out.mkv"), packets(source), Fraction(0))


def early_sound(path: Path) -> None:
    """A file whose sound begins a quarter of a second before its pictures, which begin at zero."""
    plain = path.with_name("plain.mkv")
    make_clip(plain, sound=True, sound_codec="pcm_s16le", codec="ffv1", options={}, **SMALL)
    options = {"avoid_negative_ts": "disabled"}
    with av.open(plain) as before, av.open(path, "w", container_options=options) as after:
        targets = [after.add_stream_from_template(s, opaque=True) for s in before.streams]
        for packet in before.demux():
            if packet.pts is not None:
                packet.pts -= 250 if packet.stream_index else 0
                packet.dts = packet.pts
                packet.stream = targets[packet.stream_index]
                after.mux(packet)


def test_early_sound_moves_all_streams_in_matroska(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    early_sound(source)
    assert packets(source)[0][0] == Fraction(-1, 4)
    plan = process(source, output)
    assert plan.offset == Fraction(1, 4)
    assert by_kind(plan.findings) == [(Kind.CHANGED, "times")]
    assert times(output) == [time + plan.offset for time in times(source)]
    moved = [(time + plan.offset, data) for time, data in packets(source)]
    same_packets(packets(output), moved, Fraction(0))


@pytest.mark.parametrize("suffix", [".mkv", ".mov"])
def test_a_part_of_a_file_that_starts_before_zero(tmp_path: Path, suffix: str) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / f"out{suffix}"
    early_sound(source)
    plan = process(source, output, part=Selection(start=Fraction(1), tick=MILLISECOND))
    given = [packet for packet in packets(source) if packet[0] > 1 - 2 * MILLISECOND]
    assert -1 <= plan.offset < -1 + Fraction(1, 10)
    assert times(output) == [time + plan.offset for time in times(source) if time >= 1]
    found = packets(output)
    same_packets(found[-len(given) :], [(t + plan.offset, d) for t, d in given], MILLISECOND)
    assert len(found) - len(given) <= 1


def test_early_sound_moves_nothing_in_mov(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mov"
    early_sound(source)
    assert process(source, output).offset == 0
    assert times(output) == times(source)
    heard = {data: time for time, data in packets(output)}
    for time, data in packets(source):
        if time >= 0 and data in heard:
            assert abs(heard[data] - time) < MILLISECOND


def test_pictures_before_zero_move_all_streams(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    make_clip(source, seconds=1, **FULL)
    starts = {0: Fraction(-1, 24)}
    monkeypatch.setattr("ciaovideo.media.read.head.PacketFacts.first_times", lambda *_: starts)
    plan = process(source, output)
    assert plan.offset >= Fraction(1, 24)
    assert plan.offset - Fraction(1, 24) < Fraction(1, 50)  # no more than clocks demand
    assert times(output) == [time + plan.offset for time in times(source)]
    for kind in ("audio", "subtitle"):
        moved = [(time + plan.offset, data) for time, data in packets(source, kind)]
        found = [packet for packet in packets(output, kind) if packet[1] != MOV_TEXT_GAP]
        same_packets(found, moved, Fraction(0))
    with av.open(output) as container:
        second = container.chapters()[1]  # the first one always begins at zero in mp4
        start = second["start"] * Fraction(second["time_base"].num, second["time_base"].den)
        assert abs(start - Fraction(1, 3) - plan.offset) < MILLISECOND


@pytest.mark.heavy
def test_priming_of_sound_moves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    make_clip(source, sound=True, **SMALL)
    assert packets(source)[0][0] < 0
    for suffix in (".mp4", ".mov", ".mkv"):
        output = tmp_path / f"out{suffix}"
        assert process(source, output).offset == 0
        same_packets(packets(output), packets(source), MILLISECOND)
        assert times(output)[0] == 0


def test_free_tags_survive_in_mp4(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mp4"
    tags = {"title": "Street", "com.maker.model": "X100"}
    make_clip(source, tags=tags, **SMALL)
    process(source, output)
    with av.open(output) as container:
        found = {key.lower(): text for key, text in container.metadata.items()}
    assert found["title"] == "Street"
    assert found["com.maker.model"] == "X100"


REAL = [
    ("clips/carphone_pristine.mp4", ".mp4"),
    ("mkv/sample.mkv", ".mkv"),
    ("mkv/sample_with_ass_subtitles.mkv", ".mkv"),
    ("mkv/sample_with_chapters.mkv", ".mp4"),
    ("mkv/sample_with_vobsub.mkv", ".mkv"),
    ("mp4/bt601.mov", ".mov"),
    ("mp4/sample_fragmented.mp4", ".mp4"),
    ("mp4/sample_rotate_and_reflect.mp4", ".mp4"),
    ("mp4/sample_shorter_audio.mp4", ".mp4"),
    ("mp4/sample_with_chapters.mp4", ".mp4"),
    ("mp4/iibbibb_editlist_videoonly.mp4", ".mp4"),
    ("ts/sample_scte35.ts", ".mkv"),
    ("ts/sample_h262_mpeg_audio.ps", ".mp4"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "suffix"), REAL)
def test_real_files_come_through_whole(
    shared: Path, tmp_path: Path, name: str, suffix: str
) -> None:
    source, output = shared / "data/media" / name, tmp_path / f"out{suffix}"
    plan = process(source, output)
    exact = suffix != ".mkv" or source.suffix == ".mkv"
    slack = Fraction(0) if exact else MILLISECOND
    assert plan.offset == 0
    assert all(abs(a - b) <= slack for a, b in zip(times(output), times(source), strict=True))
    # mp4 counts sound in samples, other containers in milliseconds or ticks of 1/90000.
    rounded = (
        Fraction(0) if source.suffix in (".mp4", ".mov") or suffix == source.suffix else MILLISECOND
    )
    same_packets(packets(output), packets(source), rounded)
    with VideoReader(source) as before, VideoReader(output) as after:
        assert after.info.display_matrix == before.info.display_matrix
        assert (after.info.sar or 1) == (before.info.sar or 1)


@pytest.mark.heavy
def test_negative_pictures_hidden_by_an_edit_list_stay_hidden(shared: Path, tmp_path: Path) -> None:
    source, output = shared / "data/media/mp4/sample_edit_list.mp4", tmp_path / "out.mp4"
    plan = process(source, output, frames=5)
    assert plan.offset == 0
    assert [info.kind for info in plan.dropped] == ["data", "data"]
    assert [info.codec for info in plan.kept] == ["aac"]
    assert times(output) == times(source, 5)
    found = packets(output)
    same_packets(found, packets(source)[: len(found)], Fraction(0))


def test_sound_goes_on_to_the_next_frame(tmp_path: Path) -> None:
    source, output = tmp_path / "in.ts", tmp_path / "out.mkv"
    make_clip(
        source,
        time_base=Fraction(1, 5),
        pts=(0, 1, 2, 3, 8, 9, 10),
        sound=True,
        width=64,
        height=48,
    )
    with VideoReader(source) as reader:
        frames = list(reader.frames(5))
    assert frames[3].end < frames[4].time  # MPEG-TS says nothing of durations
    heard = [time for time, _ in packets(source) if time < frames[4].time]
    plan = process(source, output, frames=4)
    assert plan.selection.end == frames[4].time
    assert len(packets(output)) == len(heard)


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_sound_that_begins_between_milliseconds_stays_there(tmp_path: Path, suffix: str) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / f"out{suffix}"
    rate = 44100  # at which no whole number of samples makes 62 milliseconds
    with av.open(source, "w") as container:
        video = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("ac3", rate=rate)
        for pts in range(5):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts, frame.time_base = pts, Fraction(1, 25)
            container.mux(video.encode(frame))
        noise = av.AudioFrame.from_ndarray(np.zeros((2, 6 * 1536), np.float32), "fltp", "stereo")
        noise.sample_rate, noise.pts, noise.time_base = rate, 68 * rate // 1000, Fraction(1, rate)
        container.mux(sound.encode(noise))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    process(source, output)
    given, made = packets(source), packets(output)
    assert given[0][0] == Fraction(62, 1000)  # AC-3 begins six milliseconds early
    assert len(given) == len(made)
    for (time, _), (other, _) in zip(given, made, strict=True):
        assert abs(time - other) <= Fraction(1, 2 * rate)


def test_a_chapter_that_begins_where_a_limited_run_ends_is_left_out(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    make_clip(source, seconds=2, chapters=4, **SMALL)
    plan = plan_streams(probe(source), container_of(".mkv"), Selection(count=24))
    assert plan.selection.end == 1
    with StreamCopier(plan) as copier:
        titles = [chapter["metadata"]["title"] for chapter in copier.chapters()]
    assert titles == ["Part 1", "Part 2"]


def test_a_limited_run_reads_on_for_what_is_badly_interleaved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the file held its text behind everything else."""

    def text_last(container: InputContainer) -> list[Any]:
        return sorted(packets_of(container), key=lambda packet: packet.stream.type == "subtitle")

    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    make_clip(source, seconds=2, **FULL)
    monkeypatch.setattr(copier, "packets_of", text_last)
    process(source, output, frames=24)
    assert packets(output, "subtitle")[0] == packets(source, "subtitle")[0]
