"""Which videos are taken for interlaced: made-up evidence, made-up clips, and real files."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest

from ciaovideo.media.interlacing.fields import FieldEvidence, FieldPolicy
from ciaovideo.media.read.probe import probe
from tests.media import make_clip

MOVING = FieldEvidence(frames=36, motion=0.2)
COMBED = replace(MOVING, top_first=36, combing=1.4, unflagged_combed=36)


@pytest.mark.parametrize(
    ("evidence", "interlaced", "order"),
    [
        (FieldEvidence(), False, ""),
        (MOVING, False, ""),
        (replace(MOVING, progressive=36), False, ""),
        (replace(MOVING, flagged=1), True, ""),
        (replace(MOVING, flagged=36, progressive=36), False, ""),  # the flags are refuted
        (replace(MOVING, flagged=36, progressive=35, bottom_first=1), True, ""),
        (replace(MOVING, flagged=36, progressive=36, motion=0.0), True, ""),  # a still picture
        (replace(MOVING, flagged=7, frames=7, progressive=7), True, ""),  # too short to say
        (COMBED, True, "tff"),
        (replace(COMBED, top_first=0, bottom_first=13), True, "bff"),
        (replace(COMBED, top_first=11), False, "tff"),
        (replace(COMBED, combing=0.9), False, "tff"),  # a test card
        (replace(COMBED, motion=0.005), False, "tff"),
        (replace(COMBED, top_first=19, bottom_first=8), False, ""),
        (replace(COMBED, top_first=19, bottom_first=8, declared="bff"), True, ""),
        (replace(MOVING, progressive=36, declared="bff"), False, ""),
    ],
)
def test_the_judgement(evidence: FieldEvidence, interlaced: bool, order: str) -> None:
    assert (evidence.interlaced, evidence.order) == (interlaced, order)


@pytest.mark.parametrize(
    ("mode", "force", "evidence", "filtered", "whole", "words"),
    [
        ("auto", False, MOVING, False, (True, False), ""),
        ("auto", False, COMBED, True, (False, False), "deinterlaced:"),
        ("auto", False, replace(MOVING, flagged=9), True, (True, False), "deinterlaced:"),
        (
            "auto",
            False,
            replace(MOVING, flagged=36, progressive=36),
            False,
            (True, True),
            "as progressive:",
        ),
        ("field", False, COMBED, True, (False, False), "every field"),
        ("field", False, MOVING, True, (True, False), "seems progressive"),
        ("off", True, COMBED, False, (True, True), "kept as they are"),
        ("off", True, MOVING, False, (True, True), ""),
    ],
)
def test_the_policy(
    mode: Any,
    force: bool,
    evidence: FieldEvidence,
    filtered: bool,
    whole: tuple[bool, bool],
    words: str,
) -> None:
    policy = FieldPolicy(evidence, deinterlace=mode, force=force)
    assert policy.deinterlaces == filtered
    assert (policy.whole(False), policy.whole(True)) == whole
    assert all(words in finding.text for finding in policy.findings)
    assert bool(policy.findings) == bool(words)
    assert policy.refuses == (mode == "off" and not force)


@pytest.mark.parametrize("bottom_first", [False, True])
@pytest.mark.parametrize("flagged", [False, True])
@pytest.mark.heavy
def test_woven_clips_are_found_with_their_order(
    tmp_path: Path, bottom_first: bool, flagged: bool
) -> None:
    path = tmp_path / "clip.mkv"
    make_clip(
        path,
        width=128,
        height=96,
        seconds=1,
        interlaced=True,
        bottom_first=bottom_first,
        flagged=flagged,
    )
    evidence = probe(path).fields
    assert evidence.interlaced
    assert evidence.order == ("bff" if bottom_first else "tff")
    assert evidence.frames == 24
    assert evidence.flagged == 24 * flagged
    assert "24 frames" in str(evidence)


def test_animations_for_screens_have_no_fields(tmp_path: Path) -> None:
    clip, animation = tmp_path / "clip.mkv", tmp_path / "clip.gif"
    make_clip(clip, width=128, height=96, seconds=1, interlaced=True)
    with av.open(clip) as given, av.open(animation, "w") as made:
        video = made.add_stream("gif", rate=24)
        video.width, video.height, video.pix_fmt = 128, 96, "gray"
        for picture in given.decode(video=0):
            made.mux(video.encode(picture.reformat(format="gray")))
        made.mux(video.encode(None))
    assert probe(clip).fields.interlaced
    assert not probe(animation).fields.interlaced


@pytest.mark.heavy
def test_a_progressive_clip_is_no_less_for_its_flags(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    make_clip(path, seconds=1, flagged=True)
    evidence = probe(path).fields
    assert evidence.flagged == 24
    assert not evidence.interlaced


@pytest.mark.heavy
def test_longer_files_are_looked_at_in_three_places(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    make_clip(path, width=128, height=96, seconds=6, options={"g": "12"})
    assert probe(path).fields.frames == 36
    late = tmp_path / "late.ts"  # still and flagged as progressive at first
    first, second = tmp_path / "first.ts", tmp_path / "second.ts"
    shape: dict[str, Any] = {"width": 128, "height": 96, "seconds": 4, "codec": "mpeg2video"}
    make_clip(first, **shape, options={"b": "4M"})
    make_clip(second, **shape, options={"b": "4M"}, interlaced=True, first_pts=96)
    late.write_bytes(first.read_bytes() + second.read_bytes())
    assert probe(late).fields.flagged > 0


def test_damage_ends_the_sample_only(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    make_clip(path, width=64, height=48, seconds=4)
    path.write_bytes(path.read_bytes()[:8000])
    assert probe(path).fields.frames < 36


REAL = {  # file: (interlaced, order)
    "broadcast/dv-dvchd-ntsc-interlaced.mov": (True, ""),
    "broadcast/dv-pal-interlaced.mov": (True, ""),
    "broadcast/hdv-1080i50.mov": (True, ""),
    "broadcast/xdcam-ex-1080i50.mov": (True, ""),
    "broadcast/xdcam-hd-1080i60.mov": (True, ""),
    "h264/HCAFF1_HHI.264": (True, "tff"),
    "h264/HPCAFL_BRCM_C.264": (False, ""),  # progressive pictures, coded as fields
    "h264/PPH10I6_Panasonic_A.264": (True, "tff"),
    # Test cards and pictures that idet alone takes for interlaced.
    "depth/bt709_full_range.mp4": (False, "tff"),
    "depth/h264_10bits.mp4": (False, "tff"),
    "mp4/bbb_800x640_768kbps_30fps_avc_2b_firstpts_10_sec.mp4": (False, "bff"),
    "webm/bear-vp9-odd-dimensions.webm": (False, ""),
    "clips/bikes.mp4": (False, ""),
}


@pytest.mark.parametrize("name", REAL)
@pytest.mark.heavy
def test_real_files(shared: Path, name: str) -> None:
    evidence = probe(shared / "data/media" / name).fields
    assert (evidence.interlaced, evidence.order) == REAL[name]
