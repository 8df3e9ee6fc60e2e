"""The network of `neuralcodec.models.denoise.network` without torch, on ONNX Runtime."""

from __future__ import annotations

import functools

import numpy as np

from neuralcodec.arrays import Floats, Pixels
from neuralcodec.models.denoise import GRAPH
from neuralcodec.models.graphs import Sessions
from neuralcodec.weights.denoiser import DenoiserFile


class LightDenoiser:
    """One weights file, ready to run: a `DenoisingModel`."""

    def __init__(self, file: DenoiserFile) -> None:
        self._sessions = Sessions(file)

    def clean(self, pixels: Pixels, noise: float) -> Floats:
        """See `DenoisingModel`."""
        level = np.full((1, 1, 1, 1), noise, np.float32)
        [cleaned] = self._sessions.run(GRAPH, pixels=pixels.astype(np.float32), noise=level)
        return np.asarray(cleaned)


@functools.lru_cache(maxsize=1)  # the last one used stays in memory
def load(file: DenoiserFile) -> LightDenoiser:
    """Load the network of a weights file."""
    return LightDenoiser(file)
