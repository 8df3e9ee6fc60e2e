"""The encoder that fills holes at work: numpy in, numpy out, no gradients."""

from __future__ import annotations

import torch

from neuralcodec.arrays import Floats, Pixels
from neuralcodec.models.conv.config import ConvConfig, InpaintConfig
from neuralcodec.models.conv.inpaint import Inpainter, inpaint
from neuralcodec.models.conv.network import Transforms
from neuralcodec.models.conv.runner import Model, from_numpy, to_numpy
from neuralcodec.models.device import loader
from neuralcodec.weights import Arrays, WeightsFile
from neuralcodec.weights.stored import not_weights


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


def _inpainting(file: WeightsFile, device: torch.device) -> InpaintingModel:
    if file.kind != "inpaint":
        raise not_weights(file.path, ValueError(f"an encoder to {file.kind} is not known"))
    return InpaintingModel(file, device)


load = loader(_inpainting, kept=2)
