"""The transforms of the recurrent codec at work: numpy in, numpy out, no gradients."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from neuralcodec import weights
from neuralcodec.arrays import Floats, Pixels
from neuralcodec.entropy import canary
from neuralcodec.entropy.stages import StagePriors
from neuralcodec.format.header import GRU
from neuralcodec.models.conv.runner import from_numpy, read_transforms, to_bytes, to_numpy, to_pixels
from neuralcodec.models.device import has_fast_bfloat16, loader, transforms_device
from neuralcodec.models.gru.network import RecurrentConfig, RecurrentTransforms
from neuralcodec.weights import WeightsFile
from neuralcodec.weights.stored import not_weights


class RecurrentModel:
    """One weights file, ready to code: `prior` is the exact part, `transforms` the rest."""

    def __init__(self, file: WeightsFile, device: torch.device | None = None) -> None:
        self.device = device or transforms_device()
        stored = weights.read(file)
        self.id = stored.id
        try:
            config = RecurrentConfig(**stored.model)
            if config.stages != GRU.stages:
                raise ValueError(f"it has {config.stages} stages")
            self.prior = StagePriors(stored.arrays, config.stages)
            canary.check(self.prior, stored.canary)
            with torch.device("meta"):  # no time spent on initial values
                self.transforms = RecurrentTransforms(config).eval()
            read_transforms(self.transforms, stored.arrays, self.device)
        except (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError) as error:
            raise not_weights(file.path, error) from None
        self.bfloat16 = has_fast_bfloat16(self.device)

    @property
    def threads(self) -> int:
        """Number of threads that the transforms use, and the rest should."""
        return torch.get_num_threads()

    def decoder(self, height: int, width: int) -> StageDecoder:
        """Make the decoder of a picture of `height` x `width` latent positions."""
        return StageDecoder(self, height, width)

    def encoder(self, pixels: Pixels) -> StageEncoder:
        """Make the encoder of pixels `(H, W, 3)`, sides multiples of 16."""
        return StageEncoder(self, pixels)


load = loader(RecurrentModel, kept=1)


class StageDecoder:
    """The decoder of a picture of `height` x `width` latent positions; it takes one stage after another."""

    def __init__(self, model: RecurrentModel, height: int, width: int) -> None:
        self._model, self.stage = model, 0
        self._state, self._linear = model.transforms.start(torch.zeros(1, device=model.device), height, width)

    @torch.inference_mode()
    def add(self, y_hat: Floats) -> None:
        """Take the latent `(height, width, C)` of the next stage."""
        transforms = self._model.transforms
        with torch.autocast(self._model.device.type, torch.bfloat16, enabled=self._model.bfloat16):
            state, linear = transforms.synthesis(
                from_numpy(y_hat, self._model.device),
                self._state,
                self._linear,
                self.stage,
                transforms.passes(self.stage),
            )
        self._state, self._linear = state, linear
        self.stage += 1

    @torch.inference_mode()
    def render(self) -> Tensor:
        """Render the stages so far: `(1, 3, 16·height, 16·width)` around [-0.5, 0.5], not clipped."""
        with torch.autocast(self._model.device.type, torch.bfloat16, enabled=self._model.bfloat16):
            return self._model.transforms.synthesis.render(self._state, self._linear).float()

    def pixels(self) -> Pixels:
        """Render the stages so far as pixels `(16·height, 16·width, 3)`."""
        return to_pixels(to_bytes(self.render() + 0.5))


class StageEncoder:
    """The encoder of pixels `(H, W, 3)`, sides multiples of 16, with a decoder to see what is left over."""

    def __init__(self, model: RecurrentModel, pixels: Pixels) -> None:
        height, width = pixels.shape[0] // 16, pixels.shape[1] // 16
        self._model, self.decoder = model, StageDecoder(model, height, width)
        self._state, _ = model.transforms.start(torch.zeros(1, device=model.device), height, width)
        self._target = from_numpy(pixels, model.device).float() / 255 - 0.5
        self._x_hat = torch.zeros_like(self._target)

    @torch.inference_mode()
    def latent(self) -> Floats:
        """Compute y `(H/16, W/16, C)` of the next stage; call `add` before the stage after it."""
        transforms, stage = self._model.transforms, self.decoder.stage
        with torch.autocast(self._model.device.type, torch.bfloat16, enabled=self._model.bfloat16):
            y, self._state = transforms.analysis(
                self._target - self._x_hat, self._state, stage, transforms.passes(stage)
            )
        return to_numpy(y)

    @torch.inference_mode()
    def add(self, y_hat: Floats) -> None:
        """Take what the decoder will see of the latent."""
        self.decoder.add(y_hat)
        self._x_hat = self.decoder.render()

    @torch.inference_mode()
    def squared_error(self) -> Floats:
        """Compute the mean squared error of each latent position's pixels `(H/16, W/16)`, in 8-bit levels."""
        error = ((self._target - self._x_hat.clamp(-0.5, 0.5)) * 255).square().mean(1, keepdim=True)
        return np.asarray(torch.nn.functional.avg_pool2d(error, 16)[0, 0].cpu().numpy())
