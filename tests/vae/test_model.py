"""The networks, and their weights in files from anywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save as serialise

from neuralcodec import NeuralCodecError, UsageError
from neuralcodec.vae.model import VAE, Planes, Unpatches, VaeConfig, load, save


@pytest.mark.parametrize("channels", [1, 3])
def test_shapes(channels: int) -> None:
    model = VAE(VaeConfig(channels, latents=7))
    x = torch.rand(2, channels, 64, 64)
    mu, log_var = model.encode(x)
    assert mu.shape == log_var.shape == (2, 7)
    y = model.decode(mu)
    assert y.shape == x.shape
    assert 0 <= y.min() <= y.max() <= 1


def test_squares_of_pixels() -> None:
    x = torch.arange(2 * 2 * 3 * 12).reshape(2, 2, 3, 12).float()
    pixels = Unpatches(2)(x)
    assert pixels.shape == (2, 4, 6, 3)
    assert torch.equal(pixels[1, 2:4, 4:6].flatten(), x[1, 1, 2])


def test_planes_grow_with_row_and_column() -> None:
    features = Planes(3)(torch.tensor([[1.0, 0, 10, 20, 300, 400]]))
    assert features.shape == (1, 3, 3, 2)
    assert features[0, 1, 1].tolist() == [300, 400]
    assert features[0, 0, 2].tolist() == [309, 420]
    assert features[0, 2, 0].tolist() == [291, 380]


def test_one_pass_is_encode_and_decode() -> None:
    torch.manual_seed(0)
    model = VAE(VaeConfig(3))
    x, eps = torch.rand(2, 3, 64, 64), torch.randn(2, 10)
    logits, z, mu, log_var = model(x, eps)
    torch.testing.assert_close(torch.stack([mu, log_var]), torch.stack(model.encode(x)))
    torch.testing.assert_close(z, mu + (log_var / 2).exp() * eps)
    torch.testing.assert_close(logits.sigmoid(), model.decode(z))


def test_black_windows_are_skipped_without_a_trace() -> None:
    """A picture is encoded to the same as in a batch where another one lights every window."""
    torch.manual_seed(0)
    model = VAE(VaeConfig())
    x = torch.zeros(3, 1, 64, 64)
    x[1, 0, 20:30, 40:44] = 1
    x[2] = 1e-9  # not black, and next to nothing
    mu, _ = model.encode(x)
    torch.testing.assert_close(mu[1:2], model.encode(x[1:2])[0])
    torch.testing.assert_close(mu[0], mu[2])
    assert (mu[0] - mu[1]).abs().max() > 1e-3


def test_weights_come_back(model: VAE, tmp_path: Path) -> None:
    save(model, tmp_path / "a.safetensors")
    again = load(str(tmp_path / "a.safetensors"))
    assert again.trained == model.trained
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value.half().float())


def test_there_is_no_such_model() -> None:
    with pytest.raises(UsageError, match="no weights named nothing"):
        load("nothing")


def broken(kind: str, weights: bytes) -> bytes:
    """A weights file with something wrong in it."""
    tensors = {"decoder.0.weight": torch.zeros(3, 3)}
    sizes = {"channels": 1, "latents": 10}
    described = {
        "other arrays": {"sizes": sizes, "trained": {}},
        "too large": {"sizes": sizes | {"latents": 10**9}, "trained": {}},
        "no number": {"sizes": sizes | {"seen": "64"}, "trained": {}},
        "unknown size": {"sizes": sizes | {"depth": 3}, "trained": {}},
        "no sizes": {},
    }
    if kind in described:
        return serialise(tensors, {"neuralcodec.vae": json.dumps(described[kind])})
    return {
        "empty": b"",
        "cut": weights[:-100],
        "text": b"no weights at all, but longer than a header",
        "of something else": serialise(tensors),
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        *("other arrays", "too large", "no number", "unknown size", "no sizes"),
        *("empty", "cut", "text", "of something else"),
    ],
)
def test_broken_files_are_refused(kind: str, weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "broken.safetensors"
    path.write_bytes(broken(kind, weights.read_bytes()))
    with pytest.raises(NeuralCodecError, match="is no weights file of `ncodec vae train`"):
        load(str(path))
