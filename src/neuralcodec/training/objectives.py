"""The loss that a training step minimises."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from neuralcodec.models.losses import distortion, lambda_at, rate_distortion
from neuralcodec.weights import Tradeoff


class Terms(NamedTuple):
    """What a step compares.

    Args:
        x: pixels `(N, 3, H, W)` in [0, 1].
        x_hat: what they decode to.
        bits: of each sample `(N,)`.
        share: the place `(N,)` of each sample between the lowest quality, 0, and the highest, 1.
        detail: whether they were coded in two layers, and have the trade-off of these.
        error: of each sample `(N,)`, where it is measured otherwise than as the distortion of a codec.
        added: to the distortion of each sample `(N,)`.
    """

    x: Tensor
    x_hat: Tensor
    bits: Tensor
    share: Tensor
    detail: bool = False
    error: Tensor | None = None
    added: Tensor | None = None


def loss_of(tradeoff: Tradeoff, terms: Terms, *, mse_only: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the scalar loss; also return, for the log, bits per pixel `(N,)` and distortions `(N,)`."""
    bpp = terms.bits / terms.x[0, 0].numel()
    error = terms.error
    if error is None:
        error = distortion(terms.x, terms.x_hat, tradeoff, terms.share, mse_only=mse_only)
    if terms.added is not None:
        error = error + terms.added
    return rate_distortion(bpp, error, lambda_at(tradeoff, terms.share)), bpp, error
