"""Recipes: the shipped one reads, and mistakes are named."""

from dataclasses import asdict
from pathlib import Path

import pytest

from neuralcodec.errors import UsageError
from neuralcodec.models.conv.config import ConvConfig
from neuralcodec.models.gru.network import RecurrentConfig
from neuralcodec.training.recipe import Recipe, read_recipe


def toml(recipe: Recipe, **changes: str | None) -> str:
    """A recipe as TOML, with entries replaced, added to [training], or left out (None)."""
    lines = []
    changes = dict(changes)
    for name, table in ((recipe.codec, asdict(recipe.model)), ("training", asdict(recipe.training))):
        lines.append(f"[{name}]")
        for key, value in table.items():
            text = changes.pop(key, repr(value))
            lines += [] if text is None else [f"{key} = {text}"]
    return "\n".join(lines + [f"{key} = {text}" for key, text in changes.items()])


def test_the_shipped_recipe_reads() -> None:
    recipe = read_recipe(Path("conv"))
    assert recipe.model == ConvConfig()
    assert recipe == read_recipe(Path("conv.toml"))
    assert recipe.training.crop > 160  # MS-SSIM is defined from there


def test_the_shipped_recipe_of_the_recurrent_codec_reads() -> None:
    recipe = read_recipe(Path("gru"))
    assert (recipe.codec, recipe.model) == ("gru", RecurrentConfig())


@pytest.mark.parametrize("model", ["", "[conv]\n[gru]\n"])
def test_a_recipe_is_for_one_codec(tmp_path: Path, recipe: Recipe, model: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(model + toml(recipe).partition("[training]")[2].join(("[training]", "")))
    with pytest.raises(UsageError, match=r"one table of a model beside \[training\]: \[conv\] or \[gru\]"):
        read_recipe(path)


def test_a_file_reads(tmp_path: Path, recipe: Recipe) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(toml(recipe))
    assert read_recipe(path) == recipe


def test_the_model_has_defaults_and_training_has_none(tmp_path: Path, recipe: Recipe) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(toml(recipe, levels=None))
    assert read_recipe(path).model.levels == ConvConfig().levels
    path.write_text(toml(recipe, batch=None))
    with pytest.raises(UsageError, match="batch is missing"):
        read_recipe(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bach": "8"}, "unknown entry 'bach'"),
        ({"batch": '"8"'}, "batch must be a number"),
        ({"batch": "8.5"}, "batch must be a whole number"),
        ({"batch": "true"}, "batch must be a number"),
        ({"learning_rate": "-1e-3"}, "learning_rate must be a number of at least 0"),
        ({"minutes": "[1]"}, "minutes must be a number"),
    ],
)
def test_bad_entries_are_named(tmp_path: Path, recipe: Recipe, changes: dict[str, str], words: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(toml(recipe, **changes))
    with pytest.raises(UsageError, match=words):
        read_recipe(path)


@pytest.mark.parametrize(("minutes", "steps"), [("0", "0"), ("5", "5"), (None, None)])
def test_a_run_has_minutes_or_steps(
    tmp_path: Path, recipe: Recipe, minutes: str | None, steps: str | None
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(toml(recipe, minutes=minutes, steps=steps))
    with pytest.raises(UsageError, match="give minutes or steps"):
        read_recipe(path)
    path.write_text(toml(recipe, minutes=None, steps="700"))
    assert read_recipe(path).training.steps == 700


@pytest.mark.parametrize("content", [b"[model", b"\xff\xfe", b"levels = = 3"])
def test_what_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="is not a TOML recipe"):
        read_recipe(path)


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the recipe"):
        read_recipe(tmp_path / "none.toml")
