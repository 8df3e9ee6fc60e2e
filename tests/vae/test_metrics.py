"""The metrics on codes whose scores are known: a perfect, a random and a rotated one."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from neuralcodec import UsageError
from neuralcodec.vae import metrics
from neuralcodec.vae.sprites import Indices, Sprites


class Grid:
    """Pictures given by factors, of which only the indices are ever asked for."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = sizes

    def indices_of(self, factors: Indices) -> Indices:
        return np.ravel_multi_index(tuple(factors.T), self.sizes)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def perfect(data: Grid | Sprites) -> Callable[[Indices], np.ndarray]:
    """Each factor in a latent of its own."""
    return lambda indices: np.stack(np.unravel_index(indices, data.sizes), 1).astype(np.float64)


def random(latents: int) -> Callable[[Indices], np.ndarray]:
    """Latents that know nothing."""
    source = np.random.default_rng(1)
    return lambda indices: source.normal(size=(len(indices), latents))


def rotated(indices: Indices) -> np.ndarray:
    """Two factors of 16 values, turned by 45 degrees."""
    a, b = np.unravel_index(indices, (16, 16))
    return np.stack([a + b, a - b], 1) / math.sqrt(2)


# ---- FactorVAE score --------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [Grid(3, 6, 40, 32, 32), Grid(2, 2)])
def test_factor_vae_of_a_perfect_code(data: Grid) -> None:
    assert metrics.factor_vae(perfect(data), data, rng()) == 1


def test_factor_vae_does_not_mind_order_sign_and_size() -> None:
    data = Grid(3, 6, 8)
    other = np.array([-3.0, 0.1, 100.0])
    assert metrics.factor_vae(lambda i: perfect(data)(i)[:, ::-1] * other, data, rng()) == 1


def test_factor_vae_of_a_random_code_is_chance() -> None:
    assert metrics.factor_vae(random(10), Grid(3, 6, 40, 32, 32), rng()) == pytest.approx(0.2, abs=0.03)


def test_factor_vae_of_a_rotated_code_is_chance() -> None:
    """Either factor held fixed halves both variances, so that the least one says nothing."""
    assert metrics.factor_vae(rotated, Grid(16, 16), rng()) == pytest.approx(0.5, abs=0.03)


def test_factor_vae_leaves_out_what_hardly_varies() -> None:
    """A latent below a deviation of 0.05 would win every vote by its rounding errors, and gets none."""
    data = Grid(4, 4)

    def code(indices: Indices) -> np.ndarray:
        return np.hstack([perfect(data)(indices), np.where(indices % 4 == 0, 0.01, 0.0)[:, None]])

    assert metrics.factor_vae(code, data, rng()) == 1
    assert metrics.factor_vae(lambda indices: np.zeros((len(indices), 3)), data, rng()) == 0


# ---- mutual information gap -------------------------------------------------------------------------------


def test_mutual_information() -> None:
    one = np.array([0, 0, 1, 1] * 25)
    assert metrics.mutual_information(one, one) == pytest.approx(math.log(2))
    assert metrics.mutual_information(one, np.array([0, 1] * 50)) == pytest.approx(0)
    assert metrics.mutual_information(one, np.array([0, 2, 1, 1] * 25)) == pytest.approx(math.log(2))


def test_mig_of_a_perfect_code() -> None:
    """1, less what chance lets a second latent seem to know of a factor in 10,000 samples."""
    data = Grid(3, 6, 20)
    assert metrics.mig(perfect(data), data, rng()) == pytest.approx(1, abs=0.01)


def test_mig_loses_what_bins_lose() -> None:
    """32 places in 20 bins: 12 bins hold two each."""
    data = Grid(32, 32)
    kept = 1 - 24 / 32 * math.log(2) / math.log(32)
    assert metrics.mig(perfect(data), data, rng()) == pytest.approx(kept, abs=0.02)


def test_mig_of_a_random_code() -> None:
    assert metrics.mig(random(10), Grid(3, 6, 40, 32, 32), rng()) == pytest.approx(0, abs=0.01)


def test_mig_of_a_rotated_code() -> None:
    """Both latents know as much of each factor."""
    assert metrics.mig(rotated, Grid(16, 16), rng()) == pytest.approx(0, abs=0.02)


# ---- DCI --------------------------------------------------------------------------------------------------


def test_disentanglement_of_known_importances() -> None:
    assert metrics.disentanglement(np.eye(4)) == 1
    assert metrics.disentanglement(np.ones((10, 5))) == pytest.approx(0)
    # One latent of two factors, and one of one: 3/4 of the importance is worth 1 - H(2/3)/ln 2.
    importance = np.array([[0.5, 0.25], [0.0, 0.25]])
    entropy = -(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3)) / math.log(2)
    assert metrics.disentanglement(importance) == pytest.approx(0.75 * (1 - entropy) + 0.25)
    assert metrics.disentanglement(np.zeros((2, 2))) == 0


@pytest.mark.parametrize(
    ("name", "expected"), [("perfect", (1, 1, 1)), ("random", (0, 0, 1 / 4)), ("rotated", (0, 0, None))]
)
def test_dci_of_known_codes(
    name: str, expected: tuple[float, float, float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.setattr(metrics, "_SAMPLES", 1000)
    monkeypatch.setattr(metrics, "_TESTS", 500)
    data = Grid(4, 4)

    def turned(indices: Indices) -> np.ndarray:
        a, b = np.unravel_index(indices, data.sizes)
        return np.stack([a + b, a - b], 1)

    code = {"perfect": perfect(data), "random": random(2), "rotated": turned}[name]
    found = metrics.dci(code, data, rng())
    assert found.disentanglement == pytest.approx(expected[0], abs=0.1)
    assert found.completeness == pytest.approx(expected[1], abs=0.1)
    if expected[2] is not None:
        assert found.informativeness == pytest.approx(expected[2], abs=0.1)


def test_dci_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn.ensemble", None)
    with pytest.raises(UsageError, match=r"pip install 'neuralcodec\[vae\]'"):
        metrics.dci(random(2), Grid(2, 2), rng())
