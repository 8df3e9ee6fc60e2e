"""The convolutional autoencoder: shapes, and an untrained model that already is a transform codec."""

import numpy as np
import pytest
import torch
from conftest import photograph
from tiny import TINY_MODEL

from neuralcodec import weights
from neuralcodec.models.conv.config import ConvConfig
from neuralcodec.models.conv.network import ConvCodec
from neuralcodec.models.conv.runner import Model
from neuralcodec.training.data import PixelStore, block_components


@pytest.mark.parametrize("size", [(64, 64), (128, 64), (64, 192)])
def test_shapes(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    codec, level = ConvCodec(TINY_MODEL).eval(), torch.tensor([0.0, 1.3])
    height, width = size
    x = torch.rand(2, 3, height, width)
    with torch.no_grad():
        y = codec.transforms.analyse(x, level)
        assert y.shape == (2, 16, height // 16, width // 16)
        z = codec.transforms.hyper_analysis(y)
        assert z.shape == (2, 8, height // 64, width // 64)
        assert codec.prior.hyper_synthesis(z).shape == (2, 12, height // 16, width // 16)
        out = codec(x, level)
    assert out.x_hat.shape == x.shape
    assert out.y_bits.shape == out.z_bits.shape == (2,)
    assert (out.y_bits > 0).all()


def test_a_sample_does_not_see_its_batch() -> None:
    torch.manual_seed(0)
    codec, level = ConvCodec(TINY_MODEL).eval(), torch.tensor([0.0, 2.0])
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        together = codec(x, level)
        alone = codec(x[1:], level[1:])
    assert torch.allclose(together.x_hat[1:], alone.x_hat, atol=1e-4)


def test_gradients_reach_every_parameter() -> None:
    torch.manual_seed(0)
    codec = ConvCodec(TINY_MODEL)
    out = codec(torch.rand(2, 3, 64, 64), torch.tensor([0.2, 1.7]))
    loss = out.x_hat.square().mean() + 1e-4 * (out.y_bits + out.z_bits).mean()
    loss.backward()
    # The head of the deep synthesis starts at zero, so what is before it gets its first gradient later.
    late = ("transforms.synthesis.stem", "transforms.synthesis.coarse", "transforms.synthesis.up")
    late += ("transforms.synthesis.fine", "transforms.synthesis_feature_gain")
    for name, parameter in codec.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert bool(parameter.grad.any()) != name.startswith(late), name


def store_of(*pictures: np.ndarray) -> PixelStore:
    offsets = np.cumsum([0] + [p.size for p in pictures[:-1]])
    shapes = [(p.shape[0], p.shape[1]) for p in pictures]
    return PixelStore(np.concatenate([p.ravel() for p in pictures]), shapes, offsets)


def test_start_from_components_makes_a_transform_codec() -> None:
    torch.manual_seed(0)
    picture = photograph(192, 192, seed=3)
    store = store_of(photograph(256, 256, seed=1), photograph(256, 320, seed=2))
    config = ConvConfig(fine=16, coarse=32, fine_blocks=1, coarse_blocks=1, features=32, width=32)
    codec = ConvCodec(config).eval()
    x = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255

    def psnr(level: float) -> float:
        with torch.no_grad():
            x_hat = codec(x, torch.tensor([level])).x_hat.clamp(0, 1)
        return float(-10 * torch.log10((x_hat - x).square().mean()))

    untrained = psnr(config.levels - 1.0)
    codec.transforms.start_from_components(block_components(store, config.latent, samples=4000))
    best, worst = psnr(config.levels - 1.0), psnr(0.0)
    assert best > 20
    assert best > untrained + 5
    assert best > worst + 1


# ---- the synthesis, written from docs/format.md with numpy alone -------------------------------------------


def shuffled(x: np.ndarray, r: int) -> np.ndarray:
    """Channels `(c, r, r)` of a position to a square of positions."""
    rows, columns, channels = x.shape
    parts = x.reshape(rows, columns, channels // r**2, r, r)
    return parts.transpose(0, 3, 1, 4, 2).reshape(rows * r, columns * r, -1)


def specified_synthesis(y: np.ndarray, level: float) -> np.ndarray:
    """Samples `(16 h, 16 w, 3)` of y `(h, w, C)`, in double precision."""
    file = weights.read(weights.by_name("conv"))
    arrays = {
        name.removeprefix("transforms."): a.astype(float)
        for name, a in file.arrays.items()
        if name.startswith("transforms.")
    }

    def gain(name: str) -> np.ndarray:
        table = arrays[f"{name}.log_gain"]
        row = min(int(level), len(table) - 2)
        share = level - row
        return np.exp(table[row] * (1 - share) + table[row + 1] * share)

    def dense(name: str, x: np.ndarray) -> np.ndarray:
        return x @ arrays[f"synthesis.{name}.weight"][:, :, 0, 0].T + arrays[f"synthesis.{name}.bias"]

    def blocks(name: str, x: np.ndarray) -> np.ndarray:
        count = 0
        while f"synthesis.{name}.{count}.expand.bias" in arrays:
            block = f"{name}.{count}"
            taps = arrays[f"synthesis.{block}.spatial.weight"][:, 0]
            padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
            spatial = np.zeros_like(x) + arrays[f"synthesis.{block}.spatial.bias"]
            for i in range(3):
                for j in range(3):
                    spatial += padded[i : i + x.shape[0], j : j + x.shape[1]] * taps[:, i, j]
            a = dense(f"{block}.expand", spatial)
            x = x + dense(f"{block}.project", a / (1 + np.exp(-a)))
            count += 1
        assert count
        return x

    u = y * gain("synthesis_gain")
    f = blocks("coarse", dense("stem", u) * gain("synthesis_feature_gain"))
    f = blocks("fine", shuffled(dense("up", f), 2))
    x = shuffled(dense("head", f), 8) + shuffled(dense("shortcut", u), 16) + 0.5
    return (255 * x).round().clip(0, 255)


@pytest.mark.parametrize("quality", [0, 42, 100])
def test_the_synthesis_is_the_specified_one(
    model: Model, monkeypatch: pytest.MonkeyPatch, quality: int
) -> None:
    monkeypatch.setattr(model, "bfloat16", False)
    y = model.analyse(photograph(96, 128), quality).round()
    difference = np.abs(model.synthesise(y, quality) - specified_synthesis(y, model.levels(quality).base))
    assert difference.max() <= 1
    assert difference.mean() < 0.01


def test_bfloat16_hardly_moves_latents_and_pixels(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large elements of y are near their float32 values, and decoded pixels within a fraction of a level.

    With the linear paths in bfloat16 as well, y would be off by more than a step and pixels by half a level.
    """
    pixels = photograph(128, 192)
    monkeypatch.setattr(model, "bfloat16", False)
    y = model.analyse(pixels, 95)
    y_hat = y.round()
    decoded = model.synthesise(y_hat, 95).astype(int)
    assert np.abs(y).max() > 64  # a step of bfloat16 there is a half or more
    monkeypatch.setattr(model, "bfloat16", True)
    assert np.abs(model.analyse(pixels, 95) - y).max() < 0.5
    difference = np.abs(model.synthesise(y_hat, 95) - decoded)
    assert difference.max() <= 2
    assert (difference > 1).mean() < 0.001
    assert difference.mean() < 0.15
