"""The estimate of noise, on known levels."""

import numpy as np
import pytest
from conftest import photograph

from neuralcodec.picture.noise import noise_of


@pytest.mark.parametrize("deviation", [5.0, 10.0, 25.0])
@pytest.mark.parametrize("size", [(128, 160), (700, 96)])
def test_known_levels(deviation: float, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    clean = 128 + 40 * np.sin(rows / 9) + 30 * np.sin(columns / 7) + 20 * (columns % 32 < 16)
    noisy = clean[..., None] + rng.normal(0, deviation, (*size, 3))
    assert noise_of(noisy.round().clip(0, 255).astype(np.uint8)) == pytest.approx(deviation, rel=0.12)


def test_a_clean_picture_has_hardly_any() -> None:
    rows, columns = np.mgrid[0:200, 0:200]
    clean = (128 + 60 * np.sin(rows / 8) * np.sin(columns / 11)).round().astype(np.uint8)
    assert noise_of(clean[..., None]) < 1


def test_texture_counts_for_little() -> None:
    """Half of the picture is a chequerboard, which is all that the masks of Laplacians see."""
    pixels = np.full((200, 200, 1), 100, np.uint8)
    pixels[:80][np.indices((80, 200)).sum(0) % 2 == 1] = 200
    assert noise_of(pixels) < 1


def test_smaller_than_the_mask() -> None:
    assert noise_of(photograph(2, 50)) == 0.0


def test_a_tall_picture_is_looked_at_in_parts() -> None:
    rng = np.random.default_rng(1)
    pixels = rng.normal(128, 10, (6000, 1000, 1)).round().astype(np.uint8)
    assert noise_of(pixels) == pytest.approx(10, rel=0.05)
