"""Recipes: what is bundled, what can be overridden, and what is refused."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ciaovideo.errors import MissingInputError, OptionError, UnknownNameError
from ciaovideo.models.weights import weights_folder
from ciaovideo.train.loop import RunOptions, Trainer
from ciaovideo.train.options import DataOptions, OptimOptions
from ciaovideo.train.recipe import RECIPES, list_recipes, read_recipe
from ciaovideo.train.start import begin

WEIGHTS = {  # EDSR, RDN and SwinIR as published
    "ciaosr-fast": 227_984,
    "ciaosr-medium": 479_904,
    "ciaosr-archive": 227_984,
    "ciaosr-coded": 227_984,
    "ciaosr-archive-video": 909_240,
    "ciaosr-video": 909_240,
    "ciaosr-video-lm": 1_176_787,
    "ciaosr-edsr": 2_649_030,
    "ciaosr-edsr-quick": 2_649_030,
    "ciaosr-rdn": 23_402_566,
    "ciaosr-swinir": 14_667_218,
    "asdn": 22_438_288,
    "asdn-small": 828_864,
    "eqsr": 13_619_510,
}
REDUCED = {  # options of each encoder, and of each network in one piece, for a run of a second
    "asdn": ("features=4", "blocks=1", "layers=1", "reduction=2"),
    "edsr": ("channels=8", "blocks=1"),
    "eqsr": (
        *("channels=8", "groups=1", "blocks=1", "heads=2", "window=4", "overlap=6"),
        *("frequencies=2", "hidden=8"),
    ),
    "fsdn": ("features=4", "blocks=1", "layers=1", "reduction=2"),
    "hiet": ("channels=8", "blocks=1", "levels=2", "heads=2", "window=4"),
    "pixel-shuffle": ("encoder_options={channels=8, blocks=1, levels=2, heads=2, window=4}",),
    "rdn": ("channels=8", "blocks=1", "layers=1", "growth=8"),
    "swinir": ("channels=12", "depths=[1, 1]", "heads=2"),
}

MINIMAL = '[network]\nencoder = "edsr"\ndecoder = "ciaosr"\n'


@pytest.mark.parametrize("name", list_recipes())
@pytest.mark.heavy
def test_every_bundled_recipe_reads_and_builds(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.name == name
    assert recipe.options.summary
    assert recipe.options.licence
    assert not recipe.options.data.sources  # whoever trains brings the pictures
    with torch.device("meta"):
        network = recipe.build()
    count = sum(weight.numel() for weight in network.parameters())
    assert count == WEIGHTS.get(name, count)


@pytest.mark.parametrize("name", list_recipes())
@pytest.mark.heavy
def test_every_bundled_recipe_starts(name: str, tmp_path: Path) -> None:
    """Two steps of each, of a smaller network on small patches."""
    (tmp_path / "pictures").mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "pictures" / "noise.png")
    recipe = read_recipe(name)
    half, kind = recipe.network.encoder, "encoder_options" if recipe.network.encoder else "options"
    reduced = REDUCED[half or recipe.network.network]
    changes = [f"network.{kind}.{text}" for text in reduced]
    if "hidden" in recipe.network.decoder_options or recipe.network.decoder == "ciaosr":
        hidden = {"ciaosr": "[8, 8]"}.get(recipe.network.decoder, "8")
        changes.append(f"network.decoder_options.hidden={hidden}")
    changes += [f"data.sources=['{tmp_path / 'pictures'}']", "data.patch=8", "data.queries=16"]
    changes += ["data.batch=2", "optim.steps=2"]
    trainer = Trainer(read_recipe(name, changes), RunOptions(folder=tmp_path / "run"))
    trainer.run()
    assert trainer.finished
    assert trainer.loss > 0


@pytest.mark.parametrize("name", list_recipes())
def test_a_base_lends_no_optimizer_that_draws_a_grid(name: str) -> None:
    options = read_recipe(name).options
    if options.loss.adversarial:
        assert options.optim.optimizer == "adam"
        assert options.optim.weight_decay == 0


def test_a_base_and_what_differs(tmp_path: Path) -> None:
    swinir, edsr = read_recipe("ciaosr-swinir"), read_recipe("ciaosr-edsr")
    assert swinir.network.decoder_options == edsr.network.decoder_options
    assert "blocks" not in swinir.network.encoder_options  # of EDSR: not handed on
    assert swinir.options.optim == edsr.options.optim
    assert (swinir.options.data.batch, edsr.options.data.batch) == (10, 16)
    bare = read_recipe("ablation-mlp").network
    assert bare.encoder_options == read_recipe("ciaosr-rdn").network.encoder_options
    assert bare.decoder_options["hidden"] == [256] * 4
    assert (bare.decoder_options["attention"], bare.decoder_options["non_local_scales"]) == (
        False,
        [],
    )
    (tmp_path / "mine.toml").write_text(MINIMAL, encoding="utf-8")
    (tmp_path / "more.toml").write_text('base = "mine.toml"\nsummary = "more"\n', encoding="utf-8")
    more = read_recipe(str(tmp_path / "more.toml"))
    assert (more.network.decoder, more.options.summary) == ("ciaosr", "more")


@pytest.mark.parametrize(
    ("base", "said"), [("mine.toml", "on this recipe itself"), ("absent.toml", "absent"), (3, "3")]
)
def test_bases_that_are_none(base: object, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"base = {base!r}\n" + MINIMAL, encoding="utf-8")
    with pytest.raises(OptionError, match=said):
        read_recipe(str(path))


def test_the_published_recipe_is_the_paper_s() -> None:
    options = read_recipe("ciaosr-edsr").options
    assert options.data == DataOptions(patch=48, queries=2304, distinct=True, batch=16)
    assert options.optim == OptimOptions(
        steps=1_000_000, learning_rate=1e-4, schedule="halving", betas=(0.9, 0.999), ema=0.0
    )


def test_a_recipe_from_a_file_has_its_name_and_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL, encoding="utf-8")
    recipe = read_recipe(str(path))
    assert recipe.name == "mine"
    assert recipe.network.encoder_options == {}
    assert recipe.options.optim == OptimOptions()
    assert recipe.options.optim.betas == (0.9, 0.99)
    assert recipe.options.optim.schedule == "cosine"


def test_overrides() -> None:
    recipe = read_recipe(
        "ciaosr-fast",
        [
            "optim.steps=10",
            "optim.learning_rate = 1e-3",
            "optim.schedule=halving",
            "optim.milestones=3,5",
            "optim.betas=[0.5, 0.75]",
            "optim.bf16=false",
            "data.sources=a.tar,some folder/b=c.zip",
            "network.encoder_options.blocks=2",
            "summary=made smaller",
        ],
    )
    optim = recipe.options.optim
    assert (optim.steps, optim.learning_rate, optim.schedule) == (10, 1e-3, "halving")
    assert (optim.milestones, optim.betas, optim.bf16) == ((3, 5), (0.5, 0.75), False)
    assert recipe.options.data.sources == ("a.tar", "some folder/b=c.zip")
    assert recipe.network.encoder_options == {"channels": 32, "blocks": 2, "slope": 0.1}
    assert recipe.options.summary == "made smaller"
    assert read_recipe("ciaosr-fast", ["optim.milestones=7"]).options.optim.milestones == (7,)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("optim.steps", "sets nothing"),
        ("=3", "sets nothing"),
        ("optim.step=3", "unknown option 'step'"),
        ("optim.steps=many", "not a whole number"),
        ("optim.schedule=linear", "one of cosine, halving"),
        ("optim.steps.more=3", "no part steps"),
        ("optim.steps=0", "steps 0 is below 1"),
        ("optim.learning_rate=nan", "learning_rate nan"),
        ("optim.betas=0.9,1.0", "outside 0 to 1"),
        ("optim.ema=1.0", "outside 0 to 1"),
        ("optim.betas=nan,nan", "outside 0 to 1"),
        ("validation.folder=", "'' is not a path"),
        ("optim.seed=4294967296", "seed 4294967296 is not below"),
        ("data.batch=0", "batch 0 is below 1"),
        ("data.every=0", "every 0 is below 1"),
        ("data.low_scale=0.5", "low_scale 0.5 is below 1"),
        ("data.high_scale=0.9", "cannot be drawn"),
        ("data.high_scale=31", "cannot be drawn"),
        ("data.degradation.share=2", "share 2.0"),
        ("data.degradation.blurr=0.5", "unknown option 'blurr'"),
        ("loss.perceptual=-1", "perceptual -1.0 is below 0"),
        ("loss.adversarial=0.1", "set data.window to true"),
        ("loss.features=vgg19.pth", "features are given"),
        ("network.encoder=3", "encoder: 3"),
        ("network.depth=3", "unknown option 'depth'"),
    ],
)
def test_overrides_that_cannot_be_meant(override: str, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        read_recipe("ciaosr-fast", [override])


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("encoder_options.channels=0", r"encoder\.\S+ is empty"),
        ("encoder_options.channels=-3", "negative"),
        ("encoder_options.blocks=many", "ciaosr-fast: network"),
        ("encoder_options.slope=nan", "slope nan"),
        ("decoder_options.slope=-0.1", "slope -0.1"),
        ("decoder_options.rank=-1", "negative"),
        ("decoder_options.hidden=[8]", "ciaosr-fast: network"),
    ],
)
def test_sizes_that_no_network_has(override: str, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        read_recipe("ciaosr-fast", [f"network.{override}"]).build()


def test_another_half_of_the_network_leaves_the_options_of_the_first() -> None:
    words = ["network.encoder=rdn", "network.encoder_options.blocks=2", "network.decoder=lm-ciaosr"]
    network = read_recipe("ciaosr-fast", words).network
    assert (network.encoder_options, network.decoder_options) == ({"blocks": 2}, {})
    network = read_recipe("ciaosr-fast", ["network.encoder=edsr"]).network
    assert network.encoder_options == {"channels": 32, "blocks": 10, "slope": 0.1}


def test_no_source_is_not_the_current_folder() -> None:
    assert read_recipe("ciaosr-fast", ["data.sources=a,"]).options.data.sources == ("a",)
    recipe = read_recipe("ciaosr-fast", ["data.sources="])
    with pytest.raises(MissingInputError, match=r"none named.*DIV2K"):
        recipe.sources()


def test_no_more_distinct_pixels_than_the_smallest_crop_has() -> None:
    with pytest.raises(OptionError, match="1025 distinct"):
        DataOptions(patch=32, queries=1025, distinct=True)
    assert DataOptions(patch=32, queries=1025, distinct=True, low_scale=1.1).distinct


def test_a_window_is_a_square_that_fits() -> None:
    assert DataOptions(patch=32, queries=1024, window=True).window
    for queries in (1000, 1089):
        with pytest.raises(OptionError, match=f"{queries} queries"):
            DataOptions(patch=32, queries=queries, window=True)


def test_ranges_of_degradations_are_overridden() -> None:
    made = read_recipe("ciaosr-archive", ["data.degradation.jpeg_quality=50,60"])
    degradation = made.options.data.degradation
    assert degradation.jpeg_quality == (50.0, 60.0)
    assert degradation.share > 0
    assert read_recipe("ciaosr-fast").options.data.degradation.share == 0


@pytest.mark.parametrize("sizes", [(), (0.5, 0.0), (1.5,), (float("nan"),)])
def test_sizes_are_shares_of_a_picture(sizes: tuple[float, ...]) -> None:
    with pytest.raises(OptionError, match="sizes are not shares"):
        DataOptions(sizes=sizes)


def test_whole_scales_lie_between_whole_ones() -> None:
    with pytest.raises(OptionError, match="whole_scales"):
        DataOptions(whole_scales=True, low_scale=1.5)


def test_names_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="'ciaosr-fast'"):
        read_recipe("ciaosr-fats")
    with pytest.raises(OptionError, match=r"absent\.toml"):
        read_recipe(str(tmp_path / "absent.toml"))
    with pytest.raises(UnknownNameError, match="no encoder"):
        read_recipe("ciaosr-fast", ["network.encoder=edrs"]).build()
    with pytest.raises(OptionError, match="unexpected keyword"):
        read_recipe("ciaosr-fast", ["network.encoder_options.layers=3"]).build()


@pytest.mark.parametrize("text", ["steps = ", "\udcff", "[network]\nencoder = 'edsr'\n"])
def test_files_that_are_no_recipes(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(OptionError, match=r"mine\.toml"):
        read_recipe(str(path))


def test_sources_are_relative_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = read_recipe("ciaosr-fast", ["data.sources=here,there.tar"])
    with pytest.raises(MissingInputError, match=str(tmp_path / "here")):
        recipe.sources()
    (tmp_path / "here").mkdir()
    (tmp_path / "there.tar").touch()
    assert recipe.sources() == [tmp_path / "here", tmp_path / "there.tar"]
    with pytest.raises(MissingInputError, match="none named"):
        read_recipe("ciaosr-fast", ["data.sources=[]"]).sources()


STARTS = [
    (name, start)
    for name in list_recipes()
    for start in re.findall(
        r"start=weights/(\S+\.safetensors)", (RECIPES / f"{name}.toml").read_text(encoding="utf-8")
    )
]


@pytest.mark.parametrize(("name", "start"), STARTS)
@pytest.mark.heavy
def test_a_recipe_begins_with_the_bundled_weights_that_its_comment_names(
    name: str, start: str
) -> None:
    recipe = read_recipe(name)
    parts = recipe.options.start_with
    begin(recipe.network.build(), weights_folder() / start, recipe.network, parts)
