"""The terms of the loss and their gradients, against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal, kl_divergence

from neuralcodec.vae import objective


def draw(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def test_kl_is_that_of_two_gaussians() -> None:
    mu, log_var = draw(5, 3), draw(5, 3, seed=1)
    standard = Normal(torch.zeros(3), torch.ones(3))
    torch.testing.assert_close(
        objective.kl(mu, log_var), kl_divergence(Normal(mu, (log_var / 2).exp()), standard).double()
    )
    assert objective.kl(torch.zeros(1, 3), torch.zeros(1, 3)).sum() == 0


def test_gradient_of_kl() -> None:
    """By mu it is mu; by log sigma^2 it is (sigma^2 - 1) / 2."""
    mu, log_var = draw(4, 3).requires_grad_(), draw(4, 3, seed=1).requires_grad_()
    objective.kl(mu, log_var).sum().backward()
    torch.testing.assert_close(mu.grad, mu.detach())
    torch.testing.assert_close(log_var.grad, (log_var.detach().exp() - 1) / 2)


def test_gradient_of_the_reparameterised_sample() -> None:
    """By mu it is 1; by log sigma^2 it is sigma * eps / 2."""
    mu, log_var = draw(4, 3).requires_grad_(), draw(4, 3, seed=1).requires_grad_()
    eps = draw(4, 3, seed=2)
    z = objective.reparameterise(mu, log_var, eps)
    sigma = (log_var.detach() / 2).exp()
    torch.testing.assert_close(z.detach(), mu.detach() + sigma * eps)
    z.sum().backward()
    torch.testing.assert_close(mu.grad, torch.ones_like(mu))
    torch.testing.assert_close(log_var.grad, sigma * eps / 2)


def test_the_estimate_of_the_gradient_is_unbiased() -> None:
    """E z^2 is mu^2 + sigma^2: its gradients are 2 mu and, by log sigma^2, sigma^2."""
    mu = torch.tensor([0.7], dtype=torch.float64, requires_grad=True)
    log_var = torch.tensor([-0.5], dtype=torch.float64, requires_grad=True)
    objective.reparameterise(mu, log_var, draw(200_000, 1)).square().mean().backward()
    assert mu.grad is not None
    assert log_var.grad is not None
    assert mu.grad.item() == pytest.approx(1.4, abs=0.01)
    assert log_var.grad.item() == pytest.approx(math.exp(-0.5), abs=0.01)


def test_reconstruction_is_the_likelihood_of_every_pixel() -> None:
    x = (draw(2, 1, 4, 4) > 0).double()
    logits = draw(2, 1, 4, 4, seed=1).requires_grad_()
    cost = objective.reconstruction(x, logits)
    torch.testing.assert_close(cost, -Bernoulli(logits=logits).log_prob(x).sum((1, 2, 3)))
    cost.sum().backward()
    torch.testing.assert_close(logits.grad, logits.detach().sigmoid() - x)


def test_sums_over_pixels_and_latents_means_over_the_batch() -> None:
    x, logits = torch.zeros(6, 1, 8, 8), torch.zeros(6, 1, 8, 8)
    mu = torch.ones(6, 4)
    parts = objective.terms(x, objective.Pass(logits, mu, mu, torch.zeros(6, 4)))
    assert parts.reconstruction.item() == pytest.approx(64 * math.log(2), rel=1e-6)
    torch.testing.assert_close(parts.kl, torch.full((4,), 0.5))
    assert parts.total_correlation == 0
    assert parts.loss(1).item() == pytest.approx(64 * math.log(2) + 2, rel=1e-6)
    assert parts.loss(4).item() == pytest.approx(64 * math.log(2) + 8, rel=1e-6)


def test_total_correlation_sees_what_is_tied() -> None:
    """Of means on a line it is large; of independent ones small, and rotating the line away removes it."""
    count = 512
    free = draw(count, 2)
    tied = free[:, :1].repeat(1, 2)
    log_var = torch.full((count, 2), math.log(0.2), dtype=torch.float64)
    noise = math.sqrt(0.2) * draw(count, 2, seed=3)

    def correlation(mu: Tensor) -> float:
        # One "data set" as large as the batch: q(z) is then the mixture of this very batch.
        return objective.total_correlation(mu + noise, mu, log_var, 1).item()

    exact = -0.5 * math.log(1 - (1 / 1.2) ** 2)  # of two Gaussians of variance 1.2 with covariance 1
    turned = torch.stack([tied.sum(1), tied[:, 0] - tied[:, 1]], 1) / math.sqrt(2)
    offset = correlation(free)
    assert correlation(tied) - offset == pytest.approx(exact, abs=0.1)
    assert abs(correlation(turned) - offset) < 0.1


def test_tcvae_weights_the_total_correlation_alone() -> None:
    mu, log_var, logits = draw(8, 3), draw(8, 3, seed=1), draw(8, 1, 4, 4, seed=4)
    z = objective.reparameterise(mu, log_var, draw(8, 3, seed=2))
    x = torch.zeros_like(logits)
    parts = objective.terms(x, objective.Pass(logits, z, mu, log_var), 1000)
    expected = parts.reconstruction + parts.kl.sum() + 5 * objective.total_correlation(z, mu, log_var, 1000)
    torch.testing.assert_close(parts.loss(6, tc=True), expected)
    torch.testing.assert_close(parts.loss(1, tc=True), parts.loss(1))
