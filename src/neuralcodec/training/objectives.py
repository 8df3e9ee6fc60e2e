"""What a training step of each codec minimises, and what is measured on the held-out crops."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from neuralcodec.models.conv.network import ConvCodec, Reconstruction
from neuralcodec.models.gru.network import RecurrentCodec, Stage
from neuralcodec.models.losses import distortion, lambda_at, rate_distortion
from neuralcodec.training.data import CropSampler
from neuralcodec.training.recipe import Recipe, TrainingConfig

#: Stages whose pixels a step of the recurrent codec looks at; the rates of all stages count in every step.
STAGES_SEEN = 3


class Objective(Protocol):
    """One codec in training."""

    @property
    def model(self) -> ConvCodec | RecurrentCodec: ...

    @property
    def components(self) -> int:
        """How many channels of the block transform the linear shortcuts start with."""
        ...

    def terms(
        self, replica: nn.Module, x: Tensor, sampler: CropSampler, step: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Pixels `(N, 3, H, W)` to compare with `x`, repeated as needed; their bits `(N,)` and places
        `(N,)` between the lowest quality, 0, and the highest, 1."""
        ...

    def points(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Pixels `(1, 3, H, W)` and bits `(1,)` of one picture at each quality, from the lowest."""
        ...


class ConvObjective:
    """Each sample of a batch has a level of its own."""

    def __init__(self, recipe: Recipe) -> None:
        assert recipe.conv is not None
        self.training, self.levels = recipe.training, recipe.conv.levels
        self.model = ConvCodec(recipe.conv)
        self.components = recipe.conv.latent

    def terms(
        self, replica: nn.Module, x: Tensor, sampler: CropSampler, step: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        level = sampler.levels(step, self.levels).to(x.device)
        out: Reconstruction = replica(x, level)
        return out.x_hat, out.y_bits + out.z_bits, level / (self.levels - 1)

    def points(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        levels = (torch.full((1,), float(level), device=x.device) for level in range(self.levels))
        outs = (self.model(x, level) for level in levels)
        return [(out.x_hat, out.y_bits + out.z_bits) for out in outs]


class RecurrentObjective:
    """Every sample goes through all stages; a stage is charged for its bits and for those before it."""

    def __init__(self, recipe: Recipe) -> None:
        assert recipe.gru is not None
        self.training, self.stages = recipe.training, recipe.gru.stages
        self.model = RecurrentCodec(recipe.gru)
        self.components = 3 * recipe.gru.latent

    def terms(
        self, replica: nn.Module, x: Tensor, sampler: CropSampler, step: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        seen = sampler.choose(step, self.stages, STAGES_SEEN)
        out = self._summed(replica(x, seen[-1] + 1))
        share = torch.tensor(seen, dtype=torch.float32, device=x.device) / (self.stages - 1)
        x_hat, bits = torch.cat([out[s].x_hat for s in seen]), torch.cat([out[s].bits for s in seen])
        return x_hat, bits, share.repeat_interleave(x.shape[0])

    def points(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        return [(out.x_hat, out.bits) for out in self._summed(self.model(x, self.stages))]

    def _summed(self, stages: list[Stage]) -> list[Stage]:
        total = torch.zeros_like(stages[0].bits)
        out = []
        for stage in stages:
            total = total + stage.bits
            out.append(Stage(stage.x_hat, total))
        return out


def objective(recipe: Recipe) -> Objective:
    """The objective of a recipe's codec."""
    return ConvObjective(recipe) if recipe.conv is not None else RecurrentObjective(recipe)


def loss_of(
    config: TrainingConfig, x: Tensor, terms: tuple[Tensor, Tensor, Tensor], *, mse_only: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The scalar loss, and for the log bits per pixel `(N,)` and distortions `(N,)`."""
    x_hat, bits, share = terms
    tradeoff = config.tradeoff
    bpp = bits / x[0, 0].numel()
    error = distortion(x.repeat(len(x_hat) // len(x), 1, 1, 1), x_hat, tradeoff, share, mse_only=mse_only)
    return rate_distortion(bpp, error, lambda_at(tradeoff, share)), bpp, error
