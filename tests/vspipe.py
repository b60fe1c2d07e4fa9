"""Scripts of VapourSynth in a real host, ``vspipe``, and the frames that it writes."""

import importlib.util
import os
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ciaovideo.media.frame import Frame
from ciaovideo.media.read.reader import VideoReader
from tests.waiting import FAR_TOO_LONG_S

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = Path(sysconfig.get_path("scripts"))
HAS_BESTSOURCE = importlib.util.find_spec("vapoursynth") is not None and bool(
    list(Path(sysconfig.get_path("platlib")).glob("vapoursynth/plugins/**/*bestsource*"))
)


def surroundings(home: Path) -> dict[str, str]:
    """Our environment first on PATH, where vspipe looks for its helper, and an empty home."""
    return {
        **os.environ,
        "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins' / 'vapoursynth'}",
        "XDG_CONFIG_HOME": str(home),
    }


def vspipe(script: str, folder: Path, *words: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run a script in a folder; the last word says where the output goes."""
    (folder / "script.vpy").write_text(script, encoding="utf-8")
    return subprocess.run(
        [PROGRAMS / "vspipe", *words[:-1], "script.vpy", words[-1]],
        cwd=folder,
        env=surroundings(folder),
        capture_output=True,
        check=False,
        timeout=FAR_TOO_LONG_S,
    )


def at_once(calls: list[list[str]], folder: Path) -> list[bytes]:
    """What several vspipe, all running at one time, write to standard output."""
    environment = surroundings(folder)
    # Else each writes the paths it needs into one file, and may read it half-written.
    subprocess.run([PROGRAMS / "vapoursynth", "config"], check=True, env=environment)
    processes = [
        subprocess.Popen(
            [PROGRAMS / "vspipe", *words],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for words in calls
    ]
    outputs = [process.communicate(timeout=FAR_TOO_LONG_S) for process in processes]
    for process, (_, said) in zip(processes, outputs, strict=True):
        assert process.returncode == 0, said.decode()
    return [made for made, _ in outputs]


def frames_of(path: Path) -> list[Frame]:
    with VideoReader(path) as reader:
        return list(reader.frames())


def lumas(path: Path) -> list[NDArray[Any]]:
    return [frame.planes[0].numpy() for frame in frames_of(path)]
