"""Metrics of how disentangled a code is, measured against the factors that made the pictures.

All settings are those of the reference study (Locatello et al. 2019). A code is a function from the indices
of pictures to numbers `(B, latents)`, here the means of q(z | x); a metric can measure any such function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from neuralcodec.errors import UsageError
from neuralcodec.vae.sprites import Indices

Floats = npt.NDArray[np.floating]
Code: TypeAlias = Callable[[Indices], Floats]

#: A latent whose standard deviation over all pictures is less than this has no vote in the FactorVAE score.
_SILENT = 0.05
_BINS = 20
_SAMPLES, _TESTS = 10_000, 5_000
_VOTE = 64


class Factors(Protocol):
    """A data set whose pictures are given by factors, as `Sprites` is."""

    sizes: tuple[int, ...]

    def indices_of(self, factors: Indices) -> Indices:
        """Return the indices `(B,)` of the pictures with factors `(B, factors)`."""
        ...


class Dci(NamedTuple):
    """Disentanglement, completeness and informativeness (Eastwood and Williams 2018), each 0 to 1."""

    disentanglement: float
    completeness: float
    informativeness: float


def factor_vae(code: Code, data: Factors, rng: np.random.Generator) -> float:
    """Compute the FactorVAE score (Kim and Mnih 2018), 0 to 1.

    It is how often the latent that varies least tells which factor was held fixed. A majority vote decides
    which factor a latent stands for, so that chance is about 1 / factors.
    """
    variances = code(data.indices_of(_sample(data, _SAMPLES, rng))).var(0, ddof=1)
    active = np.sqrt(variances) >= _SILENT
    if not active.any():
        return 0.0
    scale = np.where(active, variances, 0.0)
    votes = _votes(code, data, _SAMPLES, scale, rng)
    checks = _votes(code, data, _TESTS, scale, rng)
    return float(checks[votes.argmax(0), np.arange(len(scale))].sum() / checks.sum())


def _votes(code: Code, data: Factors, count: int, scale: Floats, rng: np.random.Generator) -> Indices:
    """Count how often each latent varied least while a factor was held fixed: `(factors, latents)`.

    Args:
        scale: variance of each latent over all pictures; 0 takes it out of the vote.
    """
    votes = np.zeros((len(data.sizes), len(scale)), np.int64)
    for size in _chunks(count, 100):
        fixed = rng.integers(len(data.sizes), size=size)
        factors = _sample(data, size * _VOTE, rng).reshape(size, _VOTE, -1)
        vote = np.arange(size)
        factors[vote, :, fixed] = factors[vote, 0, fixed][:, None]
        codes = code(data.indices_of(factors.reshape(size * _VOTE, -1))).reshape(size, _VOTE, -1)
        share = np.full((size, len(scale)), np.inf)
        np.divide(codes.var(1, ddof=1), scale, out=share, where=scale > 0)
        np.add.at(votes, (fixed, share.argmin(1)), 1)
    return votes


def mig(code: Code, data: Factors, rng: np.random.Generator) -> float:
    """Compute the mutual information gap (Chen et al. 2018), 0 to 1.

    It is how much more the best latent knows of a factor than the second best, as a share of the factor's
    entropy, averaged over the factors.
    """
    factors = _sample(data, _SAMPLES, rng)
    codes = code(data.indices_of(factors))
    binned = np.stack([_binned(values) for values in codes.T], 1)
    gaps = []
    for factor in factors.T:
        known = sorted(mutual_information(column, factor) for column in binned.T)
        gaps.append((known[-1] - known[-2]) / mutual_information(factor, factor))
    return float(np.mean(gaps))


def mutual_information(one: Indices, two: Indices) -> float:
    """Estimate the mutual information of two discrete variables in nats, from samples `(N,)` of both.

    That of a variable with itself is its entropy.
    """
    joint = np.zeros((one.max() + 1, two.max() + 1))
    np.add.at(joint, (one, two), 1 / len(one))
    independent = joint.sum(1, keepdims=True) * joint.sum(0)
    there = joint > 0
    return float((joint[there] * np.log(joint[there] / independent[there])).sum())


def _binned(values: Floats) -> Indices:
    """Sort the values into 20 bins of equal width between the extremes; return the index of each's bin."""
    low, high = values.min(), values.max()
    if low == high:
        return np.zeros(len(values), np.int64)
    return np.minimum((_BINS * (values - low) / (high - low)).astype(np.int64), _BINS - 1)


def dci(code: Code, data: Factors, rng: np.random.Generator) -> Dci:
    """Compute DCI, from how important gradient-boosted trees find each latent to predict each factor.

    This takes minutes.

    Raises:
        UsageError: scikit-learn, which has the trees, is not installed.
    """
    try:
        from sklearn.ensemble import GradientBoostingClassifier
    except ImportError:
        raise UsageError("DCI needs scikit-learn: pip install 'neuralcodec[vae]'") from None
    known, asked = _sample(data, _SAMPLES, rng), _sample(data, _TESTS, rng)
    codes, tests = code(data.indices_of(known)), code(data.indices_of(asked))
    importance = np.zeros((codes.shape[1], known.shape[1]))
    right = []
    for number, factor in enumerate(known.T):
        trees = GradientBoostingClassifier(random_state=0).fit(codes, factor)
        importance[:, number] = trees.feature_importances_
        right.append(float(np.mean(trees.predict(tests) == asked[:, number])))
    return Dci(disentanglement(importance), disentanglement(importance.T), float(np.mean(right)))


def disentanglement(importance: Floats) -> float:
    """Compute how much each latent is about one factor only, 0 to 1, from importances `(latents, factors)`.

    Their transpose gives completeness: how much each factor is in one latent only.
    """
    total = importance.sum()
    if total == 0:
        return 0.0
    rows = importance.sum(1)
    share = importance[rows > 0] / rows[rows > 0, None]
    entropy = -(share * np.log(share, where=share > 0, out=np.zeros_like(share))).sum(1)
    return float((rows[rows > 0] / total * (1 - entropy / np.log(importance.shape[1]))).sum())


def _sample(data: Factors, count: int, rng: np.random.Generator) -> Indices:
    """Draw factors `(count, factors)`, all equally likely."""
    return rng.integers(data.sizes, size=(count, len(data.sizes)))


def _chunks(count: int, size: int) -> list[int]:
    return [min(size, count - start) for start in range(0, count, size)]
