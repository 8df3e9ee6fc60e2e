"""Rounding that weighs the cost of a symbol.

Each element by itself is rounded to the nearest symbol, or to the next one towards zero where that saves more
bits than the further error is worth (Ramchandran and Vetterli 1994, "Rate-distortion optimal fast
thresholding with complete JPEG/MPEG decoder compatibility"). A decoder needs no change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neuralcodec.entropy.tables import SILENT_INDEX, Index, Int32, Tables


@dataclass(frozen=True)
class Rounding:
    """Rounding with one weight of errors against bits.

    Args:
        tables: give the cost of symbols.
        weight: second derivative of the distortion, in bits, by an element: an error of e quantization steps
            is worth `weight / 2 · e²` bits.
    """

    tables: Tables
    weight: float

    def __call__(self, distance: npt.NDArray[np.floating[Any]], nearest: Int32, index: Index) -> Int32:
        """Choose the symbols `(n,)`.

        Args:
            distance: distances of the values to their means, in quantization steps, `(n,)`.
            nearest: the same, rounded.
            index: table numbers.
        """
        places = np.flatnonzero((nearest != 0) & (index != SILENT_INDEX))
        symbols, numbers = nearest[places], index[places]
        radius = self.tables.radius[numbers]
        inside = np.abs(symbols) <= radius  # escapes are few and stay
        places, symbols, numbers = places[inside], symbols[inside], numbers[inside]
        saved = self.tables.savings[self.tables.starts[numbers] + symbols + radius[inside]]
        further = 1 + 2 * (np.abs(distance[places]) - np.abs(symbols))  # difference of the squared errors
        out = nearest.copy()
        out[places] -= np.sign(symbols) * (saved > 0.5 * self.weight * further)
        return out


def error_weight(share: float) -> float:
    """Return the weight that suits the `conv` weights, found on held-out photographs.

    Args:
        share: where the level lies between the lowest, 0, and the highest, 1.
    """
    return float(120 * 2 ** ((60 - 100 * share) / 30))
