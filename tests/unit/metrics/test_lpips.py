"""LPIPS beside numbers of the authors' package, by weights that both make from a seed.

``python -m tests.unit.metrics.test_lpips`` computes the numbers, where that package, torchvision
and scipy are installed. Trained weights are nowhere here: what is shown is the arithmetic.
"""

from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ciaovideo.errors import (
    CorruptWeightsError,
    MismatchedWeightsError,
    MissingWeightsError,
    OptionError,
)
from ciaovideo.metrics.lpips import LPIPS
from tests.networks import lpips_weights

# Of the package lpips 0.1.4 with torchvision 0.29.2 on the pictures below.
REFERENCE = (0.1908334493637085, 0.17439067363739014)
TOLERANCE = 1e-5  # relative: sums of fp32 in another order


def pictures() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    coarse = torch.rand(2, 3, 9, 11, generator=generator)
    hr = torch.nn.functional.interpolate(coarse, size=(96, 109), mode="bilinear")
    sr = hr + 0.1 * torch.randn(hr.shape, generator=generator)
    return sr.clamp(0, 1), hr


def test_it_equals_the_authors_package() -> None:
    sr, hr = pictures()
    ours = LPIPS(*lpips_weights())(sr, hr, border=0)
    assert ours.tolist() == pytest.approx(REFERENCE, rel=TOLERANCE)


def test_equal_pictures_are_at_no_distance_and_noise_adds_to_it() -> None:
    sr, hr = pictures()
    lpips = LPIPS(*lpips_weights())
    assert lpips(hr, hr, border=3).tolist() == [0, 0]
    assert (lpips(hr + 2 * (sr - hr), hr, border=3) > lpips(sr, hr, border=3)).all()


def test_the_border_does_not_count() -> None:
    sr, hr = pictures()
    lpips = LPIPS(*lpips_weights())
    before = lpips(sr, hr, border=5)
    sr[..., :5, :] = 0
    assert torch.equal(lpips(sr, hr, border=5), before)
    with pytest.raises(OptionError, match="63 px"):
        lpips(sr, hr, border=17)


def test_files_are_read_and_wrong_ones_refused(tmp_path: Path) -> None:
    backbone, heads = tmp_path / "alexnet.pth", tmp_path / "alex.pth"
    for path, content in zip((backbone, heads), lpips_weights(), strict=True):
        torch.save({**content, "classifier.1.bias": torch.zeros(3)}, path)
    sr, hr = pictures()
    assert torch.equal(
        LPIPS.load(backbone, heads)(sr, hr, border=0), LPIPS(*lpips_weights())(sr, hr, border=0)
    )
    with pytest.raises(MismatchedWeightsError, match=r"features\.0\.weight"):
        LPIPS.load(heads, backbone)
    with pytest.raises(MissingWeightsError, match="none"):
        LPIPS.load(tmp_path / "none.pth", heads)
    heads.write_bytes(b"not a state dict")
    with pytest.raises(CorruptWeightsError, match=r"alex\.pth"):
        LPIPS.load(backbone, heads)


def reference() -> list[float]:
    """What the authors' package says."""
    backbone, heads = lpips_weights()
    theirs = (
        import_module("lpips")
        .LPIPS(net="alex", pnet_rand=True, pretrained=False, verbose=False)
        .eval()
    )
    state = theirs.state_dict()
    for name in state:
        place = name.rpartition(".")[0].rpartition(".")[2]
        if name.startswith("net.slice"):
            state[name] = backbone[f"features.{place}.{name.rpartition('.')[2]}"]
        elif name in heads:
            state[name] = heads[name]
        elif name.startswith("lins."):
            state[name] = heads[name.replace("lins.", "lin")]
    theirs.load_state_dict(state)
    sr, hr = pictures()
    with torch.no_grad():
        distance: list[float] = theirs(sr * 2 - 1, hr * 2 - 1).flatten().tolist()
    return distance


if __name__ == "__main__":
    print(reference())
