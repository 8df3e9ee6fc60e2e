"""What a step of each codec minimises."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from neuralcodec.errors import UsageError
from neuralcodec.training.checkpoint import read_checkpoint
from neuralcodec.training.conv import ConvObjective
from neuralcodec.training.forms import form_of
from neuralcodec.training.gru import STAGES_SEEN, RecurrentObjective
from neuralcodec.training.loop import Trainer
from neuralcodec.training.objectives import Terms, loss_of
from neuralcodec.training.recipe import Recipe

pytestmark = pytest.mark.usefixtures("quick_start", "signals")


@pytest.fixture
def trainer(gru_recipe: Recipe, images: Path, tmp_path: Path) -> Trainer:
    return Trainer(gru_recipe, images, tmp_path / "run", images, precision="float32")


def test_a_stage_is_charged_for_all_before_it(trainer: Trainer) -> None:
    x = trainer._pixels(trainer.sampler.crops(0))
    [(_, x_hat, bits, lam, *_)] = trainer.objective.terms(trainer.model, x, trainer.sampler, 0)
    assert x_hat.shape == (STAGES_SEEN * len(x), 3, 192, 192)
    assert bits.shape == lam.shape == (STAGES_SEEN * len(x),)
    by_stage = bits.view(STAGES_SEEN, len(x))
    assert (by_stage[1:] > by_stage[:-1]).all()
    assert (lam.view(STAGES_SEEN, len(x)).diff(dim=0) > 0).all()


def test_every_stage_is_seen_in_the_end(trainer: Trainer) -> None:
    seen = [trainer.sampler.choose(step, 8, STAGES_SEEN) for step in range(60)]
    assert all(len(set(stages)) == STAGES_SEEN for stages in seen)
    counts = [sum(stage in stages for stages in seen) for stage in range(8)]
    assert min(counts) > 10
    assert trainer.sampler.choose(7, 8, 3) == trainer.sampler.choose(7, 8, 3)


def test_the_loss_compares_each_stage_with_its_own_sample(trainer: Trainer) -> None:
    """A perfect reconstruction of every sample leaves the rate alone."""
    x = trainer._pixels(trainer.sampler.crops(0))
    share = torch.ones(2 * len(x))
    bits = torch.full((2 * len(x),), 192.0 * 192.0)
    twice = x.repeat(2, 1, 1, 1)
    terms = Terms(twice, twice, bits, share)
    loss, bpp, error = loss_of(trainer.config.tradeoff, terms, mse_only=False)
    assert error.abs().max() < 1e-5
    assert (bpp == 1).all()
    assert loss.item() == pytest.approx(trainer.config.lambda_high**-0.5, abs=1e-4)


def test_repeating_a_batch_lowers_its_loss(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    crops = trainer.sampler.crops(0)
    monkeypatch.setattr(trainer.sampler, "crops", lambda step: crops)
    monkeypatch.setattr(trainer.sampler, "choose", lambda step, count, size: [0, 3, 7])
    losses = [trainer._train_step()["loss"] for _ in range(12)]
    assert losses[-1] < 0.9 * losses[0]


def test_validation_has_a_point_for_each_stage(trainer: Trainer) -> None:
    points = trainer.validate()["valid"]
    assert isinstance(points, list)
    assert len(points) == 8
    assert all(later[0] > earlier[0] for earlier, later in itertools.pairwise(points))


def test_a_checkpoint_says_its_codec(trainer: Trainer, gru_recipe: Recipe, tmp_path: Path) -> None:
    trainer.save()
    assert read_checkpoint(tmp_path / "run" / "checkpoint.safetensors").model == gru_recipe.model


def test_the_codec_decides(recipe: Recipe, gru_recipe: Recipe) -> None:
    assert isinstance(form_of(recipe.codec).objective(recipe.model), ConvObjective)
    assert isinstance(form_of(gru_recipe.codec).objective(gru_recipe.model), RecurrentObjective)
    assert form_of("gru").objective(replace(gru_recipe.model, latent=12)).components == 36


def test_a_codec_that_is_not_trained() -> None:
    with pytest.raises(UsageError, match="no training for the codec 'toy', only for conv, gru"):
        form_of("toy")
