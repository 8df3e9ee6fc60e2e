"""From a checkpoint to weights that code pictures."""

import json
import os
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import photograph
from safetensors.torch import load_file, save_file
from tiny import TINY_MODEL
from torch import nn

from neuralcodec import weights
from neuralcodec.entropy.coder import SymbolReader, SymbolWriter
from neuralcodec.entropy.exact import EXACT, Range
from neuralcodec.entropy.prior import IntegerPrior
from neuralcodec.errors import NeuralCodecError, UsageError
from neuralcodec.models.conv.network import level_of
from neuralcodec.models.conv.runner import Model
from neuralcodec.models.prior import Prior
from neuralcodec.training import export as exporting
from neuralcodec.training import integers
from neuralcodec.training.checkpoint import CHECKPOINT
from neuralcodec.training.conv import integer_tensors
from neuralcodec.training.export import export
from neuralcodec.training.integers import to_integers
from neuralcodec.training.loop import Trainer
from neuralcodec.training.recipe import Recipe
from neuralcodec.weights import Tradeoff

pytestmark = pytest.mark.usefixtures("quick_start")


@pytest.fixture
def checkpoint(recipe: Recipe, images: Path, tmp_path: Path) -> Path:
    """A run of the tiny model, three steps old."""
    trainer = Trainer(recipe, images, tmp_path / "run", precision="float32")
    for _ in range(3):
        trainer._train_step()
    trainer.save()
    return tmp_path / "run" / CHECKPOINT


def changed(checkpoint: Path, name: str, factor: float) -> Path:
    """The checkpoint with one tensor of the averaged weights scaled."""
    tensors = load_file(checkpoint)
    tensors[f"ema.{name}"] *= factor
    metadata = {"run": "{}", "codec": "conv", "model": json.dumps(weights_model(checkpoint))}
    out = checkpoint.with_name("changed.safetensors")
    save_file(tensors, out, metadata)
    return out


def weights_model(checkpoint: Path) -> dict[str, int]:
    from neuralcodec.training.loop import read_checkpoint

    return vars(read_checkpoint(checkpoint).model)


def test_exported_weights_load_and_code(checkpoint: Path, recipe: Recipe, tmp_path: Path) -> None:
    out = tmp_path / "tiny.safetensors"
    written, report = export(checkpoint, out)
    file = weights.read(weights.by_name(out))
    assert report == {"bytes": sum(array.nbytes for array in file.arrays.values())}
    assert file.codec == "conv"
    assert file.model == recipe.model.sizes()  # type: ignore[attr-defined]
    trained = vars(recipe.training)
    assert file.tradeoff == Tradeoff(**{f.name: trained[f.name] for f in fields(Tradeoff)})
    assert written == weights.by_name(out)
    assert file.id == written.id
    assert written.decoder.startswith(file.id.hex())
    kinds = {array.dtype for name, array in file.arrays.items() if not name.startswith("transforms.")}
    assert all(np.issubdtype(kind, np.integer) for kind in kinds)

    model = Model(written)
    for quality in (0, 100):
        y = model.analyse(photograph(64, 128), quality)
        writer = SymbolWriter(model.prior.tables)
        y_hat = model.prior.code(writer, quality, 4, 8, (y, model.hyper_analyse(y)))
        reader = SymbolReader(model.prior.tables, writer.finish())
        assert (model.prior.code(reader, quality, 4, 8) == y_hat).all()
        assert model.synthesise(y_hat, quality).shape == (64, 128, 3)


def test_the_averaged_weights_are_exported(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "tiny.safetensors"
    export(checkpoint, out)
    tensors, arrays = load_file(checkpoint), weights.read(weights.by_name(out)).arrays
    name = "transforms.analysis.stem.weight"
    assert (arrays[name] == tensors[f"ema.{name}"].to(torch.float16).numpy()).all()
    assert not tensors[f"ema.{name}"].equal(tensors[f"model.{name}"])


def test_the_same_checkpoint_gives_the_same_file(checkpoint: Path, tmp_path: Path) -> None:
    """Its id is that of what is in it, which must not depend on chance."""
    files = set()
    for _ in range(10):
        export(checkpoint, tmp_path / "tiny.safetensors")
        files.add((tmp_path / "tiny.safetensors").read_bytes())
    assert len(files) == 1


def test_the_rate_loss_is_reported(
    checkpoint: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "MAX_RATE_LOSS", 0.1)  # so tiny a network is rounded coarsely
    _, report = export(checkpoint, tmp_path / "tiny.safetensors", images)
    assert set(report) == {"bytes", "bpp_float", "bpp_integer", "bpp_coded", "rate_loss"}
    assert report["rate_loss"] == pytest.approx(report["bpp_integer"] / report["bpp_float"] - 1)
    assert abs(report["rate_loss"]) < 0.1
    assert report["bpp_coded"] == pytest.approx(report["bpp_integer"], rel=0.02)


def test_a_high_rate_loss_is_refused_and_nothing_written(
    checkpoint: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "MAX_RATE_LOSS", -1.0)
    out = tmp_path / "tiny.safetensors"
    with pytest.raises(NeuralCodecError, match="costs"):
        export(checkpoint, out, images)
    assert not out.exists()


@pytest.mark.parametrize("name", ["hyper_mid.weight", "steps.1.spatial.weight", "steps.2.head.bias"])
def test_weights_that_break_the_bound_are_refused(checkpoint: Path, tmp_path: Path, name: str) -> None:
    broken = changed(checkpoint, f"prior.{name}", 1e7)
    out = tmp_path / "tiny.safetensors"
    with pytest.raises(NeuralCodecError, match="too large for exact sums"):
        export(broken, out)
    assert not out.exists()


def test_large_weights_get_coarser_steps_instead(checkpoint: Path, tmp_path: Path) -> None:
    """Within reason, any network can be made exact."""
    out = tmp_path / "tiny.safetensors"
    export(checkpoint, out)
    fine = weights.read(weights.by_name(out)).arrays["exact.hyper_mid.shift"]
    export(changed(checkpoint, "prior.hyper_mid.weight", 16.0), out)
    coarse = weights.read(weights.by_name(out)).arrays["exact.hyper_mid.shift"]
    assert (coarse < fine).all()


def test_problems_are_named(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(NeuralCodecError, match="is not a checkpoint"):
        export(tmp_path / "none", tmp_path / "out")
    with pytest.raises(UsageError, match="no image"):
        export(checkpoint, tmp_path / "out", tmp_path)


def test_a_file_that_cannot_be_written_is_named(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(NeuralCodecError, match="cannot write"):
        export(checkpoint, tmp_path / "none" / "out")


def test_a_weights_file_may_be_read_by_everyone(checkpoint: Path, tmp_path: Path) -> None:
    """It is installed with the package, often by another user than the one who reads it."""
    before = os.umask(0o022)
    try:
        export(checkpoint, tmp_path / "tiny.safetensors")
    finally:
        os.umask(before)
    assert (tmp_path / "tiny.safetensors").stat().st_mode & 0o777 == 0o644


# ---- rounding a layer -----------------------------------------------------------------------------------


def dense(weight: torch.Tensor, bias: torch.Tensor) -> nn.Conv2d:
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], 1)
    with torch.no_grad():
        conv.weight.copy_(weight[:, :, None, None])
        conv.bias.copy_(bias)  # type: ignore[union-attr]
    return conv


def test_rows_are_rounded_as_finely_as_the_bound_allows() -> None:
    generator = torch.manual_seed(0)
    scale = torch.logspace(-4, 0, 12)[:, None]
    conv = dense(torch.randn(12, 40, generator=generator) * scale, torch.randn(12, generator=generator))
    inputs = Range.uniform(40, 0, 1024)
    layer = to_integers(conv, inputs)
    layer.output(inputs)  # proves the bound
    sums = (np.abs(layer.weight.astype(np.int64)) * 1024).sum(1) + np.abs(layer.bias)
    at_limit = (layer.shift == integers._FINEST_SHIFT) | (np.abs(layer.weight).max(1) >= 2**14)
    assert (at_limit | (sums > 0.4 * EXACT)).all()
    assert layer.shift[0] > layer.shift[-1]


def test_a_rounded_layer_computes_the_layer() -> None:
    generator = torch.manual_seed(1)
    conv = dense(0.3 * torch.randn(12, 40, generator=generator), torch.randn(12, generator=generator))
    layer = to_integers(conv, Range.uniform(40, 0, 1024))
    x = np.random.default_rng(0).integers(0, 1025, (500, 40))
    out = (x @ layer.weight.T.astype(np.int64) + layer.bias) >> layer.shift
    with torch.no_grad():
        inputs = torch.from_numpy(x / 128.0).float()[:, :, None, None]
        expected = conv(inputs)[:, :, 0, 0].numpy() * 128
    # Each weight is off by half of its last bit at most, and the result by half a unit.
    bound = 0.51 + x.sum(1)[:, None] * 0.5 ** (layer.shift + 1.0)
    assert (np.abs(out - expected) < bound).all()
    assert np.abs(out - expected).mean() < 1.0


def test_tables_of_z_cover_every_quality() -> None:
    config = replace(TINY_MODEL, levels=5)
    prior = Prior(config.levels, config.latent, config.hyper, config.features, config.width)
    with torch.no_grad():
        prior.z_mean.copy_(torch.linspace(-3 / 8, 3 / 8, 5)[:, None].expand_as(prior.z_mean))
        prior.z_index.copy_(torch.linspace(-20 / 8, 90 / 8, 5)[:, None].expand_as(prior.z_index))
    arrays = integer_tensors(prior, level_of(torch.arange(101), 5))
    IntegerPrior(arrays)
    assert arrays["z.mean"].shape == arrays["z.index"].shape == (101, config.hyper)
    assert arrays["z.mean"][[0, 50, 100], 0].tolist() == [-48, 0, 48]
    assert arrays["z.index"][[0, 50, 100], 0].tolist() == [1, 35, 63]  # never silent


def test_checkpoints_that_do_not_say_what_they_were_trained_for(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "tiny.safetensors"
    export(changed(checkpoint, "prior.hyper_mid.weight", 1.0), out)
    assert weights.read(weights.by_name(out)).tradeoff == Tradeoff()
