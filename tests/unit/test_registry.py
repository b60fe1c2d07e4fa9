import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from ciaovideo import registry
from ciaovideo.errors import UnknownNameError
from ciaovideo.registry import Registry

SHAPES = {"fraction": "fractions:Fraction", "path": "pathlib:Path"}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, EntryPoint]:
    """Entry points as another package would install them, to be filled by the test."""
    points: dict[str, EntryPoint] = {}

    def entry_points(*, group: str) -> EntryPoints:
        return EntryPoints(points.values()).select(group=group)

    monkeypatch.setattr(registry, "entry_points", entry_points)
    return points


def test_a_name_gives_the_thing() -> None:
    shapes: Registry[type] = Registry("shape", SHAPES)
    assert shapes["path"] is Path
    assert list(shapes) == ["fraction", "path"]
    assert len(shapes) == 2
    assert "path" in shapes
    assert "Path" not in shapes
    assert 3 not in shapes


def test_a_module_is_imported_when_its_entry_is_asked_for() -> None:
    script = """
import sys
from ciaovideo.registry import Registry
games = Registry("game", {"chess": "colorsys:rgb_to_hsv", "broken": "no.such.module:Thing"})
assert "chess" in games and list(games) == ["chess", "broken"]
assert "colorsys" not in sys.modules
games["chess"]
assert "colorsys" in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[2])


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    shapes: Registry[type] = Registry("shape", SHAPES)
    with pytest.raises(UnknownNameError, match=r"shape .*'pahts'.*'path'"):
        shapes["pahts"]
    with pytest.raises(UnknownNameError, match="fraction, path"):
        shapes[""]


def test_other_packages_add_names(installed: dict[str, EntryPoint]) -> None:
    installed["date"] = EntryPoint("date", "datetime:date", "ciaovideo.shapes")
    installed["time"] = EntryPoint("time", "datetime:time", "ciaovideo.sounds")
    shapes: Registry[type] = Registry("shape", SHAPES)
    assert list(shapes) == ["fraction", "path", "date"]
    assert len(shapes) == 3
    assert "date" in shapes
    assert "time" not in shapes
    assert shapes["date"].__name__ == "date"
    with pytest.raises(UnknownNameError, match="'date'"):
        shapes["dates"]


def test_other_packages_cannot_replace_ours(installed: dict[str, EntryPoint]) -> None:
    installed["path"] = EntryPoint("path", "datetime:date", "ciaovideo.shapes")
    shapes: Registry[type] = Registry("shape", SHAPES)
    assert shapes["path"] is Path
    assert list(shapes) == ["fraction", "path"]
