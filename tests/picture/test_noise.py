"""The estimate of noise, on pictures that are built with a known amount of it."""

import numpy as np
import pytest
from conftest import photograph

from neuralcodec.picture.noise import noise_of


def smooth(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    plane = 128 + 50 * np.sin(rows / 25) * np.cos(columns / 31)
    return np.stack([plane, 0.8 * plane, 220 - plane / 2], 2)


def with_noise(clean: np.ndarray, deviation: float) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, deviation, clean.shape)
    return (clean + noise).round().clip(0, 255).astype(np.uint8)


def texture(height: int, width: int) -> np.ndarray:
    """Fine leaves all over, with a little calm sky."""
    rng = np.random.default_rng(2)
    leaves = rng.choice([40.0, 90.0, 150.0], (height // 2 + 1, width // 2 + 1)).repeat(2, 0).repeat(2, 1)
    leaves = leaves[:height, :width] + 20 * np.sin(np.arange(width) * 1.9)
    leaves[: height // 6] = np.linspace(120, 140, width)
    return np.stack([leaves, 0.9 * leaves, 0.7 * leaves], 2)


@pytest.mark.parametrize("deviation", [3, 5, 10, 25, 40])
@pytest.mark.parametrize("clean", [smooth, texture])
def test_known_levels(clean: object, deviation: float) -> None:
    pixels = with_noise(clean(160, 200), deviation)  # type: ignore[operator]
    assert noise_of(pixels) == pytest.approx(deviation, rel=0.15)


def test_texture_and_edges_are_no_noise() -> None:
    assert noise_of(texture(160, 200).round().astype(np.uint8)) < 1.5
    assert noise_of(smooth(160, 200).round().astype(np.uint8)) < 1
    rng = np.random.default_rng(0)
    page = np.full((160, 200, 1), 255, np.uint8)
    page[rng.random((160, 200)) < 0.2] = 0
    assert noise_of(page) == 0.0


def test_black_and_white_tell_nothing() -> None:
    """A frame of black around a noisy picture, or a burnt sky."""
    pixels = with_noise(smooth(160, 200), 12)
    pixels[:50] = 0
    pixels[:, 150:] = 255
    assert noise_of(pixels) == pytest.approx(12, rel=0.1)
    assert noise_of(np.zeros((40, 40, 3), np.uint8)) == 0.0
    assert noise_of(np.full((40, 40, 3), 77, np.uint8)) == 0.0


def test_channels_and_sizes() -> None:
    pixels = with_noise(smooth(160, 200), 10)
    assert noise_of(pixels[..., :1]) == pytest.approx(10, rel=0.1)
    tall = with_noise(np.tile(smooth(160, 200), (20, 3, 1)), 10)
    assert noise_of(tall) == pytest.approx(10, rel=0.05)
    for size in ((2, 50), (6, 6), (7, 7), (12, 12)):
        assert 0 <= noise_of(photograph(*size)) < 30
