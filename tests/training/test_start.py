"""Runs that begin with a weights file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from tiny import TINY_MODEL, TINY_RECURRENT, write_conv_weights, write_recurrent_weights

from neuralcodec import weights
from neuralcodec.cli.main import main
from neuralcodec.entropy.exact import Integers
from neuralcodec.entropy.prior import integers_of
from neuralcodec.errors import UsageError
from neuralcodec.models.conv.config import ConvConfig
from neuralcodec.models.conv.network import ConvCodec
from neuralcodec.models.gru.network import RecurrentCodec
from neuralcodec.training.export import arrays_of
from neuralcodec.training.loop import Trainer
from neuralcodec.training.recipe import Recipe
from neuralcodec.training.start import start_from_weights
from neuralcodec.weights import WeightsFile
from neuralcodec.weights.identity import is_encoder


@pytest.fixture
def file(tmp_path: Path) -> WeightsFile:
    return write_conv_weights(tmp_path / "tiny.safetensors")


def started(config: ConvConfig, file: WeightsFile) -> ConvCodec:
    torch.manual_seed(1)
    model = ConvCodec(config).eval()
    start_from_weights(model, file)
    return model


def real(layer: Integers) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Weights and bias that a layer of integers stands for."""
    power = np.ldexp(1.0, layer.shift.astype(np.int64))
    return layer.weight / power[:, None], (layer.bias - np.floor(power / 2)) / power


def test_export_gives_the_shipped_weights_back() -> None:
    """Every layer of the prior to the last bit: the way back from integers loses nothing."""
    stored = weights.by_id(bytes.fromhex("157adb15"))  # with tables of Gaussians, as export makes them
    kept = weights.read(stored).arrays
    again = arrays_of("conv", started(ConvConfig(**weights.read(stored).model), stored))
    assert {name for name in again if not is_encoder(name)} == kept.keys()
    for name, array in kept.items():
        part = name.rpartition(".")[2]
        if name.startswith("exact.") and part == "shift":  # a shift may be finer; the values are the same
            layer = name.removeprefix("exact.").removesuffix(".shift")
            for one, other in zip(
                real(integers_of(again, layer)), real(integers_of(kept, layer)), strict=True
            ):
                assert np.array_equal(one, other), name
        elif name.startswith("z."):  # rounded values of a line between levels, of which there is the best fit
            assert np.abs(again[name].astype(np.int64) - array.astype(np.int64)).max() <= 1, name
        elif not name.startswith("exact."):
            assert np.array_equal(again[name], array), name


@pytest.mark.parametrize("sizes", [{"fine_blocks": 2, "coarse_blocks": 3}, {"width": 24}])
def test_a_larger_model_is_at_first_the_same(file: WeightsFile, sizes: dict[str, int]) -> None:
    small, large = (started(config, file) for config in (TINY_MODEL, replace(TINY_MODEL, **sizes)))
    x, level = torch.rand(2, 3, 64, 128), torch.tensor([0.3, 1.7])
    with torch.no_grad():
        one, other = small(x, level), large(x, level)
    assert sum(p.numel() for p in large.parameters()) > sum(p.numel() for p in small.parameters())
    for a, b in zip(one, other, strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("quick_start")
def test_new_blocks_learn(file: WeightsFile, recipe: Recipe, images: Path, tmp_path: Path) -> None:
    deep = replace(recipe, model=replace(recipe.model, coarse_blocks=2))
    trainer = Trainer(deep, images, tmp_path / "run", precision="float32", start=file)
    fresh = trainer.model.get_parameter("transforms.synthesis.coarse.1.project.weight")
    assert not fresh.any()
    for _ in range(3):
        trainer._train_step()
    assert fresh.any()


@pytest.mark.parametrize(
    "sizes", [{"coarse": 24}, {"latent": 32}, {"levels": 4}, {"width": 8}, {"fine_blocks": 0}]
)
def test_other_sizes_are_refused(file: WeightsFile, sizes: dict[str, int]) -> None:
    ((name, size),) = sizes.items()
    with pytest.raises(UsageError, match=f"of a model with {name} = .*, the recipe has {size}$"):
        started(replace(TINY_MODEL, **sizes), file)


def test_another_codec_is_refused(file: WeightsFile, tmp_path: Path) -> None:
    recurrent = write_recurrent_weights(tmp_path / "recurrent.safetensors")
    with pytest.raises(UsageError, match="only a conv recipe"):
        started(TINY_MODEL, recurrent)
    with pytest.raises(UsageError, match="only a conv recipe"):
        start_from_weights(RecurrentCodec(TINY_RECURRENT), file)


def test_a_name_that_is_no_model(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ["train", "conv", "--data", str(images), "--out", str(tmp_path / "run"), "--start", "nothing"]
    assert main(run) == 2
    assert "no model named 'nothing'" in capsys.readouterr().err
