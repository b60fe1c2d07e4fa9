"""A process of ours takes memory from the system once."""

import platform
import subprocess
import sys

import pytest

from tests.documents import ROOT

# Faults of pages while a thread fills and frees 48 MB, as a worker does for each frame.
FAULTS = """
import resource, sys, threading
import numpy as np
from ciaovideo.allocation import keep_freed_memory
if "keep" in sys.argv:
    assert keep_freed_memory()
def fill():
    for _ in range(2):
        np.ones(6 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        np.ones(6 << 20)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
thread = threading.Thread(target=fill)
thread.start()
thread.join()
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs the GNU C library")
def test_freed_memory_is_used_again_without_faults() -> None:
    faults = [
        int(subprocess.check_output([sys.executable, "-c", FAULTS, *words], cwd=ROOT, text=True))
        for words in ([], ["keep"])
    ]
    # Without, each page of each array is one, or each larger page where the system has such.
    assert faults[1] <= 16
    assert faults[1] < faults[0] / 4
