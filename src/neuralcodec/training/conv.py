"""The conv family in training and export."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from neuralcodec.entropy.detail import ConvPriors
from neuralcodec.entropy.exact import ONE, Range
from neuralcodec.entropy.layers import DETAIL_FEATURES, HYPER_SYNTHESIS
from neuralcodec.entropy.prior import LATENT_CLIP, LATENT_ONE, QUALITY_ROWS
from neuralcodec.entropy.tables import SCALE_COUNT, gaussian_tables
from neuralcodec.errors import UsageError
from neuralcodec.models.blocks import interpolate_levels
from neuralcodec.models.conv.config import ConvConfig
from neuralcodec.models.conv.detail import DetailPrior
from neuralcodec.models.conv.network import ConvCodec, Reconstruction, Transforms, blocks_of
from neuralcodec.models.conv.quality import QualityTable
from neuralcodec.models.conv.runner import to_numpy
from neuralcodec.models.prior import Prior
from neuralcodec.training.data import CropSampler, load_crops
from neuralcodec.training.fitting import fitted_tables
from neuralcodec.training.forms import Form, Objective
from neuralcodec.training.integers import CountingWriter, Tensors, chain_layers, rates, step_layers, stored
from neuralcodec.training.objectives import Terms
from neuralcodec.training.quality import with_table


class ConvObjective(Objective):
    """The conv codec in training: each sample of a batch has a level of its own.

    Args:
        detail_share: the share of a batch that is coded in two layers. If it is all, the base stays as it is.
    """

    #: Batches that the components of the residual are computed from.
    SEEN = 100

    def __init__(self, config: ConvConfig, detail_share: float = 0.0) -> None:
        if detail_share and not config.detail:
            raise UsageError("detail_share is of models with a detail layer, and this one has none")
        self.model = ConvCodec(config)
        self.components = config.latent
        self.detail_share = detail_share
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(self.learns(name, detail_share))

    @staticmethod
    def learns(name: str, detail_share: float) -> bool:
        """Tell whether a parameter is of a layer that learns, with this share of crops in two layers."""
        return detail_share > 0 if "detail_" in name else detail_share < 1

    def round_latents(self, rounded: bool) -> None:
        super().round_latents(rounded)
        if self.model.config.detail:
            self.model.detail_prior.noise = not rounded

    @torch.no_grad()
    def begin(self, crops: Iterator[Tensor]) -> None:
        """Start the shortcuts of a new detail layer as the Karhunen-Loève transform of the residual."""
        transforms, config = self.model.transforms, self.model.config
        total = torch.zeros(3 * 64, 3 * 64, dtype=torch.float64)
        for x in itertools.islice(crops, self.SEEN if config.detail else 0):
            level = torch.full((len(x),), config.base_level / 100, device=x.device)
            blocks = blocks_of(x)
            y = transforms.latent(transforms.features(blocks), level)
            y_hat = self.model.prior(y, transforms.hyper_analysis(y), level).y_hat
            residual = (blocks - transforms.base(y_hat, level).blocks).permute(0, 2, 3, 1).flatten(0, 2)
            total += (residual.T @ residual).double().cpu()
        if config.detail:
            _, vectors = torch.linalg.eigh(total)
            transforms.start_detail_from_components(vectors.T.flip(0)[: config.detail].float())

    def terms(self, replica: nn.Module, x: Tensor, sampler: CropSampler, step: int) -> list[Terms]:
        two = round(self.detail_share * len(x))
        parts = []
        for part, detail in ((x[: len(x) - two], False), (x[len(x) - two :], True)):
            if len(part):
                highest = self._levels(detail) - 1
                used = highest if detail else self.model.config.highest_level
                level = sampler.levels(step, used, len(part)).to(x.device)
                out: Reconstruction = replica(part, level, detail=detail, frozen=self.detail_share == 1)
                bits = out.y_bits + out.z_bits
                parts.append(Terms(part, out.x_hat, bits, level / highest, detail))
        return parts

    def points(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        kinds = [False] * (self.detail_share < 1) + [True] * (self.detail_share > 0)
        found = []
        for detail in kinds:
            for level in range(self._levels(detail)):
                out = self.model(x, torch.full((1,), float(level), device=x.device), detail=detail)
                found.append((out.x_hat, out.y_bits + out.z_bits))
        return found

    def _levels(self, detail: bool) -> int:
        return self.model.config.detail_levels if detail else self.model.config.levels


def integer_tensors(prior: Prior, level: Tensor) -> Tensors:
    """Make every array that `IntegerPrior` needs; `level` `(101,)` is that of each whole quality."""
    tables = gaussian_tables()
    arrays: Tensors = {"tables.counts": tables.counts, "tables.radius": tables.radius}
    arrays |= _z_tables(prior, level)
    latents = Range.uniform(prior.z_mean.shape[1], -LATENT_CLIP, LATENT_CLIP)
    layers, features = chain_layers(prior, HYPER_SYNTHESIS, "", latents)
    layers |= step_layers(prior.steps, "steps", features)
    return arrays | stored(layers)


def detail_tensors(prior: DetailPrior, base: int, levels: Tensor) -> Tensors:
    """Make every array that the integer `DetailPrior` needs.

    Args:
        base: channels of the base's latent.
        levels: of the detail layer, at each quality that has one.
    """
    latents = Range.uniform(base, -LATENT_CLIP, LATENT_CLIP)
    layers, features = chain_layers(prior, DETAIL_FEATURES, "", latents)
    top = DETAIL_FEATURES[-1]
    features = Range.uniform(len(features.low), top.low * ONE, top.high * ONE)
    layers |= step_layers(prior.steps, "detail_steps", features)
    return _detail_tables(prior, levels) | stored(layers)


@torch.no_grad()
def _detail_tables(prior: DetailPrior, levels: Tensor) -> Tensors:
    """Make what is added to the features at each quality, `(101 - K, F)`, and the tables of scale indices."""
    rows = (interpolate_levels(prior.level, levels) * ONE).round().clamp(-(2**15), 2**15 - 1)
    return {
        "detail.rows": rows.to(torch.int16).numpy(),
        "detail.table": np.arange(SCALE_COUNT, dtype=np.uint16),
    }


@torch.no_grad()
def _z_tables(prior: Prior, level: Tensor) -> Tensors:
    """Make the means, in sixteenths, and the scale indices of z at every level, each `(101, C_z)`."""
    mean, index = prior.z_parameters(level)
    return {
        "z.mean": (mean * LATENT_ONE).round().clamp(-(2**15), 2**15 - 1).to(torch.int16).numpy(),
        # No channel is silent: a silent one would be its mean alone.
        "z.index": index.round().clamp(1, SCALE_COUNT - 1).to(torch.uint8).numpy(),
    }


@torch.no_grad()
def measure(model: ConvCodec, arrays: Tensors, images: Path) -> dict[str, float]:
    """Measure the rates of the trained and the integer prior on the same latents, for all images."""
    transforms: Transforms = model.transforms
    priors, table = ConvPriors(arrays), QualityTable(model.config, arrays)
    bits = {"bpp_float": 0.0, "bpp_integer": 0.0, "bpp_coded": 0.0}
    pixels = 0
    for crop in load_crops(images, width=768, height=512):
        for quality in (5, 35, 65, 95):
            levels = table(quality)
            level = torch.tensor([levels.base], dtype=torch.float32)
            blocks = blocks_of(crop.float() / 255)
            y = transforms.latent(transforms.features(blocks), level)
            z = transforms.hyper_analysis(y)
            out = model.prior(y, z, level)
            writer = CountingWriter(priors.tables)
            y_hat = priors.base.code(
                writer, levels.base_row, y.shape[2], y.shape[3], (to_numpy(y), to_numpy(z))
            )
            bits["bpp_float"] += float(out.y_bits + out.z_bits)
            bits["bpp_integer"] += writer.bits
            bits["bpp_coded"] += 8 * len(writer.finish())
            if levels.detail is not None and priors.detail is not None:
                decoded = torch.from_numpy(y_hat).permute(2, 0, 1)[None]
                level2 = torch.tensor([levels.detail], dtype=torch.float32)
                y2 = transforms.analyse_detail(blocks, transforms.base(decoded, level), level2)
                bits["bpp_float"] += float(model.detail_prior(y2, decoded, level2).bits)
                writer = CountingWriter(priors.tables)
                priors.detail.code(writer, levels.detail_row, y_hat, to_numpy(y2))
                bits["bpp_integer"] += writer.bits
                bits["bpp_coded"] += 8 * len(writer.finish())
            pixels += crop[0, 0].numel()
    return rates(bits, pixels)


class ConvForm(Form[ConvConfig, ConvCodec]):
    """See `Form`."""

    config = ConvConfig

    def sizes(self, config: ConvConfig) -> dict[str, int]:
        return config.sizes()

    def model(self, config: ConvConfig) -> ConvCodec:
        return ConvCodec(config)

    def objective(self, config: ConvConfig, *, detail_share: float = 0.0) -> Objective:
        return ConvObjective(config, detail_share)

    def integer_arrays(self, model: ConvCodec, images: Path | None = None) -> Tensors:
        model.config, table = with_table(model, images)
        levels = QualityTable(model.config, table)
        alone = torch.tensor([levels.alone(quality) for quality in range(QUALITY_ROWS)])
        arrays = integer_tensors(model.prior, alone) | table
        if model.config.detail:
            details = torch.from_numpy(table["quality.detail"])
            arrays |= detail_tensors(model.detail_prior, model.config.latent, details)
        return arrays

    def integer_prior(self, config: ConvConfig, arrays: Tensors) -> ConvPriors:
        return ConvPriors(arrays)

    def measure(self, model: ConvCodec, arrays: Tensors, images: Path) -> dict[str, float]:
        return measure(model, arrays, images)

    def fitted(self, model: ConvCodec, arrays: Tensors, photos: Path) -> Tensors:
        return fitted_tables(model, arrays, photos)


FORM = ConvForm()
