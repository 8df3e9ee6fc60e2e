"""A test of the machine: a tiny tile whose latent is known, decoded when weights are loaded.

Every machine finds the same latent only if libraries keep to exact arithmetic: matrix products in float32
without shortcuts, and the range coder's conversion of probabilities. Where they do not, files decode to
noise. Checksums would not notice: they cover the bytes of a file, not what these decode to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from neuralcodec.arrays import Floats
from neuralcodec.entropy.coder import SymbolCoder, SymbolReader, SymbolWriter
from neuralcodec.entropy.prior import LATENT_ONE, Draw
from neuralcodec.entropy.tables import Tables
from neuralcodec.errors import DamagedFileError, NeuralCodecError
from neuralcodec.parallel import single_threaded_blas

#: The share of a canary's elements that are not zero, and their standard deviation in quantization steps.
_SHARE, _SPREAD = 0.03, 12.0


class Prior(Protocol):
    """The part of a codec's prior that a canary needs."""

    samples: int
    tables: Tables

    def code_sample(self, coders: Sequence[SymbolCoder], draw: Draw | None = None) -> list[Floats]:
        """Code a small tile, one segment for each coder, and return the y_hat of each."""
        ...


@dataclass(frozen=True)
class Canary:
    """A tiny tile in coded form.

    Args:
        segments: `samples` of the prior.
        latent: SHA-256, in hex, of what they decode to: see `digest`.
    """

    segments: tuple[bytes, ...]
    latent: str


def make(prior: Prior) -> Canary:
    """Make the canary of a prior: a tile of mostly zeros."""
    rng = np.random.default_rng(0)

    def draw(shape: tuple[int, ...]) -> Floats:
        values = rng.normal(0, _SPREAD, shape) * (rng.random(shape) < _SHARE)
        return values.astype(np.float32)

    writers = [SymbolWriter(prior.tables) for _ in range(prior.samples)]
    latent = digest(prior.code_sample(writers, draw))
    return Canary(tuple(writer.finish() for writer in writers), latent)


def check(prior: Prior, canary: Canary | None) -> None:
    """Decode the segments of a canary and compare the latent.

    Raises:
        NeuralCodecError: the latent differs. ValueError: this is no canary of this prior.
    """
    if canary is None or len(canary.segments) != prior.samples:
        raise ValueError("it has no canary, or one of other segments")
    try:
        readers = [SymbolReader(prior.tables, segment) for segment in canary.segments]
        with single_threaded_blas():
            found = digest(prior.code_sample(readers))
    except DamagedFileError:
        found = ""
    if found != canary.latent:
        from importlib.metadata import version

        versions = " and ".join(f"{name} {version(name)}" for name in ("numpy", "constriction"))
        raise NeuralCodecError(
            "the arithmetic of this machine is not exact, and files would decode to noise: a test tile gives "
            f"another latent with {versions}; try other versions of them"
        )


def digest(y_hat: Sequence[Floats]) -> str:
    """Hash latents in sixteenths: SHA-256, in hex, of int32, little endian, row by row, channels last."""
    found = hashlib.sha256()
    for latent in y_hat:
        found.update((latent * LATENT_ONE).astype("<i4").tobytes())
    return found.hexdigest()
