"""Triton compiles the kernels for GPUs that this machine need not have."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Triton compiles on Linux")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("arch", [80, 86, 90])
def test_kernels_compile(arch: int, tmp_path: Path) -> None:
    environment = {
        name: text for name, text in os.environ.items() if not name.startswith("TRITON_")
    } | {"PYTHONPATH": str(ROOT), "TRITON_CACHE_DIR": str(tmp_path)}
    words = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "tests.bench.compile_kernels",
        str(arch),
        "--quick",
    ]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 8, done.stdout
