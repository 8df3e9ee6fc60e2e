"""What a vivid decoder is compared by: texture, its statistics, and an adversary."""

import numpy as np
import torch
from conftest import photograph
from torch import Tensor

from neuralcodec.training.adversary import (
    Adversary,
    beaten,
    feature_distance,
    grid_excess,
    roughness,
    texture_distance,
    texture_of,
)


def tensor(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels.astype(np.float32) / 255).permute(2, 0, 1)[None]


def noise(deviation: float, side: int = 96) -> np.ndarray:
    rng = np.random.default_rng(1)
    return (128 + rng.normal(0, deviation, (side, side, 1)) + np.zeros(3)).clip(0, 255).astype(np.uint8)


def test_noise_and_plain_areas_are_texture_and_edges_are_not() -> None:
    assert texture_of(tensor(noise(8))).mean() > 0.8
    assert texture_of(tensor(np.full((96, 96, 3), 90, np.uint8))).min() > 0.99
    edge = np.full((96, 96, 3), 60, np.uint8)
    edge[:, 48:] = 190
    share = texture_of(tensor(edge))[0, 0]
    assert share[:, 44:52].max() < 0.1 and share[:, :30].min() > 0.9
    letters = np.where(np.random.default_rng(0).random((24, 24)) < 0.5, 20, 230).repeat(4, 0).repeat(4, 1)
    assert texture_of(tensor(letters.astype(np.uint8)[..., None] + np.zeros(3, np.uint8))).mean() < 0.15


def test_statistics_do_not_ask_where_each_grain_lies() -> None:
    one, other = tensor(noise(8)), tensor(noise(8)[::-1].copy())
    smooth, texture = tensor(noise(1)), torch.ones(1, 1, 96, 96)
    assert texture_distance(one, one, texture) == 0
    assert texture_distance(one, other, texture) < 0.25 * texture_distance(one, smooth, texture)
    assert texture_distance(one, smooth, 0 * texture) == 0


def test_a_speck_at_one_place_of_every_block_is_a_grid() -> None:
    side = 384  # of enough blocks for their means to be even
    texture = torch.ones(1, 1, side, side)
    even, specks, strewn = (noise(4, side) for _ in range(3))
    other = even[::-1].copy()
    rows, columns = np.mgrid[3:side:8, 2:side:8]
    specks[rows, columns] += 12
    places = np.random.default_rng(2).choice(side**2, rows.size, replace=False)
    strewn.reshape(-1, 3)[places] += 12
    grid, none, free = (grid_excess(tensor(even), tensor(each), texture) for each in (specks, even, strewn))
    assert none == 0
    assert grid > 2 * free
    assert grid > 2 * grid_excess(tensor(even), tensor(other), texture)
    # In a texture of half the contrast it counts nearly as much.
    weak = [tensor((128 + (each - 128.0) / 2).round().astype(np.uint8)) for each in (even, specks)]
    assert grid_excess(*weak, texture) > 0.7 * grid
    assert grid_excess(tensor(even), tensor(specks), 0 * texture) == 0


def test_each_wants_the_other_below() -> None:
    torch.manual_seed(0)
    adversary = Adversary(4)
    x, true = tensor(photograph(64, 64)), tensor(photograph(64, 64, seed=2))
    real, false = adversary(x, true), adversary(true, true)
    assert [tuple(score.shape) for score in real.scores] == [(1, 1, 16, 16), (1, 1, 8, 8)]
    texture = torch.ones(1, 1, 64, 64)
    higher = real._replace(scores=[score + 3 for score in real.scores])
    assert beaten(higher, false, texture) < beaten(real, false, texture)
    assert beaten(false, higher, texture) > beaten(false, real, texture)
    assert feature_distance(real, real, texture) == 0 < feature_distance(real, false, texture)
    assert roughness(real, real) == 0 < roughness(real, false)
