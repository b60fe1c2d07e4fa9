"""Power cuts, kills, damage and full disks: what is finished is kept, and the bits stay."""

import errno
import os
import random
import resource
import signal
import stat
from pathlib import Path

import pytest
import torch

from ciaovideo import upscale
from ciaovideo.errors import EncodeError
from ciaovideo.findings import Kind
from ciaovideo.options import EncodeOptions
from ciaovideo.pipeline.session import UpscaleRun
from ciaovideo.storage.claims import ledger_path
from tests.found import by_kind
from tests.media import make_clip
from tests.processes import python
from tests.stopping import FRAMES, SEGMENT, StoppedError, contents, options, stop_at

KILLED = """
import os, signal, sys
import torch
import ciaovideo.storage.ledger
from ciaovideo import upscale
from ciaovideo.options import ModelOptions, UpscaleOptions

ciaovideo.storage.ledger.LENGTH = int(sys.argv[3])
torch.set_num_threads(int(sys.argv[4]))
def die(progress):
    if progress.frames == 19:
        os.kill(os.getpid(), signal.SIGKILL)
upscale(
    sys.argv[1],
    sys.argv[2],
    options=UpscaleOptions(model=ModelOptions(model="bicubic"), resume=True),
    on_progress=die,
)
"""

KILLED_ANYWHERE = """
import os, random, signal, sys
from pathlib import Path
import torch
import ciaovideo.storage.ledger
from ciaovideo import upscale
from ciaovideo.media.write.muxer import Muxer
from ciaovideo.options import ModelOptions, UpscaleOptions
from ciaovideo.storage.segments import NewSegment

ciaovideo.storage.ledger.LENGTH = int(sys.argv[3])
torch.set_num_threads(int(sys.argv[4]))
left = int(sys.argv[5])
def counted(owner, name):
    work = getattr(owner, name)
    def counting(*words, **named):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return work(*words, **named)
    setattr(owner, name, counting)
for owner, name in (
    (NewSegment, "add"), (NewSegment, "_put"), (NewSegment, "finish"),
    (os, "fsync"), (Path, "replace"), (Path, "mkdir"), (Muxer, "add"), (Muxer, "_mux"),
):
    counted(owner, name)
options = UpscaleOptions(model=ModelOptions(model="bicubic"), resume=True)
upscale(sys.argv[1], sys.argv[2], options=options)
"""


@pytest.fixture(autouse=True)
def _short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ciaovideo.storage.ledger.LENGTH", SEGMENT)


def test_a_damaged_segment_is_made_anew_and_the_others_are_not(tmp_path: Path) -> None:
    make_clip(clip := tmp_path / "in.mkv", width=96, height=64, seconds=FRAMES / 24, sound=True)
    whole, parts = tmp_path / "whole.mp4", tmp_path / "parts.mp4"
    upscale(clip, whole, options=options())
    with pytest.raises(StoppedError):
        upscale(clip, parts, options=options(), on_progress=stop_at(25))
    kept = contents(ledger_path(parts))
    first, second, third = sorted(kept)
    flipped = bytearray(kept[second])
    flipped[-99] ^= 1
    lost: tuple[tuple[dict[Path, bytes], int], ...] = (
        ({second: kept[second], third: kept[third]}, 16),
        ({first: kept[first], second: bytes(flipped), third: kept[third]}, 16),
        ({first: kept[first], second: kept[second][:-1], third: kept[third][:999]}, 8),
        (kept | {third: b""}, 16),
        (kept | {second.with_suffix(".part"): b"of a run that was killed"}, 24),
    )
    for files, finished in lost:
        ledger_path(parts).mkdir(exist_ok=True)
        for path in ledger_path(parts).iterdir():
            path.unlink()
        for path, data in files.items():
            path.write_bytes(data)
        with UpscaleRun(clip, parts, options(overwrite=True)) as job:
            assert job.finished == finished
            assert job.run().frames == FRAMES
        assert whole.read_bytes() == parts.read_bytes()
        assert not list(tmp_path.glob(".*"))


def test_a_killed_process(tmp_path: Path) -> None:
    make_clip(clip := tmp_path / "in.mkv", width=96, height=64, seconds=FRAMES / 24, sound=True)
    whole, parts = tmp_path / "whole.mkv", tmp_path / "parts.mkv"
    upscale(clip, whole, options=options())
    threads = str(torch.get_num_threads())  # as here, or it would be another machine
    with python("-c", KILLED, clip, parts, SEGMENT, threads) as process:
        assert process.wait() == -signal.SIGKILL
    with UpscaleRun(clip, parts, options()) as job:
        assert job.finished == 16
        assert (Kind.CHOSEN, "temporary file") in by_kind(job.plan.findings)
        job.run()
    assert whole.read_bytes() == parts.read_bytes()


@pytest.mark.slow
def test_killed_anywhere_again_and_again(tmp_path: Path) -> None:
    """Between any two steps of a segment or the joining: some 60 steps for 8 frames."""
    make_clip(clip := tmp_path / "in.mkv", width=96, height=64, seconds=FRAMES / 24, sound=True)
    whole, parts = tmp_path / "whole.mp4", tmp_path / "parts.mp4"
    upscale(clip, whole, options=options())
    chance = random.Random(13)
    threads = str(torch.get_num_threads())
    finished = [0]
    for _ in range(3):
        words = (clip, parts, SEGMENT, threads, chance.randrange(1, 90))
        with python("-c", KILLED_ANYWHERE, *words) as process:
            assert process.wait() == -signal.SIGKILL
        with UpscaleRun(clip, parts, options()) as job:
            finished.append(job.finished)
    assert finished == sorted(finished)
    assert finished[-1] > 0
    assert upscale(clip, parts, options=options()).frames == FRAMES
    assert whole.read_bytes() == parts.read_bytes()
    assert not ledger_path(parts).exists()


def test_a_full_disk_keeps_what_is_finished(tmp_path: Path) -> None:
    """Here the output does not fit any more: its segments are files of their own, and did."""
    make_clip(clip := tmp_path / "in.mkv", width=96, height=64, seconds=FRAMES / 24)
    whole, parts = tmp_path / "whole.mkv", tmp_path / "parts.mkv"
    given = options(encode=EncodeOptions(codec="ffv1"))
    upscale(clip, whole, options=given)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (whole.stat().st_size * 3 // 4, limit[1]))
    try:
        with pytest.raises(EncodeError, match="disk"):
            upscale(clip, parts, options=given)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert not parts.exists()
    with UpscaleRun(clip, parts, given) as job:
        assert job.finished >= 16
        job.run()
    assert whole.read_bytes() == parts.read_bytes()


def test_a_disk_that_is_full_at_the_end_of_a_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_clip(clip := tmp_path / "in.mkv", width=96, height=64, seconds=FRAMES / 24)
    whole, parts = tmp_path / "whole.mkv", tmp_path / "parts.mkv"
    upscale(clip, whole, options=options())
    fsync = os.fsync
    synced = 0

    def full(handle: int) -> None:
        nonlocal synced
        synced += stat.S_ISREG(os.fstat(handle).st_mode)
        if synced == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(EncodeError, match="check the disk's space"):
            upscale(clip, parts, options=options())
    assert [path.name for path in sorted(ledger_path(parts).iterdir())] == [
        "0000000000.segment",
        "0000000008.segment",
    ]
    assert upscale(clip, parts, options=options()).frames == FRAMES
    assert whole.read_bytes() == parts.read_bytes()
