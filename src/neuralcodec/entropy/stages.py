"""The prior that writes and reads files of the recurrent codec: integer networks for each stage.

The structure is that of `neuralcodec.models.gru.prior`, from which `neuralcodec.training.gru` makes it. As in
`neuralcodec.entropy.prior`, one function serves both directions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neuralcodec.arrays import Floats
from neuralcodec.entropy.coder import SymbolCoder
from neuralcodec.entropy.exact import Integers, Range, Stack
from neuralcodec.entropy.layers import FEATURE_UPDATE
from neuralcodec.entropy.prior import (
    ACTIVATION_CLIP,
    LATENT_CLIP,
    LATENT_ONE,
    SAMPLE_SIDE,
    STEPS,
    Draw,
    Step,
    code_in_steps,
    enter,
    integers_of,
)
from neuralcodec.entropy.tables import Tables


class StagePriors:
    """The integer networks and tables of one weights file.

    Args:
        tensors: integer arrays by name, as `export` stores them.

    Raises:
        ValueError: a sum could leave the exact range, or the arrays do not fit together.
    """

    def __init__(self, tensors: Mapping[str, npt.NDArray[Any]], stages: int) -> None:
        self.samples = min(stages, 2)  # number of segments of a canary: two stages include an update of φ
        self.tables = Tables(tensors["tables.counts"], tensors["tables.radius"])

        def stored(name: str) -> Integers:
            return integers_of(tensors, name)

        self.channels = len(tensors["exact.updates.0.project.bias"])
        features = Range.uniform(self.channels, -ACTIVATION_CLIP, ACTIVATION_CLIP)
        self.steps = [[Step(k, f"stages.{s}", stored, features) for k in range(STEPS)] for s in range(stages)]
        self.latent = self.steps[0][0].latent
        seen = features.concat(Range.uniform(self.latent, -LATENT_CLIP, LATENT_CLIP))
        self.updates = [_update(stage, stored, seen) for stage in range(stages - 1)]

    def code_sample(self, coders: Sequence[SymbolCoder], draw: Draw | None = None) -> list[Floats]:
        """Code the tile of a canary, `SAMPLE_SIDE` positions a side, and return y_hat of each stage.

        Args:
            coders: one for each of the first stages; writers, or without `draw` readers.
            draw: draws the latents to write.
        """
        size, decoded = (SAMPLE_SIDE, SAMPLE_SIDE), []
        features = self.start(*size)
        for stage, coder in enumerate(coders):
            y_hat, features = self.code(coder, stage, features, size, draw and draw((*size, self.latent)))
            decoded.append(y_hat)
        return decoded

    def start(self, height: int, width: int) -> Floats:
        """Make φ of the first stage, for a tile of `height` x `width` latent positions padded to even."""
        return np.zeros((height + height % 2, width + width % 2, self.channels), np.float32)

    def code(
        self,
        coder: SymbolCoder,
        stage: int,
        features: Floats,
        size: tuple[int, int],
        y: Floats | None = None,
    ) -> tuple[Floats, Floats]:
        """Write or read one stage of one tile.

        Args:
            coder: a writer, which needs `y`, or a reader.
            features: φ of this stage, from `start` or from the stage before.
            size: height and width of the tile's latent.
            y: `(H, W, C)`; H and W are the height and width rounded up to even numbers.

        Returns:
            y_hat `(*size, C)` as a decoder sees it, and φ of the next stage.

        Raises:
            DamagedFileError: the segment is damaged.
        """
        y_hat = code_in_steps(coder, self.steps[stage], features, size, y)
        if stage < len(self.updates):
            change = self.updates[stage](features, enter(y_hat))
            features = np.clip(features + change, -ACTIVATION_CLIP, ACTIVATION_CLIP)
        return y_hat[: size[0], : size[1]] / np.float32(LATENT_ONE), features


def _update(stage: int, stored: Callable[[str], Integers], inputs: Range) -> Stack:
    """Build the network that gives what a stage adds to φ."""
    return Stack(FEATURE_UPDATE, lambda part: stored(f"updates.{stage}.{part}"), inputs)
