"""The loss of a VAE, term by term: what a picture costs, as reconstruction and as latents.

All terms are normalised alike: sums over pixels and latents, in nats; the mean over the batch comes last.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Pass(NamedTuple):
    """One pass through a model.

    Args:
        logits: of the pictures, decoded from `z`.
        z: `(B, latents)`, a sample of q(z | x).
        mu, log_var: `(B, latents)`, mean and log variance of q(z | x).
    """

    logits: Tensor
    z: Tensor
    mu: Tensor
    log_var: Tensor


class Terms(NamedTuple):
    """The negative of the evidence lower bound in its parts, means over a batch, in nats a picture.

    Args:
        reconstruction: -log p(x | z).
        kl: KL(q(z | x) || p(z)), of each latent `(latents,)`.
        total_correlation: an estimate of KL(q(z) || prod q(z_j)); 0 where it was not asked for.
    """

    reconstruction: Tensor
    kl: Tensor
    total_correlation: Tensor

    def loss(self, beta: float, *, tc: bool = False) -> Tensor:
        """Compute what training minimises: `reconstruction + beta * KL`.

        A beta of 1 is the VAE (Kingma and Welling 2014), another one the beta-VAE (Higgins et al. 2017). With
        `tc`, beta weighs only the total correlation (Chen et al. 2018).
        """
        if tc:
            return self.reconstruction + self.kl.sum() + (beta - 1) * self.total_correlation
        return self.reconstruction + beta * self.kl.sum()


def terms(x: Tensor, out: Pass, data_size: int | None = None) -> Terms:
    """Compute the terms of the loss for a batch of pictures `x`, whose pixels are in the order of the logits.

    Args:
        data_size: pictures in the data set, needed to estimate the total correlation; without it, that is 0.
    """
    _, z, mu, log_var = out
    correlation = mu.new_zeros(()) if data_size is None else total_correlation(z, mu, log_var, data_size)
    return Terms(reconstruction(x, out.logits).mean(), kl(mu, log_var).mean(0), correlation)


def reparameterise(mu: Tensor, log_var: Tensor, eps: Tensor) -> Tensor:
    """Sample q(z | x) as a function of its parameters: `mu + sigma * eps`, with `eps` from N(0, I)."""
    return mu + (0.5 * log_var).exp() * eps


def reconstruction(x: Tensor, logits: Tensor) -> Tensor:
    """Compute -log p(x | z) `(B,)` of pictures in `[0, 1]`; each pixel is a Bernoulli variable."""
    return (F.softplus(logits) - x * logits).flatten(1).sum(1)


def kl(mu: Tensor, log_var: Tensor) -> Tensor:
    """Compute KL(N(mu, sigma^2) || N(0, 1)) `(B, latents)` in closed form."""
    return 0.5 * (mu.square() + log_var.exp() - 1 - log_var)


def total_correlation(z: Tensor, mu: Tensor, log_var: Tensor, data_size: int) -> Tensor:
    """Estimate the total correlation of q(z) from one batch out of `data_size` pictures.

    The estimate is the minibatch-weighted sampling of Chen et al. (2018).
    """
    deviation = (z[:, None] - mu).square() * (-log_var).exp()
    log_q = -0.5 * (deviation + log_var + math.log(2 * math.pi))  # (B, B, latents): z of one, q of the other
    count = math.log(len(z) * data_size)
    joint = torch.logsumexp(log_q.sum(2), 1) - count
    product = (torch.logsumexp(log_q, 1) - count).sum(1)
    return (joint - product).mean()
