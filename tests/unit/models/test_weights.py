"""Files of weights: what is written is read back, and what is wrong is named."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from ciaovideo import Upscaler
from ciaovideo.errors import (
    CorruptWeightsError,
    MismatchedWeightsError,
    MissingWeightsError,
    OptionError,
    UnknownNameError,
    UnsupportedScaleError,
)
from ciaovideo.models import weights as checkpoints
from ciaovideo.models.networks.interpolation import Bicubic
from ciaovideo.models.protocols import Scales
from ciaovideo.models.spec import NetworkSpec
from ciaovideo.models.weights import (
    SPEC_KEY,
    choose_weights,
    entry_text,
    file_sha256,
    find_members,
    find_weights,
    list_models,
    load_bundled,
    load_file,
    load_model,
    read_entries,
    read_manifest,
    read_tensors,
    save,
)

SPEC = NetworkSpec(
    encoder="edsr",
    decoder="ciaosr-separable",
    encoder_options={"channels": 8, "blocks": 1},
    decoder_options={"hidden": 8, "key_dim": 4, "rank": 2},
)
HALF = 2.0**-11  # relative error of rounding to fp16

MANIFEST = """
[tiny]
file = "tiny.safetensors"
sha256 = "{}"
summary = "a very small one"
recipe = "none"
data = "none"
licence = "Apache-2.0"
steps = 0
scales = [1, 4.0]
devices = ["cpu"]
psnr = {{ set5 = {{ x2 = 33.5 }} }}
"""


def weights(seed: int = 3) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return SPEC.build().state_dict()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "tiny.safetensors"
    save(made, SPEC, weights(), torch.float32)
    return made


@pytest.fixture
def bundle(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of bundled weights with the file and its manifest."""
    manifest = path.parent / "manifest.toml"
    manifest.write_text(MANIFEST.format(file_sha256(path)), encoding="utf-8")
    monkeypatch.setattr(checkpoints, "weights_folder", lambda: path.parent)
    return path.parent


def test_a_round_trip_keeps_every_bit(path: Path) -> None:
    network = load_file(path)
    assert not network.training
    written = weights()
    assert network.state_dict().keys() == written.keys()
    for name, weight in network.state_dict().items():
        assert torch.equal(weight, written[name])
    assert read_tensors(path)[0] == SPEC


@pytest.mark.heavy
def test_half_precision_halves_the_file_and_is_read_as_fp32(path: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.safetensors"
    save(half, SPEC, weights(), torch.float16)
    assert {tensor.dtype for tensor in read_tensors(half)[1].values()} == {torch.float16}
    stored = sum(2 * weight.numel() for weight in weights().values())
    assert path.stat().st_size - half.stat().st_size == pytest.approx(stored, rel=0.02)
    for name, weight in load_file(half).state_dict().items():
        assert weight.dtype == torch.float32
        torch.testing.assert_close(weight, weights()[name], rtol=HALF, atol=1e-7)


def test_weights_in_other_memory_formats_are_written_alike(path: Path, tmp_path: Path) -> None:
    last = {
        name: weight.contiguous(memory_format=torch.channels_last) if weight.ndim == 4 else weight
        for name, weight in weights().items()
    }
    save(tmp_path / "last.safetensors", SPEC, last, torch.float32)
    assert (tmp_path / "last.safetensors").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda tensors: tensors.pop("encoder.conv_first.bias"), "conv_first.bias.*None in"),
        (lambda tensors: tensors.update(more=torch.zeros(2)), r"'more' \(\(2,\) in the file, None"),
        (
            lambda tensors: tensors.update({"encoder.conv_first.bias": torch.zeros(9)}),
            r"\(9,\) in the file, \(8,\) wanted",
        ),
    ],
    ids=["missing", "unknown", "wrong shape"],
)
def test_tensors_that_differ_are_named(change: object, named: str, tmp_path: Path) -> None:
    tensors = weights()
    assert callable(change)
    change(tensors)
    path = tmp_path / "wrong.safetensors"
    save(path, SPEC, tensors, torch.float32)
    with pytest.raises(MismatchedWeightsError, match=named) as caught:
        load_file(path)
    assert "1 tensors differ" in caught.value.problem


def test_a_file_that_is_cut_off_or_no_such_file(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    for content in (b"", b"some text that is long enough", whole[:100], whole[:-100]):
        path.write_bytes(content)
        with pytest.raises(CorruptWeightsError, match="safetensors"):
            load_file(path)
    with pytest.raises(MissingWeightsError, match="absent"):
        load_file(tmp_path / "absent.safetensors")


@pytest.mark.parametrize(
    "text",
    [
        "not JSON",
        "[1, 2]",
        '{"encoder": "edsr"}',
        '{"encoder": "edsr", "decoder": "ciaosr", "depth": 3}',
        '{"encoder": "edrs", "decoder": "ciaosr"}',
        '{"encoder": "edsr", "decoder": "ciaosr", "encoder_options": {"depth": 3}}',
        '{"encoder": "edsr", "decoder": "ciaosr", "encoder_options": {"channels": -1}}',
        '{"encoder": "edsr", "decoder": "ciaosr", "encoder_options": {"slope": -1}}',
        '{"encoder": "edsr", "decoder": "ciaosr", "mean": [1]}',
    ],
)
def test_a_file_of_an_unknown_network(text: str, tmp_path: Path) -> None:
    path = tmp_path / "strange.safetensors"
    save_file(weights(), path, metadata={SPEC_KEY: text})
    with pytest.raises(MismatchedWeightsError, match="strange"):
        load_file(path)


def test_a_file_of_somebody_else(tmp_path: Path) -> None:
    path = tmp_path / "theirs.safetensors"
    save_file(weights(), path, metadata={"format": "pt"})
    with pytest.raises(MismatchedWeightsError, match="specification"):
        load_file(path)


def test_a_specification_survives_its_text() -> None:
    assert NetworkSpec.from_json(SPEC.to_json()) == SPEC
    assert json.loads(SPEC.to_json())["encoder_options"] == {"channels": 8, "blocks": 1}


def test_bundled_weights_by_name(bundle: Path) -> None:
    entry = read_manifest()["tiny"]
    assert entry.path == bundle / "tiny.safetensors"
    assert entry.scales == Scales(1.0, 4.0)
    assert entry.psnr["set5"]["x2"] == 33.5
    assert list_models() == ["tiny"]
    for network in (load_bundled("tiny"), load_model("tiny"), load_model(entry.path)):
        assert torch.equal(
            network.state_dict()["encoder.conv_first.weight"],
            weights()["encoder.conv_first.weight"],
        )
    with pytest.raises(UnknownNameError, match="'tiny'"):
        load_model("tinny")


def test_a_bundled_file_that_the_manifest_does_not_mean(bundle: Path) -> None:
    save(bundle / "tiny.safetensors", SPEC, weights(seed=4), torch.float32)
    with pytest.raises(CorruptWeightsError, match=r"tiny\.safetensors: .*SHA-256"):
        load_bundled("tiny")
    (bundle / "tiny.safetensors").unlink()
    with pytest.raises(MissingWeightsError, match=r"tiny\.safetensors"):
        load_bundled("tiny")


def test_a_manifest_that_is_missing_or_damaged(bundle: Path) -> None:
    (bundle / "manifest.toml").write_text("[tiny", encoding="utf-8")
    with pytest.raises(CorruptWeightsError, match=r"manifest\.toml"):
        read_manifest()
    (bundle / "manifest.toml").unlink()
    with pytest.raises(MissingWeightsError, match=r"manifest\.toml"):
        read_manifest()


def test_a_whole_network_survives_its_text() -> None:
    spec = NetworkSpec(network="bicubic")
    assert NetworkSpec.from_json(spec.to_json()) == spec
    assert json.loads(spec.to_json()) == {"network": "bicubic", "options": {}, "version": 2}
    assert isinstance(spec.build(), Bicubic)


def test_files_from_before_there_were_versions_are_read() -> None:
    text = json.loads(SPEC.to_json())
    del text["version"], text["network"]
    assert NetworkSpec.from_json(json.dumps(text)) == SPEC


@pytest.mark.parametrize(
    "halves", [{"encoder": "edsr"}, {"network": "bicubic", "decoder": "ciaosr"}]
)
def test_half_a_network_is_none(halves: dict[str, str]) -> None:
    with pytest.raises(MismatchedWeightsError, match="implicit"):
        NetworkSpec(**halves)  # type: ignore[arg-type]


def test_the_rank_on_a_device_decides(bundle: Path) -> None:
    def rank(**tables: str) -> None:
        text = MANIFEST.format("0" * 64)
        entries = (
            text.replace("[tiny]", f"[{name}]").replace("psnr =", f"rank = {{ {ranks} }}\npsnr =")
            for name, ranks in tables.items()
        )
        (bundle / "manifest.toml").write_text("\n".join(entries), encoding="utf-8")

    rank(slow="cuda = 1, cpu = 9", fast="cpu = 1, cuda = 2", unasked="")
    assert [choose_weights(device) for device in ("cpu", "cuda", "mps")] == ["fast", "slow", "fast"]
    rank(unasked="")
    with pytest.raises(MissingWeightsError, match="bundled"):
        choose_weights("cpu")


def test_listed_scales_in_a_manifest(bundle: Path) -> None:
    text = (bundle / "manifest.toml").read_text(encoding="utf-8")
    text = text.replace("scales = [1, 4.0]", "scales = { only = [2, 3] }")
    (bundle / "manifest.toml").write_text(text, encoding="utf-8")
    (entry,) = read_manifest().values()
    assert str(entry.scales) == "2 or 3"
    again = read_entries(written(bundle / "one.toml", entry_text(entry)))["tiny"]
    assert again.scales == entry.scales
    assert load_bundled("tiny").scales == entry.scales


@pytest.mark.parametrize("name", list_models())
def test_bundled_weights_are_for_scales_that_their_network_does(name: str) -> None:
    network = load_bundled(name)
    for entry in find_members(name):
        trained = entry.scales
        for scale in trained.only or (trained.least, trained.most):
            assert network.scales.hold((1000, 1000), (round(1000 * scale), round(1000 * scale)))


def family(bundle: Path) -> None:
    """Two files of a scale each, under one name."""
    tables = []
    for scale in (2, 3):
        spec = NetworkSpec(
            network="pixel-shuffle",
            options={"scale": scale, "encoder": "edsr", "encoder_options": {"channels": 8}},
        )
        path = bundle / f"both-x{scale}.safetensors"
        save(path, spec, spec.build().state_dict(), torch.float32)
        text = MANIFEST.format(file_sha256(path)).replace("tiny", path.stem)
        text = text.replace("scales = [1, 4.0]", f"scales = {{ only = [{scale}] }}")
        tables.append(text + '\nfamily = "both"\n')
    (bundle / "manifest.toml").write_text("\n".join(tables), encoding="utf-8")


def test_several_files_under_one_name(bundle: Path) -> None:
    family(bundle)
    assert list_models() == ["both", "both-x2", "both-x3"]
    network = load_bundled("both")
    assert network.scales.only == (2.0, 3.0)
    lr = torch.rand(1, 3, 10, 12)
    for scale in (2, 3):
        upscaled = [
            Upscaler(name, scale=scale, device="cpu", precision="fp32")(lr)
            for name in ("both", f"both-x{scale}")
        ]
        assert torch.equal(*upscaled)
    with pytest.raises(UnsupportedScaleError, match="2 or 3"):
        Upscaler("both", scale=2.5, device="cpu")(lr)
    with pytest.raises(OptionError, match="both-x2, both-x3"):
        find_weights("both")
    with pytest.raises(UnknownNameError, match="'both'"):
        load_bundled("bothe")


def test_a_family_needs_scales(bundle: Path) -> None:
    family(bundle)
    path = bundle / "manifest.toml"
    text = path.read_text(encoding="utf-8").replace("{ only = [2] }", "[1.0, 4.0]")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CorruptWeightsError, match=r"both-x2 .*scales"):
        read_manifest()


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path
