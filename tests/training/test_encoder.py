"""The gradient that another encoder learns from."""

import torch
from tiny import TINY_DETAIL

from neuralcodec.training.encoder import EncoderObjective, OthersErrors


def test_rates_of_rounded_latents_reach_both_layers() -> None:
    objective = EncoderObjective(detail_share=1.0)
    objective.model = objective.make(TINY_DETAIL)
    objective.round_latents(True)
    assert not objective.model.prior.noise and not objective.model.detail_prior.noise


def test_no_element_sees_its_own_rounding_error() -> None:
    """Of a quadratic distortion, what an element's own error contributes goes, and what others' do stays."""
    generator = torch.Generator().manual_seed(0)
    y = (4 * torch.rand((2, 3, 32, 32), generator=generator)).requires_grad_()
    y_hat = y + (y.round() - y).detach()
    error = (y_hat - y).detach()
    other = torch.randn(y.shape, generator=generator)
    curvature = torch.tensor([1.0, 5.0, 20.0]).view(1, 3, 1, 1)

    seen = OthersErrors.apply(y_hat, y)
    assert torch.equal(seen, y_hat)
    target = y.detach()
    ((0.5 * curvature * (seen - target).square()) + other * seen).sum().backward()
    assert y.grad is not None
    assert (y.grad - other).abs().max() < 0.3 * other.abs().max()
    along = ((y.grad * error).sum((2, 3)) / error.square().sum((2, 3))).abs()
    assert along.max() < 1e-4  # nothing is left of it, where the curvature alone would leave 1, 5 and 20


def test_a_latent_of_whole_numbers_has_no_error() -> None:
    y = torch.ones((1, 1, 2, 2), requires_grad=True)
    seen = OthersErrors.apply(y + (y.round() - y).detach(), y)
    seen.sum().backward()
    assert y.grad is not None and torch.equal(y.grad, torch.ones_like(y))
