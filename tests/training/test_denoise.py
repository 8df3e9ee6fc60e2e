"""The network that takes noise out, in training: the same loop, without a codec."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import TINY_SIZES, write_conv_weights

from neuralcodec import weights
from neuralcodec.errors import UsageError
from neuralcodec.models.denoise import load
from neuralcodec.models.denoise.network import DenoiseConfig
from neuralcodec.training.checkpoint import CHECKPOINT
from neuralcodec.training.denoise import spoilt
from neuralcodec.training.export import export
from neuralcodec.training.loop import Trainer
from neuralcodec.training.noise import generator_at
from neuralcodec.training.recipe import read_recipe
from neuralcodec.weights import denoiser

pytestmark = pytest.mark.usefixtures("signals")

Train = Callable[..., Trainer]


@pytest.fixture
def train(images: Path, tmp_path: Path) -> Train:
    """Takes a few steps of a tiny network."""

    def run(steps: int, start: weights.WeightsFile | None = None) -> Trainer:
        shipped = read_recipe(Path("denoise"))
        training = replace(
            shipped.training,
            minutes=0.0,
            steps=max(steps, 1),
            batch=6,
            crop=64,
            warmup_steps=1,
            ema_decay=0.9,
            learning_rate=1e-2,
        )
        tiny = replace(shipped, training=training, model=DenoiseConfig(**TINY_SIZES["denoise"]))
        trainer = Trainer(tiny, images, tmp_path / "run", images, precision="float32", start=start)
        while trainer.step < steps:
            record = trainer._train_step()
            assert record["skipped"] == 0 and np.isfinite(record["loss"]) and record["bpp"] == 0
        return trainer

    return run


def test_it_learns_and_is_exported(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = train(0)
    known = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    before = trainer.validate()["valid"]
    trainer = train(40)
    assert not [name for name, p in trainer.model.named_parameters() if p.equal(known[name])]
    rows = trainer.validate()["valid"]
    assert len(rows) == 3 and all(row[0] == 0 for row in rows)  # type: ignore[arg-type]
    assert rows[2][3] > before[2][3] + 0.3  # type: ignore[index]  # PSNR, of a noise of 50
    trainer.save()

    file, report = export(trainer.out / CHECKPOINT, tmp_path)
    assert report == {} and file.path.name == f"denoise-{file.id.hex()}.safetensors"
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path))
    assert denoiser.find() == file == denoiser.at(file.path)
    pixels = np.random.default_rng(0).normal(128, 40, (64, 64, 3)).clip(0, 255).astype(np.uint8)
    cleaned = load(denoiser.at(file.path), None).clean(pixels, 40)
    with torch.no_grad(), trainer._averaged_weights():
        x = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
        expected = trainer.model(x, torch.tensor([40.0]))[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(cleaned - expected).max() < 2  # the rows of 8 bits


def test_training_draws_the_same_after_a_stop(train: Train) -> None:
    whole = train(4)
    whole.save()
    kept = load_file(whole.out / CHECKPOINT)
    (whole.out / CHECKPOINT).unlink()
    train(2).save()
    train(4).save()
    again = load_file(whole.out / CHECKPOINT)
    assert torch.allclose(kept["model.stem.weight"], again["model.stem.weight"], atol=2e-3)


def test_it_starts_from_nothing(train: Train, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="denoise starts from nothing, and is for all weights"):
        train(1, write_conv_weights(tmp_path / "conv.safetensors"))


def test_what_a_step_sees() -> None:
    x = torch.rand(256, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    clean, noisy, told = spoilt(generator_at(x.device, 1, 2), x)
    level = 255 * (noisy - clean).square().mean((1, 2, 3)).sqrt()
    some = level > 1
    assert 0.9 < some.float().mean() < 1
    ratio = (told[some] / level[some]).log()
    assert ratio.mean().abs() < 0.05 and 0.15 < ratio.std() < 0.4
    assert level.max() > 40 and told.max() < 56
    assert told[~some].max() < 9
    grey = (clean == clean[:, :1]).flatten(1).all(1)
    assert 0 < grey.float().mean() < 0.15
    assert (noisy[grey] == noisy[grey][:, :1]).all()
    again = spoilt(generator_at(x.device, 1, 2), x)
    assert again[1].equal(noisy) and again[2].equal(told)
