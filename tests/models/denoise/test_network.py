"""The network that takes noise out: what it computes, and the same without torch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import photograph
from tiny import TINY_SIZES, write_denoiser

from neuralcodec.errors import NeuralCodecError
from neuralcodec.models.denoise import GRAPH, light, load, runner
from neuralcodec.models.denoise.network import DenoiseConfig, Denoiser
from neuralcodec.training.recipe import read_recipe
from neuralcodec.weights import VARIABLE, denoiser
from neuralcodec.weights.saving import save
from neuralcodec.weights.stored import arrays_of


def test_it_starts_near_the_identity_and_knows_the_noise() -> None:
    torch.manual_seed(0)
    network = Denoiser(DenoiseConfig(**TINY_SIZES["denoise"]))
    x = torch.rand(2, 3, 32, 40)
    with torch.no_grad():
        one, two = network(x, torch.tensor([5.0, 5.0])), network(x, torch.tensor([5.0, 40.0]))
    assert one.shape == x.shape and (one - x).abs().mean() < 0.1
    assert one[0].equal(two[0]) and not one[1].equal(two[1])


def test_pixels_are_not_rounded_to_bfloat16() -> None:
    torch.manual_seed(0)
    network = Denoiser(DenoiseConfig(**TINY_SIZES["denoise"]))
    torch.nn.init.zeros_(network.head.weight)
    x = torch.rand(1, 3, 16, 16)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert network(x, torch.tensor([5.0])).equal(x)


def test_the_shipped_recipe() -> None:
    network = Denoiser(read_recipe(Path("denoise")).model)  # type: ignore[arg-type]
    assert sum(parameter.numel() for parameter in network.parameters()) < 1_900_000
    assert all(parameter.isfinite().all() for parameter in network.parameters())


@pytest.mark.parametrize("size", [(8, 8), (40, 72)])
def test_both_run_times_agree(size: tuple[int, int], tmp_path: Path) -> None:
    file = write_denoiser(tmp_path)
    pixels = photograph(*size)
    for noise in (0.0, 12.5, 50.0):
        one, two = (module.load(file).clean(pixels, noise) for module in (runner, light))
        assert one.shape == (*size, 3)
        assert np.abs(one - pixels).mean() > 0.5
        assert np.abs(one - two).max() < 0.1


def test_without_a_graph_torch_runs_it(tmp_path: Path) -> None:
    file = write_denoiser(tmp_path)
    assert isinstance(load(file, None), light.LightDenoiser)
    file.path.with_suffix(f".{GRAPH}.onnx").unlink()
    assert isinstance(load(file, None), runner.TorchDenoiser)


def test_a_graph_of_other_weights(tmp_path: Path) -> None:
    file = write_denoiser(tmp_path)
    other = write_denoiser(tmp_path, lambda network: network.head.weight.mul_(2))
    assert file.id != other.id
    path = other.path.with_suffix(f".{GRAPH}.onnx")
    path.write_bytes(file.path.with_suffix(f".{GRAPH}.onnx").read_bytes())
    with pytest.raises(NeuralCodecError, match=r"network\.onnx (cannot be loaded|is not the graph of)"):
        light.LightDenoiser(other).clean(photograph(8, 8), 10)


def test_damaged_weights(tmp_path: Path) -> None:
    file = write_denoiser(tmp_path)
    arrays = arrays_of(file)
    for said, changed in (
        (file.said, arrays | {"head.bias": arrays["head.bias"] + 1}),
        ({**file.said, "model": {**file.sizes, "width": 7}}, arrays),
        ({**file.said, "hash": "00" * 32}, arrays),
        ({**file.said, "model": {**file.sizes, "width": 10**6}}, arrays),
    ):
        save(file.path, changed, said)
        with pytest.raises(NeuralCodecError, match="is not a weights file of this version"):
            runner.TorchDenoiser(denoiser.at(file.path), torch.device("cpu"))
    for name in ("width", "middle_blocks"):
        save(file.path, arrays, {**file.said, "model": {**file.sizes, name: 10**5}})
        with pytest.raises(NeuralCodecError, match=f"{name} of its model is out of range"):
            denoiser.at(file.path)
    file.path.write_bytes(file.path.read_bytes()[:-50])
    with pytest.raises(NeuralCodecError, match="is not a weights file of this version"):
        runner.TorchDenoiser(denoiser.at(file.path), torch.device("cpu"))


def test_the_shipped_weights_take_noise_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    file = denoiser.find()
    assert file.path.stem == f"denoise-{file.id.hex()}"
    rows, columns = np.mgrid[0:96, 0:128]
    plane = 128 + 50 * np.sin(rows / 9) * np.sin(columns / 13) + 30 * (columns > 70)
    clean = np.stack([plane, 0.8 * plane, 200 - plane / 2], 2)
    noise = np.random.default_rng(0).normal(0, 1, clean.shape)
    for module in (runner, light):
        network = module.load(file)
        for deviation, left in ((10.0, 0.25), (25.0, 0.2), (50.0, 0.25)):
            noisy = (clean + deviation * noise).round().clip(0, 255).astype(np.uint8)
            error = network.clean(noisy, deviation) - clean
            assert np.sqrt(np.square(error).mean()) < left * deviation
        still = clean.round().astype(np.uint8)
        assert np.abs(network.clean(still, 3.0) - still).mean() < 1
