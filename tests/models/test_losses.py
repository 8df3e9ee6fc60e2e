"""What training minimises."""

from dataclasses import replace

import pytest
import torch
from conftest import photograph

from neuralcodec.models.losses import (
    MOST_RAW,
    MSE_AS_DISTORTION,
    distortion,
    lambda_at,
    opponent_mse,
    rate_distortion,
)
from neuralcodec.models.ssimulacra2 import raw_ssimulacra2
from neuralcodec.weights import Tradeoff

AIM = Tradeoff(mse_weight=0.5)
NOTHING = Tradeoff(ms_ssim_weight=0.0, mse_weight=0.0)
MIDDLE = torch.full((2,), 0.5)


@pytest.fixture
def x() -> torch.Tensor:
    pictures = [torch.from_numpy(photograph(176, 192, seed=seed)) for seed in (1, 2)]
    return torch.stack(pictures).permute(0, 3, 1, 2) / 255


def test_lambdas_are_log_spaced() -> None:
    lam = lambda_at(Tradeoff(0.3, 120.0), torch.tensor([0.0, 0.5, 1.0]))
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
        error = distortion(x, x + amount * noise, AIM, MIDDLE)
        assert error.shape == (2,)
        assert (error > last).all()
        last = error
    assert (distortion(x, x, AIM, MIDDLE).abs() < 1e-5).all()


def test_the_early_distortion_is_the_mse_alone(x: torch.Tensor) -> None:
    error = distortion(x, x + 0.1, AIM, MIDDLE, mse_only=True)
    assert torch.allclose(error, torch.full((2,), 0.01 * MSE_AS_DISTORTION), rtol=1e-4)


def test_every_part_counts_by_its_weight(x: torch.Tensor) -> None:
    x_hat = (x + 0.03 * torch.randn(x.shape, generator=torch.manual_seed(0))).clamp(0, 1)
    parts = {
        name: distortion(x, x_hat, replace(NOTHING, **{name: 1.0}), MIDDLE)
        for name in ("ms_ssim_weight", "ssimulacra2_weight", "mse_weight", "flat_weight")
    }
    assert torch.allclose(parts["ssimulacra2_weight"], raw_ssimulacra2(x, x_hat), rtol=1e-4)
    assert torch.allclose(parts["mse_weight"], opponent_mse(x - x_hat), rtol=1e-4)
    whole = distortion(x, x_hat, replace(NOTHING, **dict.fromkeys(parts, 0.5)), MIDDLE)
    assert torch.allclose(whole, 0.5 * torch.stack(list(parts.values())).sum(0), rtol=1e-4)


def test_the_mse_counts_more_at_high_levels(x: torch.Tensor) -> None:
    aim = replace(NOTHING, mse_weight=2.0, mse_growth=9.0)
    errors = [distortion(x, x + 0.1, aim, torch.full((2,), share)) for share in (0.0, 0.5, 1.0)]
    for error, weight in zip(errors, (2.0, 6.0, 18.0), strict=True):
        assert torch.allclose(error, torch.full((2,), 0.01 * weight), rtol=1e-4)


def test_ssimulacra2_is_bounded_at_the_lowest_rates(x: torch.Tensor) -> None:
    assert (raw_ssimulacra2(x, 1 - x) > MOST_RAW).all()
    error = distortion(x, 1 - x, replace(NOTHING, ssimulacra2_weight=1.0), MIDDLE)
    assert torch.allclose(error, torch.full((2,), MOST_RAW))


def test_distortion_is_the_same_under_autocast(x: torch.Tensor) -> None:
    """In bfloat16 MS-SSIM would read far too low."""
    x_hat = (x + 0.01 * torch.randn(x.shape, generator=torch.manual_seed(0))).clamp(0, 1)
    expected = distortion(x, x_hat, AIM, MIDDLE)
    with torch.autocast("cpu", torch.bfloat16):
        error = distortion(x, x_hat, AIM, MIDDLE)
    assert torch.allclose(error, expected, atol=1e-6)


def test_rate_distortion_weighs_samples_by_the_root_of_lambda() -> None:
    bpp, error = torch.tensor([1.0, 2.0]), torch.tensor([0.5, 0.01])
    loss = rate_distortion(bpp, error, torch.tensor([4.0, 100.0]))
    assert loss.item() == pytest.approx(((1 + 4 * 0.5) / 2 + (2 + 100 * 0.01) / 10) / 2)
