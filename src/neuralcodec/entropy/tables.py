"""Probability tables, as integer counts: one for each of 64 widths, then those of the hyper-latent.

Each of the first tables belongs to a *scale index*: width `SCALE_MIN * exp(LOG_SCALE_STEP * index)` in
quantization steps. They are discretised Gaussians, or what `neuralcodec.training.fitting` made of them.
Fitting also adds tables for single channels of the hyper-latent; without it, these use the first tables as
well. A table covers the symbols `-radius..radius`; its last entry is an escape for anything beyond. The
counts are made once, at export, and stored with the weights: both ends of a file must use the same tables,
and the error function of another platform could differ in the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import constriction
import numpy as np
import numpy.typing as npt

SCALE_COUNT = 64
SCALE_MIN = 0.11
LOG_SCALE_STEP = 0.1
#: The sum of the counts of a table.
TOTAL = 1 << 16
#: Symbols at this index are zero by convention and are not coded: any other has a probability of 5e-6.
SILENT_INDEX = 0

Int32 = npt.NDArray[np.int32]
#: Table numbers.
Index = npt.NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True)
class Tables:
    """The counts of all tables, at least `SCALE_COUNT` of them, one table after another.

    Table i has `2 * radius[i] + 2` counts.
    """

    counts: Int32
    radius: Int32

    def __post_init__(self) -> None:
        sizes = 2 * self.radius.astype(np.int64) + 2
        if len(self.radius) < SCALE_COUNT or sizes.min() < 2 or sizes.sum() != len(self.counts):
            raise ValueError("malformed probability tables")
        sums = np.add.reduceat(self.counts, self.starts, dtype=np.int64)
        if self.counts.min() < 1 or (sums != TOTAL).any():
            raise ValueError("malformed probability tables")

    def __getstate__(self) -> dict[str, Any]:
        return {"counts": self.counts, "radius": self.radius}  # constriction's models cannot be copied

    def shares(self) -> list[npt.NDArray[np.float32]]:
        """Compute the probabilities of each table."""
        ends = np.cumsum(2 * self.radius + 2)
        # Divide by a float32: by a plain integer this large, numpy 1 gives float64, which makes other tables.
        return [part.astype(np.float32) / np.float32(TOTAL) for part in np.split(self.counts, ends[:-1])]

    @cached_property
    def models(self) -> list[Any]:
        """One constriction model for each table. Its float32 conversion uses only exact IEEE operations."""
        make: Callable[..., Any] = constriction.stream.model.Categorical
        return [make(share, perfect=False) for share in self.shares()]

    @cached_property
    def starts(self) -> npt.NDArray[np.intp]:
        """Where each table starts in `counts`."""
        return np.concatenate(([0], np.cumsum(2 * self.radius + 2)[:-1])).astype(np.intp)

    @cached_property
    def savings(self) -> npt.NDArray[np.float64]:
        """Bits that the next symbol towards zero saves, for each entry of `counts`; 0 for zero and escape."""
        cost = -np.log2(self.counts)
        towards = np.arange(len(cost))
        for start, radius in zip(self.starts, self.radius, strict=True):
            towards[start : start + radius] += 1
            towards[start + radius + 1 : start + 2 * radius + 1] -= 1
        return cost - cost[towards]

    def bits(self, symbols: Int32, index: Index) -> npt.NDArray[np.float64]:
        """Compute the ideal code length of each symbol; of an escape, without the value that follows."""
        radius = self.radius[index]
        inside = np.abs(symbols) <= radius
        entry = np.where(inside, symbols + radius, 2 * radius + 1)
        cost = np.log2(TOTAL) - np.log2(self.counts[self.starts[index] + entry])
        return np.where(index == SILENT_INDEX, 0.0, cost)


def gaussian_tables() -> Tables:
    """Make the Gaussian tables: 4.5 standard deviations to each side, every count at least one."""
    halves = []
    for index in range(SCALE_COUNT):
        scale = SCALE_MIN * math.exp(LOG_SCALE_STEP * index)
        halves.append(gaussian_shares(scale, max(1, math.ceil(4.5 * scale))))
    return tables_of([half[:0:-1] + half for half in halves])


def gaussian_shares(scale: float, radius: int) -> list[float]:
    """Compute the probabilities of the symbols `0..radius` of a discretised Gaussian."""
    edges = [0.5 * math.erf((k + 0.5) / (scale * math.sqrt(2))) for k in range(radius + 1)]
    return [2 * edges[0]] + [upper - lower for lower, upper in pairwise(edges)]


def tables_of(shares: Sequence[Sequence[float]]) -> Tables:
    """Make integer tables from probabilities of the symbols `-radius..radius`; the escape gets the rest."""
    counts: list[int] = []
    for symbols in shares:
        table = _integer_shares([*symbols, 1 - math.fsum(symbols)])
        radius = (len(symbols) - 1) // 2
        # The most likely symbol takes what rounding left over; of several, the one nearest the middle.
        place = max(range(len(table)), key=lambda entry: (table[entry], -abs(entry - radius)))
        table[place] += TOTAL - sum(table)
        counts += table
    radii = [(len(symbols) - 1) // 2 for symbols in shares]
    return Tables(np.array(counts, np.int32), np.array(radii, np.int32))


def _integer_shares(shares: list[float]) -> list[int]:
    """Scale probabilities to counts of at least one that nearly sum to `TOTAL`.

    All symbols share the cost of the counts of one for rare symbols.
    """
    low, high = 0.5 * TOTAL, 1.0 * TOTAL
    for _ in range(40):
        factor = (low + high) / 2
        table = [max(1, round(share * factor)) for share in shares]
        low, high = (factor, high) if sum(table) < TOTAL else (low, factor)
    return table
