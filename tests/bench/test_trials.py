"""Training trials: other optimizers, and a table of runs of equal time."""

import importlib
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from conftest import photograph
from PIL import Image
from tiny import TINY_MODEL
from torch import nn

from neuralcodec.training.recipe import Recipe, read_recipe

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def optimizers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("optimizers")


@pytest.fixture
def trials(optimizers: ModuleType) -> Iterator[ModuleType]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield importlib.import_module("trials")
    for number, handler in kept.items():
        signal.signal(number, handler)


class Skewed(nn.Module):
    """A quadratic of a matrix with curvatures from 1 to 1,000, along axes that no element has."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.manual_seed(0)
        self.dense = nn.Conv2d(12, 16, 1)
        self.turned = torch.linalg.qr(torch.randn(12, 12, generator=generator))[0]
        self.target = torch.randn(16, 12, generator=generator)

    def forward(self) -> torch.Tensor:
        error = (self.dense.weight.flatten(1) - self.target) @ self.turned
        return (error.square() * torch.logspace(0, 3, 12)).sum() + self.dense.bias.square().sum()


@pytest.mark.parametrize(("name", "share"), [("AdamW", 1e-2), ("Soap", 1.5e-3)])
def test_optimizers_minimise(optimizers: ModuleType, name: str, share: float) -> None:
    """And the one that finds the axes goes further."""
    model = Skewed()
    optimizer = getattr(optimizers, name)(model, weight_decay=0.0)
    start = float(model().detach())
    for step in range(300):
        model().backward()
        optimizer.step(0.05 * (1 - step / 300))
    assert 0 <= float(model().detach()) < share * start
    assert optimizer.steps == 300


@pytest.mark.parametrize("name", ["AdamW", "Soap"])
def test_matrices_alone_decay_and_once(optimizers: ModuleType, name: str) -> None:
    model = Skewed()
    optimizer = getattr(optimizers, name)(model, weight_decay=0.5)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step(0.1)
    assert torch.allclose(model.dense.weight, 0.95 * before["dense.weight"])
    assert model.dense.bias.equal(before["dense.bias"])


def test_a_table_of_trials(
    trials: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(photograph(520, 800)).save(photos / "a.png")
    training = replace(read_recipe(Path("conv")).training, batch=1, crop=192, warmup_steps=1)
    monkeypatch.setattr(trials, "read_recipe", lambda _: Recipe(training, "conv", TINY_MODEL))
    words = [photos, photos, "--minutes", "0.01", "--out", tmp_path / "out"]
    words += ["--only", "soap", "no-shortcuts", "rate-half"]
    monkeypatch.setattr(sys, "argv", ["trials.py", *map(str, words)])
    assert trials.main() == 0
    table = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table[2:]]
    assert [row[0] for row in rows] == [
        "base",
        "seed-2",
        "seed-3",
        "half",
        "soap",
        "no-shortcuts",
        "rate-half",
    ]
    assert [path.parent.name for path in (tmp_path / "out").glob("*/cost.json")] == ["soap"]
    assert all(row[2] == "1.00" and row[4] == row[5] for row in rows if row[0] != "soap")
    assert (tmp_path / "out" / "pixels.bin").samefile(tmp_path / "out" / "soap" / "pixels.bin")

    assert trials.main() == 0  # nothing is trained again
    assert capsys.readouterr().out.splitlines() == table


def test_half_a_trial_does_not_count(
    trials: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(photograph(520, 800)).save(tmp_path / "a.png")
    training = replace(read_recipe(Path("conv")).training, batch=1, crop=192, warmup_steps=1)
    monkeypatch.setattr(trials, "read_recipe", lambda _: Recipe(training, "conv", TINY_MODEL))
    monkeypatch.setattr(trials.Trainer, "run", lambda *_, **__: None)  # as after Ctrl-C at once
    words = [tmp_path, tmp_path, "--out", tmp_path / "out"]
    monkeypatch.setattr(sys, "argv", ["trials.py", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        trials.main()
    assert stopped.value.code == 130
    assert not (tmp_path / "out" / "base").exists()
    assert "base" not in capsys.readouterr().out


def test_the_recipe_after_any_number_of_steps(trials: ModuleType) -> None:
    """Bytes that fall with the square root of the steps."""
    recipes = trials.Recipes([(100, 1.0), (400, 0.5), (200, 0.5**0.5)])
    assert recipes.compared(0.5, 400) == pytest.approx(0.0, abs=1e-9)
    assert recipes.compared(0.5, 100) == pytest.approx(-50.0)
    assert recipes.compared(0.5, 1600) == pytest.approx(100.0)
    assert recipes.compared(None, 100) is None
    assert trials.Recipes([(100, 1.0), (100, 0.9)]).compared(1.0, 100) is None


def test_a_change_of_the_recipe(trials: ModuleType) -> None:
    recipe = read_recipe(Path("conv"))
    changed = trials.changed(recipe, trials.TRIALS["rate-half"], 3.0)
    assert changed.training == replace(
        recipe.training, learning_rate=recipe.training.learning_rate / 2, minutes=3.0, warmup_steps=30
    )
    assert trials.changed(recipe, trials.TRIALS["wide"], 3.0).model == replace(
        recipe.model, fine=128, coarse=256
    )
    assert trials.changed(recipe, trials.BASES["half"], 3.0).training.minutes == 1.5
    for trial in trials.TRIALS.values():
        trials.changed(recipe, trial, 3.0)
