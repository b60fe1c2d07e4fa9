"""The networks of other papers, each by its name: in the command, in VapourSynth, never unasked."""

import importlib
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from ciaovideo import Upscaler
from ciaovideo.cli.main import run
from ciaovideo.evaluate.suites import SUITES
from ciaovideo.models.weights import (
    choose_weights,
    find_members,
    list_models,
    load_bundled,
    read_manifest,
)
from tests.media import make_clip

NAMES = ("liif", "lte", "metasr", "itsrn", "hiif", "eqsr", "asdn", "fsdn", "c2d")
ANY, LISTED = 2.5, {"fsdn": (2.0,), "c2d": (2.0, 3.0, 4.0)}  # the scale that any of them is given
SIZE = (32, 48)  # of a picture that stays small when it is enlarged
ALIKE = 0.95  # correlation with bicubic: the same picture
LIMIT_BYTES = 25_000_000  # of all files together

every_name = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three frames of a street."""
    path = tmp_path_factory.mktemp("clips") / "in.mkv"
    make_clip(path, width=SIZE[1], height=SIZE[0], pts=(0, 1, 2))
    return path


@every_name
def test_a_name_after_model_is_all_it_takes(name: str, clip: Path, tmp_path: Path) -> None:
    scale = LISTED.get(name, (ANY,))[0]
    out, plain = tmp_path / "out.mkv", tmp_path / "plain.mkv"
    words = ["--scale", str(scale), "--codec", "ffv1"]
    assert run([str(clip), str(out), "--model", name, *words]) == 0
    assert run([str(clip), str(plain), "--model", "bicubic", *words]) == 0
    made, expected = frames(out), frames(plain)
    assert made.shape == expected.shape == (3, round(SIZE[0] * scale), round(SIZE[1] * scale))
    assert np.abs(made.astype(int) - expected).max() > 2  # it is not bicubic
    assert np.corrcoef(made.ravel(), expected.ravel())[0, 1] > ALIKE


@pytest.mark.parametrize("name", LISTED)
def test_other_scales_get_an_error_that_names_what_works(
    name: str, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.mkv"
    assert run([str(clip), str(out), "--model", name, "--scale", str(ANY)]) == 2
    listed = str(load_bundled(name).scales)
    assert f"ask for a scale of {listed}" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("scale", LISTED["c2d"])
def test_c2d_takes_the_weights_of_the_scale(scale: float) -> None:
    lr = torch.rand(1, 3, 12, 10, generator=torch.Generator().manual_seed(0))
    exact: dict[str, Any] = {"scale": scale, "device": "cpu", "precision": "fp32"}
    assert torch.equal(Upscaler("c2d", **exact)(lr), Upscaler(f"c2d-x{scale:g}", **exact)(lr))


def test_nobody_gets_one_unasked() -> None:
    manifest = read_manifest()
    entries = [entry for name in NAMES for entry in find_members(name)]
    assert not any(entry.rank for entry in entries)
    assert {choose_weights(device) for device in ("cpu", "cuda", "mps")} == {"ciaosr-fast"}
    assert sum(entry.path.stat().st_size for entry in entries) < LIMIT_BYTES
    assert all(entry.licence and entry.data and entry.steps for entry in manifest.values())


def test_the_suite_has_all_of_them() -> None:
    assert set(NAMES) <= {*SUITES["neighbours"].models()} & {*list_models()}


@pytest.mark.vapoursynth
@every_name
def test_vapoursynth_makes_what_the_library_makes(name: str) -> None:
    vs: Any = importlib.import_module("vapoursynth")
    from vsciaovideo import upscale

    given: dict[str, Any] = {"model": name, "device": "cpu", "precision": "fp32"}
    scale = LISTED.get(name, (ANY,))[0]
    clip = vs.core.std.BlankClip(format=vs.RGBS, width=18, height=14, length=1, color=[0.2, 0.7, 1])
    clip = clip.std.AddBorders(left=6, top=6, color=[0.9, 0.1, 0.5])
    frame = clip.get_frame(0)
    lr = torch.from_numpy(np.stack([np.array(frame[plane]) for plane in range(3)]))[None]
    expected = Upscaler(scale=scale, **given)(lr)[0]
    made = upscale(clip, scale, **given).get_frame(0)
    for plane in range(3):
        np.testing.assert_array_equal(np.array(made[plane]), expected[plane].numpy())


def frames(path: Path) -> "np.ndarray[Any, Any]":
    """Luma of all frames: (T, H, W)."""
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="gray") for f in container.decode(video=0)])
