"""The metrics agree with the package and the formulas they stand for, at every size."""

import math

import numpy as np
import pytest
import pytorch_msssim
import torch

from neuralcodec.errors import UsageError
from neuralcodec.picture.metrics import ms_ssim, ms_ssim_db, psnr, ssim_map, ssimulacra2


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """A smooth random picture: MS-SSIM of plain noise says little."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (height // 16 + 2, width // 16 + 2, channels))
    rows, columns = np.linspace(0, 1, height), np.linspace(0, 1, width)
    y, x = rows * (coarse.shape[0] - 1), columns * (coarse.shape[1] - 1)
    detail = 30 * np.sin(np.add.outer(7 * rows, 60 * columns * rng.uniform(0.5, 2)))[:, :, None]
    return np.clip(coarse[y.astype(int)][:, x.astype(int)] + detail, 0, 255).astype(np.uint8)


def noisy(image: np.ndarray, sigma: float = 12) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, sigma, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("shape", [(161, 161, 3), (200, 333, 3), (257, 190, 1), (700, 513, 3)])
def test_ms_ssim_is_the_package_s(shape: tuple[int, int, int]) -> None:
    a = picture(*shape)
    b = noisy(a)
    tensors = [torch.tensor(p.transpose(2, 0, 1)[None], dtype=torch.float32) for p in (a, b)]
    assert ms_ssim(a, b) == pytest.approx(float(pytorch_msssim.ms_ssim(*tensors, data_range=255)), abs=1e-6)


def test_ms_ssim_of_one_scale_is_the_package_s_ssim() -> None:
    a = picture(20, 20)
    b = noisy(a)
    tensors = [torch.tensor(p.transpose(2, 0, 1)[None], dtype=torch.float32) for p in (a, b)]
    # The weight of the one scale left is the sum of the published ones, 1.0001.
    assert ms_ssim(a, b) == pytest.approx(float(pytorch_msssim.ssim(*tensors, data_range=255)), abs=1e-3)


@pytest.mark.parametrize("side", [1, 2, 3, 10, 11, 20, 21, 40, 41, 80, 81, 160])
def test_ms_ssim_of_small_pictures(side: int) -> None:
    a = picture(side, 300)
    assert ms_ssim(a, a) == pytest.approx(1, abs=1e-6)
    assert 0 <= ms_ssim(a, noisy(a)) < 1


def test_ms_ssim_of_one_pixel() -> None:
    black, white = np.zeros((1, 1, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8)
    assert ms_ssim(black, black) == 1
    assert ms_ssim(black, white) == pytest.approx(1e-4, rel=0.01)  # C1 / (255² + C1) with one scale


def test_ms_ssim_falls_with_noise() -> None:
    a = picture(170, 170)
    values = [ms_ssim(a, noisy(a, sigma)) for sigma in (2, 8, 32)]
    assert values == sorted(values, reverse=True)


def test_ssim_map() -> None:
    a = picture(40, 60)
    b = a.copy()
    b[20:30, 30:40] = 255 - b[20:30, 30:40]
    similarity = ssim_map(a, b)
    assert similarity.shape == (30, 50)
    row, column = np.unravel_index(similarity.argmin(), similarity.shape)
    assert 15 <= row < 25
    assert 25 <= column < 35
    assert similarity[0, 0] == pytest.approx(1)
    grey = a[:, :, :1]
    tensors = [torch.tensor(p.transpose(2, 0, 1)[None], dtype=torch.float32) for p in (grey, noisy(grey))]
    mean = ssim_map(grey, noisy(grey)).mean()
    assert mean == pytest.approx(float(pytorch_msssim.ssim(*tensors, data_range=255)), abs=1e-5)
    with pytest.raises(UsageError):
        ssim_map(a[:10], a[:10])


@pytest.mark.parametrize(("value", "decibels"), [(0.9, 10), (0.99, 20), (0, 0), (1, math.inf)])
def test_ms_ssim_db(value: float, decibels: float) -> None:
    assert ms_ssim_db(value) == pytest.approx(decibels)


def test_psnr() -> None:
    a = np.full((5, 7, 3), 100, np.uint8)
    assert psnr(a, a + 1) == pytest.approx(20 * math.log10(255))
    assert psnr(a + 1, a) == psnr(a, a + 1)
    assert psnr(np.zeros_like(a), np.full_like(a, 255)) == 0
    assert psnr(a, a) == math.inf


def test_ssimulacra2() -> None:
    pytest.importorskip("ssimulacra2")
    a = picture(64, 48)
    assert ssimulacra2(a, a) == pytest.approx(100)
    assert ssimulacra2(a, noisy(a)) < 95
    assert ssimulacra2(a[:, :, :1], a[:, :, :1]) == pytest.approx(100)
    assert ssimulacra2(a[:7], a[:7]) is None


@pytest.mark.parametrize("metric", [ms_ssim, psnr, ssimulacra2])
@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)),
        (np.zeros((8, 8, 3), np.float32), np.zeros((8, 8, 3), np.float32)),
        (np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8)),
        (np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 4), np.uint8)),
        (np.zeros((0, 8, 3), np.uint8), np.zeros((0, 8, 3), np.uint8)),
    ],
)
def test_what_is_no_pair_of_pictures_is_refused(metric, a: np.ndarray, b: np.ndarray) -> None:
    with pytest.raises(UsageError):
        metric(a, b)
