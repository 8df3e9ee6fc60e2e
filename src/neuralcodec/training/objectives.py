"""The loss that a training step minimises."""

from __future__ import annotations

from torch import Tensor

from neuralcodec.models.losses import distortion, lambda_at, rate_distortion
from neuralcodec.training.recipe import TrainingConfig


def loss_of(
    config: TrainingConfig, x: Tensor, terms: tuple[Tensor, Tensor, Tensor], *, mse_only: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the scalar loss; also return, for the log, bits per pixel `(N,)` and distortions `(N,)`."""
    x_hat, bits, share = terms
    tradeoff = config.tradeoff
    bpp = bits / x[0, 0].numel()
    error = distortion(x.repeat(len(x_hat) // len(x), 1, 1, 1), x_hat, tradeoff, share, mse_only=mse_only)
    return rate_distortion(bpp, error, lambda_at(tradeoff, share)), bpp, error
