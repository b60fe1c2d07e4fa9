"""Random options over random files, each result judged by ffprobe and mediainfo.

A handful in every run of the tests. More, and a table: ``python -m tests.system.test_random_runs
COUNT SEED``. A number says which file and options it is.
"""

import os
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ciaovideo.errors import CiaoVideoError, UsageError
from ciaovideo.findings import Kind
from ciaovideo.options import UpscaleOptions
from ciaovideo.pipeline.keywords import with_fields
from ciaovideo.pipeline.session import Session, UpscaleRun
from tests.system.random_files import RandomFile, draw, write
from tests.system.random_judge import Asked, judge

USUAL = 5  # runs where nobody asks for more
OUTPUTS = ("mkv", "mkv", "mkv", "mp4", "mp4", "mov", "mov", "avi", "mxf")
FAST = {"mkv": ("libx264", "ffv1"), "mp4": ("libx264",), "mov": ("libx264", "prores_ks")}
SESSION = Session()


class StoppedError(Exception):
    """A run is stopped in the middle."""


def options_for(made: RandomFile, suffix: str, chance: Random) -> tuple[dict[str, Any], Asked]:
    """Options of a run, and what they mean for the result."""
    scale = chance.choice((1, 1, 1.5, 2))
    given: dict[str, Any] = {"model": "bicubic", "scale": scale, "audio": "auto"}
    asked = Asked(scale=scale)
    if suffix in FAST:
        given["codec"] = chance.choice(FAST[suffix])
        given |= {"preset": "ultrafast"} if given["codec"] == "libx264" else {}
    lasts = float(made.frames / made.rate)
    match chance.choice(("whole", "whole", "frames", "start", "end", "both")):
        case "frames":
            count = chance.randint(1, made.frames)
            given["frames"], asked = count, replace(asked, frames=count)
        case "start" | "end" | "both" as part if made.frames > 6:
            start, end = (round(lasts * share, 3) for share in (0.3, 0.7))
            given |= {"start": str(start)} if part != "end" else {}
            given |= {"end": str(end)} if part != "start" else {}
            asked = replace(
                asked,
                start=start if part != "end" else 0.0,
                end=end if part != "start" else None,
            )
    if suffix in FAST and chance.random() < 0.3:
        given["resume"] = True
    elif suffix in ("mkv", "mp4", "mov") and shutil.which("ffmpeg") and chance.random() < 0.1:
        given = {k: v for k, v in given.items() if k not in ("codec", "preset")}
        given["via_ffmpeg"] = "-c:v libx264 -preset ultrafast"
    return given, asked


def attempt(number: int, seed: int, folder: Path) -> tuple[str, str]:
    """Run one: ``ok``, ``refused`` before any work, or what is wrong; with what it was."""
    chance = Random(f"{seed} {number}")
    made, suffix = draw(chance), chance.choice(OUTPUTS)
    given, asked = options_for(made, suffix, chance)
    words = f"{made.container}/{made.codec} -> {suffix} {given}"
    source, output = write(made, folder), folder / f"out.{suffix}"
    try:
        run = UpscaleRun(source, output, with_fields(UpscaleOptions(), given), SESSION)
    except CiaoVideoError as error:
        return ("refused" if error.hint else "refused without a way on"), f"{words}: {error}"
    with run:
        if given.get("resume") and chance.random() < 0.5:
            _interrupt(source, output, given, chance)
        try:
            summary = run.run()
        except UsageError as error:
            return "usage", f"{words}: {error}"
        except CiaoVideoError as error:
            return "failed", f"{words}: {error}"
    losing = (Kind.LOST, Kind.CHANGED, Kind.DAMAGED)
    told = "; ".join(f"{f.subject}: {f.text}" for f in summary.findings if f.kind in losing)
    wrong = [text for text in judge(source, output, asked, told) if text]
    return ("wrong" if wrong else "ok"), f"{words}: {'; '.join(wrong)} [{told}]"


def _interrupt(source: Path, output: Path, given: dict[str, Any], chance: Random) -> None:
    """Stop a run of the same in its middle; what is kept is found by the next one."""
    stop = chance.randint(1, 5)

    def tell(at: Any) -> None:
        if at.frames >= stop:
            raise StoppedError

    options = with_fields(UpscaleOptions(), given)
    with UpscaleRun(source, output, options, SESSION) as run, suppress(StoppedError):
        run.run(tell)
        output.unlink()  # shorter than that


@pytest.mark.slow
@pytest.mark.parametrize("number", range(int(os.environ.get("CIAOVIDEO_RANDOM_RUNS", USUAL))))
def test_random_runs(tmp_path: Path, number: int) -> None:
    for program in ("ffprobe", "mediainfo"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    verdict, told = attempt(number, int(os.environ.get("SEED", "1")), tmp_path)
    assert verdict in ("ok", "refused"), told


def main(count: int, seed: int, first: int = 0) -> None:
    """Run many, print what is wrong as it comes, then a table."""
    found: Counter[str] = Counter()
    rows: Counter[tuple[str, str]] = Counter()
    for number in range(first, first + count):
        with tempfile.TemporaryDirectory() as folder:
            try:
                verdict, told = attempt(number, seed, Path(folder))
            except Exception:
                verdict, told = "broken", traceback.format_exc()
        found[verdict] += 1
        rows[told.partition(" {")[0], verdict] += 1
        print(number, verdict, "" if verdict == "ok" else told, flush=True)
    print(dict(found))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
