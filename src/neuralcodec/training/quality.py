"""The table from quality to levels: on photographs, a quality of 30 to 90 is about the SSIMULACRA2 score.

It is made at export, for models with a detail layer. Levels of the base alone go up to where its curve of
bytes against score meets that of both layers; from there on, both layers are coded.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch

from neuralcodec.entropy.prior import QUALITY_ROWS
from neuralcodec.models.conv.config import ConvConfig
from neuralcodec.models.conv.network import ConvCodec
from neuralcodec.models.ssimulacra2 import raw_ssimulacra2, score_of
from neuralcodec.training.data import load_crops

if TYPE_CHECKING:
    import numpy.typing as npt

    from neuralcodec.training.integers import Tensors

#: Rows of numbers.
Curve: TypeAlias = "npt.NDArray[np.float64]"
#: The score at which the levels begin to follow it; below, they fall evenly to the lowest.
_FROM = 30.0
#: Levels between two that were trained, at which the scores are measured.
_PARTS = 2


def plain_table(config: ConvConfig) -> Tensors:
    """Make a table that follows no score: levels in proportion to the quality, details from 70 on."""
    first = 70
    base = np.append(np.linspace(0, config.base_level / 100, first), config.base_level / 100)
    detail = np.linspace(0, config.detail_levels - 1, QUALITY_ROWS - first)
    return {"quality.base": base.astype(np.float32), "quality.detail": detail.astype(np.float32)}


def with_table(model: ConvCodec, images: Path | None) -> tuple[ConvConfig, Tensors]:
    """Make the table of a model, and its configuration with the quality of the base alone.

    Args:
        images: photographs to measure scores on; None makes the plain table.

    Raises:
        UsageError: there is no usable photograph.
    """
    config = model.config
    if not config.detail:
        return config, {}
    if images is None:
        return replace(config, base_quality=69), plain_table(config)
    single = _curve(model, images, np.linspace(0, config.levels - 1, (config.levels - 1) * _PARTS + 1))
    levels = np.linspace(0, config.detail_levels - 1, (config.detail_levels - 1) * _PARTS + 1)
    return table_of(config, single, _curve(model, images, levels, detail=True))


def table_of(config: ConvConfig, single: Curve, double: Curve) -> tuple[ConvConfig, Tensors]:
    """Make the table from rows `(level, bpp, score)` of the base alone and of both layers.

    Both layers begin at the score from which on they take fewer bytes; before that, the base alone must not
    take more bytes than they do at their lowest level.
    """
    level, bpp, score = single.T
    detail_level, detail_bpp, detail_score = double.T
    highest = float(np.interp(detail_bpp[0], bpp, level))  # no more bytes than the lowest level of both
    top = float(np.interp(highest, level, score))
    first = int(np.clip(np.ceil((top + detail_score[0]) / 2), _FROM + 1, QUALITY_ROWS - 11))
    wanted = np.minimum(np.arange(first + 1), top)
    low = float(np.interp(_FROM, score, level))
    base = np.where(wanted < _FROM, wanted / _FROM * low, np.interp(wanted, score, level))
    base = np.maximum.accumulate(np.minimum(base, highest))
    # Where the score ends before `first`, the last levels are spread evenly.
    flat = int(np.searchsorted(base, base[-1] - 1e-9))
    if flat < first:
        start = max(flat - (first - flat), 0)
        base[start:] = np.linspace(base[start], base[-1], first + 1 - start)
    base_level = config.base_level / 100
    base_quality = int(np.argmin(np.abs(base[:-1] - base_level)))
    base[base_quality] = base_level
    base = np.maximum.accumulate(base)
    base[: base_quality + 1] = np.minimum(base[: base_quality + 1], base_level)
    quality = np.arange(first, QUALITY_ROWS)
    end = 90.0
    above = quality > end
    detail = np.interp(quality, detail_score, detail_level)
    detail[0] = 0.0
    last = float(np.interp(end, detail_score, detail_level))
    detail[above] = last + (quality[above] - end) / (100 - end) * (detail_level[-1] - last)
    detail = np.maximum.accumulate(detail)
    arrays = {"quality.base": base.astype(np.float32), "quality.detail": detail.astype(np.float32)}
    return replace(config, base_quality=base_quality), arrays


@torch.no_grad()
def _curve(model: ConvCodec, images: Path, levels: Curve, *, detail: bool = False) -> Curve:
    """Measure the mean bits per pixel and score of the photographs: rows `(level, bpp, score)`."""
    rows = []
    crops = [crop.float() / 255 for crop in load_crops(images, width=768, height=512)]
    for level in levels:
        found = []
        for x in crops:
            out = model(x, torch.tensor([level], dtype=torch.float32), detail=detail)
            x_hat = (out.x_hat.clamp(0, 1) * 255).round() / 255
            bpp = float(out.y_bits + out.z_bits) / x[0, 0].numel()
            found.append((bpp, score_of(raw_ssimulacra2(x, x_hat).item())))
        rows.append((level, *np.mean(found, 0)))
    return np.array(rows)
