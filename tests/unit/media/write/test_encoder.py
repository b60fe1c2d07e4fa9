"""An encoder alone: frames in, packets out, and no file anywhere."""

from dataclasses import replace
from fractions import Fraction

import pytest

from ciaovideo.media.write.encoder import FrameEncoder
from ciaovideo.storage.segments import CodedFrame
from tests.coding import STEP, TICK, coded, frame, target_for
from tests.places import container_of

START_CODE = b"\0\0\0\1"


@pytest.mark.parametrize("codec", ["libx264", "libx265", "ffv1"])
@pytest.mark.parametrize("count", [1, 2, 9])
def test_a_packet_for_each_frame(codec: str, count: int) -> None:
    with FrameEncoder(target_for(codec), shift=100) as encoder:
        packets = coded(encoder, count)
    assert encoder.frame_count == count
    assert sorted(packet.pts for packet in packets) == [100 + STEP * n for n in range(count)]
    assert all(packet.dts <= packet.pts for packet in packets)
    assert [packet.dts for packet in packets] == sorted({packet.dts for packet in packets})
    assert packets[0].key
    assert {packet.duration for packet in packets} == {STEP}
    assert all(memoryview(packet.data).nbytes for packet in packets)


def test_equal_encoders_say_the_same_and_make_the_same() -> None:
    made = []
    for _ in range(2):
        with FrameEncoder(target_for("libx265")) as encoder:
            made.append(
                (encoder.config_digest, [bytes(packet.data) for packet in coded(encoder, 5)])
            )
    assert made[0] == made[1]
    with FrameEncoder(target_for("libx264")) as encoder:
        assert encoder.config_digest != made[0][0]


def test_headers_stand_apart_where_the_container_wants_it() -> None:
    target = target_for("libx264")
    with FrameEncoder(target) as encoder:
        apart = bytes(coded(encoder, 1)[0].data)
    choice = replace(target.encoding, container=container_of(".mxf"))
    with FrameEncoder(replace(target, encoding=choice)) as encoder:
        inside = bytes(coded(encoder, 1)[0].data)
    assert START_CODE + b"\x67" in inside  # H.264's sequence parameter set
    assert START_CODE + b"\x67" not in apart


def test_a_container_that_counts_frames_has_a_clock_of_frames() -> None:
    with FrameEncoder(target_for("utvideo", ".avi"), first=7) as encoder:
        assert encoder.tick == Fraction(1, 25)
        assert encoder.timed(frame(7)) == CodedFrame(7, 1)
        packets = encoder.encode(frame(7))
        assert encoder.timed(frame(9)) == CodedFrame(8, 1)  # what varies was refused, or forced
        assert [packet.pts for packet in (*packets, *encoder.flush())] == [7]
    with FrameEncoder(target_for("libx264"), shift=-3) as encoder:
        assert encoder.tick == TICK
        assert encoder.timed(frame(2)) == CodedFrame(2 * STEP - 3, STEP)


def test_a_container_of_numbers_takes_any_time() -> None:
    with FrameEncoder(target_for("ffv1", ".mxf"), first=7) as encoder:
        packets = [packet for late in (9, 20) for packet in encoder.encode(frame(late))]
        packets += encoder.flush()
    assert [packet.pts for packet in packets] == [7, 8]
