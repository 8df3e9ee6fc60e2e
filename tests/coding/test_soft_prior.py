"""The prior with gradients says what the integer prior says, and its gradients lead to fewer bits."""

import numpy as np
import pytest
import torch
from conftest import photograph

from neuralcodec.coding.soft_prior import SoftPrior
from neuralcodec.models.conv.runner import Model
from neuralcodec.training.integers import CountingWriter


@pytest.mark.parametrize(("height", "width"), [(8, 12), (7, 9), (1, 1), (2, 6)])
@pytest.mark.parametrize("quality", [5, 50, 95])
def test_it_codes_as_the_integer_prior_does(model: Model, height: int, width: int, quality: int) -> None:
    y = model.analyse(photograph(16 * height, 16 * width), quality)
    padded = np.pad(y, ((0, -height % 4), (0, -width % 4), (0, 0)))
    z = model.hyper_analyse(padded)
    writer = CountingWriter(model.prior.tables)
    expected = model.prior.code(writer, quality, height, width, (padded, z))
    with torch.no_grad():
        coded = SoftPrior(model.prior)(torch.from_numpy(y), torch.from_numpy(z), quality)
    assert (coded.y_hat.numpy() == expected).all()
    escaped = writer.bits - coded.bits  # whole bytes, beside the entries of the tables
    assert -0.01 < escaped < 0.2 * writer.bits
    assert escaped == pytest.approx(8 * round(escaped / 8), abs=0.01)


def test_the_gradient_of_the_smooth_rate_is_that_of_the_rate_before_rounding(model: Model) -> None:
    y = torch.from_numpy(model.analyse(photograph(128, 128), 60))
    z = torch.from_numpy(model.hyper_analyse(y.numpy()))
    prior = SoftPrior(model.prior)
    latent = y.clone().requires_grad_()
    start = prior(latent, z, 60)
    (gradient,) = torch.autograd.grad(start.y_bits.sum(), latent)
    with torch.no_grad():
        bits = [prior(y - size * gradient, z, 60).bits for size in (0.001, 0.01, 0.03)]
    assert start.bits > bits[0] > bits[1] > bits[2]


def test_the_gradient_of_y_hat_passes_straight_through(model: Model) -> None:
    y = torch.from_numpy(model.analyse(photograph(64, 80), 60)).requires_grad_()
    z = torch.from_numpy(model.hyper_analyse(np.pad(y.detach().numpy(), ((0, 0), (0, 3), (0, 0)))))
    coded = SoftPrior(model.prior)(y, z, 60)
    weight = torch.randn(y.shape, generator=torch.manual_seed(0))
    (gradient,) = torch.autograd.grad((coded.y_hat * weight).sum(), y)
    assert torch.allclose(gradient, weight)
