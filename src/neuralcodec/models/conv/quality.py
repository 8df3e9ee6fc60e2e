"""From the quality that people choose to the levels that a model was trained for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from neuralcodec.entropy import canary
from neuralcodec.entropy.detail import ConvPriors
from neuralcodec.entropy.prior import QUALITY_ROWS
from neuralcodec.models.conv.config import ConvConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuralcodec.weights import Weights


class Levels(NamedTuple):
    """What a quality stands for.

    Args:
        base: the level of the base, a real number from 0.
        base_row: the quality, as a whole number, whose tables code the base.
        detail: the level of the detail layer; None where there is none.
        detail_row: the row of the detail layer's tables.
    """

    base: float
    base_row: int
    detail: float | None = None
    detail_row: int = 0


class QualityTable:
    """The levels of every quality.

    Weights without a detail layer have levels in proportion to the quality. The others have

    * `quality.base` `(K + 1,)`: the level of a base alone, at the qualities 0 to K;
    * `quality.detail` `(101 - K,)`: the level of the detail layer, at K to 100. Its base has the quality
      `base_quality` of the configuration.

    `first` is the first quality with a detail layer, 101 where there is none; `highest` is the highest level
    of the base.

    Raises:
        ValueError: the arrays do not fit together.
    """

    def __init__(self, config: ConvConfig, arrays: Mapping[str, Any]) -> None:
        self.highest = config.levels - 1
        self.first = QUALITY_ROWS
        self.base_quality = config.base_quality
        if not config.detail:
            self._slope = np.float32((config.levels - 1) / 100)
            return
        self._base, self._detail = (
            arrays[f"quality.{name}"].astype(np.float64) for name in ("base", "detail")
        )
        self.first = len(self._base) - 1
        if self._base.ndim != 1 or self._detail.shape != (QUALITY_ROWS - self.first,):
            raise ValueError("its table of qualities is not one for 0 to 100")
        highest = config.levels - 1, config.detail_levels - 1
        for levels, most in zip((self._base, self._detail), highest, strict=True):
            if not (np.diff(levels) >= 0).all() or levels[0] < 0 or levels[-1] > most:
                raise ValueError("its levels of quality do not grow from 0 to the last")
        if not 0 <= self.base_quality < self.first:
            raise ValueError("the quality of the base is out of range")

    def __call__(self, quality: float) -> Levels:
        """Find the levels of a quality of 0 to 100."""
        row = (round(100 * quality) + 50) // 100
        if self.first == QUALITY_ROWS:
            return Levels(float(np.float32(quality) * self._slope), row)
        if quality < self.first:
            return Levels(self._at(self._base, quality), row)
        base = self._at(self._base, self.base_quality)
        return Levels(base, self.base_quality, self._at(self._detail, quality - self.first), row - self.first)

    def alone(self, row: int) -> float:
        """Return the level of a base alone at a whole quality; beyond the last, that of the last."""
        return self(row).base if self.first == QUALITY_ROWS else self._at(self._base, row)

    @staticmethod
    def _at(levels: Any, place: float) -> float:
        return float(np.interp(place, np.arange(len(levels)), levels))


def exact_parts(stored: Weights) -> tuple[ConvPriors, QualityTable]:
    """Make what weights have beside their transforms, and test that this machine is exact.

    Raises:
        ValueError: the arrays do not fit together. NeuralCodecError: the machine is not exact.
    """
    config, priors = ConvConfig(**stored.model), ConvPriors(stored.arrays)
    levels = QualityTable(config, stored.arrays)
    # Of the detail layer: its channels, and its qualities.
    described = (config.detail, QUALITY_ROWS - levels.first)
    if described != ((0, 0) if priors.detail is None else (priors.detail.latent, len(priors.detail.rows))):
        raise ValueError("its detail layer is not the one that its sizes and its table of qualities describe")
    canary.check(priors, stored.canary)
    return priors, levels
