from pathlib import Path

import av
import pytest

from ciaovideo.findings import Kind
from ciaovideo.media.read.probe import probe
from ciaovideo.media.streams.plan import plan_streams
from tests.copying import process
from tests.found import losses_of
from tests.media import make_clip
from tests.places import container_of

SMALL = {"width": 64, "height": 48}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_language_of_the_video_stays(tmp_path: Path, suffix: str) -> None:
    plain, source, output = tmp_path / "plain.mp4", tmp_path / "in.mp4", tmp_path / f"out{suffix}"
    make_clip(plain, seconds=0.25, **SMALL)
    with av.open(plain) as before, av.open(source, "w") as after:
        target = after.add_stream_from_template(before.streams.video[0], opaque=True)
        target.metadata["language"] = "ger"
        for packet in before.demux(video=0):
            if packet.dts is not None:
                packet.stream = target
                after.mux(packet)
    process(source, output)
    with av.open(output) as container:
        assert container.streams.video[0].language == "ger"


@pytest.mark.parametrize("kinds", [".mp4 .mp4", ".mov .mkv", ".mkv .mov"])
def test_the_names_of_tracks_survive(tmp_path: Path, kinds: str) -> None:
    source, output = (tmp_path / f"clip{n}{kind}" for n, kind in enumerate(kinds.split()))
    make_clip(tmp_path / "bare.mkv", sound=True, options={"preset": "ultrafast"}, **SMALL)
    with av.open(tmp_path / "bare.mkv") as given, av.open(source, "w") as made:
        copies = [made.add_stream_from_template(one, opaque=True) for one in given.streams]
        copies[1].metadata["title"] = "Kommentar"
        for packet in given.demux():
            if packet.size:
                packet.stream = copies[packet.stream.index]
                made.mux(packet)
    process(source, output)
    with av.open(output) as container:
        tags = container.streams.audio[0].metadata
        assert tags["title" if output.suffix == ".mkv" else "name"] == "Kommentar"


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov", ".webm"])
@pytest.mark.heavy
def test_marks_of_sound_are_kept_or_said_to_be_lost(tmp_path: Path, suffix: str) -> None:
    clip, source, output = (tmp_path / name for name in ("clip.mkv", "in.mkv", f"out{suffix}"))
    make_clip(clip, sound=True, sound_codec="libopus", options={"preset": "ultrafast"}, **SMALL)
    marks = [av.stream.Disposition[name] for name in ("dub", "comment", "forced", "original")]
    with av.open(clip) as given, av.open(source, "w") as made:
        video = made.add_stream_from_template(given.streams.video[0], opaque=True)
        sounds = [made.add_stream_from_template(given.streams.audio[0], opaque=True) for _ in marks]
        for sound, mark in zip(sounds, marks, strict=True):
            sound.disposition = mark
        for packet in given.demux():
            targets = sounds if packet.stream.type == "audio" else [video]
            for target in targets if packet.size else []:
                twin = av.Packet(bytes(packet))
                twin.pts, twin.dts, twin.time_base = packet.pts, packet.pts, packet.time_base
                twin.is_keyframe, twin.stream = packet.is_keyframe, target
                made.mux(twin)
    plan = plan_streams(probe(source), container_of(output), sound="auto")
    if suffix == ".mov":
        assert len(losses_of(plan.findings)) == len(marks)
        return
    missing = {"dub", "comment", "original"}
    if suffix != ".webm":
        process(source, output)
        with av.open(output) as container:
            found = [sound.disposition for sound in container.streams.audio]
        missing = {str(m.name) for m, held in zip(marks, found, strict=True) if m not in held}
    lost = [finding.text for finding in plan.findings if finding.kind == Kind.LOST]
    assert {text.split(": ")[-1] for text in lost} == missing
