"""Encoders that would make the process a real-time one leave it as it was."""

import os
import threading

import pytest

from ciaovideo.media.scheduling import THREADS, ordinary_priority
from ciaovideo.media.write.encoder import FrameEncoder
from tests.coding import coded, target_for

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


def test_threads_that_became_real_time_are_ordinary_again() -> None:
    done, begun = threading.Event(), threading.Event()

    def stays() -> None:
        begun.set()
        done.wait()

    with ordinary_priority():
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        except PermissionError:
            pytest.skip("only the superuser may be real-time")
        heir = threading.Thread(target=stays)  # as an encoder's, which inherits it
        heir.start()
        begun.wait()
    try:
        assert policies() == {os.SCHED_OTHER}
    finally:
        done.set()
        heir.join()


def test_svt_av1_leaves_all_threads_as_they_were() -> None:
    with FrameEncoder(target_for("libsvtav1")) as encoder:
        assert policies() == {os.SCHED_OTHER}
        assert coded(encoder, 3)
    assert policies() == {os.SCHED_OTHER}
