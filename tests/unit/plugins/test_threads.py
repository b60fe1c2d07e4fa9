"""The VapourSynth filter: frames in any order, by many threads, weights shared, hosts that play."""

import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from ciaovideo import Upscaler
from ciaovideo.engine.engine import Engine
from ciaovideo.models.protocols import Network
from ciaovideo.models.weights import load_bundled
from tests.vapoursynth_clips import FRAMES, assert_same, planes_of, source, upscale, vs
from tests.waiting import FAR_TOO_LONG_S

pytestmark = pytest.mark.vapoursynth


@pytest.mark.parametrize("num_streams", [1, 3])
@pytest.mark.heavy
def test_frames_in_any_order_are_the_same(num_streams: int) -> None:
    clip = source(_Matrix=1, frames=7)
    forward = list(upscale(clip, 1.5).frames())
    for order in ([6, 5, 4, 3, 2, 1, 0], [3, 3, 0, 6, 0, 3, 1, 5]):
        large = upscale(clip, 1.5, num_streams=num_streams)
        for n in order:
            large.clear_cache()
            assert_same(large.get_frame(n), forward[n])


@pytest.mark.heavy
def test_frames_asked_for_by_many_threads_are_the_same() -> None:
    clip = source(_Matrix=1, frames=8)
    forward = list(upscale(clip, 1.5).frames())
    large = upscale(clip, 1.5, num_streams=2)
    order = [7, 0, 3, 3, 5, 1] * 2
    with ThreadPoolExecutor(4) as team:
        for n, frame in zip(order, team.map(large.get_frame, order), strict=True):
            assert_same(frame, forward[n])


@pytest.mark.heavy
def test_several_frames_are_computed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compute, counting, at_work = Engine.start, threading.Lock(), [0]
    team = min(2, vs.core.num_threads)
    most, meeting = 0, threading.Barrier(team, timeout=FAR_TOO_LONG_S)

    def watched(engine: Engine, lr: torch.Tensor, *where: Any) -> tuple[torch.Tensor, torch.Tensor]:
        nonlocal most
        with counting:
            at_work[0] += 1
            most = max(most, at_work[0])
        meeting.wait()  # for ever, if only one were computed at a time
        with counting:
            at_work[0] -= 1
        return compute(engine, lr, *where)

    monkeypatch.setattr(Engine, "start", watched)
    assert len(list(upscale(source(_Matrix=1, frames=12), 1.5, num_streams=2).frames())) == 12
    assert most == team


def test_a_part_of_a_clip_costs_only_its_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    compute, computed = Engine.start, []

    def watched(engine: Engine, lr: torch.Tensor, *where: Any) -> tuple[torch.Tensor, torch.Tensor]:
        computed.append(len(lr))
        return compute(engine, lr, *where)

    monkeypatch.setattr(Engine, "start", watched)
    clip = source(_Matrix=1, frames=9)
    part = upscale(clip, 1.5, num_streams=2)[3:5]
    made = [part.get_frame(n) for n in (1, 0)]
    assert computed == [1, 1]
    for frame, n in zip(made, (4, 3), strict=True):
        assert_same(frame, upscale(clip[n], 1.5).get_frame(0))


def test_a_clip_may_be_shorter_than_the_streams_are_many() -> None:
    clip = source(_Matrix=1, frames=1)
    large = upscale(clip, 1.5, num_streams=3)
    assert large.num_frames == 1
    assert_same(large.get_frame(0), upscale(clip, 1.5).get_frame(0))


@pytest.mark.heavy
def test_clips_share_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()
    loaded: list[str] = []

    def load(name: str) -> Network:
        loaded.append(name)
        return load_bundled(name)

    monkeypatch.setattr("ciaovideo.models.restoration.load_bundled", load)
    settings = {"num_streams": 5}  # of which no other test has a clip
    clips = [upscale(source(_Matrix=1), 1 + n / 2, **settings) for n in range(3)]
    clips.append(upscale(source("RGBS"), width=100, **settings))
    joined = vs.core.std.StackVertical([upscale(clips[1], 2, **settings)] * 2)
    assert joined.get_frame(1).height == 4 * clips[1].height
    assert loaded == ["ciaosr-fast"]


def test_a_clip_of_a_host_that_plays_is_left_alone_until_it_plays() -> None:
    """Such a clip is endless, and holds no picture yet while the script is read."""
    playing = False

    def live(n: int, f: Any) -> Any:
        frame = f.copy()
        for number in range(3):
            np.asarray(frame[number])[...] = 200 if playing else 0
        return frame

    blank = vs.core.std.BlankClip(format=vs.YUV420P8, width=48, height=32, length=2**27, keep=True)
    given = blank.std.ModifyFrame(blank, live).std.SetFrameProps(_Matrix=1)
    clip = vs.core.std.Merge(given, given.std.BoxBlur())  # read twice, so the host keeps frames
    large = upscale(clip, 2, num_streams=2)
    playing = True
    assert large.num_frames == clip.num_frames
    for n in (0, 1):
        assert abs(planes_of(large.get_frame(n))[0].mean() - 200) < 1


@pytest.mark.heavy
def test_a_clip_without_a_frame_rate_keeps_its_durations() -> None:
    slow, fast = (source(_Matrix=1).std.AssumeFPS(fpsnum=rate, fpsden=1) for rate in (24, 50))
    clip = vs.core.std.Splice([slow, fast], mismatch=True)
    large = upscale(clip, 2)
    assert clip.fps == large.fps == 0
    assert [f.props["_DurationDen"] for f in large.frames()] == [24] * FRAMES + [50] * FRAMES


def test_a_processor_computes_a_frame_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int | None] = []

    class Watched(Upscaler):
        def __init__(self, *words: Any, **settings: Any) -> None:
            super().__init__(*words, **settings)
            asked.append(self.workers)

    monkeypatch.setattr("vsciaovideo.filter.Upscaler", Watched)
    upscale(source(_Matrix=1))
    assert asked == [torch.get_num_threads()]
