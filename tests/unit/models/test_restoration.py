"""Weights between anchors, and the strength that a coded video gets."""

import tomllib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from ciaovideo.engine.model_choice import load_network, restores, settled
from ciaovideo.engine.upscaler import Upscaler
from ciaovideo.errors import OptionError
from ciaovideo.models import weights
from ciaovideo.models.restoration import load_restored, restore_for
from ciaovideo.models.spec import NetworkSpec
from ciaovideo.models.weights import anchored, anchors, file_sha256, load_bundled, save
from ciaovideo.options import ModelOptions

SPEC = NetworkSpec(
    encoder="edsr",
    decoder="ciaosr-separable",
    encoder_options={"channels": 4, "blocks": 1},
    decoder_options={"hidden": 4, "key_dim": 2, "rank": 2},
)
TABLE = """
[{name}]
file = "{name}.safetensors"
sha256 = "{sha256}"
summary = "made by a test"
recipe = ""
data = ""
licence = ""
steps = 1
scales = [1.0, 4.0]
devices = ["cpu"]
psnr = {{}}
{more}
"""


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str, str]:
    """Three anchors, plain, coded and worn, and a network without any."""
    more = {
        "plain": 'rank = { cpu = 1 }\nrestore = { "0.5" = "coded", "1" = "worn" }',
    }
    text = ""
    for seed, name in enumerate(("plain", "coded", "worn", "alone")):
        torch.manual_seed(seed)
        path = tmp_path / f"{name}.safetensors"
        save(path, SPEC, SPEC.build().state_dict(), torch.float32)
        text += TABLE.format(name=name, sha256=file_sha256(path), more=more.get(name, ""))
    assert set(tomllib.loads(text)) == {"plain", "coded", "worn", "alone"}
    (tmp_path / "manifest.toml").write_text(text)
    monkeypatch.setattr(weights, "weights_folder", lambda: tmp_path)
    return "plain", "coded", "worn"


@pytest.mark.parametrize(
    ("restore", "shares"),
    [
        (0.0, (1, 0, 0)),
        (0.2, (0.6, 0.4, 0)),
        (0.5, (0, 1, 0)),
        (0.75, (0, 0.5, 0.5)),
        (1.0, (0, 0, 1)),
    ],
)
def test_weights_lie_between_the_nearest_anchors(
    restore: float, shares: tuple[float, ...], family: tuple[str, ...]
) -> None:
    found = load_restored("plain", restore).state_dict()
    states = [load_bundled(name).state_dict() for name in family]
    for key, tensor in found.items():
        mean = sum(share * state[key] for share, state in zip(shares, states, strict=True))
        torch.testing.assert_close(tensor, mean, rtol=0, atol=1e-6)


def test_an_anchor_may_be_deeper(family: tuple[str, ...], tmp_path: Path) -> None:
    """Blocks that only one has count as ones that change nothing in the other."""
    torch.manual_seed(7)
    deeper = replace(SPEC, encoder_options={"channels": 4, "blocks": 2})
    path = tmp_path / "coded.safetensors"
    save(path, deeper, deeper.build().state_dict(), torch.float32)
    manifest = tmp_path / "manifest.toml"
    begin = manifest.read_text().index("[coded]")
    old = tomllib.loads(manifest.read_text())["coded"]["sha256"]
    assert old in manifest.read_text()[begin:]
    manifest.write_text(manifest.read_text().replace(old, file_sha256(path)))
    plain, coded = (load_bundled(name).state_dict() for name in family[:2])
    found = load_restored("plain", 0.125).state_dict()
    assert found.keys() == coded.keys()
    block = "encoder.body.1."
    assert torch.equal(found[f"{block}conv1.weight"], coded[f"{block}conv1.weight"])
    torch.testing.assert_close(
        found[f"{block}conv2.weight"], coded[f"{block}conv2.weight"] / 4, rtol=1e-6, atol=0
    )
    head = "encoder.conv_first.weight"
    torch.testing.assert_close(
        found[head], 0.75 * plain[head] + 0.25 * coded[head], rtol=0, atol=1e-6
    )
    picture = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    near, exact = (
        Upscaler(restore=restore, scale=2, device="cpu", precision="fp32")(picture)
        for restore in (1e-6, 0.0)
    )
    torch.testing.assert_close(near, exact, rtol=0, atol=1e-4)


@pytest.mark.usefixtures("family")
def test_families() -> None:
    assert anchors("plain") == {0.0: "plain", 0.5: "coded", 1.0: "worn"}
    assert not anchors("alone")
    assert anchored("worn") == ("plain", 1.0)
    assert anchored("plain") is None
    assert restores(ModelOptions(), "cpu")
    assert not restores(ModelOptions(model="bicubic"), "cpu")


@pytest.mark.usefixtures("family")
def test_strength_of_a_network_that_has_one_only() -> None:
    with pytest.raises(OptionError, match=r"^alone "):
        load_network(ModelOptions(model="alone", restore=0.3), "cpu")
    with pytest.raises(OptionError, match=r"^bicubic "):
        load_network(ModelOptions(model="bicubic", restore=1.0), "cpu")
    assert load_network(ModelOptions(model="alone"), "cpu")[0] == "alone"


@pytest.mark.usefixtures("family")
def test_what_auto_is() -> None:
    assert settled(ModelOptions(), "cpu").restore == 0  # nothing is known
    assert settled(ModelOptions(), "cpu", 30.0).restore == restore_for(30.0) > 0
    assert settled(ModelOptions(model="alone"), "cpu", 30.0).restore == 0
    assert settled(ModelOptions(restore=0.9), "cpu", 30.0).restore == 0.9


@pytest.mark.usefixtures("family")
def test_pictures_are_enlarged_at_the_strength_that_was_asked_for() -> None:
    picture = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    made = [
        Upscaler(restore=restore, scale=2, device="cpu", precision="fp32")(picture)
        for restore in ("auto", 0.0, 0.5, 1.0)
    ]
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[1], made[2])
    assert not torch.equal(made[2], made[3])


def test_a_coarser_video_is_restored_more_and_never_as_film() -> None:
    strengths = [restore_for(float(qp)) for qp in range(52)]
    assert restore_for(None) == 0
    assert strengths[10] == 0
    assert all(one <= other for one, other in pairwise(strengths))
    assert max(strengths) <= 0.6
    assert strengths[30] > 0.3


@pytest.mark.parametrize("restore", [-0.1, 1.1, float("nan")])
def test_strengths_outside_are_refused(restore: float) -> None:
    with pytest.raises(OptionError, match="0 to 1"):
        ModelOptions(restore=restore)
