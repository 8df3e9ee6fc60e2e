"""Noise for training, of the strength that is asked for."""

import numpy as np
import pytest
from conftest import photograph

from neuralcodec.training.noise import camera_noise, plain_noise, with_noise


def grey(value: int) -> np.ndarray:
    return np.full((64, 64, 3), value, np.uint8)


@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("deviation", [4.0, 15.0])
def test_strength(spread: bool, deviation: float) -> None:
    for seed in range(5):
        noisy = camera_noise(np.random.default_rng(seed), grey(120), deviation, spread=spread)
        assert (noisy - 120.0).std() == pytest.approx(deviation, rel=0.15)
    assert (plain_noise(np.random.default_rng(0), grey(120), deviation) - 120.0).std() == pytest.approx(
        deviation, rel=0.1
    )


def test_noise_of_cameras_is_of_the_light() -> None:
    """In linear light its variance grows with the light, which the tone curve turns round in part."""
    halves = np.concatenate([grey(30), grey(220)], 1)
    noisy = camera_noise(np.random.default_rng(3), halves, 8.0).astype(float)
    dark, bright = noisy[:, :64].std(), noisy[:, 64:].std()
    assert abs(dark - bright) > 0.15 * dark


def test_spread_noise_is_alike_beside() -> None:
    def alike(spread: bool) -> float:
        noise = camera_noise(np.random.default_rng(0), grey(120), 10.0, spread=spread)[..., 1] - 120.0
        return float((noise[:, 1:] * noise[:, :-1]).mean() / noise.var())

    assert abs(alike(False)) < 0.05
    assert alike(True) > 0.1


def test_the_same_for_a_seed() -> None:
    pixels = photograph(64, 64)
    for seed in range(12):
        one, two = (with_noise(np.random.default_rng(seed), pixels, 20.0) for _ in range(2))
        assert np.array_equal(one, two) and one.shape == pixels.shape
