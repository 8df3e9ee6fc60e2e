"""Start a run from a weights file instead of from nothing.

A weights file is smaller than a checkpoint and always at hand. It holds float16 transforms, and a prior whose
integers become real numbers again here. The model may be larger than the file's only in residual blocks and
in channels inside the context steps. The layers that read these start at zero, so that the larger model at
first computes what the file's does (Chen, Goodfellow and Shlens 2016, "Net2Net: accelerating learning via
knowledge transfer").
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from neuralcodec import weights
from neuralcodec.entropy.exact import FRACTION_BITS
from neuralcodec.entropy.prior import INDEX_DROP, LATENT_ONE, QUALITY_ROWS, integers_of
from neuralcodec.entropy.tables import LOG_SCALE_STEP, SCALE_COUNT, SCALE_MIN, Tables
from neuralcodec.errors import UsageError
from neuralcodec.format.header import CONV
from neuralcodec.models.blocks import ResidualBlock, interpolate_levels
from neuralcodec.models.conv.config import ConvConfig
from neuralcodec.models.conv.network import ConvCodec
from neuralcodec.models.conv.quality import QualityTable
from neuralcodec.models.prior import LATENT_UNIT, Prior
from neuralcodec.weights import WeightsFile

#: Sizes of the recipe's model that may be larger than those of the file.
_GROWS = ("fine_blocks", "coarse_blocks", "width")


@torch.no_grad()
def start_from_weights(model: nn.Module, start: WeightsFile) -> None:
    """Give `model` the values of a weights file; parts that the file lacks have no effect at first.

    Raises:
        NeuralCodecError: it is not a weights file. UsageError: the codec or sizes that cannot grow differ.
    """
    file = weights.read(start)
    if not isinstance(model, ConvCodec) or file.codec != CONV.name:
        raise UsageError("only a conv recipe can start from a weights file, and only from one of conv")
    for name, size in asdict(model.config).items():
        known = file.model.get(name)
        if known is None or name == "base_quality":  # of a detail layer; an outcome of export
            continue
        if size < known or (size > known and name not in _GROWS):
            raise UsageError(f"{start.path} is of a model with {name} = {known}, the recipe has {size}")
    state = {
        name.removeprefix("transforms."): torch.from_numpy(array).float()
        for name, array in file.arrays.items()
        if name.startswith("transforms.")
    }
    model.transforms.load_state_dict(state, strict=False)
    for name, module in model.transforms.named_modules():
        new = f"{name}.project.weight" not in state and not name.startswith("detail_")
        if isinstance(module, ResidualBlock) and new:
            nn.init.zeros_(module.project.weight)
    _load_layers(model.prior, file.arrays)
    _load_z(model.prior, QualityTable(ConvConfig(**file.model), file.arrays), file.arrays)
    if "detail.rows" in file.arrays:
        _load_layers(model.detail_prior, file.arrays, steps="detail_steps")
        rows = torch.from_numpy(file.arrays["detail.rows"]).float() / 2**FRACTION_BITS
        levels = torch.from_numpy(file.arrays["quality.detail"])
        share = interpolate_levels(torch.eye(len(model.detail_prior.level)), levels)
        model.detail_prior.level.copy_(torch.linalg.lstsq(share, rows).solution)


def _load_layers(prior: nn.Module, arrays: Mapping[str, npt.NDArray[Any]], *, steps: str = "steps") -> None:
    """Invert the rounding of a prior's layers in `conv.integer_tensors`.

    Args:
        steps: what the context steps are called in the file.
    """
    for name, module in prior.named_modules():
        if isinstance(module, nn.Conv2d):
            assert module.bias is not None
            layer = integers_of(arrays, f"{steps}{name[5:]}" if name.startswith("steps") else name)
            total = layer.shift.astype(np.int64)
            bias = layer.bias - np.where(total > 0, 2.0 ** (total - 1), 0.0)
            power = np.ldexp(1.0, total)
            if name.endswith(".head"):  # the second half are scale indices
                power[len(power) // 2 :] /= 2**INDEX_DROP
            weight = torch.from_numpy(layer.weight / power[:, None])
            weight = weight.view(*weight.shape[:1], -1, *module.weight.shape[2:])
            rows, columns = weight.shape[:2]
            # Additional rows keep their initial values; additional columns have no effect yet.
            module.weight[:, columns:] = 0.0
            module.weight[:rows, :columns] = weight
            module.bias[:rows] = torch.from_numpy(bias / power / 2**FRACTION_BITS)


def _load_z(prior: Prior, table: QualityTable, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Fit the tables of z, which have a row for each level, to those of the file."""
    places = torch.tensor([table.alone(quality) for quality in range(QUALITY_ROWS)])
    share = interpolate_levels(torch.eye(len(prior.z_mean)), places)
    mean, index = (torch.from_numpy(a).float() / LATENT_UNIT for a in (arrays["z.mean"], _z_scales(arrays)))
    prior.z_mean.copy_(torch.linalg.lstsq(share, mean / LATENT_ONE).solution)
    prior.z_index.copy_(torch.linalg.lstsq(share, index).solution)


def _z_scales(arrays: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Find the scale indices of z, `(101, C_z)`; for a fitted table, that of a Gaussian of its width."""
    index = arrays["z.index"]
    tables = Tables(arrays["tables.counts"], arrays["tables.radius"])
    widths = list(range(SCALE_COUNT))
    for shares, radius in list(zip(tables.shares(), tables.radius, strict=True))[SCALE_COUNT:]:
        symbols = np.arange(-radius, radius + 1)
        mean = (shares[:-1] * symbols).sum()
        deviation = math.sqrt((shares[:-1] * (symbols - mean) ** 2).sum())
        widths.append(round(max(math.log(deviation / SCALE_MIN) / LOG_SCALE_STEP, 1)))
    return np.array(widths)[index].clip(1, SCALE_COUNT - 1)
