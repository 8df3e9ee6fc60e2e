"""The learned prior of a latent: hyper-latent, then four context steps.

        z (C_z, h/4, w/4) ──round──► coded first, by a table for each channel and quality
                              │ z_hat
               hyper_synthesis
                              └─────► features φ ────┐
        ┌──── step k = 0..3 ───────────────┐ ▼
        │ (φ, what is decoded of y_hat so far) ──► mean, scale of a quarter of y ──► coded

A scale hyperprior with means (Ballé et al. 2018; Minnen et al. 2018) and a context over a quarter of the
elements at a time: the channels form four groups, the positions of every 2x2 square have four places, and
step k codes group `place XOR k` at each place (after the quadtree partition of Li et al. 2023). So each
group sees its neighbours and the other groups of its own position early on, in four parallel steps.

This is the form that is trained, in floating point. Files are written by its integer form alone
(`neuralcodec.entropy.prior`), made by `neuralcodec.training.export`; the ranges that both share are
constants of `neuralcodec.entropy.tables`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from neuralcodec.entropy.layers import CONTEXT_STEP, HYPER_SYNTHESIS, LATENT_MAX
from neuralcodec.entropy.tables import LOG_SCALE_STEP, SCALE_COUNT, SCALE_MIN
from neuralcodec.models.blocks import (
    add_layers,
    bounded,
    interpolate_levels,
    pointwise,
    round_through,
    through_layers,
)

STEPS = 4
#: Latents enter the networks divided by this: values of a few steps are then of the size of activations.
LATENT_UNIT = 8.0
#: Index of the table of width one: where scales start, in the middle of a fine range.
UNIT_SCALE_INDEX = -math.log(SCALE_MIN) / LOG_SCALE_STEP


class PriorOutput(NamedTuple):
    """What a training step needs: `y_hat` `(B, C, h, w)`, and bits per sample `(B,)`."""

    y_hat: Tensor
    y_bits: Tensor
    z_bits: Tensor


class ContextStep(nn.Module):
    """One step: means and scale indices for every channel, from φ and the elements known by then."""

    def __init__(self, latent: int, features: int, width: int) -> None:
        super().__init__()
        sizes = {"features": features, "width": width}
        add_layers(self, CONTEXT_STEP, features + latent, sizes)
        self.head = pointwise(features, 2 * latent, gain=0.3)

    def forward(self, features: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        x = through_layers(self, CONTEXT_STEP, torch.cat((features, known), 1))
        mean, index = self.head(x).chunk(2, 1)
        return mean * LATENT_UNIT, index * LATENT_UNIT


class Prior(nn.Module):
    """Rates of a latent and its quantized form.

    Args:
        levels: number of trained quality levels (for the tables of the hyper-latent).
        latent: channels C of y, a multiple of four.
        hyper: channels of z.
        features: channels of φ.
        width: channels inside a context step.
    """

    def __init__(self, levels: int, latent: int, hyper: int, features: int, width: int) -> None:
        super().__init__()
        self.noise = True
        add_layers(self, HYPER_SYNTHESIS, hyper, {"latent": latent, "features": features})
        self.steps = context_steps(latent, features, width)
        # In large units, for an optimizer's steps of 1e-3: a scale index may have to move by twenty.
        self.z_mean = nn.Parameter(torch.zeros(levels, hyper))
        self.z_index = nn.Parameter(torch.full((levels, hyper), UNIT_SCALE_INDEX / LATENT_UNIT))
        self.step_masks: Tensor
        self.register_buffer("step_masks", step_masks(latent), persistent=False)

    def hyper_synthesis(self, z_hat: Tensor) -> Tensor:
        """Compute φ `(B, F, h, w)` from z_hat `(B, C_z, h/4, w/4)`."""
        return through_layers(self, HYPER_SYNTHESIS, as_activation(z_hat))

    def z_parameters(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """Return means, in quantization steps, and scale indices of z, each `(B, C_z)`, at levels `(B,)`."""
        mean, index = (interpolate_levels(table, level) for table in (self.z_mean, self.z_index))
        return mean * LATENT_UNIT, index * LATENT_UNIT

    def forward(self, y: Tensor, z: Tensor, level: Tensor) -> PriorOutput:
        """Quantize `y` `(B, C, h, w)` and `z` `(B, C_z, h/4, w/4)` and estimate their bits.

        In training, while `noise` is set, rates see additive uniform noise; otherwise they see rounded
        values, as everything downstream always does.
        """
        z_mean, z_index = (t[:, :, None, None] for t in self.z_parameters(level))
        noisy = self.training and self.noise
        z_bits = bits(perturbed(z - z_mean, noisy), z_index)
        z_hat = round_through(z - z_mean) + z_mean
        y_hat, mean, index = code_in_steps(self.steps, self.step_masks, y, self.hyper_synthesis(z_hat))
        return PriorOutput(y_hat, bits(perturbed(y - mean, noisy), index), z_bits)


def context_steps(latent: int, features: int, width: int) -> nn.ModuleList:
    """Make the four steps of a latent with `latent` channels; scales start at one."""
    steps = nn.ModuleList()
    for _ in range(STEPS):
        step = ContextStep(latent, features, width)
        assert step.head.bias is not None
        with torch.no_grad():
            step.head.bias[latent:] = UNIT_SCALE_INDEX / LATENT_UNIT
        steps.append(step)
    return steps


def code_in_steps(
    steps: nn.Module, masks: Tensor, y: Tensor, features: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Code `y` given φ `(B, F, h, w)`, h and w even: y_hat, means, scale indices, each `(B, C, h, w)`."""
    assert isinstance(steps, nn.ModuleList)
    mean = torch.zeros_like(y)
    index = torch.zeros_like(y)
    y_hat = torch.zeros_like(y)
    for mask, step in zip(masks, steps, strict=True):
        tile = mask.to(y.dtype).repeat(1, y.shape[2] // 2, y.shape[3] // 2)
        step_mean, step_index = step(features, as_activation(y_hat))
        mean = mean + step_mean * tile
        index = index + step_index * tile
        # Rounding the distance to the mean, not the value, keeps what is most likely at zero.
        quantized = y + ((y - step_mean).round() + step_mean - y).detach()
        y_hat = y_hat + quantized * tile
    return y_hat, mean, index


def perturbed(distance: Tensor, noisy: bool) -> Tensor:
    """Add uniform noise to a distance to the mean, for the rate; or round it (straight-through)."""
    distance = distance.float()
    return distance + torch.empty_like(distance).uniform_(-0.5, 0.5) if noisy else round_through(distance)


def as_activation(latent: Tensor) -> Tensor:
    """Scale and clip a latent to the range of the integer networks' inputs."""
    return (latent / LATENT_UNIT).clamp(-LATENT_MAX, LATENT_MAX)


def bits(distance: Tensor, index: Tensor) -> Tensor:
    """Sum the bits per sample `(B,)` of values, in unit steps, `distance` `(B, C, h, w)` from their mean."""
    return element_bits(distance, index).flatten(1).sum(1)


def element_bits(distance: Tensor, index: Tensor) -> Tensor:
    """Compute the bits of each value, in unit steps, at a `distance` of any shape from its mean.

    With uniform noise of unit width on the values, the rate is the KL divergence of a VAE's posterior, a
    uniform of width one around the latent, from the prior (Ballé et al. 2017); 1/lambda plays beta's part.
    """
    scale = torch.exp(bounded(index.float(), 0.0, SCALE_COUNT - 1.0) * LOG_SCALE_STEP + math.log(SCALE_MIN))
    # Both edges are taken on the negative side, where the distribution function keeps its precision.
    distance = distance.abs()
    upper = torch.special.ndtr((0.5 - distance) / scale)
    lower = torch.special.ndtr((-0.5 - distance) / scale)
    return -bounded(upper - lower, 2.0**-24, 1.0).log2()


def step_masks(latent: int) -> Tensor:
    """Mark the elements that each step codes: `(STEPS, C, 2, 2)` of 0 and 1; each element has one 1."""
    group = torch.arange(latent) // (latent // STEPS)
    place = torch.arange(4).view(2, 2)
    turn = group[:, None, None] ^ place[None]
    return torch.stack([(turn == step).float() for step in range(STEPS)])
