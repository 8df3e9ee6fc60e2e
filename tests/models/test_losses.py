"""What training minimises."""

import pytest
import torch
from conftest import photograph

from neuralcodec.models.losses import (
    MSE_AS_DISTORTION,
    distortion,
    lambda_at,
    opponent_mse,
    rate_distortion,
)


@pytest.fixture
def x() -> torch.Tensor:
    pictures = [torch.from_numpy(photograph(176, 192, seed=seed)) for seed in (1, 2)]
    return torch.stack(pictures).permute(0, 3, 1, 2) / 255


def test_lambdas_are_log_spaced() -> None:
    lam = lambda_at(torch.tensor([0.0, 3.5, 7.0]), 8, 0.3, 120.0)
    assert torch.allclose(lam, torch.tensor([0.3, 6.0, 120.0]), rtol=1e-5)


def test_opponent_mse_of_a_grey_error_is_the_mean_squared_error(x: torch.Tensor) -> None:
    assert torch.allclose(opponent_mse(torch.full_like(x, -0.1)), torch.full((2,), 0.01), atol=1e-6)
    assert (opponent_mse(torch.zeros_like(x)) == 0).all()


def test_opponent_mse_sees_a_colour_error_of_equal_luma(x: torch.Tensor) -> None:
    shift = torch.tensor([0.1, 0.0, -0.1 * 0.299 / 0.114])[None, :, None, None]
    luma = torch.tensor([0.299, 0.587, 0.114])
    assert (shift.flatten() @ luma).abs() < 1e-6
    expected = 0.1**2 + (0.1 * 0.299 / 0.114) ** 2
    assert torch.allclose(opponent_mse(shift.expand_as(x)), torch.full((2,), expected), rtol=1e-3)


def test_distortion_grows_with_the_error(x: torch.Tensor) -> None:
    noise = torch.randn(x.shape, generator=torch.manual_seed(0))
    last = torch.full((2,), -1.0)
    for amount in (0.0, 0.02, 0.05, 0.2):
        error = distortion(x, x + amount * noise, mse_weight=0.5, mse_only=False)
        assert error.shape == (2,)
        assert (error > last).all()
        last = error
    assert (distortion(x, x, mse_weight=0.5, mse_only=False).abs() < 1e-5).all()


def test_the_early_distortion_is_the_mse_alone(x: torch.Tensor) -> None:
    error = distortion(x, x + 0.1, mse_weight=0.5, mse_only=True)
    assert torch.allclose(error, torch.full((2,), 0.01 * MSE_AS_DISTORTION), rtol=1e-4)


def test_distortion_is_the_same_under_autocast(x: torch.Tensor) -> None:
    """In bfloat16 MS-SSIM would read far too low."""
    x_hat = (x + 0.01 * torch.randn(x.shape, generator=torch.manual_seed(0))).clamp(0, 1)
    expected = distortion(x, x_hat, mse_weight=0.5, mse_only=False)
    with torch.autocast("cpu", torch.bfloat16):
        error = distortion(x, x_hat, mse_weight=0.5, mse_only=False)
    assert torch.allclose(error, expected, atol=1e-6)


def test_rate_distortion_weighs_samples_by_the_root_of_lambda() -> None:
    bpp, error = torch.tensor([1.0, 2.0]), torch.tensor([0.5, 0.01])
    loss = rate_distortion(bpp, error, torch.tensor([4.0, 100.0]))
    assert loss.item() == pytest.approx(((1 + 4 * 0.5) / 2 + (2 + 100 * 0.01) / 10) / 2)
