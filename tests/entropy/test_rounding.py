"""Rounding by cost, against trying every choice."""

import numpy as np
import pytest

from neuralcodec.entropy.rounding import Rounding, error_weight
from neuralcodec.entropy.tables import SILENT_INDEX, gaussian_tables

TABLES = gaussian_tables()


@pytest.mark.parametrize("weight", [5.0, 20.0, 100.0])
def test_each_symbol_is_the_better_of_two(weight: float) -> None:
    rng = np.random.default_rng(1)
    distance = rng.normal(0, 3, 4000).astype(np.float32)
    index = rng.integers(1, 64, 4000).astype(np.uint8)
    nearest = np.rint(distance).astype(np.int32)
    symbols = Rounding(TABLES, weight)(distance, nearest, index)

    changed = 0
    for d, near, number, symbol in zip(distance, nearest, index, symbols, strict=True):
        if abs(near) > TABLES.radius[number]:
            assert symbol == near
            continue
        choices = [near, near - np.sign(near)]
        bits = TABLES.bits(np.array(choices, np.int32), np.array([number, number], np.uint8))
        costs = bits + weight / 2 * (np.array(choices) - d) ** 2
        assert symbol == choices[int(costs[1] < costs[0] - 1e-9)]
        changed += symbol != near
    assert changed > 5


def test_errors_without_end_are_worth_everything() -> None:
    distance = np.random.default_rng(2).normal(0, 3, 1000).astype(np.float32)
    nearest = np.rint(distance).astype(np.int32)
    index = np.full(1000, 20, np.uint8)
    assert (Rounding(TABLES, 1e9)(distance, nearest, index) == nearest).all()


def test_silent_symbols_and_the_argument_stay() -> None:
    nearest = np.array([3, -2, 1], np.int32)
    index = np.array([SILENT_INDEX, 1, 1], np.uint8)
    symbols = Rounding(TABLES, 0.0)(np.array([3.1, -1.6, 0.6], np.float32), nearest, index)
    assert symbols.tolist()[0] == 3
    assert nearest.tolist() == [3, -2, 1]


def test_errors_count_for_more_at_low_qualities() -> None:
    weights = [error_weight(quality) for quality in (0, 0.255, 0.6, 1)]
    assert weights == sorted(weights, reverse=True)
    assert weights[2] == 120
