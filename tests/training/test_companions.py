"""Companions of a decoder that exists: trained in the same loop, exported, and at work."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import photograph
from safetensors.torch import load_file
from tiny import TINY_SIZES, write_conv_weights, write_detail_weights

import neuralcodec
from neuralcodec import weights
from neuralcodec.errors import UsageError
from neuralcodec.training.checkpoint import CHECKPOINT, read_checkpoint
from neuralcodec.training.export import export
from neuralcodec.training.forms import trainable
from neuralcodec.training.loop import Trainer
from neuralcodec.training.recipe import Recipe, read_recipe
from neuralcodec.weights.changes import STEP
from neuralcodec.weights.companions import companion_of
from neuralcodec.weights.identity import is_encoder
from neuralcodec.weights.stored import arrays_of

pytestmark = pytest.mark.usefixtures("quick_start", "signals")

Train = Callable[..., Trainer]


@pytest.fixture
def train(recipe: Recipe, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Takes a few steps of a tiny companion, for weights in a folder that is searched."""
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path))

    def run(kind: str, decoder: weights.WeightsFile | None, steps: int = 3, *, share: float = 0.0) -> Trainer:
        shipped = read_recipe(Path(kind))
        training = replace(
            shipped.training,
            detail_share=share,
            minutes=0.0,
            steps=max(steps, 1),
            batch=2,
            crop=192,
            warmup_steps=1,
            learning_rate=2e-3,
        )
        sizes = trainable(kind).config(**TINY_SIZES[kind])
        tiny = replace(shipped, training=training, model=sizes)
        trainer = Trainer(tiny, images, tmp_path / kind, images, precision="float32", start=decoder)
        while trainer.step < steps:
            record = trainer._train_step()
            assert record["skipped"] == 0 and np.isfinite(record["loss"])
        return trainer

    return run


@pytest.mark.parametrize("kind", ["inpaint", "vivid"])
@pytest.mark.parametrize("two_layers", [False, True])
def test_the_codec_stays_and_the_companion_changes(
    kind: str, two_layers: bool, train: Train, tmp_path: Path
) -> None:
    write = write_detail_weights if two_layers else write_conv_weights
    decoder = write(tmp_path / "conv.safetensors")
    trainer = train(kind, decoder, steps=0)
    known = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    for _ in range(2):
        assert trainer._train_step()["skipped"] == 0
    changed = {name for name, p in trainer.model.named_parameters() if not p.equal(known[name])}
    assert changed
    own = ("vivid", "adversary.") if kind == "vivid" else ()
    assert {name for name in changed if not (name.startswith(own) if own else is_encoder(name))} == set()
    with torch.no_grad():
        points = trainer.objective.points(torch.rand(1, 3, 192, 192))
    assert len(points) == 4
    assert all(x_hat.shape == (1, 3, 192, 192) and bits.isfinite().all() for x_hat, bits in points)
    trainer.save()

    file, report = export(trainer.out / CHECKPOINT, tmp_path)
    assert (file.kind, file.decoder, report) == (kind, decoder.decoder, {})
    assert file == companion_of(decoder, kind)
    stored = arrays_of(file)
    trained = {trainer.objective.stored(n) for n, p in trainer.model.named_parameters() if p.requires_grad}
    assert {name.removesuffix(STEP) for name in stored} == trained - {None}
    assert {array.dtype.name for name, array in stored.items() if "gain" in name} <= {"float16"}

    pixels = photograph(80, 100)
    if kind == "vivid":
        data = neuralcodec.encode(pixels, quality=30)
        assert neuralcodec.decode(data, realism=1) != neuralcodec.decode(data)
    else:
        shown = np.asarray(neuralcodec.inpaint(pixels, region=(20, 30, 10, 12)))
        assert (shown != pixels).any(2).sum() <= 120


def test_a_run_goes_on_and_only_for_the_same_decoder(train: Train, tmp_path: Path) -> None:
    decoder = write_conv_weights(tmp_path / "conv.safetensors")
    train("inpaint", decoder).save()
    assert train("inpaint", decoder, steps=4).step == 4
    assert read_checkpoint(tmp_path / "inpaint" / CHECKPOINT).decoder == decoder.decoder
    other = write_detail_weights(tmp_path / "other.safetensors")
    with pytest.raises(UsageError, match="holds a run of another model"):
        train("inpaint", other)


def test_without_weights_to_start_with(train: Train) -> None:
    with pytest.raises(UsageError, match="inpaint needs --start: the weights whose decoder it is for"):
        train("inpaint", None)


@pytest.mark.parametrize("kind", ["encoder", "inpaint", "vivid"])
def test_weights_of_another_codec_to_start_with(kind: str, train: Train) -> None:
    with pytest.raises(UsageError, match=f"{kind} is for weights of conv, and gru-.* is of gru"):
        train(kind, weights.by_name("gru"))


def test_an_export_needs_the_decoder(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = train("inpaint", write_conv_weights(tmp_path / "conv.safetensors"), steps=1)
    trainer.save()
    monkeypatch.delenv(weights.VARIABLE)
    with pytest.raises(UsageError, match="which are not here: name their folder in NCODEC_WEIGHTS"):
        export(trainer.out / CHECKPOINT, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("kind", ["inpaint", "vivid"])
def test_shipped_recipes_make_files_of_4_megabytes(kind: str) -> None:
    recipe = read_recipe(Path(kind))
    objective = trainable(kind).objective(recipe.model, detail_share=recipe.training.detail_share)
    objective.start(weights.by_name("conv"), lambda count: torch.zeros(count, 768))
    trained = [p for p in objective.model.parameters() if p.requires_grad]
    assert 2 * sum(p.numel() for p in trained) < 4_000_000


def test_training_draws_the_same_after_a_stop(train: Train, tmp_path: Path) -> None:
    decoder = write_conv_weights(tmp_path / "conv.safetensors")
    whole = train("inpaint", decoder, steps=4)
    whole.save()
    kept = load_file(whole.out / CHECKPOINT)
    (whole.out / CHECKPOINT).unlink()
    train("inpaint", decoder, steps=2).save()
    train("inpaint", decoder, steps=4).save()
    again = load_file(whole.out / CHECKPOINT)
    name = "model.encoder.stem.weight"
    assert torch.allclose(kept[name], again[name], atol=5e-3)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_another_encoder_writes_for_the_decoder_that_exists(
    share: float, train: Train, tmp_path: Path
) -> None:
    write = write_detail_weights if share else write_conv_weights
    decoder = write(tmp_path / "conv.safetensors")
    trainer = train("encoder", decoder, share=share)
    trainer.save()
    (tmp_path / "new").mkdir()
    file, report = export(trainer.out / CHECKPOINT, tmp_path / "new")
    assert (file.kind, file.decoder, report) == (None, decoder.decoder, {})
    assert file.encodes and file.decodes
    assert file.path.name == f"conv-{decoder.id.hex()}.safetensors"
    before, after = arrays_of(decoder), arrays_of(file)
    assert before.keys() == after.keys()
    differ = {name for name in before if not np.array_equal(before[name], after[name])}
    assert differ and all(map(is_encoder, differ))
    layers = {"detail" in name for name in differ}
    assert layers == {0.0: {False}, 0.5: {False, True}, 1.0: {True}}[share]
    assert {graph.name.split(".")[1] for graph in (tmp_path / "new").glob("*.onnx")} >= {"features", "latent"}

    pixels = photograph(80, 100)
    data = neuralcodec.encode(pixels, quality=80, model=file.path)
    assert data != neuralcodec.encode(pixels, quality=80, model=decoder.path)
    assert neuralcodec.decode(data).size == (100, 80)  # by the decoder of before, which alone is searched for
    low = [neuralcodec.encode(pixels, quality=20, model=path) for path in (file.path, decoder.path)]
    assert (low[0] == low[1]) == (share == 1)


def test_another_encoder_of_details_for_weights_without(train: Train, tmp_path: Path) -> None:
    decoder = write_conv_weights(tmp_path / "conv.safetensors")
    with pytest.raises(UsageError, match="detail_share is of weights with a detail layer"):
        train("encoder", decoder, share=0.5)
