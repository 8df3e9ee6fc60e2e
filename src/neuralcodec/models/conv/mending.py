"""The encoders for noisy pixels and for holes at work: numpy in, numpy out, no gradients."""

from __future__ import annotations

import copy
import functools

import torch
from torch import Tensor

from neuralcodec import weights
from neuralcodec.arrays import Floats, Pixels
from neuralcodec.models.conv.config import ConvConfig, DenoiseConfig, InpaintConfig
from neuralcodec.models.conv.denoise import DenoisingTransforms
from neuralcodec.models.conv.inpaint import Inpainter, inpaint
from neuralcodec.models.conv.network import Features, Transforms, blocks_of
from neuralcodec.models.conv.runner import Model, from_numpy, to_numpy
from neuralcodec.models.device import transforms_device
from neuralcodec.weights import Arrays, WeightsFile


class DenoisingModel(Model):
    """A codec whose analysis is told how noisy pixels are: a `TileModel` at each level of noise."""

    transforms: DenoisingTransforms
    _noise: Tensor

    def make_transforms(self, config: ConvConfig, file: WeightsFile) -> Transforms:
        sizes = DenoiseConfig(**file.said["sizes"])
        self.halo += -(-sizes.more_blocks // 2)  # each block sees one position at 1/8 further
        return DenoisingTransforms(config, sizes)

    def at_noise(self, noise: float) -> DenoisingModel:
        """Return the model for pixels whose noise has this standard deviation, in 8-bit levels."""
        model = copy.copy(self)
        model._noise = torch.tensor([noise], device=self.device)
        return model

    @torch.inference_mode()
    def features(self, pixels: Pixels | Floats) -> Features:
        """Compute the part of `analyse` that is the same for every quality."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            blocks = blocks_of(from_numpy(pixels, self.device)).float().div_(255)
            return self.transforms.noisy_features(blocks, self._noise)

    @torch.inference_mode()
    def analyse_detail(self, pixels: Pixels | Floats, y_hat: Floats, quality: float) -> Floats:
        """Compute y2 `(2h, 2w, D)` from pixels `(16h, 16w, 3)` and the y_hat `(h, w, C)` of their base."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            base = self.transforms.base(from_numpy(y_hat, self.device), self.level(quality))
            blocks = blocks_of(from_numpy(pixels, self.device)).float().div_(255)
            level = self.detail_level(quality)
            return to_numpy(self.transforms.analyse_noisy_detail(blocks, base, level, self._noise))


class InpaintingModel(Model):
    """A codec with a network that fills holes."""

    def make_transforms(self, config: ConvConfig, file: WeightsFile) -> Transforms:
        self.network = Inpainter(config, InpaintConfig(**file.said["sizes"])).eval()
        return Transforms(config)

    def read(self, arrays: Arrays) -> None:
        super().read(arrays)
        prefix = "encoder."
        state = {
            name.removeprefix(prefix): torch.from_numpy(array).float().to(self.device)
            for name, array in arrays.items()
            if name.startswith(prefix)
        }
        self.network.load_state_dict(state, assign=True)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def inpaint(self, filled: Pixels, hole: Floats) -> Floats:
        """Fill holes of pixels whose holes are filled smoothly.

        Args:
            filled: `(H, W, 3)`, H and W multiples of 64.
            hole: `(H, W, 1)`, 1 where pixels are lost.

        Returns:
            Pixels `(H, W, 3)` in 8-bit levels, not clipped.
        """
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            pixels = from_numpy(filled, self.device).float().div_(255)
            found = inpaint(self.transforms, self.network, pixels, from_numpy(hole, self.device))
            return to_numpy(found.mul_(255))


#: By kind of encoder, what it is at work.
_MODELS: dict[str, type[Model]] = {"denoise": DenoisingModel, "inpaint": InpaintingModel}


def load(file: WeightsFile, device: str | None = None) -> Model:
    """Load an encoder with its decoder, on the device that `transforms_device` finds.

    Raises:
        UsageError: there is no such device here. NeuralCodecError: it is no weights file of this version.
    """
    return _load(file, transforms_device(device))


@functools.lru_cache(maxsize=2)  # the last two used stay in memory
def _load(file: WeightsFile, device: torch.device) -> Model:
    if file.kind not in _MODELS:
        raise weights.not_weights(file.path, ValueError(f"an encoder to {file.kind} is not known"))
    return _MODELS[file.kind](file, device)
