"""The network that takes noise out of pixels, before any codec sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from neuralcodec.models.graphs import has_graph
from neuralcodec.models.runtime import ONNX, runtime
from neuralcodec.weights.denoiser import DenoiserFile

if TYPE_CHECKING:
    from neuralcodec.arrays import Floats, Pixels

#: Sides of what the network is given are multiples of this.
SIDE = 8
#: The name of its graph.
GRAPH = "network"


class DenoisingModel(Protocol):
    """What a loaded network is, whatever runs it."""

    def clean(self, pixels: Pixels, noise: float) -> Floats:
        """Take the noise out of pixels `(H, W, 3)`, H and W multiples of `SIDE`: 8-bit levels, not clipped.

        Args:
            noise: its standard deviation in 8-bit levels.
        """


def load(file: DenoiserFile, device: str | None) -> DenoisingModel:
    """Load the network; `device` is that of `encode_file`.

    Raises:
        UsageError: there is no such device here. NeuralCodecError: it is no weights file of this version.
    """
    if runtime(device, graphs=has_graph(file, GRAPH)) == ONNX:
        from neuralcodec.models.denoise import light

        return light.load(file)
    from neuralcodec.models.denoise import runner

    return runner.load(file, device)
