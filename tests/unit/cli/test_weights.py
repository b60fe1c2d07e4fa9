"""``ciaovideo weights`` on the bundled files, and on a file that was changed."""

import json
from pathlib import Path

import pytest

from ciaovideo.cli.main import run
from ciaovideo.models.checkpoints import list_models, weights_folder


def test_list_show_and_verify(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["weights", "list"]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == list_models()
    assert run(["weights", "show", "ciaosr-fast"]) == 0
    text = capsys.readouterr().out
    assert "licence" in text
    assert "set5" in text
    assert run(["weights", "show", "ciaosr-fast", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "ciaosr-fast"
    assert run(["weights", "verify"]) == 0
    assert "is what the manifest names" in capsys.readouterr().out


def test_a_changed_file_and_a_wrong_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in weights_folder().iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr("ciaovideo.models.checkpoints.weights_folder", lambda: tmp_path)
    file = next(tmp_path.glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    assert run(["weights", "verify"]) == 4
    assert "not the file that the manifest names" in capsys.readouterr().err
    assert run(["weights", "show", "ciaosr-fats"]) == 2
    assert "ciaosr-fast" in capsys.readouterr().err


def test_a_name_that_is_kept_for_later(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["batch", "in", "out"]) == 2
    assert "./batch" in capsys.readouterr().err
