"""Graphs of the synthesis compute what the networks do, at any size, and hold no numbers of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import photograph
from tiny import TINY_MODEL, write_conv_weights, write_recurrent_weights

from neuralcodec import weights
from neuralcodec.errors import NeuralCodecError
from neuralcodec.models.conv.light import LightModel
from neuralcodec.models.conv.runner import Model
from neuralcodec.models.gru.runner import RecurrentModel, StageDecoder
from neuralcodec.training import export_graphs
from neuralcodec.training.export_graphs import write_graphs
from neuralcodec.weights.stored import content_of


def run(path: Path, **feeds: np.ndarray) -> list[np.ndarray]:
    """All outputs of a graph."""
    file = weights.at(path.with_name(f"{path.name.split('.')[0]}.safetensors"))
    plain, options = content_of(file).plain, onnxruntime.SessionOptions()
    options.add_external_initializers_from_files_in_memory([file.path.name], [plain], [len(plain)])
    named = {key.replace("__", "."): value for key, value in feeds.items()}
    return onnxruntime.InferenceSession(path, options).run(None, named)


def as_gain(gain: torch.Tensor) -> np.ndarray:
    return gain.detach().float().numpy().reshape(1, -1, 1, 1)


@pytest.mark.parametrize(("height", "width"), [(3, 5), (8, 2)])
def test_conv(tmp_path: Path, height: int, width: int) -> None:
    write_conv_weights(tmp_path / "conv.safetensors")
    graphs = write_graphs(tmp_path / "conv.safetensors")
    assert {path.name for path in graphs.values()} == {
        f"conv.{name}.onnx" for name in ("synthesis", "features", "latent", "hyper_analysis")
    }
    model = Model(weights.at(tmp_path / "conv.safetensors"), torch.device("cpu"))
    model.bfloat16 = False
    y_hat = np.random.default_rng(0).normal(0, 4, (height, width, TINY_MODEL.latent)).astype(np.float32)
    level = model.level(62.5)
    gains = [model.transforms.synthesis_gain(level), model.transforms.synthesis_feature_gain(level)]
    feeds = dict(zip(("latent_gain", "feature_gain"), map(as_gain, gains), strict=True))
    [pixels] = run(graphs["synthesis"], y_hat=y_hat, **feeds)
    expected = model.synthesise(y_hat, 62.5)
    assert pixels.dtype == np.uint8
    assert pixels.shape == expected.shape == (16 * height, 16 * width, 3)
    assert np.ptp(expected) > 50
    assert np.abs(pixels.astype(int) - expected).max() <= 1


def test_the_analysis(tmp_path: Path) -> None:
    write_conv_weights(tmp_path / "conv.safetensors")
    write_graphs(tmp_path / "conv.safetensors")
    model = Model(weights.at(tmp_path / "conv.safetensors"), torch.device("cpu"))
    model.bfloat16 = False
    light = LightModel(weights.at(tmp_path / "conv.safetensors"))
    pixels = photograph(64, 128)
    y = model.analyse(pixels, 37.5)
    np.testing.assert_allclose(light.latent(light.features(pixels), 37.5), y, atol=1e-3)
    np.testing.assert_allclose(light.hyper_analyse(y), model.hyper_analyse(y), atol=1e-3)


def test_gru(tmp_path: Path) -> None:
    write_recurrent_weights(tmp_path / "gru.safetensors")
    graphs = write_graphs(tmp_path / "gru.safetensors")
    model = RecurrentModel(weights.at(tmp_path / "gru.safetensors"), torch.device("cpu"))
    model.bfloat16 = False
    decoder, synthesis, rng = StageDecoder(model, 3, 4), model.transforms.synthesis, np.random.default_rng(0)
    config = model.transforms.config
    fine = np.zeros((1, config.fine, 6, 8), np.float32)
    coarse = np.zeros((1, config.coarse, 3, 4), np.float32)
    linear = np.zeros((1, 768, 3, 4), np.float32)
    for stage in range(3):
        y_hat = rng.normal(0, 4, (3, 4, config.latent)).astype(np.float32)
        decoder.add(y_hat)
        own = {}
        for layer in ("stem", "shortcut"):
            for part in ("weight", "bias"):
                tensor = getattr(getattr(synthesis, f"{layer}s")[stage], part)
                own[f"{layer}__{part}"] = tensor.detach().numpy()
        at = torch.full((1,), float(stage))
        gains = {name: as_gain(getattr(synthesis, name)(at)) for name in ("latent_gain", "feature_gain")}
        before = linear
        for _ in range(model.transforms.passes(stage)):
            states = {"fine": fine, "coarse": coarse, "linear": before}
            fine, coarse, linear = run(graphs["synthesis"], y_hat=y_hat, **own, **gains, **states)
        pixels, _ = run(graphs["render"], fine=fine, linear=linear)
        expected = decoder.pixels()
        assert np.ptp(expected) > 50
        assert np.abs(pixels.astype(int) - expected).max() <= 1


def test_shipped_graphs_are_those_of_the_weights(tmp_path: Path) -> None:
    """Otherwise:  python -m neuralcodec.training.export_graphs src/neuralcodec/weights"""
    for path in Path(weights.__file__).parent.glob("*.safetensors"):
        (tmp_path / path.name).symlink_to(path)
        for made in write_graphs(tmp_path / path.name).values():
            assert onnx.load(made, load_external_data=False) == onnx.load(
                path.with_name(made.name), load_external_data=False
            ), made.name
            assert made.stat().st_size < 80_000


def test_a_codec_without_graphs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs on torch alone, and is exported all the same."""
    write_conv_weights(tmp_path / "toy.safetensors")
    monkeypatch.setattr(export_graphs, "_GRAPHS", {})
    assert write_graphs(tmp_path / "toy.safetensors") == {}


def test_what_is_no_weights_file(tmp_path: Path) -> None:
    for content in (b"", b'\x08\0\0\0\0\0\0\0{"a":1} ', b"\xff" * 100):
        (tmp_path / "a.safetensors").write_bytes(content)
        with pytest.raises(NeuralCodecError, match=r"a\.safetensors"):
            write_graphs(tmp_path / "a.safetensors")
