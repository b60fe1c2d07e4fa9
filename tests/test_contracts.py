"""The contracts of ``pyproject.toml`` about who may import whom, indirectly as well."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_imports_keep_their_contracts() -> None:
    pytest.importorskip("importlinter", reason="import-linter reads the contracts")
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "plugins" / "vapoursynth")))
    lint = "from importlinter.cli import lint_imports_command as lint; lint()"
    done = subprocess.run(
        [sys.executable, "-c", lint, "--no-cache"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout
