"""Triton compiles the kernels for GPUs that this machine need not have."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ARCHS = ("80", "86", "90")  # A100, its small relatives, H100


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="Triton compiles on Linux")
@pytest.mark.timeout(900)
def test_kernels_compile(tmp_path: Path) -> None:
    environment = {
        name: text for name, text in os.environ.items() if not name.startswith("TRITON_")
    } | {"PYTHONPATH": str(ROOT), "TRITON_CACHE_DIR": str(tmp_path)}
    words = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "tests.bench.compile_kernels",
        *ARCHS,
        "--quick",
    ]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 8 * len(ARCHS), done.stdout
