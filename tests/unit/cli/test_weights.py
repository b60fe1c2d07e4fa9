"""``ciaovideo weights`` on the bundled files, and on a file that was changed."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ciaovideo.cli.main import run
from ciaovideo.errors import (
    CorruptWeightsError,
    MismatchedWeightsError,
    MissingWeightsError,
    OptionError,
    OutputExistsError,
    UnknownNameError,
    WeightsError,
)
from ciaovideo.grid import View
from ciaovideo.models.foreign.ciaosr import published_name
from ciaovideo.models.networks.implicit import RGB_MEAN
from ciaovideo.models.spec import NetworkSpec
from ciaovideo.models.weights import (
    load_file,
    read_manifest,
    read_tensors,
    save,
    weights_folder,
)
from tests.commands import error_of

FAST = NetworkSpec(
    encoder="edsr",
    decoder="ciaosr-separable",
    encoder_options={"channels": 4, "blocks": 1},
    decoder_options={"hidden": 4, "key_dim": 2, "rank": 2},
)


def test_list_show_and_verify(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["weights", "list"]) == 0
    text = capsys.readouterr().out
    assert [line.split(":")[0] for line in text.splitlines()] == list(read_manifest())
    families = {entry.family for entry in read_manifest().values() if entry.family}
    assert families == {"c2d"}
    assert text.count("(of c2d)") == 3
    assert run(["weights", "show", "ciaosr-fast"]) == 0
    text = capsys.readouterr().out
    assert "licence" in text
    assert "set5" in text
    assert run(["weights", "show", "ciaosr-fast", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "ciaosr-fast"
    assert run(["weights", "verify"]) == 0
    verified = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert verified == list(read_manifest())


def test_a_changed_file_and_a_wrong_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in weights_folder().iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr("ciaovideo.models.weights.weights_folder", lambda: tmp_path)
    file = next(tmp_path.glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    assert run(["weights", "verify"]) == 4
    assert file.name in capsys.readouterr().err
    assert file.name in error_of(CorruptWeightsError, "weights", "verify").problem
    assert run(["weights", "show", "ciaosr-fats"]) == 2
    assert "ciaosr-fast" in error_of(UnknownNameError, "weights", "show", "ciaosr-fats").hint


NETWORKS = {
    "edsr": NetworkSpec(
        encoder="edsr",
        decoder="ciaosr",
        encoder_options={"channels": 4, "blocks": 3},
        decoder_options={"hidden": [6, 5], "unfold": False, "non_local_scales": []},
    ),
    "rdn": NetworkSpec(
        encoder="rdn",
        decoder="ciaosr",
        encoder_options={"channels": 4, "blocks": 2, "layers": 3, "growth": 5},
        decoder_options={"hidden": [6], "unfold": True, "non_local_scales": [2, 3]},
    ),
    "swinir": NetworkSpec(
        encoder="swinir",
        decoder="ciaosr",
        encoder_options={
            "channels": 6,
            "depths": [2, 1],
            "heads": 2,
            "window": 4,
            "mlp_ratio": 1.5,
        },
        decoder_options={"hidden": [6, 6], "unfold": True, "non_local_scales": [2]},
    ),
}


@pytest.fixture(params=NETWORKS)
def ours(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file of ours for a small network of random weights."""
    torch.manual_seed(1)
    spec = NETWORKS[str(request.param)]
    save(tmp_path / "ours.safetensors", spec, spec.build().state_dict(), torch.float32)
    return tmp_path / "ours.safetensors"


def published(ours: Path) -> tuple[Path, dict[str, Any]]:
    """The same in the published layout, with what stands around it there."""
    path = ours.with_name("theirs.pth")
    assert run(["weights", "export", str(ours), str(path), "--overwrite"]) == 0
    content = torch.load(path, weights_only=True)
    content["state_dict"]["pixel_loss.extra"] = torch.zeros(3)
    numbers = {"psnr": np.float64(31.25), "epoch": np.int64(3), "loss": np.float32(0.01)}
    content["meta"] = {"iter": 1000, "env_info": "text", "seed": None, **numbers}
    content["optimizer"] = {"generator": {"state": {0: {"step": 3}}, "param_groups": []}}
    torch.save(content, path)
    return path, content


def same_network(one: Path, other: Path) -> None:
    lr = torch.rand(1, 3, 9, 11)
    coord, cell = torch.rand(1, 50, 2) * 1.9 - 0.95, torch.tensor([[2 / 20, 2 / 25]])
    with torch.no_grad():
        first, second = (load_file(path)(lr, coord, cell) for path in (one, other))
    torch.testing.assert_close(first, second, rtol=0, atol=1e-5)  # both fp32; order one


@pytest.mark.heavy
def test_import_of_what_export_wrote(ours: Path, capsys: pytest.CaptureFixture[str]) -> None:
    theirs, content = published(ours)
    assert run(["weights", "import", str(theirs)]) == 0
    assert "--weights" in capsys.readouterr().out
    out = theirs.with_suffix(".safetensors")
    same_network(ours, out)
    assert run(["weights", "show", str(out), "--json"]) == 0
    entry = json.loads(capsys.readouterr().out)
    assert entry["name"] == "theirs"
    assert "theirs.pth" in entry["recipe"]
    assert str(out) in error_of(OutputExistsError, "weights", "import", theirs).problem
    # Averaged weights win; a state dict without a prefix, or in safetensors, is one too.
    state = {name.removeprefix("generator."): x for name, x in content["state_dict"].items()}
    averaged = {f"generator_ema.{name}": x for name, x in state.items() if "loss" not in name}
    worse = {f"generator.{name}": torch.zeros_like(x) for name, x in state.items()}
    torch.save({"state_dict": averaged | worse}, theirs)
    assert run(["weights", "import", str(theirs), "--overwrite"]) == 0
    same_network(ours, out)
    plain = {name: x for name, x in state.items() if "loss" not in name}
    torch.save(plain, theirs)
    assert run(["weights", "import", str(theirs), str(out), "--overwrite", "--window", "0"]) == 0
    same_network(ours, out)


LIIF_ENCODERS = {  # our names in the words of LIIF's programs
    "conv_first": "head.0",
    r"body\.(\d+)\.conv1": r"body.\1.body.0",
    r"body\.(\d+)\.conv2": r"body.\1.body.2",
    "conv_after_body": "body.3",
    r"sfe(\d)": r"SFENet\1",
    r"rdbs\.(\d+)\.layers\.(\d+)\.conv": r"RDBs.\1.convs.\2.conv.0",
    r"rdbs\.(\d+)\.lff": r"RDBs.\1.LFF",
    "fuse": "GFF.0",
    "gather": "GFF.1",
}


def liif_name(ours: str) -> str:
    half, _, name = ours.partition(".")
    if half == "decoder":
        return published_name(ours)
    for pattern, theirs in LIIF_ENCODERS.items():
        name = re.sub(rf"^{pattern}(\.\w+)$", rf"{theirs}\g<{pattern.count('(') + 1}>", name)
    return f"encoder.{name}"


@pytest.mark.parametrize("encoder", ["edsr", "rdn"])
def test_import_of_a_file_of_liif_s_family(encoder: str, tmp_path: Path) -> None:
    spec = NETWORKS[encoder]
    network = spec.build_implicit().eval()
    state = {liif_name(name): x for name, x in network.state_dict().items()}
    state["encoder.sub_mean.weight"] = torch.zeros(3, 3, 1, 1)
    path = tmp_path / "liif.pth"
    torch.save({"model": {"name": "ciaosr", "args": {}, "sd": state}, "epoch": 3}, path)
    assert run(["weights", "import", str(path)]) == 0
    network.mean.fill_(0.5)
    lr, coord, cell = torch.rand(1, 3, 9, 11), torch.zeros(1, 1, 2), torch.tensor([[0.1, 0.1]])
    with torch.no_grad():
        # What that program computes: (x - 0.5) / 0.5 in, color * 0.5 + 0.5 out.
        first = network.encoder((lr - 0.5) / 0.5)
        latent = network.decoder.prepare(first, cell, View((9, 11), (9, 11)))
        gray = torch.nn.functional.grid_sample(lr, coord[:, None], align_corners=False).flatten()
        expected = network.decoder.query(latent, coord, cell).flatten() * 0.5 + gray
        found = load_file(path.with_suffix(".safetensors"))(lr, coord, cell).flatten()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


class Harmful:
    """What a pickle of it does when it is read."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return Path.touch, (Path("harmful-ran"),)  # type: ignore[return-value]


# What is no checkpoint, the kind of error, and what its text names.
WRONG: dict[str, tuple[object, type[WeightsError], str]] = {
    "object": ({"state_dict": {}, "meta": Harmful()}, CorruptWeightsError, "wrong.pth"),
    "numpy": ({"state_dict": {"conv_first.weight": np.zeros(3)}}, CorruptWeightsError, "numpy"),
    "list": ([torch.zeros(3)], MismatchedWeightsError, "wrong.pth"),
    "empty": ({"state_dict": {}}, MismatchedWeightsError, "model.sd"),
    "params": (
        {"params": {"conv_first.weight": torch.zeros(3)}},
        MismatchedWeightsError,
        "params",
    ),
    "other": (
        {"state_dict": {"layer4.weight": torch.zeros(3)}},
        MismatchedWeightsError,
        "layer4.weight",
    ),
    "edsr alone": (
        {"conv_first.weight": torch.zeros(4, 3, 3, 3)},
        MismatchedWeightsError,
        "conv_first.weight",
    ),
    "liif": (
        {"model": {"name": "liif", "sd": {"encoder.head.0.weight": torch.zeros(4, 3, 3, 3)}}},
        MismatchedWeightsError,
        "encoder.head.0.weight",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_files_that_are_not_imported(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content, kind, named = WRONG[name]
    torch.save(content, "wrong.pth")
    assert named in error_of(kind, "weights", "import", "wrong.pth").problem
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.pth"]


@pytest.mark.parametrize("ours", ["edsr"], indirect=True)
def test_keys_that_differ_are_named(ours: Path) -> None:
    theirs, content = published(ours)
    state: dict[str, Tensor] = content["state_dict"]
    del state["generator.body.1.conv1.bias"]
    state["generator.body.1.bn.weight"] = torch.zeros(4)
    state["generator.conv_after_body.bias"] = torch.zeros(5)
    torch.save(content, theirs)
    _, missing, unknown, reshaped = (
        error_of(MismatchedWeightsError, "weights", "import", theirs)
        .problem.replace(":", ";")
        .split(";")
    )
    assert "body.1.conv1.bias" in missing
    assert "body.1.bn.weight" in unknown
    assert "conv_after_body.bias" in reshaped
    for content_bytes in (b"", b"some text", theirs.read_bytes()[:200]):
        theirs.write_bytes(content_bytes)
        assert "theirs.pth" in error_of(CorruptWeightsError, "weights", "import", theirs).problem
    error_of(MissingWeightsError, "weights", "import", f"{theirs}x")


@pytest.mark.parametrize("ours", ["edsr"], indirect=True)
@pytest.mark.parametrize(
    ("name", "made", "kind"),
    [
        ("imnet_q.layers.0.weight", lambda x: x.sum(), MismatchedWeightsError),
        ("imnet_q.layers.2.weight", lambda x: x.sum(), MismatchedWeightsError),
        ("imnet_k.layers.0.weight", lambda x: x.sum(), MismatchedWeightsError),
        ("conv_first.weight", lambda x: x / 0, CorruptWeightsError),
        ("conv_first.weight", lambda x: x.to_sparse(), CorruptWeightsError),
        ("conv_first.weight", lambda x: x.to("meta"), CorruptWeightsError),
        ("body.99999.conv1.weight", lambda _: torch.zeros(3), MismatchedWeightsError),
    ],
)
@pytest.mark.heavy
def test_tensors_that_are_no_weights(
    name: str,
    made: Callable[[Tensor], Tensor],
    kind: type[WeightsError],
    ours: Path,
) -> None:
    theirs, content = published(ours)
    state = content["state_dict"]
    state[f"generator.{name}"] = made(state.get(f"generator.{name}", torch.zeros(0)))
    torch.save(content, theirs)
    assert name.removesuffix(".weight") in error_of(kind, "weights", "import", theirs).problem
    assert not theirs.with_suffix(".safetensors").exists()


@pytest.mark.parametrize("text", [None, "", "x = 3", "[x]", "[x]\nscales = 3", "\0"])
def test_notes_that_are_none(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "my.toml").write_text(text, encoding="utf-8")
    kind = MissingWeightsError if text is None else CorruptWeightsError
    error = error_of(kind, "weights", "show", tmp_path / "my.safetensors")
    assert "my.toml" in error.problem
    assert "weights import" in error.hint


def test_export_of_bundled_weights(tmp_path: Path) -> None:
    out = tmp_path / "fast.safetensors"
    assert run(["weights", "export", "ciaosr-fast", str(out)]) == 0
    same_network(out, weights_folder() / "ciaosr-fast.safetensors")
    error_of(OutputExistsError, "weights", "export", "ciaosr-fast", out)
    error_of(OutputExistsError, "weights", "export", out, out, "--overwrite")
    error_of(OptionError, "weights", "export", "ciaosr-fast", tmp_path / "fast.txt")
    error_of(MismatchedWeightsError, "weights", "export", "ciaosr-fast", tmp_path / "fast.pth")
    error_of(OptionError, "weights", "export", "ciaosr-fast", tmp_path / "fast.pth", "--half")
    assert run(["weights", "export", "ciaosr-fast", str(out), "--half", "--overwrite"]) == 0
    assert {tensor.dtype for tensor in read_tensors(out)[1].values()} == {torch.float16}
    assert not (tmp_path / "fast.pth").exists()


def test_a_mean_of_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Shares are relative; where one has fewer blocks, it counts as one with silent ones."""
    paths = [tmp_path / f"{name}.safetensors" for name in ("flat", "deep", "out")]
    for seed, path in enumerate(paths[:2]):
        torch.manual_seed(seed)
        spec = replace(FAST, encoder_options={"channels": 4, "blocks": seed + 1})
        save(path, spec, spec.build().state_dict(), torch.float32)
    flat, deep, out = paths
    assert run(["weights", "mean", str(out), f"{flat}=1", f"{deep}=3", "--half"]) == 0
    assert "wrote" in capsys.readouterr().out
    spec, made = read_tensors(out)
    assert spec.encoder_options["blocks"] == 2
    assert {tensor.dtype for tensor in made.values()} == {torch.float16}
    ours, theirs = (load_file(path).state_dict() for path in (flat, deep))
    for name, tensor in made.items():
        silent = torch.zeros_like if name.endswith(("conv2.weight", "conv2.bias")) else torch.clone
        other = ours[name] if name in ours else silent(theirs[name])
        wanted = 0.25 * other + 0.75 * theirs[name]
        torch.testing.assert_close(tensor.float(), wanted, rtol=1e-3, atol=1e-4)
    # Of one file, and with a share of nothing, the weights stay.
    assert run(["weights", "mean", str(out), f"{flat}=0", f"{deep}=2", "--overwrite"]) == 0
    same_network(out, deep)


def test_means_that_are_none(tmp_path: Path) -> None:
    out, own = tmp_path / "out.safetensors", tmp_path / "own.safetensors"
    assert run(["weights", "export", "ciaosr-fast", str(own)]) == 0
    for parts in (["ciaosr-fast"], ["ciaosr-fast=a"], ["ciaosr-fast=0"], ["ciaosr-fast=-1"]):
        error_of(OptionError, "weights", "mean", out, *parts)
    error_of(OptionError, "weights", "mean", out, "ciaosr-fast=nan", f"{own}=1")
    error_of(OptionError, "weights", "mean", tmp_path / "out.pth", "ciaosr-fast=1")
    error_of(UnknownNameError, "weights", "mean", out, "ciaosr-fats=1")
    error_of(OutputExistsError, "weights", "mean", own, "ciaosr-coded=1", f"{own}=1", "--overwrite")
    error = error_of(MismatchedWeightsError, "weights", "mean", out, "ciaosr-fast=1", "liif=1")
    assert "liif.safetensors" in error.problem
    assert list(tmp_path.iterdir()) == [own]


def test_a_network_without_the_residual(tmp_path: Path) -> None:
    spec = NETWORKS["edsr"]
    whole = spec.build().eval()
    state = {f"generator.{published_name(n)}": x for n, x in whole.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "real.pth")
    assert run(["weights", "import", str(tmp_path / "real.pth"), "--no-residual"]) == 0
    bare = load_file(tmp_path / "real.safetensors")
    lr = torch.full((1, 3, 9, 11), 0.7)
    point, cell = torch.zeros(1, 1, 2), torch.tensor([[0.1, 0.1]])
    with torch.no_grad():
        difference = (whole(lr, point, cell) - bare(lr, point, cell)).flatten()
    torch.testing.assert_close(difference, 0.7 - torch.tensor(RGB_MEAN), rtol=0, atol=1e-5)
