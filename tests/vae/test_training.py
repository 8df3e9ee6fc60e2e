"""Training: it learns, repeats, and follows what it was told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from neuralcodec import UsageError
from neuralcodec.vae.data import Folder
from neuralcodec.vae.model import VAE
from neuralcodec.vae.sprites import Sprites
from neuralcodec.vae.training import Training, beta_at, train


def parameters(model: VAE) -> torch.Tensor:
    return torch.cat([p.flatten() for p in model.parameters()])


def test_it_learns(model: VAE) -> None:
    """The mean of all pictures costs 570 nats; a model that tells places and sizes costs less."""
    assert float(str(model.trained["reconstruction"])) < 450
    data = Sprites()
    corners = np.array([[0, 5, 0, x, y] for x, y in ((0, 0), (31, 31))])
    mu, log_var = model.encode(torch.from_numpy(data.pictures(data.indices_of(corners))))
    apart = (mu[0] - mu[1]).abs() / (log_var / 2).exp().mean(0)
    assert apart.max() > 3  # in standard deviations of q(z | x)


def test_the_same_seed_gives_the_same_model() -> None:
    one, again, other = (train(Sprites(), Training(steps=3, seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(parameters(one), parameters(again))
    assert not torch.equal(parameters(one), parameters(other))


def test_beta_weighs_the_kl() -> None:
    loose, tight = (train(Sprites(), Training(steps=150, beta=beta)) for beta in (0.1, 50.0))
    assert sum(tight.trained["kl"]) < 0.2 * sum(loose.trained["kl"])  # type: ignore[call-overload]


def test_beta_rises_to_what_was_asked() -> None:
    rising = [beta_at(done, Training(beta=4, steps=1)) for done in (0, 0.35, 0.425, 0.5, 1)]
    assert rising == pytest.approx([0.5, 0.5, (0.5 * 4) ** 0.5, 4, 4])
    assert beta_at(0, Training(beta=0.1, steps=1)) == 0.1
    assert beta_at(0, Training(beta=6, tc=True, steps=1)) == 6


def test_tcvae_trains() -> None:
    model = train(Sprites(), Training(steps=3, beta=6, tc=True))
    assert model.trained["tc"] is True


def test_minutes_end() -> None:
    lines: list[float] = []
    model = train(Sprites(), Training(minutes=0.01), report=lambda share, _: lines.append(share))
    assert lines[-1] == 1.0
    assert 0.01 <= float(str(model.trained["minutes"])) < 0.1


def test_length_is_in_one_unit() -> None:
    with pytest.raises(UsageError, match="in minutes or in steps"):
        Training()
    with pytest.raises(UsageError, match="in minutes or in steps"):
        Training(steps=1, minutes=1)


def test_divergence_is_an_error() -> None:
    with pytest.raises(UsageError, match="diverged"):
        train(Sprites(), Training(steps=60, learning_rate=1e30))


def test_pictures_of_a_folder(tmp_path: Path) -> None:
    for number in range(3):
        Image.new("RGB", (100, 80), (80 * number, 0, 0)).save(tmp_path / f"{number}.png")
    model = train(Folder(tmp_path), Training(steps=2), latents=4)
    assert model.config.channels == 3
    assert model.decode(torch.zeros(1, 4)).shape == (1, 3, 64, 64)
