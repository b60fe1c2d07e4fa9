"""Recipes: what is bundled, what can be overridden, and what is refused."""

from pathlib import Path

import pytest

from ciaovideo.errors import MissingInputError, OptionError, UnknownNameError
from ciaovideo.train.recipe import DataOptions, OptimOptions, list_recipes, read_recipe

WEIGHTS = {
    "ciaosr-archive": 190_992,
    "ciaosr-edsr": 2_649_030,  # as published
    "ciaosr-fast": 190_992,
}

MINIMAL = '[network]\nencoder = "edsr"\ndecoder = "ciaosr"\n'


@pytest.mark.parametrize("name", list_recipes())
def test_every_bundled_recipe_reads_and_builds(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.name == name
    assert recipe.options.summary
    assert recipe.options.licence
    assert recipe.options.data.sources
    network = recipe.build()
    assert sum(weight.numel() for weight in network.parameters()) == WEIGHTS[name]


def test_the_published_recipe_is_the_paper_s() -> None:
    options = read_recipe("ciaosr-edsr").options
    assert options.data == DataOptions(
        sources=options.data.sources, patch=48, queries=2304, distinct=True, batch=16
    )
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
    assert recipe.network.encoder_options == {"channels": 32, "blocks": 2}
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
        ("optim.steps.more=3", "no part of a recipe"),
        ("optim.steps=0", "steps 0 is below 1"),
        ("optim.learning_rate=nan", "learning_rate nan"),
        ("optim.betas=0.9,1.0", "outside 0 to 1"),
        ("optim.ema=1.0", "outside 0 to 1"),
        ("data.batch=0", "batch 0 is below 1"),
        ("data.low_scale=0.5", "low_scale 0.5 is below 1"),
        ("data.high_scale=0.9", "cannot be drawn"),
        ("data.high_scale=31", "cannot be drawn"),
        ("data.degradation.share=2", "share 2.0 is no probability"),
        ("data.degradation.blurr=0.5", "unknown option 'blurr'"),
        ("data.pairs=pairs.pt", "nothing is degraded"),
        ("loss.perceptual=-1", "perceptual -1.0 is below 0"),
        ("loss.adversarial=0.1", "set data.window to true"),
        ("loss.features=vgg19.pth", "their loss has no weight"),
        ("network.encoder=3", "encoder: 3"),
        ("network.depth=3", "unknown option 'depth'"),
    ],
)
def test_overrides_that_cannot_be_meant(override: str, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        read_recipe("ciaosr-fast", [override])


def test_no_more_distinct_pixels_than_the_smallest_crop_has() -> None:
    with pytest.raises(OptionError, match="1025 distinct pixels"):
        DataOptions(patch=32, queries=1025, distinct=True)
    assert DataOptions(patch=32, queries=1025, distinct=True, low_scale=1.1).distinct


def test_a_window_is_a_square_that_fits() -> None:
    assert DataOptions(patch=32, queries=1024, window=True).window
    for queries in (1000, 1089):
        with pytest.raises(OptionError, match=f"{queries} pixels are no square"):
            DataOptions(patch=32, queries=queries, window=True)


def test_ranges_of_degradations_are_overridden() -> None:
    made = read_recipe("ciaosr-archive", ["data.degradation.jpeg_quality=50,60"])
    degradation = made.options.data.degradation
    assert degradation.jpeg_quality == (50.0, 60.0)
    assert degradation.share > 0
    assert read_recipe("ciaosr-fast").options.data.degradation.share == 0


def test_names_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'ciaosr-fast'"):
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
