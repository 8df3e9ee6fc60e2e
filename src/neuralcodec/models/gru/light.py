"""The transforms of `neuralcodec.models.gru.runner` without torch, on ONNX Runtime."""

from __future__ import annotations

import functools

import numpy as np

from neuralcodec import weights
from neuralcodec.arrays import Floats, Pixels
from neuralcodec.entropy import canary
from neuralcodec.entropy.stages import StagePriors
from neuralcodec.format.header import GRU
from neuralcodec.models.graphs import Graphs
from neuralcodec.processes import available_cores
from neuralcodec.weights import WeightsFile
from neuralcodec.weights.stored import not_weights


class LightModel:
    """One weights file, ready to code: `prior` is the exact part, `encoder` and `decoder` the rest."""

    def __init__(self, file: WeightsFile) -> None:
        stored = weights.read(file)
        self.id, self.sizes = stored.id, stored.model
        try:
            if stored.model["stages"] != GRU.stages:
                raise ValueError(f"it has {stored.model['stages']} stages")
            self.prior = StagePriors(stored.arrays, GRU.stages)
            canary.check(self.prior, stored.canary)
        except (LookupError, TypeError, ValueError, ArithmeticError) as error:
            raise not_weights(file.path, error) from None
        self.graphs = Graphs(file, stored.arrays)

    @property
    def threads(self) -> int:
        """Number of threads that the transforms use, and the rest should."""
        return available_cores()

    def decoder(self, height: int, width: int) -> StageDecoder:
        """See `neuralcodec.models.gru.runner`."""
        return StageDecoder(self, height, width)

    def encoder(self, pixels: Pixels) -> StageEncoder:
        """See `neuralcodec.models.gru.runner`."""
        return StageEncoder(self, pixels)

    def states(self, height: int, width: int) -> dict[str, Floats]:
        """Make a side's states before the first stage."""
        shapes = {"fine": (2 * height, 2 * width), "coarse": (height, width)}
        return {name: np.zeros((1, self.sizes[name], *shape), np.float32) for name, shape in shapes.items()}

    def passes(self, stage: int) -> int:
        return self.sizes["priming"] if stage == 0 else 1

    def own(self, half: str, stage: int, *layers: str) -> dict[str, Floats]:
        """Return what a stage has of its own, as inputs of a graph: of `heads` the input `head`."""
        return {
            f"{layer}__{part}": self.graphs.array(f"{half}.{layer}s.{stage}.{part}")
            for layer in layers
            for part in ("weight", "bias")
        }


class StageDecoder:
    """The decoder of a picture of `height` x `width` latent positions: takes one stage after another."""

    def __init__(self, model: LightModel, height: int, width: int) -> None:
        self._model, self.stage = model, 0
        self._states = model.states(height, width)
        self._linear = np.zeros((1, 768, height, width), np.float32)

    def add(self, y_hat: Floats) -> None:
        """Take the latent `(height, width, C)` of the next stage."""
        model, stage = self._model, self.stage
        feeds = model.own("synthesis", stage, "stem", "shortcut") | {"linear": self._linear, "y_hat": y_hat}
        for gain in ("latent_gain", "feature_gain"):
            feeds[gain] = model.graphs.gains(f"synthesis.{gain}", stage)
        for _ in range(model.passes(stage)):
            fine, coarse, self._linear = model.graphs.run("synthesis", **feeds, **self._states)
            self._states = {"fine": fine, "coarse": coarse}
        self.stage += 1

    def _render(self, output: str) -> Floats | Pixels:
        states = {"fine": self._states["fine"], "linear": self._linear}
        return np.asarray(self._model.graphs.run("render", [output], **states)[0])

    def x_hat(self) -> Floats:
        """Show what the stages so far give: `(16·height, 16·width, 3)` around [-0.5, 0.5], not clipped."""
        return self._render("x_hat")  # type: ignore[return-value]

    def pixels(self) -> Pixels:
        """Show what the stages so far give: `(16·height, 16·width, 3)`."""
        return self._render("pixels")  # type: ignore[return-value]


class StageEncoder:
    """The encoder of pixels `(H, W, 3)`, sides multiples of 16, with a decoder to see what is left over."""

    def __init__(self, model: LightModel, pixels: Pixels) -> None:
        height, width = pixels.shape[0] // 16, pixels.shape[1] // 16
        self._model, self.decoder = model, StageDecoder(model, height, width)
        self._states = model.states(height, width)
        self._target: Floats = pixels.astype(np.float32) / np.float32(255) - np.float32(0.5)
        self._x_hat: Floats = np.zeros_like(self._target)

    def latent(self) -> Floats:
        """Compute y `(H/16, W/16, C)` of the next stage; `add` must be called before the one after it."""
        model, stage = self._model, self.decoder.stage
        gain = model.graphs.gains("analysis.gain", stage)
        feeds = model.own("analysis", stage, "head", "shortcut")
        feeds["residual"] = self._target - self._x_hat
        feeds |= {"gain": gain, "gain_mean": np.asarray(gain.mean(), np.float32)}
        feeds["latent_gain"] = model.graphs.gains("analysis.latent_gain", stage)
        for _ in range(model.passes(stage)):
            y, fine, coarse = model.graphs.run("analysis", **feeds, **self._states)
            self._states = {"fine": fine, "coarse": coarse}
        return np.asarray(y)

    def add(self, y_hat: Floats) -> None:
        """Take what the decoder will see of the latent."""
        self.decoder.add(y_hat)
        self._x_hat = self.decoder.x_hat()

    def squared_error(self) -> Floats:
        """Mean squared error of every latent position's pixels `(H/16, W/16)`, in 8-bit levels."""
        error = ((self._target - self._x_hat.clip(-0.5, 0.5)) * 255) ** 2
        height, width = error.shape[0] // 16, error.shape[1] // 16
        return np.asarray(error.reshape(height, 16, width, 16, 3).mean((1, 3, 4), dtype=np.float32))


@functools.lru_cache(maxsize=1)  # the last one used stays in memory
def load(file: WeightsFile) -> LightModel:
    """Load the model of a weights file.

    Raises:
        NeuralCodecError: it is no weights file of this version.
    """
    return LightModel(file)
