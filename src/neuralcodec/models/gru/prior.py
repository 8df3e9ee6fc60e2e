"""The learned prior of the recurrent codec: each stage's latent, given those of all stages before.

There is no hyper-latent. Features φ_t, a function of all that earlier stages sent, take its place. The four
context steps of `neuralcodec.models.prior` code a stage as they code the latent of the conv codec:

        φ_1 = 0        (φ_t, what is decoded of y_hat_t so far) ──► mean, scale of a quarter of y_t ──► coded
                       φ_{t+1} = φ_t + update_t(φ_t, y_hat_t)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neuralcodec.entropy.layers import ACTIVATION_MAX, FEATURE_UPDATE
from neuralcodec.models.blocks import add_layers, through_layers
from neuralcodec.models.prior import as_activation, bits, code_in_steps, context_steps, perturbed, step_masks


class FeatureUpdate(nn.Module):
    """The step to φ of the next stage `(B, F, h, w)`, from φ and what this stage decoded `(B, C, h, w)`."""

    def __init__(self, latent: int, features: int, width: int) -> None:
        super().__init__()
        add_layers(self, FEATURE_UPDATE, features + latent, {"features": features, "width": width})

    def forward(self, features: Tensor, y_hat: Tensor) -> Tensor:
        seen = torch.cat((features, as_activation(y_hat)), 1)
        x = features + through_layers(self, FEATURE_UPDATE, seen)
        return x.clamp(-ACTIVATION_MAX, ACTIVATION_MAX)


class StagePriors(nn.Module):
    """Rates of the latents of all stages, and their quantized forms.

    Args:
        latent: channels C of a stage's y, a multiple of four.
        features: channels of φ.
        width: channels inside a context step and inside an update.
    """

    def __init__(self, stages: int, latent: int, features: int, width: int) -> None:
        super().__init__()
        self.noise, self.latent, self.features = True, latent, features
        self.steps = nn.ModuleList(context_steps(latent, features, width) for _ in range(stages))
        self.updates = nn.ModuleList(FeatureUpdate(latent, features, width) for _ in range(stages - 1))
        self.step_masks: Tensor
        self.register_buffer("step_masks", step_masks(latent), persistent=False)

    def start(self, x: Tensor, height: int, width: int) -> Tensor:
        """Make φ_1 `(B, F, height, width)`."""
        return x.new_zeros(x.shape[0], self.features, height, width)

    def forward(self, stage: int, y: Tensor, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute y_hat `(B, C, h, w)` of a stage, its bits per sample `(B,)`, and φ of the next stage."""
        y_hat, mean, index = code_in_steps(self.steps[stage], self.step_masks, y, features)
        stage_bits = bits(perturbed(y - mean, self.training and self.noise), index)
        if stage < len(self.updates):
            features = self.updates[stage](features, y_hat)
        return y_hat, stage_bits, features
