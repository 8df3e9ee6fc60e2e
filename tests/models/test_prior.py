"""The trained form of the prior: what each step codes, and that its integer form says the same."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import photograph
from torch import nn

from neuralcodec import weights
from neuralcodec.entropy.coder import SymbolWriter
from neuralcodec.entropy.exact import FRACTION_BITS
from neuralcodec.entropy.layers import LATENT_MAX
from neuralcodec.entropy.prior import IntegerPrior
from neuralcodec.entropy.tables import SCALE_COUNT, TOTAL, gaussian_tables
from neuralcodec.models.conv.network import level_of
from neuralcodec.models.conv.runner import Model
from neuralcodec.models.prior import LATENT_UNIT, STEPS, Prior, as_activation, bits, step_masks
from neuralcodec.training.conv import integer_tensors


@pytest.mark.parametrize("latent", [4, 16, 128])
def test_steps_code_each_element_once(latent: int) -> None:
    masks = step_masks(latent)
    assert masks.shape == (STEPS, latent, 2, 2)
    assert ((masks == 0) | (masks == 1)).all()
    assert (masks.sum(0) == 1).all()


def test_every_step_codes_a_quarter_of_each_place_and_each_group() -> None:
    masks = step_masks(16)
    assert (masks.sum(1) == 4).all()  # at each place of a square
    assert (masks.view(STEPS, 4, 4, 4).sum((2, 3)) == 4).all()  # of each group of channels


def test_as_activation_clips() -> None:
    x = torch.tensor([0.0, LATENT_UNIT, 1e6, -1e6])
    assert as_activation(x).tolist() == [0.0, 1.0, LATENT_MAX, -LATENT_MAX]


def test_bits_are_those_of_the_tables() -> None:
    """The rate that is trained for is the rate that is paid, where the odds are above the tables' floor."""
    tables = gaussian_tables()
    for index in range(2, SCALE_COUNT, 7):
        limit = int(tables.radius[index]) // 2
        symbols = np.arange(-limit, limit + 1, dtype=np.int32)
        paid = tables.bits(symbols, np.full(len(symbols), index, np.uint8))
        distance = torch.from_numpy(symbols).float().view(-1, 1, 1, 1)
        trained = bits(distance, torch.full_like(distance, float(index))).numpy()
        # A count of n is off by up to one half, that of zero by what rounding left over.
        slack = 1.5 / (TOTAL * 2.0**-paid)
        slack[limit] = 0.12
        assert (np.abs(paid - trained) < slack + 1e-3).all()


def test_rates_have_useful_gradients_everywhere() -> None:
    """Far from the mean and with a scale out of range, the gradient still points back."""
    distance = torch.tensor([[[[30.0]]]], requires_grad=True)
    index = torch.tensor([[[[-5.0]]]], requires_grad=True)
    bits(distance, index).sum().backward()
    assert distance.grad is not None
    assert index.grad is not None
    assert torch.isfinite(distance.grad).all()
    assert torch.isfinite(index.grad).all()


def test_gradients_reach_every_parameter() -> None:
    torch.manual_seed(0)
    prior = Prior(levels=3, latent=8, hyper=4, features=8, width=8)
    y = torch.randn(2, 8, 8, 8, requires_grad=True)
    z = torch.randn(2, 4, 2, 2, requires_grad=True)
    out = prior(y, z, torch.tensor([0.3, 1.6]))
    (out.y_bits + out.z_bits).sum().backward()
    for name, parameter in prior.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    assert y.grad is not None
    assert z.grad is not None


def test_evaluation_rounds_to_the_mean() -> None:
    """y_hat is at most half a step away, and the same for a sample alone or in a batch."""
    torch.manual_seed(0)
    prior = Prior(levels=3, latent=8, hyper=4, features=8, width=8).eval()
    y, z, level = 4 * torch.randn(2, 8, 8, 4), torch.randn(2, 4, 2, 1), torch.tensor([0.3, 1.6])
    with torch.no_grad():
        out = prior(y, z, level)
        single = prior(y[1:], z[1:], level[1:])
    assert (out.y_hat - y).abs().max() <= 0.5 + 1e-4
    assert torch.allclose(single.y_bits, out.y_bits[1:], rtol=1e-4)


# ---- the integer form -----------------------------------------------------------------------------------


class Counter(SymbolWriter):
    """A writer that adds up ideal code lengths; an escape costs what the trained form counts at most."""

    def __init__(self, prior: IntegerPrior) -> None:
        super().__init__(prior.tables)
        self.bits = 0.0

    def exchange(
        self, symbols: npt.NDArray[np.int32] | None, index: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.int32]:
        seen = super().exchange(symbols, index)
        paid = self._tables.bits(seen, index)
        self.bits += float(np.where(np.abs(seen) > self._tables.radius[index], 24.0, paid).sum())
        return seen


def trained_form(arrays: dict[str, npt.NDArray[Any]]) -> Prior:
    """The floating-point prior whose rounding to integers gives these arrays; level = quality."""
    latent = len(arrays["exact.steps.0.head.bias"]) // 2
    width, joined = arrays["exact.steps.0.mix.weight"].shape
    prior = Prior(101, latent, arrays["z.mean"].shape[1], joined - latent, width)
    for name, conv in prior.named_modules():
        if not isinstance(conv, nn.Conv2d) or conv.bias is None:
            continue
        weight, bias, shift = (
            arrays[f"exact.{name}.{part}"].astype(np.float64) for part in ("weight", "bias", "shift")
        )
        half = np.where(shift > 0, 2.0 ** (shift - 1), 0.0)
        # Scale indices leave in whole steps from activations in sixteenths: four more bits were dropped.
        fine = shift - np.repeat([0, 4], latent) if name.endswith("head") else shift
        with torch.no_grad():
            conv.weight.copy_(torch.from_numpy(weight / 2.0 ** fine[:, None]).view_as(conv.weight))
            conv.bias.copy_(torch.from_numpy((bias - half) / 2.0 ** (fine + FRACTION_BITS)))
    with torch.no_grad():
        prior.z_mean.copy_(torch.from_numpy(arrays["z.mean"] / 16.0 / 8))
        prior.z_index.copy_(torch.from_numpy(arrays["z.index"] / 8.0))
    return prior.eval()


@pytest.mark.parametrize("quality", [10, 50, 90])
def test_the_integer_form_of_the_shipped_weights_is_as_good_as_the_trained(
    model: Model, quality: int
) -> None:
    """Rate and y_hat of both forms on a photograph, through `export` once more."""
    arrays = dict(weights.read(weights.by_name("conv")).arrays)
    prior = trained_form(arrays)
    integer = IntegerPrior(integer_tensors(prior, level_of(torch.arange(101), len(prior.z_mean))))
    y = model.analyse(photograph(128, 192), quality)
    z = model.hyper_analyse(y)
    counter = Counter(integer)
    y_hat = integer.code(counter, quality, *y.shape[:2], (y, z))
    with torch.no_grad():
        tensors = (torch.from_numpy(x).permute(2, 0, 1)[None] for x in (y, z))
        out = prior(*tensors, torch.tensor([float(quality)]))
    trained = (out.y_bits + out.z_bits).item()
    assert counter.bits == pytest.approx(trained, rel=0.03)
    difference = np.abs(out.y_hat[0].permute(1, 2, 0).numpy() - y_hat)
    # Means may differ by a sixteenth or two; an element at the edge of rounding goes either way.
    assert np.quantile(difference, 0.95) <= 0.25


def test_the_integer_form_predicts_what_the_trained_does(model: Model) -> None:
    """Means and scale indices of the first step, which no rounding of y_hat precedes."""
    arrays = dict(weights.read(weights.by_name("conv")).arrays)
    prior = trained_form(arrays)
    z = np.random.default_rng(0).integers(-6, 7, (4, 5, arrays["z.mean"].shape[1])).astype(np.float32)
    integer = model.prior
    features = integer.hyper_synthesis(16 * z)
    known = np.zeros((16, 20, integer.latent), np.float32)
    mean, index = integer.steps[0].predict(np.concatenate((features, known), 2))
    with torch.no_grad():
        trained = prior.hyper_synthesis(torch.from_numpy(z).permute(2, 0, 1)[None])
        assert np.abs(features / 128 - trained[0].permute(1, 2, 0).numpy()).max() < 0.25
        trained_mean, trained_index = prior.steps[0](trained, torch.zeros(1, integer.latent, 16, 20))
    quarter = integer.latent // 4
    for place in range(4):
        i, j = divmod(place, 2)
        at = (0, slice(place * quarter, (place + 1) * quarter), slice(i, None, 2), slice(j, None, 2))
        expected = trained_mean[at].permute(1, 2, 0).numpy()
        off = np.abs(mean[place] / 16 - expected)
        assert np.quantile(off, 0.95) < 0.25
        expected = trained_index[at].permute(1, 2, 0).numpy().clip(0, SCALE_COUNT - 1)
        assert np.quantile(np.abs(index[place] - expected), 0.95) < 1.5
