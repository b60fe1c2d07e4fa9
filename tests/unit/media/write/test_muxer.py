"""A muxer alone: packets that were coded anywhere, in a file; joined ones as written ones."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import pytest

from ciaovideo.errors import EncodeError
from ciaovideo.media.write.encoder import FrameEncoder, VideoTarget
from ciaovideo.media.write.muxer import Muxer
from ciaovideo.media.write.writer import SegmentWriter, VideoWriter
from ciaovideo.storage.ledger import Fingerprint, Ledger
from ciaovideo.storage.segments import CodedPacket, Entry, NewSegment, Segment, Tally, joined
from tests.coding import STEP, TICK, frame, target_for

PLACES = [
    ("libx264", ".mp4"),
    ("libx264", ".mkv"),
    ("ffv1", ".mkv"),
    ("libx265", ".mkv"),
    ("utvideo", ".avi"),
    ("ffv1", ".mxf"),
]
every_place = pytest.mark.parametrize(("codec", "suffix"), PLACES)


def reproducible(codec: str, suffix: str) -> VideoTarget:
    return replace(target_for(codec, suffix), reproducible=True)


def entries(encoder: FrameEncoder, start: int, stop: int) -> Iterator[Entry]:
    """What happens to frames, packets before the frame that they came with, as in VideoWriter."""
    for number in range(start, stop):
        timed = encoder.timed(frame(number))
        yield from encoder.encode(frame(number))
        yield timed
    yield from encoder.flush()


def segments_of(folder: Path, target: VideoTarget) -> list[Segment]:
    """Segments by encoders of their own, made in another order than that of the video."""
    made = []
    for start, stop in ((4, 8), (8, 9), (0, 4)):
        path = folder / f"{start}.segment"
        with (
            FrameEncoder(target, first=start) as encoder,
            NewSegment(path, start, encoder.config_digest, {}) as segment,
        ):
            for number in range(start, stop):
                timed = encoder.timed(frame(number))
                segment.add(timed, *encoder.encode(frame(number)))
            segment.add(*encoder.flush())
            made.append(segment.finish(Tally()))
    return sorted(made, key=lambda segment: segment.start)


@every_place
def test_coding_apart_from_muxing_is_writing(tmp_path: Path, codec: str, suffix: str) -> None:
    target = reproducible(codec, suffix)
    whole, apart = tmp_path / f"whole{suffix}", tmp_path / f"apart{suffix}"
    with VideoWriter(whole, target) as writer:
        for number in range(9):
            writer.write(frame(number))
    with FrameEncoder(target) as encoder:
        made = [
            replace(entry, data=bytes(entry.data)) if isinstance(entry, CodedPacket) else entry
            for entry in entries(encoder, 0, 9)
        ]
    with FrameEncoder(target) as other, Muxer(apart, other) as muxer:
        muxer.add(made)
    assert muxer.frame_count == 9
    assert apart.read_bytes() == whole.read_bytes()


@every_place
def test_joining_is_writing_in_segments(
    tmp_path: Path, codec: str, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By one process in order, or apart, in any order, and joined at the end."""
    monkeypatch.setattr("ciaovideo.storage.ledger.LENGTH", 4)
    target = reproducible(codec, suffix)
    whole, apart = tmp_path / f"whole{suffix}", tmp_path / f"apart{suffix}"
    with (
        Ledger(tmp_path / "ledger", Fingerprint({})).open() as ledger,
        SegmentWriter(whole, target, ledger, done=Tally) as writer,
    ):
        for number in range(9):
            writer.write(frame(number))
    with FrameEncoder(target) as encoder, Muxer(apart, encoder) as muxer:
        muxer.add(joined(segments_of(tmp_path, target)))
    assert apart.read_bytes() == whole.read_bytes()
    with av.open(apart) as file:
        assert sum(packet.is_keyframe for packet in file.demux(video=0) if packet.size) >= 3
    with av.open(apart) as file:
        times = [picture.time for picture in file.decode(video=0)]
    slack = 1e-3 if suffix == ".mkv" else 1e-9  # which counts milliseconds
    assert times == pytest.approx([float(number * STEP * TICK) for number in range(9)], abs=slack)


def test_the_last_packet_lasts_as_long_as_its_picture(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with FrameEncoder(target_for("libx264")) as encoder, Muxer(path, encoder) as muxer:
        muxer.add(entries(encoder, 0, 5))
    with av.open(path) as file:
        assert (file.streams.video[0].duration or 0) * file.streams.video[0].time_base == (
            5 * STEP * TICK
        )


def test_an_exception_discards_the_file_and_no_frames_make_one_without(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"

    def interrupted() -> None:
        with FrameEncoder(target_for("libx264")) as encoder, Muxer(path, encoder) as muxer:
            muxer.add(entries(encoder, 0, 2))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not path.exists()
    with FrameEncoder(target_for("libx264")) as encoder, Muxer(path, encoder) as muxer:
        pass
    assert muxer.frame_count == 0
    with av.open(path) as file:
        assert not [packet for packet in file.demux() if packet.size]


def test_a_segment_with_another_header_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ciaovideo.storage.ledger.LENGTH", 4)
    path = tmp_path / "clip.mkv"
    with Ledger(tmp_path / "ledger", Fingerprint({})).open() as ledger:
        with ledger.begin(0, "of another encoder") as segment:
            ledger.keep(segment.finish(Tally()))
        with pytest.raises(EncodeError, match="headers"):
            SegmentWriter(path, target_for("libx264", ".mkv"), ledger, done=Tally)
    assert not path.exists()
