"""Probability tables fitted to the symbols of real pictures.

Training takes the residuals of y and z for Gaussian. In truth, given its scale index, a residual of y has a
sharper peak and longer tails, and a channel of the hyper-latent, which has only a few positions in a picture,
may have any shape. The coder takes any tables, so export counts symbols on photographs and stores what it
found:

* for each scale index of y a mixture of the Gaussians of all indices (a scale mixture), by expectation
  maximisation: smooth and symmetric, however few symbols there are;
* for each channel of z, at every tenth quality, the counts themselves.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neuralcodec.entropy.coder import SYMBOL_LIMIT
from neuralcodec.entropy.detail import ConvPriors
from neuralcodec.entropy.tables import (
    LOG_SCALE_STEP,
    SCALE_COUNT,
    SCALE_MIN,
    SILENT_INDEX,
    Index,
    Int32,
    gaussian_shares,
    tables_of,
)
from neuralcodec.models.conv.network import ConvCodec, blocks_of
from neuralcodec.models.conv.quality import QualityTable
from neuralcodec.models.conv.runner import to_numpy
from neuralcodec.training.data import load_crops
from neuralcodec.training.integers import Tensors

#: Qualities whose tables of z are counted; the others use those of the nearest.
QUALITIES = range(0, 101, 10)
#: Pictures that symbols are counted on.
PICTURES = 120
#: Symbols are counted up to this size; the few that are larger count as this.
REACH = 300
#: The largest symbol that a table of z may cover.
Z_REACH = 40
#: The number of Gaussian symbols that are added to those that were counted.
Y_GAUSSIAN, Z_GAUSSIAN = 500.0, 20.0
ROUNDS = 200

Counts = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]


class SymbolCounter:
    """A `SymbolCoder` that counts the symbols of one tile instead of coding them.

    Args:
        y: `(SCALE_COUNT, 2 · REACH + 1)`, counts by scale index, of symbols from `-REACH` on; added to.
        z: `(C_z, 2 · REACH + 1)`, the same by channel, of the first symbols; None if there is no z.
    """

    def __init__(self, y: Counts, z: Counts | None = None) -> None:
        self._y, self._z = y, z

    def exchange(self, symbols: Int32 | None, index: Index) -> Int32:
        if symbols is None:
            raise ValueError("a counter needs symbols")
        symbols = np.clip(symbols, -SYMBOL_LIMIT, SYMBOL_LIMIT)
        symbols[index == SILENT_INDEX] = 0
        first, self._z = self._z, None
        target = self._y if first is None else first
        rows = index.astype(np.intp) if first is None else np.arange(len(symbols)) % len(target)
        width = target.shape[1]
        entries = rows * width + np.clip(symbols, -REACH, REACH) + REACH
        target += np.bincount(entries, minlength=target.size).reshape(target.shape)
        return symbols


@torch.no_grad()
def fitted_tables(
    model: ConvCodec, arrays: dict[str, npt.NDArray[Any]], photos: Path
) -> dict[str, npt.NDArray[Any]]:
    """Fit new `tables.counts`, `tables.radius` and `z.index` for `arrays` to a folder of photographs.

    Raises:
        UsageError: there is no usable photograph.
    """
    priors, table = ConvPriors(arrays), QualityTable(model.config, arrays)
    prior = priors.base
    alone = [quality for quality in QUALITIES if quality < table.first]
    alone = sorted({*alone, model.config.base_quality})
    y_counts = np.zeros((SCALE_COUNT, 2 * REACH + 1), np.int64)
    detail_counts = np.zeros_like(y_counts)
    z_counts = np.zeros((len(alone), prior.z_mean.shape[1], 2 * REACH + 1), np.int64)
    for crop in load_crops(photos, width=768, height=512, limit=PICTURES):
        blocks = blocks_of(crop.float() / 255)
        features = model.transforms.features(blocks)
        for row, quality in enumerate(alone):
            level = torch.tensor([table(quality).base], dtype=torch.float32)
            y = model.transforms.latent(features, level)
            z = model.transforms.hyper_analysis(y)
            counter = SymbolCounter(y_counts, z_counts[row])
            y_hat = prior.code(counter, quality, y.shape[2], y.shape[3], (to_numpy(y), to_numpy(z)))
            if priors.detail is None or quality != model.config.base_quality:
                continue
            base = model.transforms.base(torch.from_numpy(y_hat).permute(2, 0, 1)[None], level)
            for detailed in range(table.first, 101, 6):
                levels = table(detailed)
                detail = torch.tensor([levels.detail], dtype=torch.float32)
                y2 = model.transforms.analyse_detail(blocks, base, detail)
                priors.detail.code(SymbolCounter(detail_counts), levels.detail_row, y_hat, to_numpy(y2))
    rows = [min(range(len(alone)), key=lambda n: abs(alone[n] - quality)) for quality in range(101)]
    gaussian = arrays["z.index"][alone]
    shares = scale_mixtures(y_counts)
    shares += [
        channel_shares(counts, scale_of(int(index)))
        for each, indices in zip(z_counts, gaussian, strict=True)
        for counts, index in zip(each, indices, strict=True)
    ]
    details: Tensors = {}
    if priors.detail is not None:
        details["detail.table"] = np.arange(SCALE_COUNT, dtype=np.uint16) + np.uint16(len(shares))
        details["detail.table"][SILENT_INDEX] = SILENT_INDEX
        shares += scale_mixtures(detail_counts)
    tables = tables_of(shares)
    channels = np.arange(prior.z_mean.shape[1])
    index = SCALE_COUNT + np.array(rows)[:, None] * len(channels) + channels
    return details | {
        "tables.counts": tables.counts,
        "tables.radius": tables.radius,
        "z.index": index.astype(np.uint16),
    }


def scale_of(index: int) -> float:
    """Compute the width of a scale index, in quantization steps."""
    return SCALE_MIN * math.exp(LOG_SCALE_STEP * index)


def scale_mixtures(counts: Counts) -> list[list[float]]:
    """Fit to each scale index a mixture of all Gaussians; return its shares of the symbols `-radius..radius`.

    Args:
        counts: `(SCALE_COUNT, 2 · REACH + 1)`.
    """
    parts: Shares = np.array([gaussian_shares(scale_of(i), REACH) for i in range(SCALE_COUNT)])
    parts[:, 1:] *= 2  # the two signs of a symbol are taken together
    parts = np.maximum(parts, 1e-30)
    folded = counts[:, REACH:].astype(np.float64)
    folded[:, 1:] += counts[:, REACH - 1 :: -1]
    folded += Y_GAUSSIAN * parts
    weights = np.full((SCALE_COUNT, SCALE_COUNT), 0.1 / SCALE_COUNT) + 0.9 * np.eye(SCALE_COUNT)
    for _ in range(ROUNDS):
        # Each part of the mixture gets the portion of each count that it accounts for.
        weights *= (folded / (weights @ parts)) @ parts.T
        weights /= weights.sum(1, keepdims=True)
    out = []
    for index, mixture in enumerate(weights @ parts):
        radius = min(math.ceil(4.5 * scale_of(index)) + 1, REACH)
        half = [float(mixture[0]), *(float(share) / 2 for share in mixture[1 : radius + 1])]
        out.append(half[:0:-1] + half)
    return out


def channel_shares(counts: Counts, scale: float) -> list[float]:
    """Compute shares of the symbols `-radius..radius` of a channel of z from counts `(2 · REACH + 1,)`.

    Args:
        scale: width of the channel's Gaussian, which gives a share to symbols that were not seen.
    """
    seen = np.abs(np.flatnonzero(counts) - REACH)
    radius = min(int(seen.max(initial=0)) + 1, Z_REACH)
    half = gaussian_shares(scale, radius)
    within = counts[REACH - radius : REACH + radius + 1] + Z_GAUSSIAN * np.array(half[:0:-1] + half)
    return [float(share) for share in within / (counts.sum() + Z_GAUSSIAN)]
