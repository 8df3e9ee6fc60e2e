"""SSIMULACRA2 as a score and as a loss, against the package that the benchmark uses."""

import io

import numpy as np
import pytest
import torch
from conftest import Pixels, photograph
from PIL import Image

from neuralcodec.models import ssimulacra2 as module
from neuralcodec.models.ssimulacra2 import raw_ssimulacra2, scales_of, score_of, ssimulacra2


def published(a: Pixels, b: Pixels) -> float:
    package = pytest.importorskip("ssimulacra2")
    files = []
    for pixels in (a, b):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        files.append(file)
    return float(package.compute_ssimulacra2(*files))


def as_jpeg(pixels: Pixels, quality: int) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=0)
    return np.asarray(Image.open(file))


def tensor(pixels: Pixels) -> torch.Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("size", [(256, 256), (301, 203), (64, 96), (8, 9)])
def test_it_is_the_published_score(size: tuple[int, int]) -> None:
    pixels = photograph(*size, seed=3)
    scores = []
    for quality in (4, 30, 95):
        lossy = as_jpeg(pixels, quality)
        scores.append(published(pixels, lossy))
        assert ssimulacra2(pixels, lossy) == pytest.approx(scores[-1], abs=0.5)
    if min(size) > 64:
        assert scores[0] < 10 and scores[-1] > 75


def test_colour_alone_is_seen_as_published() -> None:
    pixels = photograph(160, 200, seed=5)
    for channel, shift in ((0, 9), (1, -6), (2, 25)):
        lossy = pixels.copy()
        lossy[..., channel] = (lossy[..., channel].astype(int) + shift).clip(0, 255)
        assert ssimulacra2(pixels, lossy) == pytest.approx(published(pixels, lossy), abs=0.5)


def test_the_same_picture_has_a_hundred() -> None:
    pixels = photograph(100, 120)
    assert ssimulacra2(pixels, pixels) == pytest.approx(100, abs=0.1)


def test_score_and_loss_are_one_thing() -> None:
    pixels = photograph(203, 301, seed=4)
    lossy = as_jpeg(pixels, 40)
    raw = raw_ssimulacra2(tensor(pixels), tensor(lossy))
    assert raw.shape == (1,)
    assert score_of(raw.item()) == pytest.approx(ssimulacra2(pixels, lossy), abs=1e-3)


def test_grey_pictures_are_taken_as_colour() -> None:
    grey = photograph(64, 80, channels=1)
    lossy = (grey.astype(int) + 5).clip(0, 255).astype(np.uint8)
    assert ssimulacra2(grey, lossy) == ssimulacra2(grey.repeat(3, 2), lossy.repeat(3, 2))


def test_strips_of_any_height_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = photograph(123, 90, seed=6)
    lossy = as_jpeg(pixels, 30)
    whole = ssimulacra2(pixels, lossy)
    for height in (1, 2, 8, 50):
        monkeypatch.setattr(module, "_STRIP_PIXELS", 90 * height)
        assert ssimulacra2(pixels, lossy) == pytest.approx(whole, abs=1e-3)


def test_scales_end_before_they_are_too_small() -> None:
    sides = (7, 8, 15, 16, 256, 1000)
    assert [scales_of(side, 1000) for side in sides] == [0, 1, 2, 2, 6, 6]
    assert scales_of(1000, 16) == 2


def test_the_gradient_leads_to_a_better_score() -> None:
    pixels = photograph(128, 128, seed=7)
    x, x_hat = tensor(pixels), tensor(as_jpeg(pixels, 20)).requires_grad_()
    before = raw_ssimulacra2(x, x_hat)
    (gradient,) = torch.autograd.grad(before.sum(), x_hat)
    assert gradient.isfinite().all()
    after = raw_ssimulacra2(x, x_hat - 0.002 * gradient / gradient.abs().max())
    assert after.item() < before.item()


@pytest.mark.parametrize("value", [0.0, 1.0, -0.3, 1.4])
def test_flat_and_clipped_pictures_have_finite_gradients(value: float) -> None:
    x = torch.zeros(1, 3, 64, 64)
    x_hat = torch.full_like(x, value).requires_grad_()
    raw = raw_ssimulacra2(x, x_hat)
    raw.sum().backward()
    assert raw.isfinite().all() and x_hat.grad is not None and x_hat.grad.isfinite().all()


def test_each_picture_of_a_batch_has_its_own_sum() -> None:
    pictures = [photograph(64, 64, seed=seed) for seed in (1, 2)]
    x = torch.cat([tensor(pixels) for pixels in pictures]).contiguous(memory_format=torch.channels_last)
    x_hat = torch.cat([tensor(as_jpeg(pixels, 30)) for pixels in pictures])
    alone = torch.cat([raw_ssimulacra2(x[i : i + 1], x_hat[i : i + 1]) for i in range(2)])
    assert torch.allclose(raw_ssimulacra2(x, x_hat), alone, rtol=1e-4)
