"""Each check of verification alone: a file that is wrong in one way, and the words for it."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest

from ciaovideo.color import Range, Siting, Transfer
from ciaovideo.media.frame import Frame
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.write.writer import VideoTarget
from ciaovideo.pipeline.verification.verify import contract_between
from tests.doubled import enlarge, findings, remux
from tests.media import make_clip

INTRA = {"codec": "mpeg2video", "options": {"g": "1"}}  # whose decoder marks what it patched
SMALL = {"width": 64, "height": 48}


def damage(path: Path, number: int) -> None:
    """Invert some bytes in the middle of a picture."""
    with av.open(path) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][number]
    assert packet.pos is not None
    data = bytearray(path.read_bytes())
    middle = packet.pos + packet.size // 2
    data[middle : middle + 16] = bytes(byte ^ 0xFF for byte in data[middle : middle + 16])
    path.write_bytes(data)


def test_a_damaged_picture_is_found_however_little_is_seen_of_it(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    for path in (source, output):
        make_clip(path, width=160, height=128, seconds=0.5, **INTRA)
    contract = contract_between(source, output)
    assert findings(output, contract) == ""
    damage(output, 11)
    assert findings(output, contract) == "frame 11 is damaged"


def frozen_from(number: int, made: Iterable[Frame]) -> Iterator[Frame]:
    last = None
    for place, frame in enumerate(made):
        last = frame if last is None or place <= number else last
        yield replace(frame, planes=last.planes)


def test_a_picture_that_stands_still_towards_the_end_is_found(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    make_clip(source, seconds=1.5, **SMALL)
    contract = enlarge(source, output, change=lambda made: frozen_from(20, made))
    assert "frames 29 and 35" in findings(output, contract)


def test_one_side_that_is_smaller_than_the_source_is_found(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    make_clip(source, seconds=0.25, **SMALL)
    for width, height in ((80, 40), (60, 60)):
        output = tmp_path / f"{width}.mp4"
        make_clip(output, seconds=0.25, width=width, height=height)
        found = findings(output, contract_between(source, output))
        assert f"video: {width}x{height} is smaller than the source" in found


def test_another_size_is_found_in_the_header_and_in_the_pictures(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    make_clip(source, seconds=0.25, **SMALL)
    contract = replace(enlarge(source, output), size=(96, 130))
    assert findings(output, contract).split(" | ") == [
        "video: 128x96 instead of 130x96",
        "frame 0 is 128x96 instead of 130x96",
    ]


def test_a_stream_that_nobody_asked_for_is_found(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    make_clip(source, seconds=0.5, sound=True, **SMALL)
    contract = enlarge(source, output)
    plan = contract.streams
    silent = replace(contract, streams=replace(plan, kept=(), dropped=plan.kept))
    assert findings(output, silent) == "audio 1: aac (und) should not be there"


def test_a_picture_that_cannot_be_decoded_is_found(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    for path in (source, output):
        make_clip(path, seconds=0.25, codec="ffv1", options={"g": "1", "slicecrc": "1"}, **SMALL)
    contract = contract_between(source, output)
    assert findings(output, contract) == ""
    with av.open(output) as container:
        last = [packet for packet in container.demux(video=0) if packet.size][-1]
    assert last.pos is not None
    data = bytearray(output.read_bytes())
    data[last.pos + 20 : last.pos + last.size] = bytes(last.size - 20)
    output.write_bytes(data)
    assert findings(output, contract) == "frame 5 cannot be decoded"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"siting": Siting.TOPLEFT}, "frame 0: its siting is TOPLEFT instead of LEFT"),
        ({"transfer": Transfer.LINEAR}, "frame 0: its transfer is LINEAR instead of BT709"),
    ],
    ids=["siting", "transfer"],
)
def test_other_tags_are_found_without_a_word_of_the_run(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    make_clip(source, seconds=0.25, **SMALL)

    def look(target: VideoTarget) -> VideoTarget:
        return replace(target, color=replace(target.color, **changes))

    contract = enlarge(source, output, look=look)
    assert findings(output, contract) == says
    assert findings(output, contract_between(source, output)) == says


def test_fewer_bits_than_promised_are_found(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    make_clip(source, seconds=0.25, **SMALL)
    contract = replace(enlarge(source, output), pix_fmt="yuv420p10le")
    assert findings(output, contract) == "frame 0 is yuv420p instead of yuv420p10le"


def test_text_in_another_coding_of_which_nothing_is_left_is_found(tmp_path: Path) -> None:
    source, whole, output = (tmp_path / name for name in ("in.mp4", "whole.mkv", "out.mkv"))
    make_clip(source, seconds=1, subtitle="Hello", **SMALL)
    contract = enlarge(source, whole)
    assert contract.streams.kept[0].becomes
    assert findings(whole, contract) == ""
    remux(whole, output, lambda packet, _: packet.stream.type != "subtitle")
    assert "in the output" in findings(output, contract)


def test_sound_in_another_coding_that_begins_late_or_ends_early_is_found(tmp_path: Path) -> None:
    source, whole, output = (tmp_path / name for name in ("in.mp4", "whole.mp4", "out.mp4"))
    make_clip(source, seconds=2, sound=True, **SMALL)
    contract = enlarge(source, whole)
    plan = contract.streams
    anew = tuple(replace(info, becomes="opus") for info in plan.kept)  # so only its ends count
    contract = replace(contract, streams=replace(plan, kept=anew))
    assert findings(whole, contract) == ""
    for says, left in (("begins at", range(30, 999)), ("ends at", range(60))):

        def keep(packet: Any, number: int, left: range = left) -> bool:
            return packet.stream.type != "audio" or number in left

        remux(whole, output, keep)
        assert says in findings(output, contract)


def test_sound_in_another_coding_of_which_nothing_is_left_is_found(tmp_path: Path) -> None:
    source, whole, output = (tmp_path / name for name in ("in.mp4", "whole.mkv", "out.mkv"))
    make_clip(source, seconds=1, sound=True, **SMALL)
    contract = enlarge(source, whole)
    anew = tuple(replace(info, becomes="opus") for info in contract.streams.kept)
    contract = replace(contract, streams=replace(contract.streams, kept=anew))
    remux(whole, output, lambda packet, _: packet.stream.type != "audio")
    assert "in the output" in findings(output, contract)


def test_silence_about_the_range_stands_for_limited_range(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mp4"
    drawn = {"codec": "ffv1", "options": {}, "color": (2, 1, 2, 2, 0)}
    make_clip(source, seconds=0.25, **drawn, **SMALL)
    contract = enlarge(source, output)
    assert contract.color is not None
    assert contract.color.color_range == Range.LIMITED
    with VideoReader(output) as reader:
        assert reader.info.color.color_range == Range.UNSPECIFIED
    assert findings(output, contract) == ""
