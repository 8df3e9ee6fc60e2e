"""Holes that pictures are spoilt with."""

import numpy as np
import pytest

from neuralcodec.training.holes import KINDS, draw_holes


@pytest.mark.parametrize("kind", KINDS)
def test_holes_are_some_of_a_picture_and_the_same_for_a_seed(kind: str) -> None:
    for seed in range(20):
        hole = draw_holes(np.random.default_rng(seed), kind, 192, 256)
        assert hole.shape == (192, 256) and hole.dtype == bool
        assert 0 < hole.mean() < 0.6
        assert np.array_equal(hole, draw_holes(np.random.default_rng(seed), kind, 192, 256))


def test_kinds_differ_in_width() -> None:
    """What is left of holes whose edge of three pixels is cut off."""

    def thick(kind: str) -> float:
        hole = draw_holes(np.random.default_rng(1), kind, 512, 512)
        inner = hole.copy()
        for _ in range(4):
            inner[1:-1, 1:-1] &= inner[2:, 1:-1] & inner[:-2, 1:-1] & inner[1:-1, 2:] & inner[1:-1, :-2]
        return inner.sum() / hole.sum()

    assert thick("scratches") < 0.05 < thick("strokes") < thick("boxes")
