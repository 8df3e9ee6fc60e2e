"""Drawn training pictures."""

import numpy as np
import pytest

from neuralcodec.training.data import CropSampler, PixelStore
from neuralcodec.training.drawn import draw


def test_a_drawing_is_a_function_of_the_seed() -> None:
    first, again, other = (draw(np.random.default_rng(seed), 192) for seed in (1, 1, 2))
    assert first.shape == (192, 192, 3)
    assert first.dtype == np.uint8
    assert (first == again).all()
    assert (first != other).any()


def test_drawings_have_what_they_are_for() -> None:
    """Plain areas, sharp edges, and dark on light as well as light on dark."""
    pictures = [draw(np.random.default_rng(seed), 192).astype(int) for seed in range(40)]
    plain = [np.mean(np.abs(np.diff(p, axis=1)).max(2) < 4) for p in pictures]
    sharp = [np.mean(np.abs(np.diff(p, axis=1)).max(2) > 60) for p in pictures]
    assert np.mean(plain) > 0.7
    assert np.median(sharp) > 0.005
    levels = np.array([np.median(p) for p in pictures])
    assert 0.1 < np.mean(levels < 100) < 0.6


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_sampler_mixes_them_in(share: float) -> None:
    grey = np.full(200 * 200 * 3, 77, np.uint8)
    store = PixelStore(grey, [(200, 200)], np.zeros(1, np.int64))
    sampler = CropSampler(store, size=192, batch=8, seed=3, drawn_share=share)
    crops = np.concatenate([sampler.crops(step).numpy() for step in range(8)])
    drawn = np.mean([(crop != 77).any() for crop in crops])
    assert abs(drawn - share) < 0.2
