"""The transforms of `neuralcodec.models.conv.runner` without torch, on ONNX Runtime."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from neuralcodec import weights
from neuralcodec.arrays import Box, Floats, Pixels
from neuralcodec.format.header import CONV
from neuralcodec.models.conv import HALO
from neuralcodec.models.conv.quality import exact_parts
from neuralcodec.models.graphs import Graphs
from neuralcodec.processes import available_cores
from neuralcodec.weights import WeightsFile
from neuralcodec.weights.stored import not_weights


class Features(NamedTuple):
    """Half of an analysis, before the level has a say: `(1, fine, H/8, W/8)` and `(1, C, H/16, W/16)`."""

    fine: Floats
    shortcut: Floats


class LightModel:
    """One weights file, ready to code: a `TileModel`."""

    halo = HALO

    def __init__(self, file: WeightsFile) -> None:
        stored = weights.read(file)
        self.id, self.tradeoff = stored.id, stored.tradeoff
        try:
            if file.codec != CONV:
                raise ValueError(f"it is for codec {file.codec.name!r}")
            priors, self.levels = exact_parts(stored)
            self.prior, self.detail_prior = priors.base, priors.detail
        except (LookupError, TypeError, ValueError, ArithmeticError) as error:
            raise not_weights(file.path, error) from None
        self._graphs = Graphs(file, stored.arrays)

    def at(self, box: Box) -> LightModel:
        """Return this: the place does not matter."""
        return self

    @property
    def threads(self) -> int:
        """Number of threads that the transforms use, and the rest should."""
        return available_cores()

    def features(self, pixels: Pixels | Floats) -> Features:
        """Compute the part of the analysis that is the same for every quality, of pixels `(H, W, 3)`."""
        return Features(*self._graphs.run("features", pixels=np.asarray(pixels, np.float32)))

    def latent(self, features: Features, quality: float) -> Floats:
        """Compute y `(H/16, W/16, C)` from the result of `features`."""
        gains = self._gains("analysis", quality)
        [y] = self._graphs.run("latent", **features._asdict(), **gains)
        return np.asarray(y)

    def hyper_analyse(self, y: Floats) -> Floats:
        """Compute z `(h/4, w/4, C_z)` from y `(h, w, C)`, h and w multiples of four."""
        return np.asarray(self._graphs.run("hyper_analysis", y=y)[0])

    def analyse_detail(self, pixels: Pixels | Floats, y_hat: Floats, quality: float) -> Floats:
        """Compute y2 `(2h, 2w, D)` from pixels `(16h, 16w, 3)` and the y_hat `(h, w, C)` of their base."""
        feeds = self._gains("synthesis", quality) | self._detail_gains("analysis", quality)
        x = np.asarray(pixels, np.float32)
        return np.asarray(self._graphs.run("detail_analysis", pixels=x, y_hat=y_hat, **feeds)[0])

    def synthesise(
        self, y_hat: Floats, quality: float, reduce: int = 1, detail: Floats | None = None
    ) -> Pixels:
        """Decode y_hat `(h, w, C)`: pixels `(16 h / reduce, 16 w / reduce, 3)`, means of `reduce` a side.

        Args:
            detail: the decoded detail latent `(2h, 2w, D)`.
        """
        pixels: Pixels
        feeds = {"y_hat": y_hat, **self._gains("synthesis", quality)}
        if detail is None:
            [pixels] = self._graphs.run("synthesis", **feeds)
        else:
            feeds |= {"y2_hat": detail, **self._detail_gains("synthesis", quality)}
            [pixels] = self._graphs.run("detail_synthesis", **feeds)
        if reduce == 1:
            return pixels
        height, width = pixels.shape[0] // reduce, pixels.shape[1] // reduce
        squares = pixels.reshape(height, reduce, width, reduce, 3)
        return squares.mean((1, 3), dtype=np.float32).round().astype(np.uint8)

    def _gains(self, half: str, quality: float) -> dict[str, Floats]:
        level = self.levels(quality).base
        names = {"latent_gain": f"{half}_gain", "feature_gain": f"{half}_feature_gain"}
        return {name: self._graphs.gains(table, level) for name, table in names.items()}

    def _detail_gains(self, half: str, quality: float) -> dict[str, Floats]:
        level = self.levels(quality).detail
        assert level is not None
        names = {"latent_gain2": f"detail_{half}_gain", "feature_gain2": f"detail_{half}_feature_gain"}
        return {name: self._graphs.gains(table, level) for name, table in names.items()}


@functools.lru_cache(maxsize=2)  # the last two used stay in memory
def load(file: WeightsFile) -> LightModel:
    """Load the model of a weights file.

    Raises:
        NeuralCodecError: it is no weights file of this version.
    """
    return LightModel(file)
