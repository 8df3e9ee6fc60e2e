"""A tiny model and a folder of synthetic photographs to train it on."""

from __future__ import annotations

import functools
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import photograph
from PIL import Image
from tiny import TINY_MODEL, TINY_RECURRENT

from neuralcodec.training import loop
from neuralcodec.training.recipe import Recipe, read_recipe

TINY = Recipe(
    replace(
        read_recipe(Path("conv")).training,
        minutes=10.0,
        batch=2,
        crop=192,  # MS-SSIM needs more than 160
        learning_rate=2e-3,
        warmup_steps=2,
        constant_share=0.4,
        mse_share=0.0,
        ema_decay=0.999,
        seed=1,
    ),
    codec="conv",
    model=TINY_MODEL,
)
TINY_GRU = Recipe(TINY.training, "gru", TINY_RECURRENT)


@pytest.fixture
def recipe() -> Recipe:
    return TINY


@pytest.fixture
def gru_recipe() -> Recipe:
    return TINY_GRU


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three pictures, one that is too small, and one file that is none."""
    folder = tmp_path_factory.mktemp("images")
    for seed, (height, width) in enumerate([(200, 260), (230, 210), (520, 800)]):
        Image.fromarray(photograph(height, width, seed=seed)).save(folder / f"{seed}.png")
    Image.fromarray(photograph(30, 300)).save(folder / "small.png")
    (folder / "README.txt").write_text("no picture")
    return folder


@pytest.fixture
def quick_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer samples for the principal components that a run starts from."""
    fewer = functools.partial(loop.block_components, samples=1000)
    monkeypatch.setattr(loop, "block_components", fewer)


@pytest.fixture
def signals() -> Iterator[None]:
    """Restores the handlers that `Trainer.run` replaces."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)
