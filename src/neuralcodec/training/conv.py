"""The conv family in training and export."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from neuralcodec.entropy.exact import Range
from neuralcodec.entropy.layers import HYPER_SYNTHESIS
from neuralcodec.entropy.prior import LATENT_CLIP, LATENT_ONE, IntegerPrior
from neuralcodec.entropy.tables import SCALE_COUNT, gaussian_tables
from neuralcodec.models.conv.network import ConvCodec, ConvConfig, Reconstruction, Transforms, level_of
from neuralcodec.models.prior import Prior
from neuralcodec.training.data import CropSampler, load_crops
from neuralcodec.training.fitting import fitted_tables
from neuralcodec.training.forms import Form, Objective
from neuralcodec.training.integers import CountingWriter, Tensors, chain_layers, rates, step_layers, stored


class ConvObjective:
    """The conv codec in training: each sample of a batch has a level of its own."""

    def __init__(self, config: ConvConfig) -> None:
        self.levels = config.levels
        self.model = ConvCodec(config)
        self.components = config.latent

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


def integer_tensors(prior: Prior) -> Tensors:
    """Make every array that `IntegerPrior` needs."""
    tables = gaussian_tables()
    arrays: Tensors = {"tables.counts": tables.counts, "tables.radius": tables.radius}
    arrays |= _z_tables(prior)
    latents = Range.uniform(prior.z_mean.shape[1], -LATENT_CLIP, LATENT_CLIP)
    layers, features = chain_layers(prior, HYPER_SYNTHESIS, "", latents)
    layers |= step_layers(prior.steps, "steps", features)
    return arrays | stored(layers)


@torch.no_grad()
def _z_tables(prior: Prior) -> Tensors:
    """Make the means, in sixteenths, and the scale indices of z for every quality, each `(101, C_z)`."""
    level = level_of(torch.arange(101), prior.z_mean.shape[0])
    mean, index = prior.z_parameters(level)
    return {
        "z.mean": (mean * LATENT_ONE).round().clamp(-(2**15), 2**15 - 1).to(torch.int16).numpy(),
        # No channel is silent: a silent one would be its mean alone.
        "z.index": index.round().clamp(1, SCALE_COUNT - 1).to(torch.uint8).numpy(),
    }


@torch.no_grad()
def measure(model: ConvCodec, prior: IntegerPrior, images: Path) -> dict[str, float]:
    """Measure the rates of the trained and the integer prior on the same latents, for all images."""
    transforms: Transforms = model.transforms
    bits = {"bpp_float": 0.0, "bpp_integer": 0.0, "bpp_coded": 0.0}
    pixels = 0
    for crop in load_crops(images, width=768, height=512):
        for quality in (5, 35, 65, 95):
            level = level_of(torch.tensor([quality]), model.config.levels)
            y = transforms.analyse(crop.float() / 255, level)
            z = transforms.hyper_analysis(y)
            out = model.prior(y, z, level)
            writer = CountingWriter(prior.tables)
            latents = (y[0].permute(1, 2, 0).contiguous().numpy(), z[0].permute(1, 2, 0).contiguous().numpy())
            prior.code(writer, quality, y.shape[2], y.shape[3], latents)
            bits["bpp_float"] += float(out.y_bits + out.z_bits)
            bits["bpp_integer"] += writer.bits
            bits["bpp_coded"] += 8 * len(writer.finish())
            pixels += crop[0, 0].numel()
    return rates(bits, pixels)


class ConvForm(Form[ConvConfig, ConvCodec]):
    """See `Form`."""

    config = ConvConfig

    def model(self, config: ConvConfig) -> ConvCodec:
        return ConvCodec(config)

    def objective(self, config: ConvConfig) -> Objective:
        return ConvObjective(config)

    def integer_arrays(self, model: ConvCodec) -> Tensors:
        return integer_tensors(model.prior)

    def integer_prior(self, config: ConvConfig, arrays: Tensors) -> IntegerPrior:
        return IntegerPrior(arrays)

    def measure(self, model: ConvCodec, arrays: Tensors, images: Path) -> dict[str, float]:
        return measure(model, IntegerPrior(arrays), images)

    def fitted(self, model: ConvCodec, arrays: Tensors, photos: Path) -> Tensors:
        return fitted_tables(model, arrays, photos)


FORM = ConvForm()
