"""Noise for training, of the strength that is asked for."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from conftest import photograph
from PIL import Image
from torch import Tensor

from neuralcodec.training import noise
from neuralcodec.training.noise import camera_noise, generator_at, jpeg, plain_noise, with_noise

CPU = torch.device("cpu")


def grey(value: int, count: int = 10) -> Tensor:
    return torch.full((count, 3, 64, 64), value / 255)


def deviations(noisy: Tensor, clean: Tensor) -> Tensor:
    return 255 * (noisy - clean).square().mean((1, 2, 3)).sqrt()


@pytest.mark.parametrize("make", [plain_noise, camera_noise])
def test_strength(make: Any) -> None:
    wanted = torch.linspace(2, 20, 10)
    found = deviations(make(generator_at(CPU, 0), grey(120), wanted), grey(120))
    assert torch.allclose(found, wanted, rtol=0.15)


def test_noise_of_cameras_is_of_the_light() -> None:
    """In linear light its variance grows with the light, which the tone curve turns round in part."""
    halves = torch.cat([grey(30, 4), grey(220, 4)], 3)
    noisy = 255 * (camera_noise(generator_at(CPU, 3), halves, torch.full((4,), 8.0)) - halves)
    dark, bright = noisy[..., :64].std(), noisy[..., 64:].std()
    assert (dark - bright).abs() > 0.15 * dark


def test_spread_noise_is_alike_beside() -> None:
    """That of the last pictures of a batch."""
    found = camera_noise(generator_at(CPU, 0), grey(120), torch.full((10,), 10.0))[:, 1] - 120 / 255
    alike = (found[..., 1:] * found[..., :-1]).mean((1, 2)) / found.square().mean((1, 2))
    assert (alike[:4].abs() < 0.06).all() and (alike[4:] > 0.1).all()


@pytest.mark.parametrize("quality", [75, 90, 97])
def test_jpeg_is_what_others_make(quality: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise, "_QUALITIES", (float(quality), float(quality)))
    pixels = np.stack([photograph(96, 112, seed=seed) for seed in range(6)])
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    found = (jpeg(generator_at(CPU, 1), x) * 255).round().permute(0, 2, 3, 1).numpy()
    seen = set()
    for one, mine in zip(pixels, found, strict=True):
        off = {}
        for subsampling in (0, 2):
            file = io.BytesIO()
            Image.fromarray(one).save(file, "JPEG", quality=quality, subsampling=subsampling)
            theirs = np.asarray(Image.open(file)).astype(float)
            off[subsampling] = np.sqrt(np.square(mine - theirs).mean())
            lost = np.sqrt(np.square(theirs - one).mean())
        nearest = min(off, key=lambda kind: off[kind])
        seen.add(nearest)
        assert off[nearest] < max(0.4 * lost, 1.1)
    assert seen == {0, 2}


def test_kinds_and_shapes() -> None:
    for count in (1, 2, 7, 20):
        x = torch.rand(count, 3, 32, 48, generator=torch.Generator().manual_seed(0))
        one, two = (with_noise(generator_at(CPU, 5, count), x, torch.full((count,), 9.0)) for _ in range(2))
        assert one.equal(two) and one.shape == x.shape
        assert one.min() >= 0 and one.max() <= 1 and (255 * one - (255 * one).round()).abs().max() < 1e-3
    assert with_noise(generator_at(CPU, 6), x, torch.zeros(20)).sub(x).abs()[:9].max() < 0.5 / 255 + 1e-6
