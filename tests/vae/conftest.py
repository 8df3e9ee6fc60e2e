"""A small trained model, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuralcodec.vae.model import VAE, load, save
from neuralcodec.vae.sprites import Sprites
from neuralcodec.vae.training import Training, train


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a model that was trained for some seconds."""
    path = tmp_path_factory.mktemp("vae") / "small.safetensors"
    save(train(Sprites(), Training(steps=400)), path)
    return path


@pytest.fixture
def model(weights: Path) -> VAE:
    return load(str(weights))
