"""The network that takes noise out of pixels, on torch: numpy in, numpy out, no gradients."""

from __future__ import annotations

import torch

from neuralcodec.arrays import Floats, Pixels
from neuralcodec.models.denoise.network import DenoiseConfig, Denoiser
from neuralcodec.models.device import has_fast_bfloat16, loader
from neuralcodec.weights import denoiser
from neuralcodec.weights.denoiser import DenoiserFile
from neuralcodec.weights.stored import not_weights


class TorchDenoiser:
    """One weights file, ready to run: a `DenoisingModel`."""

    def __init__(self, file: DenoiserFile, device: torch.device) -> None:
        self.device, self.bfloat16 = device, has_fast_bfloat16(device)
        arrays = denoiser.read(file)
        try:
            with torch.device("meta"):  # no time spent on initial values
                self.network = Denoiser(DenoiseConfig(**file.sizes)).eval()
            state = {name: torch.from_numpy(array).float().to(device) for name, array in arrays.items()}
            self.network.load_state_dict(state, assign=True)
        except (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError) as error:
            raise not_weights(file.path, error) from None
        self.network.to(memory_format=torch.channels_last).requires_grad_(False)  # type: ignore[call-overload]

    @torch.inference_mode()
    def clean(self, pixels: Pixels, noise: float) -> Floats:
        """See `DenoisingModel`."""
        x = torch.from_numpy(pixels).to(self.device).permute(2, 0, 1)[None].float().div_(255)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            cleaned = self.network(x, torch.tensor([noise], device=self.device))
        found: Floats = cleaned[0].permute(1, 2, 0).mul(255).contiguous().cpu().numpy()
        return found


load = loader(TorchDenoiser, kept=1)
