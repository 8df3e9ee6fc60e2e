"""The probability tables: proper counts of the Gaussians they stand for."""

import math

import numpy as np
import pytest

from neuralcodec import weights
from neuralcodec.entropy.tables import (
    LOG_SCALE_STEP,
    SCALE_COUNT,
    SCALE_MIN,
    SILENT_INDEX,
    TOTAL,
    Tables,
    gaussian_tables,
)
from neuralcodec.models.conv.runner import Model

TABLES = gaussian_tables()
PARTS = np.split(TABLES.counts, np.cumsum(2 * TABLES.radius + 2)[:-1])


def test_counts_are_proper() -> None:
    assert len(PARTS) == SCALE_COUNT
    for part, radius in zip(PARTS, TABLES.radius, strict=True):
        assert len(part) == 2 * radius + 2
        assert part.sum() == TOTAL
        assert part.min() >= 1
        symbols = part[:-1]
        assert (symbols == symbols[::-1]).all()
        assert (np.diff(symbols[:radius]) >= 0).all()
        assert part[radius] > 0.98 * symbols.max()  # the peak, but for what rounding left over


def test_counts_follow_the_normal_distribution() -> None:
    for index, (part, radius) in enumerate(zip(PARTS, TABLES.radius, strict=True)):
        scale = SCALE_MIN * math.exp(LOG_SCALE_STEP * index)
        for symbol in {0, 1, int(radius) // 2}:
            # The distribution function from the complement, unlike the code under test.
            tails = [0.5 * math.erfc((abs(symbol) + s) / (scale * math.sqrt(2))) for s in (-0.5, 0.5)]
            share = tails[0] - tails[1]
            entry = int(part[radius + symbol])
            # The counts of one that rare symbols have at least are paid for by all.
            assert entry == pytest.approx(share * TOTAL, rel=0.005, abs=1)


def test_bits_are_the_logarithm_of_the_counts() -> None:
    rng = np.random.default_rng(1)
    index = rng.integers(0, SCALE_COUNT, 500).astype(np.uint8)
    symbols = rng.integers(-300, 301, 500).astype(np.int32)
    bits = TABLES.bits(symbols, index)
    for symbol, table, cost in zip(symbols.tolist(), index.tolist(), bits.tolist(), strict=True):
        radius = int(TABLES.radius[table])
        entry = symbol + radius if abs(symbol) <= radius else 2 * radius + 1
        expected = 0.0 if table == SILENT_INDEX else -math.log2(PARTS[table][entry] / TOTAL)
        assert cost == pytest.approx(expected, abs=1e-9)


def test_the_expected_cost_is_the_entropy_of_the_distribution() -> None:
    """Half a percent at most is lost to rounding the counts and to cutting the tails."""
    for index in range(12, SCALE_COUNT):
        scale = SCALE_MIN * math.exp(LOG_SCALE_STEP * index)
        radius = int(TABLES.radius[index])
        shares = np.array(
            [
                math.erfc((abs(k) - 0.5) / (scale * math.sqrt(2)))
                - math.erfc((abs(k) + 0.5) / (scale * math.sqrt(2)))
                for k in range(-radius, radius + 1)
            ]
        )
        shares = shares / 2
        entropy = -(shares * np.log2(shares)).sum()
        symbols = np.arange(-radius, radius + 1, dtype=np.int32)
        cost = (shares * TABLES.bits(symbols, np.full(len(symbols), index, np.uint8))).sum()
        assert entropy <= cost + 1e-4
        assert cost < 1.005 * entropy + 1e-3


@pytest.mark.parametrize("change", ["short", "zero", "radius"])
def test_malformed_tables_are_refused(change: str) -> None:
    counts, radius = TABLES.counts.copy(), TABLES.radius.copy()
    if change == "short":
        counts = counts[:-1]
    elif change == "zero":
        counts[7] = 0
    else:
        radius[3] += 1
    with pytest.raises(ValueError, match="malformed"):
        Tables(counts, radius)


def test_the_shipped_tables_are_those_made_here() -> None:
    """Of weights without fitted tables: a change of `gaussian_tables` must be meant."""
    shipped = Model(weights.by_id(bytes.fromhex("157adb15"))).prior.tables
    assert (shipped.radius == TABLES.radius).all()
    # Another platform's error function may differ in the last bit, which moves a count by one.
    assert np.abs(shipped.counts - TABLES.counts).max() <= 2
