"""What is minimised: structures tell blur from detail, and judges learn."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from ciaovideo.data.degradation.blur import smooth
from ciaovideo.errors import CorruptWeightsError, MismatchedWeightsError, MissingWeightsError
from ciaovideo.train.objective.discriminator import Adversary, UNetDiscriminator
from ciaovideo.train.objective.losses import (
    SQUARES,
    VGG19,
    Objective,
    StructureLoss,
    VggLoss,
    as_pictures,
    coarse_difference,
)
from ciaovideo.train.options import LossOptions

CPU = torch.device("cpu")


def pictures(seed: int = 0, side: int = 32) -> Tensor:
    noise = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(seed))
    return (0.5 + 2 * (smooth(noise, 1.0) - 0.5)).clamp(0, 1)


def points(picture: Tensor) -> Tensor:
    return picture.flatten(2).transpose(1, 2)


def test_structures_want_contrast_where_they_agree_and_no_detail_besides() -> None:
    """A blur of half the contrast loses to one of full contrast, which L1 does not tell apart."""
    true = pictures()
    loss = StructureLoss()
    assert loss(true, true) == 0
    blurred = smooth(true, 0.7)
    mean = true.mean(dim=(2, 3), keepdim=True)
    faint = mean + 0.4 * (blurred - mean)
    assert loss(blurred, true) < 0.2 * loss(faint, true)
    period = torch.arange(32) % 2 * 0.12
    meshed = (
        faint + period * period[:, None] / 0.12
    )  # as much detail again, that nothing agrees with
    assert loss(meshed, true) > loss(faint, true)
    assert loss(1 - true, true) > 1.2


def test_structures_are_learned_by_gradients_and_in_small_windows() -> None:
    true = pictures(side=12)
    made = smooth(true, 2.0).requires_grad_()
    loss = StructureLoss()
    loss(made, true).backward()
    assert made.grad is not None
    assert made.grad.isfinite().all()
    assert loss(made.detach() - 0.2 * made.grad / made.grad.abs().max(), true) < loss(made, true)
    flat = torch.full((2, 3, 12, 12), 0.4).requires_grad_()
    loss(flat, true).backward()
    assert flat.grad is not None
    assert flat.grad.isfinite().all()


def vgg_tensors() -> dict[str, Tensor]:
    """Small random weights under torchvision's names, and one of the classifier's."""
    generator = torch.Generator().manual_seed(0)
    tensors, number, inside = {"classifier.0.weight": torch.zeros(2, 2)}, 0, 3
    for width in VGG19:
        if width:
            shape = (width, inside, 3, 3)
            noise = torch.randn(shape, generator=generator)
            tensors[f"features.{number}.weight"] = noise * (2 / (9 * inside)) ** 0.5
            tensors[f"features.{number}.bias"] = torch.zeros(width)
            inside, number = width, number + 2
        else:
            number += 1
    return tensors


@pytest.mark.heavy
def test_features_of_vgg_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "vgg19.pth"
    tensors = vgg_tensors()
    torch.save(tensors, path)
    loss = VggLoss(path)
    true = pictures()
    assert loss(true, true) == 0
    assert 0 < loss(smooth(true, 1.0), true) < loss(smooth(true, 3.0), true)
    assert not any(weight.requires_grad for weight in loss.parameters())
    objective = Objective(LossOptions(perceptual=1.0, features=path), CPU)
    total, distance = objective(points(smooth(true, 1.0)), points(true), 0)
    assert total.item() == pytest.approx((distance + loss(smooth(true, 1.0), true)).item())
    with pytest.raises(MissingWeightsError, match="absent"):
        VggLoss(tmp_path / "absent.pth")
    path.write_bytes(b"no weights")
    with pytest.raises(CorruptWeightsError, match=r"vgg19\.pth"):
        VggLoss(path)
    del tensors["features.34.bias"]
    save_file(tensors, tmp_path / "other.safetensors")
    with pytest.raises(MismatchedWeightsError, match="VGG19"):
        VggLoss(tmp_path / "other.safetensors")


@pytest.mark.parametrize("size", [(32, 32), (30, 21)])
def test_the_discriminator_judges_each_pixel(size: tuple[int, int]) -> None:
    picture = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    assert UNetDiscriminator(4)(picture).shape == (1, 1, *size)


def test_at_full_size_it_is_the_published_one() -> None:
    """The number of weights of Real-ESRGAN's UNetDiscriminatorSN."""
    with torch.random.fork_rng():
        discriminator = UNetDiscriminator()
    assert sum(weight.numel() for weight in discriminator.parameters()) == 4_376_897


@pytest.mark.heavy
def test_the_adversary_learns_to_tell_and_its_judgement_reaches_the_network() -> None:
    torch.manual_seed(0)
    adversary = Adversary(4, CPU)
    real = pictures()
    made = smooth(real, 2.0).requires_grad_()
    before = adversary.loss(made).item()
    for _ in range(30):
        adversary.learn(made, real, 4e-3)
    assert made.grad is None  # it learns without teaching
    loss = adversary.loss(made)
    assert loss.item() > before + 0.05
    held = [weight.clone() for weight in adversary.discriminator.parameters()]
    loss.backward()
    assert made.grad is not None
    assert made.grad.abs().sum() > 0
    for weight, kept in zip(adversary.discriminator.parameters(), held, strict=True):
        assert torch.equal(weight, kept)
        assert weight.requires_grad


def test_the_second_stage_begins_at_its_step() -> None:
    torch.manual_seed(0)
    options = LossOptions(from_step=5, perceptual=0.1, adversarial=0.1, discriminator_channels=4)
    objective = Objective(options, CPU)
    true = points(pictures())
    made = points(smooth(pictures(), 1.0))
    adversary = objective.adversary
    assert adversary is not None
    first = {name: value.clone() for name, value in adversary.discriminator.state_dict().items()}
    total, distance = objective(made, true, 4)
    objective.learn(made, true, 4, 1e-3)
    assert total is distance
    assert all(torch.equal(v, first[n]) for n, v in adversary.discriminator.state_dict().items())
    total, distance = objective(made, true, 5)
    assert total > distance
    objective.learn(made, true, 5, 1e-3)
    assert not torch.equal(adversary.discriminator.first.weight, first["first.weight"])


def test_points_row_by_row_are_pictures() -> None:
    picture = pictures()
    assert torch.equal(as_pictures(points(picture)), picture)


def test_a_shift_of_colour_shows_where_noise_does_not() -> None:
    """Both are as far off by L1; the mean over a square forgives noise and not a shift."""
    true = pictures()
    noise = torch.randn(true.shape, generator=torch.Generator().manual_seed(1)).sign() * 0.02
    assert coarse_difference(true, true) == 0
    assert coarse_difference(true + 0.02, true) == pytest.approx(0.02, rel=1e-3)
    assert coarse_difference(true + noise, true) < 0.004
    small = true[..., :5, :7]
    assert coarse_difference(small + 0.02, small) == pytest.approx(0.02, rel=1e-3)


def test_the_objective_weighs_colour_beside_l1() -> None:
    true = pictures()
    objective = Objective(LossOptions(color=0.5), CPU)
    total, distance = objective(true + 0.02, true, 0)
    assert total == pytest.approx(1.5 * distance.item(), rel=1e-3)


def test_squares_take_the_place_of_l1_from_their_step() -> None:
    true = pictures()
    objective = Objective(LossOptions(squares_from=5), CPU)
    before, distance = objective(true + 0.02, true, 4)
    after, same = objective(true + 0.02, true, 5)
    assert before == distance == same
    assert after == pytest.approx(SQUARES * 0.02**2, rel=1e-3)
