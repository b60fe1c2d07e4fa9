"""Runs whose targets lie on lattices: they learn, resume exactly, and may use several threads."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ciaovideo.data.images import load_pictures
from ciaovideo.data.lattice import LatticeBatch, LatticeSampler
from ciaovideo.engine.engine import Engine
from ciaovideo.errors import MismatchedWeightsError, OptionError
from ciaovideo.models.weights import load_file
from ciaovideo.options import EngineOptions
from ciaovideo.train.gradients.prediction import predict
from ciaovideo.train.loop import WEIGHTS, TrainProgress
from tests.runs import assert_same, recipe, saved, small_runs, trainer

LATTICE = ("data.lattice=8", "data.groups=2", "data.candidates=2")
ROUNDING = 1e-5  # of colours in [0, 1]: sums of some hundred fp32 products in another order


@pytest.fixture(autouse=True)
def _in_a_folder_with_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with small_runs(tmp_path, monkeypatch):
        yield


def batch_of(groups: int = 2) -> LatticeBatch:
    store = load_pictures([Path("pictures")], 16)
    sampler = LatticeSampler(store, patch=8, side=6, scales=(1.0, 2.0), groups=groups)
    return sampler.draw(4, torch.Generator().manual_seed(0))


@pytest.mark.slow
def test_it_learns() -> None:
    losses: list[float] = []
    trainer("run", *LATTICE, "optim.steps=150").run(lambda progress: losses.append(progress.loss))
    assert losses[-1] < 0.85 * losses[0]  # below what the bilinear residual alone reaches


@pytest.mark.slow
def test_frames_of_one_scene_grow_alike() -> None:
    """With weight on it, two frames of one scene differ less after the same number of steps."""
    coded = ("data.coded.share=1.0", "data.coded.twins=1.0", "optim.steps=40", "data.patch=16")
    apart = []
    for weight in ("0.0", "5.0"):
        run = trainer(f"steady-{weight}", *LATTICE, *coded, f"loss.steady={weight}")
        run.run()
        run.learner.restore(torch.Generator().manual_seed(5).get_state())
        batch = run.learner.draw()
        assert isinstance(batch, LatticeBatch)
        assert any(target.twin for target in batch.targets)
        with torch.no_grad():
            parts = predict(run.network, batch, bf16=False)
        made = [part[0] for part in parts]
        apart.append(
            sum(
                (made[at - 1] - made[at]).abs().mean().item()
                for at, target in enumerate(batch.targets)
                if target.twin
            )
        )
    assert apart[1] < apart[0]


@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.heavy
def test_stopped_and_resumed_equals_uninterrupted(threads: int) -> None:
    torch.set_num_threads(threads)
    trainer("whole", *LATTICE).run()
    while not (part := trainer("parts", *LATTICE)).finished:
        before = part.step

        def stop_soon(progress: TrainProgress, first: int = before) -> None:
            if progress.step == first + 2:
                part.stop()

        part.run(stop_soon)
    assert_same(saved("parts"), saved("whole"))
    assert (Path("parts") / WEIGHTS).read_bytes() == (Path("whole") / WEIGHTS).read_bytes()


def test_two_threads_compute_what_one_does() -> None:
    made = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        run = trainer(f"with-{threads}", *LATTICE, "optim.steps=2")
        run.run()
        made.append(run.network.state_dict())
    for name, weight in made[0].items():
        torch.testing.assert_close(made[1][name], weight, rtol=1e-4, atol=ROUNDING)


def test_a_network_that_draws_at_random_has_one_thread() -> None:
    torch.set_num_threads(2)
    swinir = (
        "network.encoder=swinir",
        "network.encoder_options={ channels = 6, depths = [2], heads = 2, drop_path = 0.9 }",
    )
    run = trainer("run", *LATTICE, *swinir)
    run.prepare()
    assert run.learner.workers is None
    run = trainer("run", *LATTICE)
    run.prepare()
    assert run.learner.workers is not None


@pytest.mark.parametrize("residual", [True, False])
def test_lattices_are_predicted_as_points_are(residual: bool) -> None:
    torch.manual_seed(1)
    network = recipe(f"network.residual={str(residual).lower()}").build()
    batch = batch_of()
    parts = predict(network, batch, bf16=False)
    first = 0
    for (sr, hr, _, share), target in zip(parts, batch.targets, strict=True):
        some = slice(first, first := first + target.samples)
        grid = torch.stack(torch.meshgrid(target.rows, target.columns, indexing="ij"), dim=-1)
        coord = grid.flatten(0, 1).expand(target.samples, -1, -1)
        points = network(batch.lr[some], coord, batch.cell[some])
        wanted = points.transpose(1, 2).unflatten(2, grid.shape[:2])
        torch.testing.assert_close(sr, wanted, rtol=0, atol=ROUNDING)
        assert sr.shape == hr.shape
        assert share == target.samples / len(batch.lr)


def test_any_decoder_can_be_asked_for_lattices() -> None:
    options = "network.decoder_options={}"
    network = recipe(
        "network.decoder=ciaosr", options, "network.encoder_options.channels=4"
    ).build()
    batch = batch_of()
    for (sr, hr, _, _), target in zip(
        predict(network, batch, bf16=False), batch.targets, strict=True
    ):
        assert sr.shape == hr.shape == (2, 3, len(target.rows), len(target.columns))


def test_a_deeper_network_begins_where_a_shallower_one_ended() -> None:
    trainer("first", "optim.steps=3").run()
    start = 'start="first/weights.safetensors"'
    deeper = trainer("deeper", start, "network.encoder_options.blocks=3")
    same = trainer("same", start)
    lr = torch.rand(1, 3, 9, 7)
    features, alike = (run.network.get_submodule("encoder")(lr) for run in (deeper, same))
    torch.testing.assert_close(features, alike, rtol=0, atol=ROUNDING)
    weights = load_file(Path("first") / WEIGHTS).state_dict()
    name = "encoder.body.0.conv1.weight"
    assert torch.equal(deeper.network.state_dict()[name], weights[name])
    assert deeper.network.state_dict()["encoder.body.2.conv1.weight"].any()


@pytest.mark.parametrize(
    ("encoder", "blocks"), [("edsr", 1), pytest.param("edsr", 3, id="deeper"), ("span", 1)]
)
def test_a_wider_network_begins_where_a_narrower_one_ended(encoder: str, blocks: int) -> None:
    kind = f"network.encoder={encoder}"
    sizes = "network.encoder_options={{channels={}, blocks={}}}".format
    trainer("first", "optim.steps=3", kind, sizes(10, 1)).run()
    start = 'start="first/weights.safetensors"'
    run = trainer("wider", start, kind, sizes(14, blocks))
    assert [notice for notice in run.notices if "channels are added" in notice]
    assert not trainer("same", start, kind, sizes(10, 1)).notices
    wider = run.network
    narrow = load_file(Path("first") / WEIGHTS)
    lr = torch.rand(1, 3, 9, 7)
    features, before = (each.get_submodule("encoder")(lr) for each in (wider, narrow))
    torch.testing.assert_close(features[:, :10], before, rtol=0, atol=ROUNDING)
    assert features[:, 10:].std() > 0
    options = EngineOptions(device="cpu", precision="fp32")
    sr, same = (Engine(each.eval(), options)(lr, (18, 14)) for each in (wider, narrow))
    torch.testing.assert_close(sr, same, rtol=0, atol=ROUNDING)


def test_what_is_not_larger_is_refused() -> None:
    trainer("first", "optim.steps=3").run()
    start = 'start="first/weights.safetensors"'
    for smaller in ("encoder_options.channels=8", "decoder_options.hidden=16"):
        with pytest.raises(MismatchedWeightsError, match="another network"):
            trainer("other", start, f"network.{smaller}")


@pytest.mark.parametrize("groups", [1, 3, 9])
def test_groups_share_out_any_batch(groups: int) -> None:
    batch = batch_of(groups)
    assert sum(target.samples for target in batch.targets) == len(batch.lr) == 4
    assert len(batch.targets) == min(groups, 4)


@pytest.mark.heavy
def test_squares_take_over_at_their_step() -> None:
    trainer("never", *LATTICE).run()
    trainer("late", *LATTICE, "loss.squares_from=6").run()
    trainer("later", *LATTICE, "loss.squares_from=6", minutes=0).run()
    assert saved("later")["step"] == 1
    trainer("later", *LATTICE, "loss.squares_from=6").run()
    assert_same(saved("later"), saved("late"))
    with pytest.raises(AssertionError):
        assert_same(saved("never")["network"], saved("late")["network"])


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("data.groups=0", "groups 0 is below 1"),
        ("data.lattice=-1", "lattice -1 is below 0"),
        ("loss.squares_from=-1", "squares_from -1 is below 0"),
        ("data.coded.share=2.0", "share 2.0"),
        ("optim.decay_steps=-1", "decay_steps -1 is below 0"),
    ],
)
def test_what_does_not_go_together_is_refused(setting: str, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        recipe(*LATTICE, setting)


def test_points_do_not_go_with_what_lattices_have() -> None:
    with pytest.raises(OptionError, match="lattices"):
        recipe("data.coded.share=0.5")
    with pytest.raises(OptionError, match="discriminator"):
        recipe(*LATTICE, "data.window=true", "loss.adversarial=0.1")


CODED = ("data.window=true", "data.coded.share=0.7", "loss.color=0.5", "loss.perceptual=0.1")


def test_a_run_on_coded_patches_resumes_exactly() -> None:
    pytest.importorskip("av")
    trainer("whole", *LATTICE, *CODED, "optim.steps=4").run()
    trainer("parts", *LATTICE, *CODED, "optim.steps=4", minutes=0).run()
    assert saved("parts")["step"] == 1
    trainer("parts", *LATTICE, *CODED, "optim.steps=4").run()
    assert_same(saved("parts"), saved("whole"))


def test_lattices_of_degraded_patches() -> None:
    worn = ("data.degradation.share=1.0", "data.degradation.codecs=0.0")
    trainer("run", *LATTICE, *worn, "optim.steps=2").run()
    assert saved("run")["step"] == 2
