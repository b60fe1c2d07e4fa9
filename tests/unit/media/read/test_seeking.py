"""Decoding from the middle: the same frames come out, and no key frame or index is believed."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import pytest
import torch

from ciaovideo.media.frame import Frame
from ciaovideo.media.read import decoding
from ciaovideo.media.read.probe import open_probed, probe
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.read.seeking import AnchorJudge, Listing, packets_from
from ciaovideo.media.selection import Selection
from ciaovideo.options import InputOptions
from tests.media import make_clip

SMALL: dict[str, Any] = {"width": 64, "height": 48, "seconds": 2, "fps": Fraction(25)}
X264 = {"preset": "ultrafast", "g": "10", "bf": "2"}
X265 = {"preset": "ultrafast", "x265-params": "log-level=none:keyint=10:bframes=2"}
OPEN_X265 = {**X265, "x265-params": X265["x265-params"] + ":open-gop=1:scenecut=0"}
MPEG2 = {"g": "10", "bf": "2"}
VP9 = {"g": "10", "cpu-used": "8", "deadline": "realtime"}
AV1 = {"preset": "12", "svtav1-params": "keyint=10"}
SOUGHT: tuple[tuple[str, str, dict[str, str]], ...] = (  # container, codec, options
    (".mp4", "libx264", X264),
    (".mkv", "libx264", X264),
    (".ts", "libx264", X264),
    (".mp4", "libx265", X265),
    (".mkv", "libx265", OPEN_X265),
    (".ts", "mpeg2video", MPEG2),
    (".mkv", "mpeg2video", MPEG2),
    (".webm", "libvpx-vp9", VP9),
    (".mkv", "libsvtav1", AV1),
    (".mov", "mjpeg", {}),
)
# Key frames that something later may look back over, or that say nothing of it.
UNPROVEN = (
    (".mkv", "libx264", {**X264, "x264-params": "open-gop=1:scenecut=0"}),
    (".ts", "libx264", {**X264, "x264-params": "intra-refresh=1:scenecut=0"}),
    (".mkv", "mpeg4", {"g": "10"}),
)


def make(folder: Path, suffix: str, codec: str, options: dict[str, str]) -> Path:
    path = folder / f"in{suffix}"
    if codec == "mjpeg":
        _make_mjpeg(path)
    else:
        make_clip(path, codec=codec, options=options, **SMALL)
    return path


def _make_mjpeg(path: Path) -> None:
    with av.open(path, "w") as container:
        video = container.add_stream("mjpeg", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuvj420p"
        for number in range(50):
            picture = av.VideoFrame(64, 48, "yuvj420p")
            for plane in picture.planes:
                plane.update(bytes([4 * number]) * plane.buffer_size)
            container.mux(video.encode(picture))
        container.mux(video.encode(None))


def part(path: Path, options: InputOptions) -> list[Frame]:
    with VideoReader(path, options=options) as reader:
        return list(reader.frames())


def described(path: Path, options: InputOptions) -> list[Frame]:
    """The first frame of a part, decoded from the file that was opened to probe it."""
    probed = open_probed(path, Selection.asked(options), options)
    with VideoReader(probed, options=options, describe=True) as reader:
        return [reader.peek()]


def listed(path: Path) -> Listing:
    listing = probe(path, Selection(end=Fraction(100))).packets.listing
    assert listing is not None
    return listing


def same(found: list[Frame], wanted: list[Frame]) -> bool:
    return [f.time for f in found] == [f.time for f in wanted] and all(
        torch.equal(one, other)
        for f, w in zip(found, wanted, strict=True)
        for one, other in zip(f.planes, w.planes, strict=True)
    )


def anchors(path: Path) -> list[int]:
    listing = listed(path)
    return [listing.place(number) for number in listing.anchors]


@pytest.mark.parametrize("mode", ["auto", "field"])
@pytest.mark.parametrize(("suffix", "codec", "options"), SOUGHT)
@pytest.mark.heavy
def test_the_same_frames_come_out(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
    codec: str,
    options: dict[str, str],
    mode: Any,
    openings: Callable[[Path], int],
) -> None:
    path = make(tmp_path, suffix, codec, options)
    asked = InputOptions(start="1.21", end="1.62", deinterlace=mode)
    jumps = []

    def jump(*words: Any) -> Any:
        packets = packets_from(*words)
        jumps.append(packets is not None)
        return packets

    monkeypatch.setattr(decoding, "packets_from", jump)
    found = part(path, asked)
    assert jumps == [True]
    assert len(anchors(path)) > 3
    before = openings(path)
    assert same(described(path, asked), found[:1])
    assert openings(path) == before + 1
    assert jumps == [True, True]
    monkeypatch.setattr(Listing, "anchor", lambda *_, **__: None)
    assert same(found, part(path, asked))
    assert jumps == [True, True]
    assert len(found) == (10 if mode == "auto" else 20)


@pytest.mark.parametrize(("suffix", "codec", "options"), UNPROVEN)
def test_what_is_not_proven_is_decoded_from_the_beginning(
    tmp_path: Path, suffix: str, codec: str, options: dict[str, str]
) -> None:
    path = make(tmp_path, suffix, codec, options)
    with av.open(path) as container:
        keys = sum(packet.is_keyframe for packet in container.demux(video=0) if packet.size)
    assert keys > 1 or "intra-refresh" in str(options)
    assert anchors(path) == [0] if codec != "mpeg4" else anchors(path) == []
    frames = part(path, InputOptions(start="1.2"))
    assert len(frames) == 20


@pytest.mark.parametrize("far", [10**9, -(10**9), 12345])
def test_an_index_that_leads_astray_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, far: int
) -> None:
    path = make(tmp_path, ".mkv", "libx264", X264)
    asked = InputOptions(start="1.21", end="1.62")
    found = part(path, asked)
    seek = av.container.InputContainer.seek

    class Astray:
        """A container whose index is wrong."""

        def __init__(self, container: Any) -> None:
            self._container = container

        def __getattr__(self, name: str) -> Any:
            return getattr(self._container, name)

        def seek(self, offset: int, **words: Any) -> None:
            seek(self._container, max(offset + far, 0), **words)

    def jump(container: Any, *rest: Any) -> Any:
        return packets_from(cast(Any, Astray(container)), *rest)

    monkeypatch.setattr(decoding, "packets_from", jump)
    again = part(path, asked)
    assert same(again, found)
    assert same(described(path, asked), found[:1])


def test_packets_that_are_not_the_known_ones_are_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path, ".mp4", "libx264", X264)
    listing = listed(path)
    number = listing.anchors[2]
    with av.open(path) as container:
        video = container.streams.video[0]
        assert packets_from(container, video, listing.anchor_of(number)) is not None
        pts, dts, size = listing.packets[number + 3]
        listing.packets[number + 3] = pts, dts, size + 1
        assert packets_from(container, video, listing.anchor_of(number)) is None


class Coded:
    """Stands for a packet of H.264 with start codes."""

    is_keyframe = True

    def __init__(self, *kinds: int) -> None:
        self.kinds = kinds

    def __bytes__(self) -> bytes:
        return b"".join(b"\0\0\1" + bytes([kind, 9, 9]) for kind in self.kinds)


def test_parameter_sets_that_came_on_the_way_must_come_again(tmp_path: Path) -> None:
    path = make(tmp_path, ".ts", "libx264", X264)
    with av.open(path) as container:
        judge = AnchorJudge(container.streams.video[0])
        packets: Any = [Coded(7, 8, 5), Coded(5), Coded(8, 1), Coded(5), Coded(7, 8, 5)]
        assert [judge.free_of_past(packet) for packet in packets] == [
            True, True, False, False, True
        ]  # fmt: skip


@pytest.mark.parametrize(("suffix", "codec", "options"), [SOUGHT[0], SOUGHT[3], SOUGHT[8]])
def test_a_part_up_to_the_end_has_its_last_frames(
    tmp_path: Path, suffix: str, codec: str, options: dict[str, str]
) -> None:
    path = make(tmp_path, suffix, codec, options)
    with VideoReader(path, options=InputOptions(start="1.21")) as reader:
        assert reader.decoded > 10  # it began in the middle
        times = [round(25 * frame.time) for frame in reader.frames()]
    assert times == list(range(31, 50))
