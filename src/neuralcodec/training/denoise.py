"""The encoder for noisy pixels, in training."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from neuralcodec.models.conv.config import ConvConfig, DenoiseConfig
from neuralcodec.models.conv.denoise import DenoisingCodec
from neuralcodec.models.conv.network import ConvCodec, Reconstruction
from neuralcodec.options import MOST_NOISE
from neuralcodec.picture.noise import noise_of
from neuralcodec.training.companions import CompanionForm, CompanionObjective
from neuralcodec.training.data import CropSampler
from neuralcodec.training.noise import plain_noise, with_noise
from neuralcodec.training.objectives import Terms

#: Share of the crops whose noise is told as it is, and not as it is estimated.
_TOLD = 0.5
#: Levels of noise, and levels of the first and the second layer, at which progress is measured.
_NOISES, _BASE, _DETAIL = (10.0, 25.0, 50.0), (1.0, 3.0, 5.0), (1.0, 3.0)


class DenoiseObjective(CompanionObjective):
    """The loss of the codec, against the clean crop, when it codes a noisy one.

    Args:
        detail_share: share of the crops that are coded in two layers, where the codec has two.
    """

    kind = "denoise"

    def __init__(self, config: DenoiseConfig, detail_share: float) -> None:
        self.config, self._share = config, detail_share

    def make(self, codec: ConvConfig) -> ConvCodec:
        self.detail_share = self._share if codec.detail else 0.0
        return DenoisingCodec(codec, self.config)

    def terms(self, replica: nn.Module, x: Tensor, sampler: CropSampler, step: int) -> list[Terms]:
        rng = np.random.default_rng((sampler.seed, sampler.rank, step, 3))
        noisy, told = zip(*(_spoilt(rng, each) for each in x), strict=True)
        noisy_x, noise = torch.stack(noisy), torch.tensor(told, dtype=torch.float32, device=x.device)
        two = round(self.detail_share * len(x))
        config, parts = self.model.config, []
        for place, detail in ((slice(len(x) - two), False), (slice(len(x) - two, None), True)):
            if len(x[place]):
                levels = config.detail_levels if detail else config.levels
                highest = levels - 1 if detail else config.highest_level
                level = sampler.levels(step, highest, len(x[place])).to(x.device)
                out: Reconstruction = replica(noisy_x[place], noise[place], level, detail=detail)
                bits = out.y_bits + out.z_bits
                parts.append(Terms(x[place], out.x_hat, bits, level / (levels - 1), detail))
        return parts

    def points(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Code a picture with plain noise of three levels, always the same, at some levels of quality."""
        found = []
        pixels = (x[0].permute(1, 2, 0) * 255).round().to(torch.uint8).cpu().numpy()
        for deviation in _NOISES:
            noisy = _tensor(plain_noise(np.random.default_rng(0), pixels, deviation), x)[None]
            noise = torch.full((1,), deviation, device=x.device)
            kinds = [(False, _BASE), (True, _DETAIL if self.detail_share else ())]
            for detail, levels in kinds:
                config = self.model.config
                highest = config.detail_levels - 1 if detail else config.highest_level
                for level in levels:
                    at = torch.full((1,), min(level, highest), device=x.device)
                    out = self.model(noisy, noise, at, detail=detail)
                    found.append((out.x_hat, out.y_bits + out.z_bits))
        return found


def _spoilt(rng: np.random.Generator, x: Tensor) -> tuple[Tensor, float]:
    """Add noise to pixels `(3, H, W)` in [0, 1]; also return its level, as it is or as it is estimated."""
    pixels = (x.permute(1, 2, 0) * 255).round().to(torch.uint8).cpu().numpy()
    deviation = MOST_NOISE * rng.random() ** 2 if rng.random() < 0.95 else 0.0
    noisy = with_noise(rng, pixels, deviation) if deviation else pixels
    if rng.random() < _TOLD:
        difference = noisy.astype(np.float32) - pixels
        told = float(np.sqrt(np.square(difference).mean())) * float(np.exp(rng.normal(0, 0.1)))
    else:
        told = noise_of(noisy)
    return _tensor(noisy, x), min(told, MOST_NOISE)


def _tensor(pixels: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(pixels.astype(np.float32) / 255).permute(2, 0, 1).to(like.device)


class DenoiseForm(CompanionForm[DenoiseConfig]):
    """See `CompanionForm`."""

    config = DenoiseConfig
    kind = "denoise"

    def make(self, config: DenoiseConfig, detail_share: float = 0.0) -> CompanionObjective:
        return DenoiseObjective(config, detail_share)


FORM = DenoiseForm()
