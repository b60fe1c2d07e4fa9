"""Encoders that would make the process a real-time one leave it as it was."""

import os

import pytest

from ciaovideo.media.scheduling import THREADS, ordinary_priority
from ciaovideo.media.write.encoder import FrameEncoder
from tests.unit.media.write.test_encoder import coded, target_for

pytestmark = pytest.mark.skipif(not THREADS.is_dir(), reason="there are no Linux threads")


def policies() -> set[int]:
    return {os.sched_getscheduler(int(thread.name)) for thread in THREADS.iterdir()}


def test_a_caller_that_became_real_time_is_ordinary_again() -> None:
    with ordinary_priority():
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        except PermissionError:
            pytest.skip("only the superuser may be real-time")
        assert os.SCHED_FIFO in policies()
    assert policies() == {os.SCHED_OTHER}


def test_svt_av1_leaves_all_threads_as_they_were() -> None:
    with FrameEncoder(target_for("libsvtav1")) as encoder:
        assert policies() == {os.SCHED_OTHER}
        assert coded(encoder, 3)
    assert policies() == {os.SCHED_OTHER}
