"""The network that takes noise out of pixels, in training: no codec is in its loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from neuralcodec.errors import UsageError
from neuralcodec.models.denoise.network import DenoiseConfig, Denoiser
from neuralcodec.options import MOST_NOISE
from neuralcodec.training.data import CropSampler
from neuralcodec.training.export_graphs import write_graphs
from neuralcodec.training.forms import Objective, PartForm
from neuralcodec.training.noise import generator_at, plain_noise, with_noise
from neuralcodec.training.objectives import Terms
from neuralcodec.weights import WeightsFile, denoiser
from neuralcodec.weights.denoiser import DenoiserFile

#: Share of the crops without noise, whose level is told as one of 0 to `_CLEAN_TOLD`, mostly low.
_CLEAN, _CLEAN_TOLD = 0.05, 8.0
#: Share of grey crops.
_GREY = 0.04
#: A little above the most that users ask for, so that it is no border of what was trained.
_MOST = 1.1 * MOST_NOISE
#: Half of the levels are told nearly as they are; the logarithms of the others deviate by so much.
_NEAR, _FAR = 0.15, 0.4
#: The squared error below which little is gained; a root of 0.8 levels.
_NEGLIGIBLE = 1e-5
#: Levels of noise at which progress is measured.
_NOISES = (10.0, 25.0, 50.0)


class DenoiseObjective(Objective):
    """The logarithm of the squared error, which is the PSNR, of what the network makes of a noisy crop."""

    components = 0

    def __init__(self, config: DenoiseConfig) -> None:
        self.model = Denoiser(config)

    def begin(self, crops: Iterator[Tensor]) -> None:
        """Have nothing to prepare."""

    def start(self, file: WeightsFile | None, components: Callable[[int], Tensor]) -> None:
        if file is not None:
            raise UsageError("denoise starts from nothing, and is for all weights: leave out --start")

    def round_latents(self, rounded: bool) -> None:
        """Have no latents."""

    def terms(self, replica: nn.Module, x: Tensor, sampler: CropSampler, step: int) -> list[Terms]:
        x, noisy, told = spoilt(generator_at(x.device, sampler.seed, sampler.rank, step, 3), x)
        error = (replica(noisy, told) - x).square().mean((1, 2, 3))
        nothing = torch.zeros(len(x), device=x.device)
        return [Terms(x, x, nothing, nothing, error=(error + _NEGLIGIBLE).log())]

    def points(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Clean a picture with plain noise of three levels, always the same; it costs no bits."""
        found = []
        height, width = (side // 8 * 8 for side in x.shape[2:])
        for deviation in _NOISES:
            noise = torch.full((1,), deviation, device=x.device)
            cleaned = x.clone()
            part = plain_noise(generator_at(x.device, 0), x[:, :, :height, :width], noise)
            cleaned[:, :, :height, :width] = self.model(part, noise)
            found.append((cleaned, torch.zeros(1)))
        return found


@torch.no_grad()
def spoilt(generator: torch.Generator, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Add noise to pixels `(B, 3, H, W)` in [0, 1], of which a few become grey.

    Returns:
        The clean pixels, the noisy ones, and the level `(B,)` that the network is told.
    """
    count, device = len(x), x.device

    def uniform() -> Tensor:
        return torch.rand(count, generator=generator, device=device)

    grey = (uniform() < _GREY)[:, None, None, None]
    x = torch.where(grey, (255 * x.mean(1, keepdim=True)).round() / 255, x)
    # Evenly spread over a batch, and then a little closer where noise is weak.
    order = torch.rand(count, generator=generator, device=device).argsort()
    deviation = _MOST * ((order + uniform()) / count) ** 1.5
    noisy = with_noise(generator, x, deviation)
    noisy = torch.where(grey, noisy[:, 1:2], noisy)
    found = 255 * (noisy - x).square().mean((1, 2, 3)).sqrt()
    off = torch.randn(count, generator=generator, device=device)
    told = found * (off * torch.where(uniform() < 0.5, _NEAR, _FAR)).exp()
    clean = uniform() < _CLEAN
    told = torch.where(clean, _CLEAN_TOLD * uniform().square(), told).clamp(0, _MOST)
    return x, torch.where(clean[:, None, None, None], x, noisy), told


class DenoiseForm(PartForm[DenoiseConfig]):
    """The form of the network that takes noise out of pixels."""

    config = DenoiseConfig

    def objective(self, config: DenoiseConfig, *, detail_share: float = 0.0) -> Objective:
        return DenoiseObjective(config)

    def export(
        self, averaged: dict[str, Tensor], config: DenoiseConfig, decoder: str | None, out: Path
    ) -> DenoiserFile:
        arrays = {name: tensor.float().numpy() for name, tensor in averaged.items()}
        file = denoiser.write(out, arrays, self.sizes(config))
        write_graphs(file.path)
        return file


FORM = DenoiseForm()
