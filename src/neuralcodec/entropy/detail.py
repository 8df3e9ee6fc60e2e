"""The prior of the detail layer in the form that codes files, and the priors of a conv model together.

It is exact, as that of the base (`entropy.prior`) is. Its structure is that of
`neuralcodec.models.conv.detail.DetailPrior`, from which `neuralcodec.training.conv` makes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neuralcodec.arrays import Floats
from neuralcodec.entropy.coder import SymbolCoder
from neuralcodec.entropy.exact import ONE, Range, Stack
from neuralcodec.entropy.layers import DETAIL_FEATURES
from neuralcodec.entropy.prior import (
    LATENT_CLIP,
    LATENT_ONE,
    SAMPLE_SIDE,
    STEPS,
    Draw,
    IntegerPrior,
    Step,
    code_in_steps,
    enter,
    integers_of,
)
from neuralcodec.entropy.tables import SCALE_COUNT, Index, Int32, Tables


class DetailPrior:
    """The integer networks of a detail layer.

    Args:
        tensors: integer arrays by name, as `export` stores them.
        base: channels of the base's latent.
        tables: those of the weights file.

    Raises:
        ValueError: a sum could leave the exact range, or the arrays do not fit together.
    """

    def __init__(self, tensors: Mapping[str, npt.NDArray[Any]], base: int, tables: Tables) -> None:
        self.tables = tables
        #: For each quality from the first that has a detail layer on, what is added to the features.
        self.rows = tensors["detail.rows"]
        #: The table of each scale index.
        self.table = tensors["detail.table"]
        if self.table.shape != (SCALE_COUNT,) or self.table.max() >= len(tables.radius) or self.table[0] != 0:
            raise ValueError("the detail layer has other tables than one for each scale index")
        layers = Stack(
            DETAIL_FEATURES,
            lambda name: integers_of(tensors, name),
            Range.uniform(base, -LATENT_CLIP, LATENT_CLIP),
        )
        self.features = layers
        top = DETAIL_FEATURES[-1]
        self.low, self.high = np.float32(top.low * ONE), np.float32(top.high * ONE)
        seen = Range.uniform(len(layers.range.low), top.low * ONE, top.high * ONE)
        if self.rows.ndim != 2 or self.rows.shape[1] != len(layers.range.low):
            raise ValueError("the rows of the detail layer do not fit its features")
        self.steps = [
            Step(k, "detail_steps", lambda name: integers_of(tensors, name), seen) for k in range(STEPS)
        ]
        self.latent = self.steps[0].latent

    def code(
        self,
        coder: SymbolCoder,
        row: int,
        base: Floats,
        y: Floats | None = None,
    ) -> Floats:
        """Write or read the detail latent of one tile.

        Args:
            coder: a writer, which needs `y`, or a reader.
            row: of `rows`.
            base: y_hat of the tile's base `(h, w, C)`.
            y: `(2h, 2w, D)`.

        Returns:
            The decoded detail latent `(2h, 2w, D)`, as a decoder sees it.

        Raises:
            DamagedFileError: the segment is damaged.
        """
        features = self.features(enter(base * np.float32(LATENT_ONE)))
        features = np.clip(features + self.rows[row].astype(np.float32), self.low, self.high)
        size = (features.shape[0], features.shape[1])
        coded = code_in_steps(_Mapped(coder, self.table), self.steps, features, size, y)
        return coded / np.float32(LATENT_ONE)


class _Mapped:
    """A coder whose tables are those that a map gives for scale indices."""

    def __init__(self, coder: SymbolCoder, table: npt.NDArray[Any]) -> None:
        self._coder, self._table = coder, table

    def exchange(self, symbols: Int32 | None, index: Index) -> Int32:
        return self._coder.exchange(symbols, self._table[index])


class ConvPriors:
    """The priors of a conv model: that of the base, and that of the detail layer if there is one.

    Args:
        tensors: integer arrays by name, as `export` stores them.

    Raises:
        ValueError: a sum could leave the exact range, or the arrays do not fit together.
    """

    def __init__(self, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
        self.base = IntegerPrior(tensors)
        self.tables = self.base.tables
        self.detail: DetailPrior | None = None
        if "detail.rows" in tensors:
            self.detail = DetailPrior(tensors, self.base.latent, self.tables)
        #: Number of segments of a canary.
        self.samples = 1 if self.detail is None else 2

    def code_sample(self, coders: Sequence[SymbolCoder], draw: Draw | None = None) -> list[Floats]:
        """Code the tile of a canary, `SAMPLE_SIDE` positions a side, and return what each layer decodes to.

        Args:
            coders: `samples` writers, or without `draw` as many readers.
            draw: draws the latents to write.
        """
        decoded = self.base.code_sample(coders[:1], draw)
        if self.detail is not None:
            y = draw and draw((2 * SAMPLE_SIDE, 2 * SAMPLE_SIDE, self.detail.latent))
            decoded.append(self.detail.code(coders[1], 0, decoded[0], y))
        return decoded
