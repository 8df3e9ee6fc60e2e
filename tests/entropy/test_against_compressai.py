"""Rates and sizes beside an independent implementation: CompressAI's Gaussian model and its rANS coder.

Runs where the extra `neuralcodec[compressai]` is installed.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from neuralcodec.entropy.coder import SymbolReader, SymbolWriter
from neuralcodec.entropy.tables import LOG_SCALE_STEP, SCALE_COUNT, SCALE_MIN, gaussian_tables

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it uses what torch has deprecated
    entropy_models = pytest.importorskip("compressai.entropy_models", exc_type=ImportError)
import torch

SCALES = [SCALE_MIN * math.exp(LOG_SCALE_STEP * index) for index in range(SCALE_COUNT)]
TABLES = gaussian_tables()


@pytest.fixture(scope="module")
def theirs() -> Any:
    """CompressAI's model with tables for our 64 scales."""
    model = entropy_models.GaussianConditional(SCALES)
    model.update()
    return model.eval()


def latent(index: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """A symbol for each scale index, as a Gaussian of that scale gives them."""
    scales = np.array(SCALES)[index]
    return np.rint(np.random.default_rng(0).normal(0, scales)).astype(np.int32)


@pytest.mark.parametrize("index", range(1, SCALE_COUNT))  # those of index 0 are not coded
def test_expected_bits_of_every_table(theirs: Any, index: int) -> None:
    radius = int(TABLES.radius[index])
    symbols = np.arange(-radius, radius + 1, dtype=np.int32)
    values = torch.from_numpy(symbols).double()[None]
    likelihood = theirs._likelihood(values, torch.full_like(values, SCALES[index]))[0].numpy()
    ours = TABLES.bits(symbols, np.full(len(symbols), index, np.uint8))
    entropy = -(likelihood * np.log2(likelihood)).sum()
    cross_entropy = (likelihood * ours).sum()
    # What 16-bit counts of at least one, and the share kept for escapes, cost over the exact Gaussian.
    assert abs(cross_entropy - entropy) < 0.0005 + 0.001 * entropy
    likely = likelihood > 1e-3
    np.testing.assert_allclose(ours[likely], -np.log2(likelihood[likely]), atol=0.03)


def mixtures() -> list[Any]:
    """Scale indices as smooth and as busy parts of a picture have them, and all alike."""
    rng = np.random.default_rng(1)
    return [
        pytest.param(rng.integers(1, SCALE_COUNT, 60_000), id="uniform"),
        pytest.param(np.clip(rng.geometric(0.15, 60_000), 1, 63), id="smooth"),
        pytest.param(np.clip(np.rint(rng.normal(22, 8, 60_000)), 1, 63), id="busy"),
    ]


@pytest.mark.parametrize("drawn", mixtures())
def test_segments_are_as_small_as_those_of_rans(theirs: Any, drawn: npt.NDArray[Any]) -> None:
    index = drawn.astype(np.uint8)
    symbols = latent(index)
    writer = SymbolWriter(TABLES)
    writer.exchange(symbols, index)
    segment = writer.finish()
    assert np.array_equal(SymbolReader(TABLES, segment).exchange(None, index), symbols)

    indexes = torch.from_numpy(index.astype(np.int32))[None]
    (string,) = theirs.compress(torch.from_numpy(symbols).float()[None], indexes)
    assert np.array_equal(theirs.decompress([string], indexes)[0].numpy(), symbols)
    assert len(segment) < 1.01 * len(string)
    assert len(segment) > 0.95 * len(string)  # smaller would mean that one of the two codes something else
